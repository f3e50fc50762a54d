"""How many trainings of a study end per hour: the study's engine against a plain loop?

    python benchmarks/study.py [--runs 4] [--epochs 4] [--repeats 3] [--device auto]

The same trainings (losses of Table I on synthetic panels of 96×96, 300 images, width 16), with
their evaluation, in three ways, interleaved:

    engine    as `fissura study` does it: worker processes with one thread each, their start
              included; on a CPU one per core, on a GPU as many as --workers says
    loop      one after the other in one process, with all threads: what one gets without it
    loop, 1 thread   (on a CPU) the same with one thread

Before any timing, engine and single-threaded loop must have given the same weights. Timings on a
machine that does something else are worth nothing: see the load average in the result.
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

import torch

from fissura.checkpoint import versions
from fissura.data.protocols import PROTOCOLS
from fissura.data.synthetic.dataset import synth
from fissura.device import choose_device, describe_machine
from fissura.paper.losses import BASELINES, ours
from fissura.study.data import panels
from fissura.study.experiment import Run, experiment
from fissura.study.one_run import execute, prepared, run_folder
from fissura.study.workers import Job, run_in_workers

RESULTS = Path(__file__).parent / "results" / "study.json"
LOSSES = [*BASELINES.values(), *map(ours, (0.5, 1.0, 1.5))]


def plan(data: Path, runs: int, epochs: int, device: torch.device) -> list[Job]:
    """As many trainings as asked for: the losses of Table I, then the next seed."""
    chosen = islice(cycle(LOSSES), runs)
    jobs = []
    for index, options in enumerate(chosen):
        one = experiment(panels(0.05, 400), **options, accelerator=device.type)
        one = one.at(epochs=epochs, protocol="native")
        jobs.append(Job(Run(one, index // len(LOSSES)), data))
    return jobs


def plain_loop(threads: int) -> Callable[[list[Job], Path], None]:
    def run(jobs: list[Job], study: Path) -> None:
        torch.set_num_threads(threads)
        for job in jobs:
            assert execute(job.run, job.data, study).error is None

    return run


def engine(workers: int) -> Callable[[list[Job], Path], None]:
    def check(ended) -> None:
        assert ended.error is None, ended.error

    def run(jobs: list[Job], study: Path) -> None:
        run_in_workers(jobs, study, workers=workers, report=check)

    return run


def same_weights(jobs: list[Job], one: Path, two: Path) -> bool:
    """Whether two ways gave the same models, byte by byte."""
    files = (run_folder(Path(), job.run.key) / "model" / "model.safetensors" for job in jobs)
    return all((one / file).read_bytes() == (two / file).read_bytes() for file in files)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=4)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--workers", type=int, help="trainings at once")
    asked = parser.parse_args()
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
        synth(root / "data", count=400, size_hw=(96, 96), crack_fraction=0.05)
        jobs = plan(root / "data", asked.runs, asked.epochs, device)
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
    """Write the result beside this script, one entry per kind of device, and print it."""
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
    known = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    RESULTS.write_text(json.dumps(known | {device.type: entry}, indent=2) + "\n", encoding="utf-8")
    for name, ratio in ratios.items():
        print(f"{name}: {ratio:.2f}")


if __name__ == "__main__":
    main()
