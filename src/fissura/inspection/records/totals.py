"""Sums over the cracks of one photo, and its verdict in a word."""

from __future__ import annotations

import math
from dataclasses import dataclass

from fissura.inspection.records.record import Record
from fissura.measurement.crack import Crack


@dataclass(frozen=True)
class Totals:
    """All cracks of a photo together, in pixels.

    Attributes:
        length: Sum of the lengths.
        widest: The widest crack, or None where no width was measured.
        percent: Percentage of the photo's pixels that are crack, 0 to 100.
    """

    length: float
    widest: Crack | None
    percent: float


def totals(record: Record) -> Totals:
    """Return the sums over the cracks of a photo."""
    measured = [crack for crack in record.cracks if not math.isnan(crack.width_max)]
    height, width = record.size_hw
    return Totals(
        length=math.fsum(crack.length for crack in record.cracks),
        widest=max(measured, key=lambda crack: crack.width_max, default=None),
        percent=100 * math.fsum(crack.area for crack in record.cracks) / (height * width),
    )


def verdict(record: Record) -> str:
    """Return "pass" or "fail", or "not judged" where there were no limits."""
    if not record.judged:
        return "not judged"
    return "fail" if record.failures else "pass"
