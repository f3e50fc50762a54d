"""How many trainings of a study end per hour: the study's engine against a plain loop?

    python benchmarks/study.py [--runs 4] [--epochs 4] [--repeats 3] [--device auto] [--quick]

The same trainings (losses of Table I on synthetic panels of 96×96, 300 images, width 16), with
their evaluation, in three ways, interleaved:

    engine    as `fissura study` does it: worker processes with one thread each, their start
              included; on a CPU one per core, on a GPU as many as --workers says
    loop      one after the other in one process, with all threads: what one gets without it
    loop, 1 thread   (on a CPU) the same with one thread

Before any timing, engine and single-threaded loop must have given the same weights. Timings on a
machine that does something else are worth nothing: see the load average in the result. --quick
shows that it works, with two trainings of two epochs at width 2, and records nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import torch

from fissura.checkpoint import versions
from fissura.data.preparation.protocols import PROTOCOLS
from fissura.data.synthetic.dataset import synth
from fissura.device import choose_device, describe_machine
from fissura.files import replacing
from fissura.paper.losses import BASELINES, ours
from fissura.study.data import panels
from fissura.study.experiment import Run, experiment
from fissura.study.runs.images import prepared
from fissura.study.runs.one_run import execute, run_folder
from fissura.study.runs.workers import Job, run_in_workers

RESULTS = Path(__file__).parent / "results" / "study.json"
LOSSES = [*BASELINES.values(), *map(ours, (0.5, 1.0, 1.5))]


def plan(data: Path, runs: int, epochs: int, width: int, device: torch.device) -> list[Job]:
    """Return as many trainings as asked for: the losses of Table I, then the next seed."""
    chosen = islice(cycle(LOSSES), runs)
    jobs = []
    for index, options in enumerate(chosen):
        one = experiment(panels(0.05, 400), **options, accelerator=device.type)
        one = one.at(epochs=epochs, width=width, protocol="native")
        jobs.append(Job(Run(one, index // len(LOSSES)), data))
    return jobs


def plain_loop(threads: int) -> Callable[[list[Job], Path], None]:
    """Return the way of one process: a training after the other, with so many threads."""

    def run(jobs: list[Job], study: Path) -> None:
        torch.set_num_threads(threads)
        for job in jobs:
            assert execute(job.run, job.data, study).error is None

    return run


def engine(workers: int) -> Callable[[list[Job], Path], None]:
    """Return the way of `fissura study`: so many worker processes."""

    def check(ended) -> None:
        assert ended.error is None, ended.error

    def run(jobs: list[Job], study: Path) -> None:
        run_in_workers(jobs, study, workers=workers, report=check)

    return run


def same_weights(jobs: list[Job], one: Path, two: Path) -> bool:
    """Tell whether two ways gave the same models, byte by byte."""
    files = (run_folder(Path(), job.run.key) / "model" / "model.safetensors" for job in jobs)
    return all((one / file).read_bytes() == (two / file).read_bytes() for file in files)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=4)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--workers", type=int, help="trainings at once")
    parser.add_argument("--quick", action="store_true", help="small, once, and not recorded")
    asked = parser.parse_args()
    images, width = 400, 16
    if asked.quick:
        images, width, asked.runs, asked.epochs, asked.repeats = 24, 2, 2, 2, 1
    device = choose_device(asked.device)
    cores = os.cpu_count() or 1
    workers = asked.workers or (cores if device.type == "cpu" else 1)
    ways = {"engine": engine(workers), "loop": plain_loop(cores)}
    if device.type == "cpu":
        ways["loop, 1 thread"] = plain_loop(1)
    load = os.getloadavg()[0]
    hours: dict[str, list[float]] = {name: [] for name in ways}
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        os.environ["FISSURA_CACHE"] = str(root / "cache")
        synth(root / "data", count=images, size_hw=(96, 96), crack_fraction=0.05)
        jobs = plan(root / "data", asked.runs, asked.epochs, width, device)
        for split in ("train", "test"):  # into the cache, which all ways then read
            prepared(root / "data", split, PROTOCOLS["native"])
        for repeat in range(asked.repeats):
            for name, way in ways.items():
                study = root / f"{name}-{repeat}"
                began = time.perf_counter()
                way(jobs, study)
                hours[name].append((time.perf_counter() - began) / 3600)
                print(f"{name}: {len(jobs) / hours[name][-1]:.0f} runs per hour", flush=True)
            if device.type == "cpu":
                assert same_weights(jobs, root / "engine-0", root / "loop, 1 thread-0")
    rates = {name: [len(jobs) / spent for spent in times] for name, times in hours.items()}
    report(asked, device, workers, load, rates)


def report(
    asked: argparse.Namespace,
    device: torch.device,
    workers: int,
    load: float,
    rates: dict[str, list[float]],
) -> None:
    """Print the result, and record it unless it was --quick."""
    median = {name: statistics.median(values) for name, values in rates.items()}
    ratios = {
        f"engine / {name}": round(median["engine"] / median[name], 3)
        for name in median
        if name != "engine"
    }
    entry = {
        "runs": asked.runs,
        "epochs": asked.epochs,
        "workers": workers,
        "runs_per_hour": {n: [round(v, 1) for v in values] for n, values in rates.items()},
        "ratios_of_medians": ratios,
        "load_before": load,
        "machine": describe_machine(device),
        "versions": versions(),
        "date": datetime.now(UTC).date().isoformat(),
    }
    if not asked.quick:
        record(device.type, entry)
    for name, ratio in ratios.items():
        print(f"{name}: {ratio:.2f}")


def record(kind: str, entry: dict[str, Any]) -> None:
    """Write the entry of a kind of device into `RESULTS`; those of other kinds stay."""
    known = read(RESULTS) if RESULTS.exists() else {}
    with replacing(RESULTS) as temporary:
        text = json.dumps(known | {kind: entry}, indent=2) + "\n"
        temporary.write_text(text, encoding="utf-8")


def read(file: Path) -> dict[str, dict[str, Any]]:
    """Return the entries by kind of device; those of version 0.1 call `workers` "together"."""
    entries = json.loads(file.read_text(encoding="utf-8"))
    for entry in entries.values():
        if "together" in entry:
            entry["workers"] = entry.pop("together")
    return entries


if __name__ == "__main__":
    main()
