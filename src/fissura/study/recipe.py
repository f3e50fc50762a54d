"""Recipes: the rows of a study as a value."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fissura.errors import InputError
from fissura.study.data import OWN_DATA, DataSet, panels
from fissura.study.experiment import Experiment, experiment
from fissura.study.options import Budget
from fissura.study.results import Index, RunResult, runs_of

# The results of each row, by the row's name; rows that have not run yet are missing.
Found = dict[str, list[RunResult]]


@dataclass(frozen=True)
class Published:
    """The metrics that a publication prints for a row, in percent; None where it has none.

    Attributes:
        iou: IoU of the crack class.
        f1: Its F1.
        recall: Its recall.
        precision: Its precision.
    """

    iou: float
    f1: float | None = None
    recall: float | None = None
    precision: float | None = None


@dataclass(frozen=True)
class Row:
    """One experiment of a recipe.

    Attributes:
        name: Short name, as --only takes it.
        label: Name in tables.
        experiment: What is trained.
        published: What a publication prints for it, if anything.
    """

    name: str
    label: str
    experiment: Experiment
    published: Published | None = None


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A study: what is trained, and how the results are shown.

    A Python file that defines `RECIPE` as one of these is all that `fissura study FILE` needs; see
    `cross`.

    Attributes:
        title: Head of the table.
        rows: The experiments. Each is trained with the same seeds, so that they differ by their
            options alone.
        name: Name of the files written; that of the recipe's file unless given.
        baseline: Name of the row that the others of its data set are compared with; the first of
            each data set unless given.
        show: Function that takes the recipe, the results found and a folder, writes files there and
            returns them; a table and the paired comparison unless given.
        needs_weights: Whether `show` needs the trained networks, not their metrics alone.
        runs: Trainings per row, with different seeds, unless --runs says another number.
    """

    title: str
    rows: Sequence[Row]
    name: str = ""
    baseline: str | None = None
    show: Callable[[Recipe, Found, Path], list[Path]] | None = None
    needs_weights: bool = False
    runs: int = 10

    def at(self, budget: Budget) -> Recipe:
        """Return the same recipe at a budget."""
        rows = [replace(row, experiment=at_budget(row.experiment, budget)) for row in self.rows]
        return replace(self, rows=rows)

    def data_sets(self) -> list[DataSet]:
        """Return the data sets of the rows, each once."""
        return list(dict.fromkeys(row.experiment.data for row in self.rows))


def cross(
    rows: Mapping[str, Mapping[str, Any]], data: Sequence[DataSet] = (OWN_DATA,), **options: Any
) -> list[Row]:
    """Return a row for each set of options on each data set.

    Args:
        rows: Options of `TrainOptions` by the row's name, such as
            `{"bce": {"loss": "bce"}, "margin": {"loss": "hybrid-focal-margin", "margin": 0.5}}`.
        data: The data sets; the folder behind --data unless given. With several, a row's name is
            "DATA/NAME".
        **options: Options of all rows, such as `epochs=40`.

    Returns:
        The rows, data set by data set. What the options leave open is as in the paper: CrackSeg of
        width 16, 100 epochs.

    >>> [row.name for row in cross({"bce": {"loss": "bce"}, "dice": {"loss": "dice"}})]
    ['bce', 'dice']
    """
    return [
        Row(
            name if len(data) == 1 else f"{one.name}/{name}",
            name,
            experiment(one, **{**options, **own}),
        )
        for one in data
        for name, own in rows.items()
    ]


def at_budget(one: Experiment, budget: Budget) -> Experiment:
    """Return an experiment at a budget.

    Args:
        one: The experiment.
        budget: Epochs and so on; width is of CrackSeg, pretrained of other networks, panels of
            synthetic data alone.
    """
    changes: dict[str, Any] = {"epochs": budget.epochs, "area_threshold": budget.area_threshold}
    if one.config.network == "crackseg":
        changes["width"] = budget.width
    else:
        changes["pretrained"] = budget.pretrained
    changed = one.at(**{name: value for name, value in changes.items() if value is not None})
    drawn = one.data.panels
    if drawn is None or budget.panels is None:
        return changed
    part = {
        "training_images": one.data.training_images,
        "validation_images": one.data.validation_images,
    }
    return replace(changed, data=panels(drawn.crack_fraction, budget.panels, **part))


def collect(recipe: Recipe, indexed: Index) -> Found:
    """Return the results of a recipe's rows, by the row's name; rows without any are missing."""
    found = {row.name: runs_of(indexed, row.experiment) for row in recipe.rows}
    return {name: runs for name, runs in found.items() if runs}


def choose_rows(recipe: Recipe, only: Sequence[str]) -> Recipe:
    """Return a recipe with some of its rows; all where `only` is empty.

    Args:
        recipe: The recipe.
        only: Names of the rows to keep.

    Raises:
        InputError: There is no such row.
    """
    names = [row.name for row in recipe.rows]
    if unknown := [row for row in only if row not in names]:
        raise InputError(
            f"{recipe.name} has no row {', '.join(unknown)}. Its rows are: {', '.join(names)}."
        )
    return replace(recipe, rows=[row for row in recipe.rows if not only or row.name in only])
