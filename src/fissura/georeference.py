"""Read a georeference: the coordinate system, and how much ground a pixel shows."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

# Row and column to x and y: x = a·column + b·row + c, y = d·column + e·row + f, where (0, 0) is the
# corner of the first pixel; the order of rasterio's Affine.
Transform = tuple[float, float, float, float, float, float]

LEAST = 1e-100  # millimeters; smaller and larger sides of pixels are those of damaged files
SQUARE = 0.02  # by how much the sides of a pixel may differ without a word
TRUE_TO_SCALE = 0.005  # by how much a projection may stretch the ground before that is undone
AXIS, FLATTENING = 6378137.0, 1 / 298.257223563  # of WGS84's ellipsoid; meters
STEP = 100  # pixels, over which the ground is measured: less drowns in rounding


def pixel_scale(
    crs: Any, name: str, transform: Transform, size_hw: tuple[int, int]
) -> tuple[float | None, str, str | None]:
    """Return millimeters per pixel, where they come from in words, and what is odd about them.

    Of a projected system the sides of a pixel are those in its own unit (meters, feet), unless the
    projection stretches the ground at the image's center by more than 0.5 % (Web Mercator by half
    in Central Europe). Then, and for systems in degrees, they are measured on the ground there.
    Millimeters per pixel are the geometric mean of the sides; where these differ by more than 2 %,
    the third value says so in a sentence.

    Args:
        crs: The coordinate system, as rasterio has it.
        name: Its code, or WKT.
        transform: From pixels to its coordinates.
        size_hw: Height and width of the image in pixels.

    Returns:
        The resolution, its source, and the remark or None; None and "unknown" for a system without
        a place on the earth.
    """
    short = name if len(name) < 20 else "the file's coordinate system"
    sides, source = _sides(crs, short, transform, size_hw)
    # Damaged transforms have sides of nothing, or of no number.
    if sides is None or not all(LEAST < side < 1 / LEAST for side in sides):
        return None, "unknown", None
    width, height = sides
    mean = math.sqrt(width * height)
    if abs(width / height - 1) <= SQUARE:
        return mean, source, None
    return (
        mean,
        source,
        (
            f"its pixels are not square ({width:.4g} mm wide, {height:.4g} mm high). Everything is "
            f"measured with their mean of {mean:.4g} mm, and may be wrong by "
            f"{100 * (max(sides) / mean - 1):.0f} %. Resample the image to square pixels."
        ),
    )


def _sides(
    crs: Any, name: str, transform: Transform, size_hw: tuple[int, int]
) -> tuple[tuple[float, float] | None, str]:
    """Width and height of a pixel in millimeters, and where they come from."""
    ground = ground_sides(crs, transform, size_hw)
    a, b, _, d, e, _ = transform
    on_the_ground = "size of its pixels on the ground at the image's center"
    if crs.is_projected:
        unit, meters = crs.linear_units_factor
        unit = unit.replace("metre", "meter")  # as PROJ spells it
        width, height = 1000 * meters * math.hypot(a, d), 1000 * meters * math.hypot(b, e)
        stretched = math.sqrt(width * height / (ground[0] * ground[1])) if ground else 1.0
        if ground is None or abs(stretched - 1) <= TRUE_TO_SCALE:
            return (width, height), f"size of its pixels in {name} ({unit})"
        return ground, f"{on_the_ground} ({name} stretches it {stretched:.3f} times)"
    if crs.is_geographic:
        return ground, f"{on_the_ground} ({name})"
    return None, "unknown"


def ground_sides(
    crs: Any, transform: Transform, size_hw: tuple[int, int]
) -> tuple[float, float] | None:
    """Return width and height, in mm, of the ground that the pixel at the image's center shows.

    On WGS84's ellipsoid, a the equator's radius, f the flattening, e² = f(2 − f), φ the latitude,
    λ the longitude, w² = 1 − e² sin²φ: north = a(1 − e²)/w³ dφ, east = a/w cos φ dλ.

    Returns:
        The two sides, or None for a system without a place on the earth.
    """
    from rasterio.warp import transform as reproject

    a, b, c, d, e, f = transform
    row, column = size_hw[0] / 2, size_hw[1] / 2
    columns = np.array([column, column + STEP, column])
    rows = np.array([row, row, row + STEP])
    x, y = a * columns + b * rows + c, d * columns + e * rows + f
    try:
        longitude, latitude = np.radians(reproject(crs, "EPSG:4326", x, y))
    except Exception:  # GDAL's are of many kinds; what fails here has no place on the earth
        return None
    if not np.isfinite([*latitude, *longitude]).all():
        return None  # a center that lies outside of the system
    eccentricity = FLATTENING * (2 - FLATTENING)
    w = math.sqrt(1 - eccentricity * math.sin(latitude[0]) ** 2)
    north = AXIS * (1 - eccentricity) / w**3 * (latitude[1:] - latitude[0])
    turned = (longitude[1:] - longitude[0] + math.pi) % (2 * math.pi) - math.pi
    east = AXIS / w * math.cos(latitude[0]) * turned
    width, height = (1000 * np.hypot(north, east) / STEP).tolist()
    return (width, height) if math.isfinite(width * height) and width * height > 0 else None


def crs_name(crs: Any) -> str:
    """Return the code of a coordinate system where it has one of its own, otherwise its WKT."""
    code = crs.to_authority(confidence_threshold=100)
    return ":".join(code) if code else crs.to_wkt()
