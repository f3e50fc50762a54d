"""What a comparison found: pairs of photos with their changes, and photos without a partner."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from fissura.comparison.changes import VERDICTS, Change
from fissura.comparison.registration import Registration
from fissura.files.failures import Failure

DAYS_PER_YEAR = 365.25
SHOWN = 10  # sentences of a kind, where not all are said
FOUND = ("new", "grown", "unchanged", "reduced", "closed")  # verdicts that name a crack's fate


@dataclass(frozen=True, kw_only=True, eq=False)
class Pair:
    """Two photos of one element, registered, with the changes of their cracks.

    Attributes:
        old: Name of the old photo.
        new: Name of the new photo.
        by: How they were paired: "name" or "look".
        registration: Position of the new photo in the old one.
        mm_per_pixel: Millimeters per pixel of the old photo; None where that is not known.
        resolution_source: Where `mm_per_pixel` is from, in words.
        old_day: Day of the old photo; None where that is not known.
        new_day: Day of the new photo.
        changes: What has become of each crack.
        cautions: What a reader has to know of this pair, in sentences.
        failures: Why it exceeds the limits, in sentences.
        undecided: Rules that cannot be judged, in sentences.
    """

    old: str
    new: str
    by: str
    registration: Registration
    mm_per_pixel: float | None
    resolution_source: str
    old_day: date | None
    new_day: date | None
    changes: list[Change]
    cautions: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    undecided: list[str] = field(default_factory=list)

    @property
    def unit(self) -> str:
        """Unit of lengths and widths in tables: mm where the resolution is known, else px."""
        return "px" if self.mm_per_pixel is None else "mm"

    @property
    def per_pixel(self) -> float:
        """Length of a pixel of the old photo in `unit`."""
        return self.mm_per_pixel or 1.0

    @property
    def years(self) -> float | None:
        """Years from the old photo to the new one; None where a day is not known."""
        if self.old_day is None or self.new_day is None or self.new_day <= self.old_day:
            return None
        return (self.new_day - self.old_day).days / DAYS_PER_YEAR

    @property
    def counts(self) -> dict[str, int]:
        """Number of changes of each verdict."""
        return {
            verdict: sum(change.verdict == verdict for change in self.changes)
            for verdict in VERDICTS
        }

    def rate(self, growth: float) -> float:
        """Return a growth in pixels as `unit` per year; NaN where the time is not known."""
        return growth * self.per_pixel / self.years if self.years else math.nan


@dataclass(frozen=True)
class Comparison:
    """The outcome of `fissura.compare`.

    Attributes:
        out: Folder of the results.
        page: The page to read.
        pairs: Pairs of photos that were compared.
        refused: Pairs that could not be registered, and records that could not be read.
        only_old: Names of old photos without a partner.
        only_new: Names of new photos without a partner.
        failing: Sentences on cracks that exceed the limits.
        undecided: Sentences on rules that could not be judged.
        edited: Sentences on masks that were changed after they had been measured.
    """

    out: Path
    page: Path
    pairs: list[Pair]
    refused: list[Failure]
    only_old: list[str]
    only_new: list[str]
    failing: list[str]
    undecided: list[str]
    edited: list[str]

    @property
    def counts(self) -> dict[str, int]:
        """Number of changes of each verdict, of all pairs."""
        return {verdict: sum(pair.counts[verdict] for pair in self.pairs) for verdict in VERDICTS}

    @property
    def complete(self) -> bool:
        """Whether all photos were compared and all rules judged."""
        return not (self.refused or self.only_old or self.only_new or self.undecided or self.edited)

    def summary(self) -> str:
        """Return the number of pairs and of each verdict, in words without a full stop."""
        pairs = len(self.pairs)
        told = ", ".join(f"{count} {verdict}" for verdict, count in self.counts.items() if count)
        return f"{pairs} {'pair' if pairs == 1 else 'pairs'} of photos; cracks: {told or 'none'}"

    def sentences(self) -> list[str]:
        """Return what is beyond the limits, not judged, not compared or edited, in sentences."""
        refused = [failure.reason for failure in self.refused]
        said = [*self.failing[:SHOWN], *self.undecided[:SHOWN], *refused, *self.edited]
        for names, which in ((self.only_old, "old"), (self.only_new, "new")):
            if names:
                shown = ", ".join(names[:SHOWN])
                more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
                said.append(f"Without a partner in the {which} inspection: {shown}{more}.")
        return said
