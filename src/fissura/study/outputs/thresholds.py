"""Whether a difference is more than another threshold: compared at chosen ones, and over all."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy import stats

from fissura.study.outputs.markdown import NONE, mean_sd, number, written_interval
from fissura.study.outputs.tables import Table
from fissura.study.recipe import Found, Row
from fissura.study.results import RunResult
from fissura.study.statistics import LEVEL, compare

HEAD = (
    "", "Threshold", "Δ IoU at 0.5", "Δ IoU at chosen", "95 % interval", "Δ average precision",
    "95 % interval over seeds", "Shift of crack logits", "Seeds",
)  # fmt: skip
READING = """\
Each row less the baseline in points, paired by seed: at the threshold 0.5, at the threshold that
each run chose on its own validation images, and in average precision, which no threshold enters. A
loss that only moves the operating point differs in the first alone. The shift is the mean logit of
crack pixels in the training images less that in the test images: how far the network has learned
its few crack pixels by heart."""


def threshold_table(title: str, rows: Sequence[Row], baseline: Row, found: Found) -> Table | None:
    """Return a row's differences from the baseline at several thresholds, and its logits' shift.

    Args:
        title: Of the data set.
        rows: The rows on it.
        baseline: The one that the others are compared with.
        found: The results, by the row's name.

    Returns:
        The table; None where no run has chosen a threshold on validation images.
    """
    if not any(run.chosen for row in rows for run in found.get(row.name, [])):
        return None
    table = [
        [row.label, *_cells(found[row.name], found.get(baseline.name, []), row is baseline)]
        for row in rows
        if found.get(row.name)
    ]
    return Table(f"{title}: less {baseline.label}, and by how much logits shift", HEAD, table)


def logit_shift(run: RunResult) -> float | None:
    """Return the mean logit of crack pixels in training images less that in test images.

    Args:
        run: A result; None comes from those that have no logits.
    """
    if run.logits is None:
        return None
    train, test = run.logits["train"]["crack"], run.logits["test"]["crack"]
    return None if train is None or test is None else train - test


def seed_interval(differences: Sequence[float]) -> tuple[float, float]:
    """Return the 95 % interval of a mean of paired differences, by Student's t over the seeds.

    Args:
        differences: One per seed.

    Returns:
        Its ends; NaN for one seed.

    >>> low, high = seed_interval([1.0, 2.0, 3.0])
    >>> round(low, 3), round(high, 3)
    (-0.484, 4.484)
    """
    n = len(differences)
    if n < 2:
        return math.nan, math.nan
    reach = stats.t.ppf((1 + LEVEL) / 2, n - 1) * np.std(differences, ddof=1) / math.sqrt(n)
    mean = float(np.mean(differences))
    return mean - float(reach), mean + float(reach)


def _cells(runs: list[RunResult], base: list[RunResult], is_baseline: bool) -> list[str]:
    """Return the cells of a row."""
    chosen = [run.chosen["threshold"] for run in runs if run.chosen]
    threshold = number(float(np.mean(chosen))) if chosen else NONE
    shifts = [shift for run in runs if (shift := logit_shift(run)) is not None]
    shift = mean_sd([value / 100 for value in shifts]) if shifts else NONE
    empty = [threshold, *[NONE] * 5, shift, str(len(runs))]
    half = None if is_baseline else compare(runs, base)
    if half is None:
        return empty
    at_chosen = compare(_at_chosen(runs), _at_chosen(base))
    precisions = [
        {run.seed: run.metrics["average_precision"] for run in side} for side in (runs, base)
    ]
    pairs = [(precisions[0][seed], precisions[1][seed]) for seed in half.seeds]
    gains = [100 * (a - b) for a, b in pairs if a is not None and b is not None]
    low, high = seed_interval(gains)
    return [
        threshold,
        number(100 * half.mean, signed=True),
        NONE if at_chosen is None else number(100 * at_chosen.mean, signed=True),
        NONE if at_chosen is None else written_interval(at_chosen),
        number(float(np.mean(gains)), signed=True) if gains else NONE,
        NONE if math.isnan(low) else f"{number(low)} to {number(high)}",
        shift,
        str(half.n),
    ]


def _at_chosen(runs: list[RunResult]) -> list[RunResult]:
    """Return the runs with the counts at the thresholds that they chose."""
    return [replace(run, counts=run.chosen["counts"]) for run in runs if run.chosen]
