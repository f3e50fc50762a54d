"""Outlines and lines from the numbers that annotation files hold, checked."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fissura.data.formats.annotation import Polygon, Polyline
from fissura.data.formats.documents import entries
from fissura.errors import InputError

SLACK = 1.0  # pixels that an outline may reach beyond the image without a word
FARTHEST = 1e7  # beyond this no image reaches


def points(values: Any, what: str, *, at_least: int) -> NDArray[np.float64]:
    """Turn numbers into points.

    Args:
        values: Pairs of x and y, or x and y in turn.
        what: Of what, for the error.
        at_least: How many there must be.

    Returns:
        (n, 2).

    Raises:
        InputError: They are no numbers, not finite, too few, or far from any image.
    """
    try:
        array = np.array(values, np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(f"{what} has coordinates that are no numbers") from error
    if array.ndim == 1 and len(array) % 2 == 0:
        array = array.reshape(-1, 2)
    if array.ndim != 2 or array.shape[1] != 2:
        raise InputError(f"{what} has coordinates that are no pairs of x and y")
    if len(array) < at_least:
        raise InputError(f"{what} has {len(array)} points, and needs {at_least}")
    if not np.isfinite(array).all() or np.abs(array).max(initial=0) > FARTHEST:
        raise InputError(f"{what} has coordinates that lie on no image")
    return array


def polygon(values: Any, what: str, holes: Any = ()) -> Polygon:
    """Turn numbers into an outline with holes, a list of such; see `points`."""
    outer = points(values, what, at_least=3)
    holes = entries(holes, f"the holes of {what}")
    return Polygon(outer, tuple(points(hole, f"a hole of {what}", at_least=3) for hole in holes))


def polyline(values: Any, what: str) -> Polyline:
    """Turn numbers into a line; see `points`."""
    return Polyline(points(values, what, at_least=2))


def rectangle(left: float, top: float, right: float, bottom: float, what: str) -> Polygon:
    """Turn the sides of a rectangle into its outline."""
    return polygon([left, top, right, top, right, bottom, left, bottom], what)


def ellipse(
    center: tuple[Any, Any], radii: tuple[Any, Any], what: str, *, radians: Any = 0.0
) -> Polygon:
    """Turn an ellipse into an outline of 90 points."""
    (x, y), (rx, ry) = points([center, radii], what, at_least=2)
    turn = float(points([[radians, 0]], what, at_least=1)[0, 0])
    at = np.linspace(0, 2 * np.pi, 90, endpoint=False)
    along, across = rx * np.cos(at), ry * np.sin(at)
    cos, sin = np.cos(turn), np.sin(turn)
    return Polygon(np.stack([x + along * cos - across * sin, y + along * sin + across * cos], 1))


def outside(array: NDArray[np.float64], size_hw: tuple[int, int]) -> bool:
    """Whether points lie more than a pixel beyond an image."""
    height, width = size_hw
    return bool((array < -SLACK).any() or (array > (width + SLACK, height + SLACK)).any())


def number(value: Any, what: str) -> int:
    """Turn a whole number, as text or not, into an int.

    Raises:
        InputError: It is none, or beyond any image.
    """
    try:
        whole = int(value)
        if whole != float(value) or abs(whole) > FARTHEST:
            raise ValueError
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(f"{what} is {str(value)[:40]!r}, which is no whole number") from error
    return whole
