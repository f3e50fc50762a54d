"""Options of a comparison; they need no numpy, so that the help of the command line is instant."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date

from fissura.errors import InputError


@dataclass(frozen=True, kw_only=True)
class CompareOptions:
    """How two inspections are compared, by `fissura.compare` and by the command line."""

    old_date: str | None = None
    """Day of the old photos, such as 2025-03-31. By default that of each photo's EXIF data."""

    new_date: str | None = None
    """Day of the new photos, likewise."""

    sigmas: float = 2.0
    """Standard deviations that a change must exceed to be called one."""

    tip_error: float = 4.0
    """How far a crack's end, as it is found, differs between two photos of the same crack: one
    standard deviation, in pixels of the coarser photo."""

    length_error: float = 32.0
    """How much the length of a crack of 100 pixels, as it is found, differs between two photos of
    it, beside its ends: branches that come and go, and gaps. One standard deviation, in pixels of
    the coarser photo; it grows with the root of the length."""

    width_error: float = 0.35
    """How much the mean width of a crack differs between two photos of the same crack: one standard
    deviation, in pixels of the coarser photo. The ± of the measured widths is added to it."""

    width_fraction: float = 0.15
    """The fraction of its mean width by which that differs, beside width_error."""

    overwrite: bool = False
    """Write into a folder that is not empty."""

    def __post_init__(self) -> None:
        for name in ("sigmas", "tip_error", "length_error", "width_error", "width_fraction"):
            value = getattr(self, name)
            if not 0 <= value < math.inf:
                raise InputError(f"--{name.replace('_', '-')} is {value}; it must be 0 or more.")
        old, new = self.days
        if old and new and new <= old:
            raise InputError(
                f"--new-date {new} is not after --old-date {old}. Give the older inspection first."
            )

    @property
    def days(self) -> tuple[date | None, date | None]:
        """The two days; None where EXIF is to tell.

        Raises:
            InputError: One of them is no day.
        """
        return _day("old-date", self.old_date), _day("new-date", self.new_date)


def _day(option: str, text: str | None) -> date | None:
    """Read the day behind an option."""
    if text is None:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise InputError(
            f"--{option} {text} is no day; write year, month and day, such as 2025-03-31."
        ) from None
