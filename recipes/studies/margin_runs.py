"""The runs of margin.py and margin_uav.py, sorted by the questions that they answer."""

from __future__ import annotations

import runpy
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fissura.errors import InputError
from fissura.paper.figures.fig3 import margin_of
from fissura.study.outputs.thresholds import logit_shift
from fissura.study.recipe import Recipe, collect
from fissura.study.results import RunResult, index, read_results

HERE = Path(__file__).parent
LEAST_IOU = 0.01  # of a training that has found something
FEWEST_SEEDS = 3  # of two data sets, at least, until a question is told about


def in_percent(value: float | None) -> float | None:
    """Return a fraction in percent; None stays."""
    return None if value is None else 100 * value


# What is compared: of a run, in points, or in logits.
MEASURES: dict[str, Callable[[RunResult], float | None]] = {
    "IoU at 0.5": lambda run: 100 * run.iou,
    "IoU at the chosen threshold": lambda run: 100 * run.chosen["iou"] if run.chosen else None,
    "average precision": lambda run: in_percent(run.metrics["average_precision"]),
    "shift of crack logits": logit_shift,
}
GAINS = tuple(MEASURES)[:3]
SHIFT = tuple(MEASURES)[3]


@dataclass(frozen=True)
class Question:
    """One of the questions, with the runs that answer it.

    Attributes:
        name: Of its figure.
        title: Heading.
        axis: What differs between its data sets.
        runs: By what differs, by margin, by seed.
    """

    name: str
    title: str
    axis: str
    runs: dict[float, dict[float, dict[int, RunResult]]]

    @property
    def margins(self) -> list[float]:
        """The margins above 0 that have a seed in common with 0 anywhere."""
        tried = {margin for by_margin in self.runs.values() for margin in by_margin}
        return [
            margin
            for margin in sorted(tried - {0.0})
            if any(self.gains(GAINS[0], x, margin) for x in self.runs)
        ]

    @property
    def compared(self) -> list[float]:
        """The data sets on which a margin and none have enough seeds in common."""
        return [
            x
            for x in self.runs
            if any(len(self.gains(GAINS[0], x, margin)) >= FEWEST_SEEDS for margin in self.margins)
        ]

    def gains(self, measure: str, x: float, margin: float) -> list[float]:
        """Return a measure less that of m = 0, for each seed of both.

        Args:
            measure: A key of `MEASURES`.
            x: Which data set.
            margin: The margin.
        """
        value = MEASURES[measure]
        ours, base = self.runs[x].get(margin, {}), self.runs[x].get(0.0, {})
        pairs = [(value(ours[seed]), value(base[seed])) for seed in sorted(ours.keys() & base)]
        return [a - b for a, b in pairs if a is not None and b is not None]

    @property
    def learned(self) -> list[float]:
        """The data sets on which training without a margin found something."""
        return [
            x
            for x, by_margin in self.runs.items()
            if any(run.iou >= LEAST_IOU for run in by_margin.get(0.0, {}).values())
        ]

    def pooled(self, measure: str, margin: float) -> list[float]:
        """Return the gains on all data sets on which anything was learned."""
        return [gain for x in self.learned for gain in self.gains(measure, x, margin)]


def questions(folder: Path) -> list[Question]:
    """Sort the runs of a folder by question; one with too few of them is left out.

    Raises:
        InputError: There are no runs.
    """
    results = read_results(folder / "runs")
    if not results:
        raise InputError(f"{folder / 'runs'} holds no runs of recipes/studies/margin.py.")
    drawn: Recipe = runpy.run_path(str(HERE / "margin.py"))["RECIPE"]
    photos: Recipe = runpy.run_path(str(HERE / "margin_uav.py"))["RECIPE"]
    percent = "crack in the training pixels (%)"
    images = "training images"

    def found(recipe: Recipe, x_of: Callable[[Any], float | None]) -> dict[float, Any]:
        by_row = collect(recipe, index(results.values()))
        sorted_runs: dict[float, dict[float, dict[int, RunResult]]] = {}
        for row in recipe.rows:
            x = x_of(row.experiment.data)
            if x is not None and by_row.get(row.name):
                runs = {run.seed: run for run in by_row[row.name]}
                sorted_runs.setdefault(x, {})[margin_of(row)] = runs
        return dict(sorted(sorted_runs.items()))

    asked = [
        Question(
            "margin-rare",
            "Rare cracks: drawn panels, 100 to train on",
            percent,
            found(
                drawn,
                lambda data: (
                    100 * data.panels.crack_fraction if data.training_images == 100 else None
                ),
            ),
        ),
        Question(
            "margin-few",
            "Few images: drawn panels of 1 % crack",
            images,
            found(
                drawn,
                lambda data: data.training_images if data.panels.crack_fraction == 0.01 else None,
            ),
        ),
        Question(
            "margin-photos",
            "Few images: photos of concrete from a drone, 1.4 % crack",
            images,
            found(photos, lambda data: data.training_images),
        ),
    ]
    return [one for one in asked if len(one.compared) > 1]
