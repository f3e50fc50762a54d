"""The cost of a claim without runs, from runs of the same network on the same kind of data."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from fissura.paper.budgets import PAPER_EPOCHS, panel_count
from fissura.paper.claims import Claim
from fissura.study.experiment import Experiment
from fissura.study.outputs.markdown import count
from fissura.study.results import RunResult

SEEDS = 6  # the fewest with which a test of ranks can give p ≤ 0.05
TRAINED = 0.75  # of the panels drawn; the others are to test


def cost_sentence(claim: Claim, results: Iterable[RunResult]) -> str | None:
    """Say what the fewest seeds that can decide a claim would cost at the paper's epochs.

    Args:
        claim: A claim that has no runs at 100 epochs.
        results: All runs; the seconds that they took in training count.

    Returns:
        A sentence; None where no run of the same network and data tells.
    """
    runs = list(results)
    pairs = claim.contrasts[0].pairs
    sides = [one for pair in pairs for one in pair]
    found = [_measured(one, runs) for one in sides]
    if not all(found):
        return None
    measured = [seconds for one in found for seconds in one]
    epochs = sum(float(np.median(one)) for one in found)
    hours = SEEDS * PAPER_EPOCHS * epochs / 3600
    return (
        f"{claim.says} At {PAPER_EPOCHS} epochs, {SEEDS} seeds of each loss would take about "
        f"{hours:.0f} hours of one core, by {count(len(measured), 'shorter run')} here."
    )


def _measured(one: Experiment, runs: list[RunResult]) -> list[float]:
    """Return the seconds of an epoch in runs of this network on this data, any loss."""
    found = []
    for run in runs:
        if run.config["model"] != one.config.network or run.config["width"] != one.config.width:
            continue
        images = _images(one, run)
        if images:
            seconds = run.seconds["train"] / run.config["epochs"]
            found.append(seconds * images / run.train["images"])
    return found


def _images(one: Experiment, run: RunResult) -> float | None:
    """Return how many images an experiment trains on, if a run was of the same kind of data."""
    if one.data.panels is not None:
        return TRAINED * one.data.panels.count if panel_count(run) else None
    return run.train["images"] if run.identity["data"] == one.data.name else None
