"""A crack as a feature of a map: its lines in coordinates, and its properties.

Centerlines and measured points are in the coordinate system of their photo. Plain photos, which
have none, come in pixels, x to the right and y upwards, so that their cracks lie on the photo.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from fissura.georeference import Transform
from fissura.inspection.records.record import Record
from fissura.measurement.crack import Crack

if TYPE_CHECKING:
    from jaxtyping import Float64
    from numpy.typing import NDArray


def crack_lines(crack: Crack, transform: Transform) -> list[NDArray[np.float64]]:
    """Return the centerline of a crack in coordinates.

    A branch of a single pixel is left out, unless the crack has no other. Then it is a line of
    length 0.

    Args:
        crack: The crack.
        transform: Coefficients that turn its pixels into coordinates.

    Returns:
        For each branch (n, 2) x and y, n ≥ 2; empty where not even one point of the crack is known.
    """
    lines = [line for line in crack.lines if len(line) > 1]
    if not lines:
        points = [line for line in crack.lines if len(line)] or [np.array([crack.widest_at])]
        lines = [np.repeat(points[0][:1], 2, axis=0)]
    lines = [line for line in lines if np.isfinite(line).all()]
    return [coordinates(line, transform) for line in lines]


def coordinates(
    points: Float64[np.ndarray, "n 2"], transform: Transform
) -> Float64[np.ndarray, "n 2"]:
    """Turn points into coordinates, rounded to about a thousandth of a pixel.

    Args:
        points: (n, 2) row and column; (0, 0) is the center of the first pixel.
        transform: Coefficients (a, b, c, d, e, f): x = a·column + b·row + c and
            y = d·column + e·row + f, from the outer corner of the first pixel.

    Returns:
        (n, 2) x and y.

    >>> from fissura.inspection.records.record import PIXELS
    >>> coordinates(np.array([[0.0, 2.0]]), PIXELS).tolist()
    [[2.5, -0.5]]
    """
    a, b, c, d, e, f = transform
    row, column = points[:, 0] + 0.5, points[:, 1] + 0.5
    x, y = a * column + b * row + c, d * column + e * row + f
    side = math.sqrt(abs(a * e - b * d))
    digits = 3 - math.floor(math.log10(side)) if side else 12
    return np.stack([x, y], axis=1).round(digits)


def properties(record: Record, crack: Crack) -> dict[str, Any]:
    """Return the properties of a crack beside its line; None where one could not be measured."""
    ((x, y),) = coordinates(np.array([crack.widest_at], np.float64), record.transform).tolist()
    values = {
        "photo": record.text_name,
        "crack": crack.number,
        **crack.metrics(),
        "orientation_deg": crack.orientation,
        "branches": crack.branches,
        "mm_per_pixel": crack.mm_per_pixel,
        "widest_x": x,
        "widest_y": y,
        "status": record.status(crack),
        "type": record.kind(crack),
        "severity": record.severity(crack) or None,
    }
    return {name: _plain(value) for name, value in values.items()}


def _plain(value: Any) -> Any:
    """Return a value as JSON has it."""
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
