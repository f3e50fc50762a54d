"""Limits: the rules of a `limits.yaml`, and the verdict on a photo's cracks."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fissura.errors import InputError
from fissura.inspection.rules.rules import known_rule, read_rules, rule_number
from fissura.measurement.crack import Crack
from fissura.measurement.perspective import Perspective

# The demand of each rule, in words.
RULES = {
    "max_width_mm": "no crack is wider, at its widest point",
    "max_width_px": "no crack is wider, at its widest point",
    "max_length_mm": "no crack is longer, all its branches together",
    "max_length_px": "no crack is longer, all its branches together",
    "max_cracks": "no photo shows more cracks",
    "max_area_percent": "no more of a photo is crack, in percent of its pixels",
    "total_length_mm_per_m2": "all cracks of a photo together are no longer, per square meter",
    "min_length_mm": "shorter cracks are left out of every rule",
    "min_length_px": "shorter cracks are left out of every rule",
}
SELECTING = ("min_length_mm", "min_length_px")
ADVICE = "Give --mm-per-pixel, or use rules in px."


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The rules that a photo must keep; None where there is no such rule.

    A value equal to its limit is allowed. Cracks shorter than `min_length` count in no rule, not
    in the sums either. All are 0 or more.

    Attributes:
        max_width_mm: Greatest width of a crack, at its widest point.
        max_width_px: The same in pixels.
        max_length_mm: Greatest length of a crack, all its branches together.
        max_length_px: The same in pixels.
        max_cracks: Greatest number of cracks on a photo.
        max_area_percent: Greatest percentage of a photo's pixels that are crack, at most 100.
        total_length_mm_per_m2: Greatest length of all cracks of a photo, per square meter.
        min_length_mm: Length from which on a crack is judged.
        min_length_px: The same in pixels.
    """

    max_width_mm: float | None = None
    max_width_px: float | None = None
    max_length_mm: float | None = None
    max_length_px: float | None = None
    max_cracks: int | None = None
    max_area_percent: float | None = None
    total_length_mm_per_m2: float | None = None
    min_length_mm: float | None = None
    min_length_px: float | None = None

    def given(self) -> dict[str, float]:
        """Return the rules that there are, by name.

        >>> Limits(max_width_mm=0.3).given()
        {'max_width_mm': 0.3}
        """
        return {name: value for name, value in asdict(self).items() if value is not None}

    @property
    def in_millimeters(self) -> list[str]:
        """Names of the rules in millimeters."""
        return [name for name in self.given() if "_mm" in name]


def read_limits(path: Path) -> Limits:
    """Read a `limits.yaml`: a line such as `max_width_mm: 0.3` per rule; `RULES` has them all.

    A misspelt rule is never passed over, for a crack that it should catch would pass.

    Raises:
        InputError: The file cannot be read or holds no rule, a rule twice, one that is not known,
            or one whose value is not a number of its range.
    """
    values = read_rules(path, _example())
    rules: dict[str, Any] = {
        known_rule(path, key, RULES): rule_number(path, key, value, whole=key == "max_cracks")
        for key, value in values.items()
    }
    limits = Limits(**rules)
    if (limits.max_area_percent or 0) > 100:
        raise InputError(
            f"{path}: max_area_percent is {values['max_area_percent']}; there are at most 100 % of "
            "a photo."
        )
    if not limits.given().keys() - set(SELECTING):
        raise InputError(
            f"{path} only says which cracks are judged ({', '.join(values)}), and holds no rule "
            f"to judge them by. {_example()}"
        )
    return limits


def judge(
    limits: Limits,
    cracks: Sequence[Crack],
    *,
    size_hw: tuple[int, int],
    mm_per_pixel: float | None,
    perspective: Perspective | None = None,
) -> list[str]:
    """Return why a photo fails, a sentence per violation; nothing where it keeps all rules.

    See `find_failures`, which tells the crack of each as well.
    """
    found = find_failures(
        limits, cracks, size_hw=size_hw, mm_per_pixel=mm_per_pixel, perspective=perspective
    )
    return [reason for reason, _ in found]


def find_failures(
    limits: Limits,
    cracks: Sequence[Crack],
    *,
    size_hw: tuple[int, int],
    mm_per_pixel: float | None,
    perspective: Perspective | None = None,
) -> list[tuple[str, int]]:
    """Return why a photo fails, and the number of the crack that fails; 0 for the whole photo.

    Cracks come in the order of how many times they exceed their limit, the worst first.

    A photo that cannot be judged does not pass: without a resolution each rule in millimeters is
    itself a reason to fail, and `min_length_mm` leaves no crack out. A crack whose width could not
    be measured (NaN) fails a `max_width` rule, unless the diagonal of its box, which no width
    exceeds, is within the limit.

    Args:
        limits: The rules.
        cracks: Cracks of the photo.
        size_hw: Height and width of the photo, in pixels.
        mm_per_pixel: Its resolution, or None where it is not known.
        perspective: That of a slanted surface, on which places are told then; None where the
            surface is seen squarely.
    """
    failures = []
    if mm_per_pixel is None:
        failures = [
            (f"{name} cannot be judged: the resolution of the photo is not known. {ADVICE}", 0)
            for name in limits.in_millimeters
        ]
    judged = [crack for crack in cracks if is_judged(limits, crack, mm_per_pixel)]
    for unit, per_pixel in (("mm", mm_per_pixel), ("px", 1.0)):
        if per_pixel is not None:
            places = _Places(unit, per_pixel, perspective if unit == "mm" else None)
            found = _each(limits, judged, unit, per_pixel, places)
            worst = sorted(found, key=lambda one: -one[0])
            failures += [(reason, number) for _, reason, number in worst]
    together = _together(limits, judged, size_hw, mm_per_pixel)
    return failures + [(reason, 0) for reason in together]


def is_judged(limits: Limits, crack: Crack, mm_per_pixel: float | None) -> bool:
    """Tell whether a crack is long enough to be judged at all."""
    if limits.min_length_px is not None and crack.length < limits.min_length_px:
        return False
    if limits.min_length_mm is None or mm_per_pixel is None:
        return True
    return crack.length * mm_per_pixel >= limits.min_length_mm


@dataclass(frozen=True)
class _Places:
    """Where points lie, in words: on the photo, or on a slanted surface."""

    unit: str
    per_pixel: float
    perspective: Perspective | None

    def where(self, row: float, column: float) -> str:
        """Say where a point lies."""
        if self.perspective is None:
            return _where(row, column, self.per_pixel, self.unit)
        ((x, y),) = self.perspective.to_mm(np.array([[row, column]])).tolist()
        side, end = "right" if x >= 0 else "left", "below" if y >= 0 else "above"
        return f"{abs(x):.0f} mm {side} of and {abs(y):.0f} mm {end} the first corner"

    def diagonal(self, crack: Crack) -> float:
        """Return the diagonal of a crack's box, which no width exceeds."""
        top, left, bottom, right = crack.box
        if self.perspective is None:
            return math.hypot(bottom - top, right - left) * self.per_pixel
        corners = np.array([[top, left], [top, right], [bottom, right], [bottom, left]], float)
        a, b, c, d = self.perspective.to_mm(corners - 0.5).tolist()
        return max(math.dist(a, c), math.dist(b, d))


def _each(
    limits: Limits, cracks: Sequence[Crack], unit: str, per_pixel: float, places: _Places
) -> Iterator[tuple[float, str, int]]:
    """Yield how many times each crack exceeds a rule, the reason in words, and its number.

    `per_pixel` is the length of a pixel. A width that could not be measured is told last.
    """
    widest: float | None = getattr(limits, f"max_width_{unit}")
    longest: float | None = getattr(limits, f"max_length_{unit}")
    for crack in cracks:
        if widest is not None and math.isnan(crack.width_max):
            if places.diagonal(crack) > widest:
                where = places.where(*_middle(crack))
                yield (
                    1.0,
                    f"The width of crack {crack.number}, {where}, "
                    f"could not be measured; at most {widest:g} {unit} is allowed. Look at it, or "
                    f"leave short cracks out with min_length_{unit}.",
                    crack.number,
                )
        elif widest is not None and crack.width_max * per_pixel > widest:
            width = _above(crack.width_max * per_pixel, widest)
            where = places.where(*crack.widest_at)
            yield (
                _times(crack.width_max * per_pixel, widest),
                f"Crack {crack.number} is {width} {unit} wide, {where}; "
                f"at most {widest:g} {unit} is allowed.",
                crack.number,
            )
        if longest is not None and crack.length * per_pixel > longest:
            length = _above(crack.length * per_pixel, longest)
            where = places.where(*_middle(crack))
            yield (
                _times(crack.length * per_pixel, longest),
                f"Crack {crack.number} is {length} {unit} long, its middle {where}; "
                f"at most {longest:g} {unit} is allowed.",
                crack.number,
            )


def _together(
    limits: Limits, cracks: Sequence[Crack], size_hw: tuple[int, int], mm_per_pixel: float | None
) -> Iterator[str]:
    """Yield the violations of rules for all cracks of a photo together."""
    if limits.max_cracks is not None and len(cracks) > limits.max_cracks:
        counted = "is 1 crack" if len(cracks) == 1 else f"are {len(cracks)} cracks"
        allowed = f"{limits.max_cracks} {'is' if limits.max_cracks == 1 else 'are'} allowed"
        yield f"There {counted}; at most {allowed}."
    pixels = size_hw[0] * size_hw[1]
    percent, most = 100 * sum(crack.area for crack in cracks) / pixels, limits.max_area_percent
    if most is not None and percent > most:
        yield (
            f"Cracks cover {_above(percent, most)} % of the photo; at most {most:g} % is allowed."
        )
    most = limits.total_length_mm_per_m2
    if most is not None and mm_per_pixel is not None:
        length = sum(crack.length for crack in cracks) * mm_per_pixel
        density = length / (pixels * (mm_per_pixel / 1000) ** 2)
        if density > most:
            yield (
                f"The cracks are {_above(density, most)} mm long per square meter, all together; "
                f"at most {most:g} mm per square meter is allowed."
            )


def _times(value: float, limit: float) -> float:
    """Return how many times a value is its limit."""
    return value / limit if limit else math.inf


def _above(value: float, limit: float) -> str:
    """Write a value that exceeds a limit with as many digits as it takes to see that.

    >>> _above(0.30004, 0.3), _above(0.4213, 0.3)
    ('0.30004', '0.421')
    """
    decimals = max(0, 2 - math.floor(math.log10(value)))
    while decimals < 16 and float(f"{value:.{decimals}f}") <= limit:
        decimals += 1
    return f"{value:.{decimals}f}"


def _where(row: float, column: float, per_pixel: float, unit: str) -> str:
    """Say where a point lies, as one would look for it on the photo.

    >>> _where(169.4, 107.0, 0.2, "mm"), _where(3.0, 1024.0, 1.0, "px")
    ('21 mm from the left and 34 mm from the top', '1024 px from the left and 3 px from the top')
    """
    x, y = (
        f"{value:.{0 if value >= 10 or unit == 'px' else 1}f} {unit}"
        for value in (column * per_pixel, row * per_pixel)
    )
    return f"{x} from the left and {y} from the top"


def _middle(crack: Crack) -> tuple[float, float]:
    """Return row and column of the middle of a crack's box."""
    top, left, bottom, right = crack.box
    return (top + bottom - 1) / 2, (left + right - 1) / 2


def _example() -> str:
    """Say what limits look like."""
    return f"Write a rule per line, such as 'max_width_mm: 0.3'. The rules are {', '.join(RULES)}."
