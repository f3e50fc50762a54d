"""The scale of a photo that was set by hand: a known length, a rectangle, or mm per pixel."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fissura.errors import InputError
from fissura.inspection.photo_table import CORNERS, SIDES
from fissura.measurement.resolution import Rectangle, Resolution, by_rectangle

LEAST_LENGTH = 2.0  # pixels of a drawn length
CLICK = 1.0  # pixels: how far from its place a person clicks
HALF = 0.5  # a pixel's center lies half a pixel from its corner
DIGITS = 3  # of corners, in pixels, so that tables and the store hold the same ones


def scale_of(body: Mapping[str, Any], file: Path, size_hw: tuple[int, int]) -> dict[str, Any]:
    """Return what is stored of a scale that was set, or say what is wrong with it.

    Args:
        body: `points` (two, x and y) with `length_mm`; or `corners` (four) with `width_mm` and
            `height_mm`; or `mm_per_pixel`, None for what counts without a scale set by hand.
        file: The photo, for messages.
        size_hw: Its height and width.

    Raises:
        InputError: A number is missing or out of range.
    """
    if "mm_per_pixel" in body:
        value = body["mm_per_pixel"]
        return {} if value is None else {"mm_per_pixel": _above_zero(value, "mm_per_pixel")}
    if "points" in body:
        (x0, y0), (x1, y1) = _points(body["points"], 2)
        pixels = math.hypot(x1 - x0, y1 - y0)
        if pixels < LEAST_LENGTH:
            raise InputError("The known length is too short on the photo. Draw a longer one.")
        length = _above_zero(body.get("length_mm"), "length_mm")
        said = f"{length:g} mm drawn over {pixels:.1f} pixels, ± {CLICK * 2**0.5 / pixels:.1%}"
        return {"mm_per_pixel": length / pixels, "words": said}
    if "corners" in body:
        corners = [
            [round(x - HALF, DIGITS), round(y - HALF, DIGITS)]
            for x, y in _points(body["corners"], 4)
        ]
        sides = [_above_zero(body.get(name), name) for name in ("width_mm", "height_mm")]
        scale = {"corners": corners, "width_mm": sides[0], "height_mm": sides[1]}
        resolution(scale, file, size_hw)
        return scale
    raise InputError(
        "A scale needs two points with length_mm, four corners with width_mm and height_mm, or "
        "mm_per_pixel."
    )


def resolution(
    scale: Mapping[str, Any] | None, file: Path, size_hw: tuple[int, int]
) -> Resolution | None:
    """Return the resolution that a stored scale tells; None where it tells none.

    Raises:
        InputError: The corners make no rectangle that a camera could see.
    """
    if not scale:
        return None
    if "corners" in scale:
        return by_rectangle(_rectangle(scale), file, size_hw)
    words = scale.get("words") or f"given as {scale['mm_per_pixel']:g} mm per pixel"
    return Resolution(scale["mm_per_pixel"], words)


def table_cells(scale: Mapping[str, Any] | None) -> dict[str, str]:
    """Return the cells of a table of photos that tell a stored scale."""
    if not scale:
        return {}
    if "corners" not in scale:
        return {"mm_per_pixel": repr(scale["mm_per_pixel"])}
    return rectangle_cells(_rectangle(scale))


def rectangle_cells(rectangle: Rectangle) -> dict[str, str]:
    """Return the cells of a table of photos that tell a rectangle."""
    corners = " ".join(f"{value:.{DIGITS}f}" for corner in rectangle.corners for value in corner)
    sides = (repr(rectangle.width_mm), repr(rectangle.height_mm))
    return {CORNERS: corners, **dict(zip(SIDES, sides, strict=True))}


def _rectangle(scale: Mapping[str, Any]) -> Rectangle:
    """Return the rectangle of a stored scale."""
    corners = tuple((float(x), float(y)) for x, y in scale["corners"])
    return Rectangle(corners, scale["width_mm"], scale["height_mm"])


def _points(values: Any, count: int) -> Sequence[tuple[float, float]]:
    """Return so many points, or say what is wrong."""
    try:
        points = [(float(x), float(y)) for x, y in values]
    except (TypeError, ValueError):
        points = []
    if len(points) != count or not all(math.isfinite(value) for one in points for value in one):
        raise InputError(f"{count} points are needed, each an x and a y in pixels of the photo.")
    return points


def _above_zero(value: Any, name: str) -> float:
    """Return a number above 0, or say that it is none."""
    good = isinstance(value, int | float) and not isinstance(value, bool)
    if not good or not 0 < value < math.inf:
        raise InputError(f"{name} is {value!r}; it must be a number above 0.")
    return float(value)
