"""What a study will cost: the time of its runs, from timed steps on this machine."""

from __future__ import annotations

import json
import math
import os
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from fissura.data.preparation.batches import ImageStore, epoch_batches
from fissura.errors import InputError
from fissura.study.runs.curve import curve_epochs, pixel_ratio
from fissura.study.runs.images import prepared_for
from fissura.study.runs.one_run import run_folder
from fissura.study.runs.workers import Job, one_thread
from fissura.training.build import build_session
from fissura.training.inputs import read_inputs
from fissura.training.processes.start import start_fabric
from fissura.training.run_folder import read_metrics
from fissura.training.session import Session
from fissura.training.step import train_step, validate

# Options that change a step's time by little or nothing.
WITHOUT_COST = (
    *("loss", "margin", "gamma_hat", "gamma", "delta", "focal_weight", "smooth", "symmetric"),
    *("seed", "epochs", "learning_rate", "schedule", "warmup_epochs", "weight_decay"),
)
# Steps before those that count, the fewest and the most that count, and seconds after which the
# fewest do; pixels of the test images that are timed.
WARM_UP, FEWEST, MOST, LONG_ENOUGH = 2, 3, 12, 3.0
TIMED_PIXELS = 16 * 512 * 512


@dataclass(frozen=True)
class Timed:
    """Times on this machine of one kind of training: a network on images of one data set.

    Attributes:
        step: Seconds of a step of the optimizer.
        steps: Steps per epoch.
        judging: Seconds in which the test images are judged once.
        validating: Seconds in which the validation images are judged once; 0 without them.
        ratio: Pixels of the test images by those that an epoch trains on.
    """

    step: float
    steps: int
    judging: float
    validating: float
    ratio: float = 0.0

    def seconds(self, epochs: int, done: int = 0) -> float:
        """Return the seconds that a run takes.

        The test images are judged at some epochs for the record, once at the end, and about once
        more for the logits of their crack pixels and those of the training images.

        Args:
            epochs: Epochs of the training.
            done: Those that are done already.
        """
        left = max(0, epochs - done)
        judged = sum(epoch > done for epoch in curve_epochs(epochs, self.ratio)) + 2
        return left * (self.steps * self.step + self.validating) + judged * self.judging


@dataclass(frozen=True)
class Cost:
    """What a run will cost.

    Attributes:
        job: The run.
        kind: The kind of its training, in words.
        seconds: Seconds of one process; NaN where its step could not be timed.
        done: Epochs that an earlier study has done.
    """

    job: Job
    kind: str
    seconds: float
    done: int = 0


def estimate(jobs: Sequence[Job], study: Path) -> list[Cost]:
    """Time a few steps of each kind of training, with one thread, and reckon each run from them.

    Weights and results are left as they are. A kind whose step cannot be done has no cost; its runs
    tell the reason when they fail.

    Args:
        jobs: The runs to do.
        study: Folder of the study.

    Returns:
        The cost of each job, in their order.
    """
    timed: dict[str, Timed | None] = {}
    costs = []
    with one_thread():
        for job in jobs:
            key = _kind(job)
            if key not in timed:
                try:
                    timed[key] = time_kind(job)
                except (InputError, RuntimeError):
                    timed[key] = None
            config, found = job.run.config, timed[key]
            done = 0 if job.again else len(_epochs_done(job, study))
            seconds = math.nan if found is None else found.seconds(config.epochs, done)
            title = job.run.experiment.data.title
            words = f"{title}, {config.network}, {_counted(config.epochs, 'epoch')}"
            if found is not None:
                words += f" of {_counted(found.steps, 'step')} of {found.step:.2g} s"
            costs.append(Cost(job, words, seconds, done))
    return costs


def time_kind(job: Job) -> Timed:
    """Time the steps of a run's training, and the judging of its test images.

    Args:
        job: The run.

    Raises:
        InputError: The training cannot begin.
    """
    config = job.run.config
    fabric = start_fabric(config)
    session = build_session(Path(), fabric, config, read_inputs(job.data, config))
    batches = epoch_batches(len(session.train), config.batch_size, seed=config.seed, epoch=0)
    clock = _clock(fabric.device)
    spent: list[float] = []
    while len(spent) < WARM_UP + MOST and (
        len(spent) < WARM_UP + FEWEST or sum(spent) < LONG_ENOUGH
    ):
        began = clock()
        float(train_step(session, batches[0], epoch=0, step=len(spent), rate=1e-6))
        spent.append(clock() - began)
    test = prepared_for(config, job.data, "test")
    few = _first(test.masks, TIMED_PIXELS)
    valid = None if test.valid is None else test.valid[:few]
    store = ImageStore.of(test.images[:few], test.masks[:few], fabric.device, valid)
    per_pixel = _judge(session, store) / sum(mask.size for mask in test.masks[:few])
    held_out = session.validation
    validated = 0 if held_out is None else sum(mask.numel() for mask in held_out.masks)
    return Timed(
        step=statistics.median(spent[WARM_UP:]),
        steps=session.steps_per_epoch,
        judging=per_pixel * sum(mask.size for mask in test.masks),
        validating=per_pixel * validated,
        # The images that were timed stand for all.
        ratio=pixel_ratio(session, store)
        * sum(mask.size for mask in test.masks)
        / sum(mask.size for mask in test.masks[:few]),
    )


def written_costs(costs: Sequence[Cost], workers: int) -> list[str]:
    """Say in a few lines what a study will cost.

    Args:
        costs: Of each run.
        workers: Runs at once.
    """
    kinds: dict[str, list[float]] = {}
    for cost in costs:
        kinds.setdefault(cost.kind, []).append(cost.seconds)
    lines = []
    for kind, seconds in kinds.items():
        known = [value for value in seconds if not math.isnan(value)]
        number = _counted(len(seconds), "run")
        if not known:
            lines.append(f"  {kind}: {number}; a step could not be timed")
            continue
        each = _each(known)
        lines.append(f"  {kind}: {number}, {each}")
    known = [cost.seconds for cost in costs if not math.isnan(cost.seconds)]
    if not known:
        return lines
    total, at_once = sum(known), min(workers, len(costs))
    last = f"  In all {written_time(total)} of computing"
    if at_once > 1:
        wall = max(total / at_once, max(known))
        last += f", about {written_time(wall)} with {at_once} at once"
    lines.append(f"{last}, if nothing else runs on this machine.")
    return lines + _others_at_work()


def _others_at_work() -> list[str]:
    """Say where others are at work on this machine, as far as the system tells."""
    cores = os.cpu_count() or 1
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    if load < cores:
        return []
    return [
        f"  But others are at work here (load {load:.1f}, cores: {cores}): it will take longer."
    ]


def written_time(seconds: float) -> str:
    """Return a time in minutes, or in hours where there are many.

    >>> written_time(42), written_time(500), written_time(20000), written_time(1)
    ('0.7 minutes', '8.3 minutes', '5.6 hours', 'less than 0.1 minutes')
    """
    if seconds < 6:
        return "less than 0.1 minutes"
    if seconds >= 5400:
        return f"{seconds / 3600:.1f} hours"
    return f"{seconds / 60:.1f} minutes"


def _each(seconds: list[float]) -> str:
    """Say what one of several runs takes."""
    least, most = written_time(min(seconds)), written_time(max(seconds))
    if len(seconds) == 1:
        return least
    return f"{least} each" if least == most else f"{least} to {most} each"


def _counted(number: int, noun: str) -> str:
    """Return a number with its noun, in the plural where there is not exactly one."""
    return f"{number} {noun}" + "s" * (number != 1)


def _kind(job: Job) -> str:
    """Return what two runs have in common whose steps take the same time."""
    options = {k: v for k, v in asdict(job.run.config).items() if k not in WITHOUT_COST}
    return json.dumps([str(job.data), options], sort_keys=True, default=str)


def _epochs_done(job: Job, study: Path) -> set[int]:
    """Return the epochs that a training under way has done."""
    lines = read_metrics(run_folder(study, job.run.key) / "metrics.jsonl")
    return {line["epoch"] for line in lines}


def _first(masks: Sequence[np.ndarray], pixels: int) -> int:
    """Return how many of the first images have about so many pixels, one at least."""
    sizes = np.cumsum([mask.size for mask in masks])
    return max(1, int(np.searchsorted(sizes, pixels, side="right")))


def _judge(session: Session, store: ImageStore) -> float:
    """Return the seconds in which some images are judged, after one time that does not count."""
    clock, took = _clock(session.fabric.device), 0.0
    for _ in range(2):
        began = clock()
        validate(session, store)
        took = clock() - began
    return took


def _clock(device: torch.device) -> Callable[[], float]:
    """Return the clock that steps on a device are timed by.

    On a CPU it is the time that this process, which computes with one thread, has had a core, so
    that what else runs on the machine does not count.
    """
    return time.process_time if device.type == "cpu" else time.perf_counter
