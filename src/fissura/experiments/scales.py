"""Which scales the results at hand are of, and what was found at each; scales are never mixed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import product

from fissura.experiments.experiment import Experiment
from fissura.experiments.results import RunResult
from fissura.experiments.rows import Found, Recipe, Scale

# Runs by what is the same in all of them but for the seed: the JSON of `Experiment.identity`.
Index = dict[str, list[RunResult]]

PAPER_RUNS = 10
PANELS = re.compile(r"panels-.+pc-(\d+)")


@dataclass(frozen=True)
class Part:
    """A recipe, or its rows of one data set, at a scale of which there are results."""

    recipe: Recipe
    scale: Scale
    found: Found

    @property
    def runs(self) -> list[RunResult]:
        """All runs of all rows."""
        return [run for runs in self.found.values() for run in runs]


def index(results: Iterable[RunResult]) -> Index:
    """Sort results by experiment, each experiment's by seed."""
    indexed: Index = {}
    for result in sorted(results, key=lambda result: (result.seed, result.key)):
        indexed.setdefault(json.dumps(result.identity, sort_keys=True), []).append(result)
    return indexed


def runs_of(indexed: Index, experiment: Experiment) -> list[RunResult]:
    """Return an experiment's runs, by seed."""
    return indexed.get(json.dumps(experiment.identity(), sort_keys=True), [])


def collect(recipe: Recipe, indexed: Index) -> Found:
    """Return the runs of a recipe's rows, by the row's name; rows without runs are missing."""
    found = {row.name: runs_of(indexed, row.experiment) for row in recipe.rows}
    return {name: runs for name, runs in found.items() if runs}


def scales(experiments: Sequence[Experiment], indexed: Index) -> list[Scale]:
    """Return the scales at which any of the experiments has runs, the largest first.

    A scale whose runs all belong to another one too is left out: DeepCrack-DB is the same whatever
    the number of synthetic panels.
    """
    runs = [run for one in indexed.values() for run in one]
    configs = [run.config for run in runs]
    thresholds = {config["area_threshold"] for config in configs} - {None}
    candidates = [
        Scale(*values)
        for values in product(
            _values(Scale.epochs, (config["epochs"] for config in configs)),
            _values(Scale.width, (config["width"] for config in configs)),
            _values(Scale.panels, (panel_count(run) for run in runs)),
            (True, False),
            (None, *sorted(thresholds)),
        )
    ]
    keys = {
        scale: frozenset(run.key for one in experiments for run in runs_of(indexed, scale.of(one)))
        for scale in candidates
    }
    kept: list[Scale] = []
    for scale in candidates:
        covered = any(keys[scale] < keys[other] for other in candidates)
        if keys[scale] and not covered and keys[scale] not in [keys[other] for other in kept]:
            kept.append(scale)
    return kept


def parts(recipe: Recipe, indexed: Index, *, by_data: bool = True) -> list[Part]:
    """Return a recipe's rows with their runs, at each scale apart, and by data set apart."""
    data = dict.fromkeys(row.experiment.data for row in recipe.rows)
    groups = (
        [[row for row in recipe.rows if row.experiment.data == one] for one in data]
        if by_data
        else [recipe.rows]
    )
    return [
        Part(scaled, scale, collect(scaled, indexed))
        for rows in groups
        for scale in scales([row.experiment for row in rows], indexed)
        for scaled in [replace(recipe, rows=rows).at(scale)]
    ]


def prominence(scale: Scale, runs: int) -> tuple[bool, bool, int]:
    """Order scales: one with the paper's masks and 100 epochs leads, else that with most runs."""
    return scale.area_threshold is None, scale.epochs == Scale.epochs, runs


def describe(experiments: Iterable[Experiment]) -> str:
    """Say in words at which scale experiments are: only what matters to them.

    >>> from fissura.experiments.table1 import RECIPE
    >>> describe(row.experiment for row in RECIPE.at(Scale(40)).rows)
    '40 epochs, width 16'
    """
    named: dict[str, None] = {}
    for one in experiments:
        named[f"{one.config.epochs} epochs"] = None
        if one.config.model == "crackseg":
            named[f"width {one.config.width}"] = None
        else:
            named["ImageNet weights" if one.config.pretrained else "no pretrained weights"] = None
        if one.data.panels is not None:
            named[f"{one.data.panels.count} panels"] = None
        if one.config.area_threshold is not None:
            named[written_threshold(one.config.area_threshold)] = None
    return ", ".join(named)


def describe_part(part: Part) -> str:
    """Say in words at which scale a table is: how long, how wide, how many seeds."""
    seeds = sorted({len(runs) for runs in part.found.values()})
    several = f"{seeds[0]} to {seeds[-1]} seeds" if len(seeds) > 1 else f"{seeds[0]} seeds"
    words = describe(row.experiment for row in part.recipe.rows if row.name in part.found)
    whole = part.scale.epochs >= Scale.epochs and seeds[0] >= PAPER_RUNS
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
