"""Limits of growth: the rules of a YAML file, and the verdict on a pair of photos."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fissura.comparison.changes import Change
from fissura.comparison.comparison import Pair
from fissura.errors import InputError
from fissura.inspection.rules.limits import RULES as INSPECTION_RULES
from fissura.inspection.rules.rules import known_rule, read_rules, rule_number

# The demand of each rule, in words.
RULES = {
    "max_growth_mm_per_year": "no crack grows longer faster; new ones grow from nothing",
    "max_growth_mm": "no crack has grown longer by more; new ones from nothing",
    "max_growth_px": "no crack has grown longer by more; new ones from nothing",
    "max_width_growth_mm_per_year": "no crack widens faster, on average along it",
    "max_width_growth_mm": "no crack has widened by more, on average along it",
    "max_width_growth_px": "no crack has widened by more, on average along it",
    "max_new_cracks": "no pair of photos shows more new cracks",
}


@dataclass(frozen=True, kw_only=True)
class GrowthLimits:
    """The rules that a pair of photos must keep; None where there is no such rule.

    A growth equal to its limit is allowed. Only growth beyond its uncertainty counts.

    Attributes:
        max_growth_mm_per_year: Greatest growth of a crack's length, a year.
        max_growth_mm: Greatest growth of a crack's length.
        max_growth_px: The same in pixels of the old photo.
        max_width_growth_mm_per_year: Greatest growth of a crack's mean width, a year.
        max_width_growth_mm: Greatest growth of a crack's mean width.
        max_width_growth_px: The same in pixels of the old photo.
        max_new_cracks: Greatest number of new cracks on a pair of photos.
    """

    max_growth_mm_per_year: float | None = None
    max_growth_mm: float | None = None
    max_growth_px: float | None = None
    max_width_growth_mm_per_year: float | None = None
    max_width_growth_mm: float | None = None
    max_width_growth_px: float | None = None
    max_new_cracks: int | None = None

    def given(self) -> dict[str, float]:
        """Return the rules that there are, by name.

        >>> GrowthLimits(max_growth_mm_per_year=5).given()
        {'max_growth_mm_per_year': 5}
        """
        return {name: value for name, value in asdict(self).items() if value is not None}


def read_growth_limits(path: Path) -> GrowthLimits:
    """Read a file of limits: a line such as `max_growth_mm_per_year: 5` per rule.

    Raises:
        InputError: The file cannot be read or holds no rule, a rule twice, one that is not known,
            or one whose value is not a number of its range.
    """
    example = (
        "Write a rule per line, such as 'max_growth_mm_per_year: 5'. The rules of a comparison "
        f"are {', '.join(RULES)}."
    )
    rules: dict[str, Any] = {}
    for key, value in read_rules(path, example).items():
        if key in INSPECTION_RULES:
            raise InputError(
                f"{path}: {key} is a rule of `fissura inspect`. Keep the rules of growth in a file "
                f"of their own. {example}"
            )
        name = known_rule(path, key, RULES)
        rules[name] = rule_number(path, name, value, whole=name == "max_new_cracks")
    return GrowthLimits(**rules)


def judge_growth(limits: GrowthLimits, pair: Pair, sigmas: float) -> tuple[list[str], list[str]]:
    """Return why a pair exceeds the limits, and what cannot be judged, a sentence each.

    A crack exceeds a limit where its growth is above it and above its uncertainty. Where the limit
    lies within the uncertainty of the growth, nobody knows; so a photo never passes unnoticed
    because it was measured badly. Without a resolution or without dates, rules in mm or per year
    cannot be judged.

    Args:
        limits: The rules.
        pair: Photos and changes.
        sigmas: Standard deviations that a growth must exceed.
    """
    failures: list[str] = []
    undecided: list[str] = []
    for name, limit in limits.given().items():
        if name == "max_new_cracks":
            found = pair.counts["new"]
            if found > limit:
                are = "is 1 new crack" if found == 1 else f"are {found} new cracks"
                failures.append(f"{pair.new}: there {are}; at most {limit} may be.")
            continue
        missing = _missing(name, pair)
        if missing:
            undecided.append(f"{pair.new}: {name} cannot be judged: {missing}")
            continue
        over, unsure = _exceeding(name, limit, pair, sigmas)
        failures += over
        if unsure:
            undecided.append(_unsure(name, pair, unsure))
    return failures, undecided


def _missing(name: str, pair: Pair) -> str:
    """Say what a rule needs that is not known; empty where nothing is missing."""
    if "_mm" in name and pair.mm_per_pixel is None:
        return "the resolution is not known. Inspect with --mm-per-pixel, or use rules in px."
    if name.endswith("per_year") and pair.years is None:
        return (
            "the days of the photos are not known, or the new one is not the later one. Give "
            "--old-date and --new-date."
        )
    return ""


def _exceeding(
    name: str, limit: float, pair: Pair, sigmas: float
) -> tuple[list[str], list[Change]]:
    """Return a sentence for each change above a limit, and the changes that may be above it."""
    per_year, in_mm = name.endswith("per_year"), "_mm" in name
    factor = (pair.per_pixel if in_mm else 1.0) / ((pair.years or 1.0) if per_year else 1.0)
    unit = f"{'mm' if in_mm else 'px'}{' a year' if per_year else ''}"
    wide = "width" in name
    over, unsure = [], []
    for change in pair.changes:
        if change.verdict not in ("new", "grown", "unchanged", "unclear"):
            continue
        growth = (change.width if wide else change.length) * factor
        error = (change.width_error if wide else change.length_error) * factor
        sure = growth > sigmas * error and change.verdict in ("new", "grown")
        if sure and growth > limit:
            over.append(
                f"{pair.new}: change {change.number} ({named(change)}) has grown "
                f"{'wider' if wide else 'longer'} by {growth:.3g} ± {error:.2g} {unit}; at most "
                f"{limit:g} {unit} is allowed."
            )
        elif growth + sigmas * error > limit:
            unsure.append(change)
    return over, unsure


def _unsure(name: str, pair: Pair, changes: list[Change]) -> str:
    """Say that the uncertainty of some changes is above a limit."""
    which = ", ".join(str(change.number) for change in changes[:10])
    more = f" and {len(changes) - 10} more" if len(changes) > 10 else ""
    one = len(changes) == 1
    return (
        f"{pair.new}: whether change{'' if one else 's'} {which}{more} "
        f"{'keeps' if one else 'keep'} {name} cannot be told: the uncertainty reaches above it."
    )


def named(change: Change) -> str:
    """Return the cracks of a change in words: 'old crack 2, new cracks 1 and 3'."""
    return ", ".join(
        f"{word} crack{'' if len(numbers) == 1 else 's'} {_listed(numbers)}"
        for word, numbers in (("old", change.old), ("new", change.new))
        if numbers
    )


def _listed(numbers: tuple[int, ...]) -> str:
    """Return numbers as a list in words.

    >>> _listed((1,)), _listed((1, 3, 4))
    ('1', '1, 3 and 4')
    """
    texts = [str(number) for number in numbers]
    return texts[0] if len(texts) == 1 else f"{', '.join(texts[:-1])} and {texts[-1]}"
