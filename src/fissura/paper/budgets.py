"""Budgets that have results, and the rows of a recipe at each; budgets are never mixed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import product

from fissura.study.experiment import Experiment
from fissura.study.options import Budget
from fissura.study.outputs.markdown import count
from fissura.study.recipe import Found, Recipe, at_budget, collect
from fissura.study.results import Index, RunResult, runs_of

# The paper's; it does not print the width.
PAPER = Budget(epochs=100, width=16, panels=2051, pretrained=False)
PAPER_EPOCHS = 100
PAPER_RUNS = 10
PANELS = re.compile(r"panels-.+pc-(\d+)")


@dataclass(frozen=True)
class Reached:
    """A recipe, or its rows of one data set, at a budget that has results.

    Attributes:
        recipe: The rows at the budget.
        budget: Epochs, width and so on.
        found: The results, by the row's name.
    """

    recipe: Recipe
    budget: Budget
    found: Found

    @property
    def runs(self) -> list[RunResult]:
        """All runs of all rows."""
        return [run for runs in self.found.values() for run in runs]


def budgets(experiments: Sequence[Experiment], indexed: Index) -> list[Budget]:
    """Return the budgets at which any of the experiments has runs, the largest first.

    A budget whose runs all belong to another one too is left out: DeepCrack-DB is the same whatever
    the number of synthetic panels.

    Args:
        experiments: The rows of a recipe.
        indexed: All results.
    """
    runs = [run for one in indexed.values() for run in one]
    configs = [run.config for run in runs]
    thresholds = {config["area_threshold"] for config in configs} - {None}
    candidates = [
        Budget(epochs=epochs, width=width, panels=panels, pretrained=start, area_threshold=masks)
        for epochs, width, panels, start, masks in product(
            _values(100, (config["epochs"] for config in configs)),
            _values(16, (config["width"] for config in configs)),
            _values(2051, (panel_count(run) for run in runs)),
            (True, False),
            (None, *sorted(thresholds)),
        )
    ]
    keys = {
        budget: frozenset(
            run.key for one in experiments for run in runs_of(indexed, at_budget(one, budget))
        )
        for budget in candidates
    }
    kept: list[Budget] = []
    for budget in candidates:
        covered = any(keys[budget] < keys[other] for other in candidates)
        if keys[budget] and not covered and keys[budget] not in [keys[other] for other in kept]:
            kept.append(budget)
    return kept


def reached(recipe: Recipe, indexed: Index, *, by_data: bool = True) -> list[Reached]:
    """Return the rows of a recipe with their runs, apart for each budget and data set.

    Args:
        recipe: The recipe.
        indexed: All results.
        by_data: Whether data sets are kept apart.
    """
    groups = (
        [[row for row in recipe.rows if row.experiment.data == one] for one in recipe.data_sets()]
        if by_data
        else [recipe.rows]
    )
    return [
        Reached(planned, budget, collect(planned, indexed))
        for rows in groups
        for budget in budgets([row.experiment for row in rows], indexed)
        for planned in [replace(recipe, rows=rows).at(budget)]
    ]


def prominence(budget: Budget, runs: int) -> tuple[bool, bool, int]:
    """Return a key to order budgets: the paper's masks, 100 epochs, then most runs come last."""
    return budget.area_threshold is None, budget.epochs == PAPER_EPOCHS, runs


def describe(experiments: Iterable[Experiment]) -> str:
    """Say in words at which budget experiments are: only what matters to them.

    >>> from fissura.paper.tables import TABLE1
    >>> describe(row.experiment for row in TABLE1.at(Budget(epochs=40)).rows)
    '40 epochs, width 16'
    """
    named: dict[str, None] = {}
    for one in experiments:
        named[count(one.config.epochs, "epoch")] = None
        if one.config.network == "crackseg":
            named[f"width {one.config.width}"] = None
        else:
            named["ImageNet weights" if one.config.pretrained else "no pretrained weights"] = None
        if one.data.panels is not None:
            named[count(one.data.panels.count, "panel")] = None
        if one.config.area_threshold is not None:
            named[written_threshold(one.config.area_threshold)] = None
    return ", ".join(named)


def describe_reached(table: Reached) -> str:
    """Say in words at which budget a table is: how long, how wide, how many seeds."""
    seeds = sorted({len(runs) for runs in table.found.values()})
    several = f"{seeds[0]} to {seeds[-1]} seeds" if len(seeds) > 1 else f"{seeds[0]} seeds"
    words = describe(row.experiment for row in table.recipe.rows if row.name in table.found)
    whole = (table.budget.epochs or 0) >= PAPER_EPOCHS and seeds[0] >= PAPER_RUNS
    return f"{words}, {'one seed' if seeds == [1] else several}" + (
        "" if whole else ": a small sample"
    )


def written_threshold(area_threshold: float) -> str:
    """Say with which masks a run was trained and tested, where not with its protocol's own.

    >>> written_threshold(0.5)
    'masks at 1/2 of the area'
    """
    return f"masks at {Fraction(area_threshold).limit_denominator(100)} of the area"


def panel_count(run: RunResult) -> int | None:
    """Return how many synthetic panels a run's data set has, or None where it is another.

    The number is in the data set's name.
    """
    named = PANELS.fullmatch(run.identity["data"])
    return int(named[1]) if named else None


def _values(default: int, found: Iterable[int | None]) -> list[int]:
    """Sort the values that occur, largest first; the default where none does."""
    return sorted({value for value in found if value is not None}, reverse=True) or [default]
