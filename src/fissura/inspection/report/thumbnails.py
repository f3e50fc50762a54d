"""Small images of a crack: where it lies on its photo, and itself from near."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from fissura.inspection.records.record import Record
from fissura.inspection.report.drawing import draw_cracks
from fissura.measurement.crack import Crack

MARGIN, LEAST = 0.25, 48  # of a crack's box around it; pixels of the photo that are shown at least
SPOT, CASING = (0, 179, 255), (16, 16, 20)
GAP = 4  # pixels between the two images
PAPER = 250


def drawing_of(record: Record) -> NDArray[np.uint8]:
    """Return the preview of a photo with its cracks drawn, above a legend."""
    return draw_cracks(
        record.preview,
        record.cracks,
        scale=record.preview_scale,
        mm_per_pixel=record.mm_per_pixel,
        widest=record.widest_shown,
        limit=record.limit_shown,
        slanted=record.perspective is not None,
    )


def locator(record: Record, crack: Crack, side: int) -> NDArray[np.uint8]:
    """Return the photo, small, with a frame around a crack.

    Args:
        record: Record of the photo.
        crack: One of its cracks.
        side: Height in pixels.

    Returns:
        RGB (side, w, 3).
    """
    image = _resized(record.preview, side)
    top, left, bottom, right = _around(record, crack, image.shape[0] / record.size_hw[0])
    for color, thickness in ((CASING, 4), (SPOT, 2)):
        cv2.rectangle(image, (left, top), (right, bottom), color, thickness)
    return image


def close_up(
    drawing: NDArray[np.uint8], record: Record, crack: Crack, side: int
) -> NDArray[np.uint8]:
    """Return the part of a drawing around a crack.

    Args:
        drawing: The photo with its cracks drawn, from `draw_cracks`; a legend below may be there.
        record: Record of the photo.
        crack: One of its cracks.
        side: Height in pixels.

    Returns:
        RGB (side, w, 3), at most three times as wide as high.
    """
    scale = drawing.shape[1] / record.size_hw[1]
    top, left, bottom, right = _around(record, crack, scale)
    high, wide = bottom - top, right - left
    if wide > 3 * high:  # a strip would be too flat to be seen
        top, bottom = _within((top + bottom) // 2, wide // 3, round(record.size_hw[0] * scale))
    return _resized(drawing[top:bottom, left:right], side, 3 * side)


def locator_and_close_up(
    drawing: NDArray[np.uint8], record: Record, crack: Crack, side: int
) -> NDArray[np.uint8]:
    """Return both images side by side, RGB (side, w, 3)."""
    gap = np.full((side, GAP, 3), PAPER, np.uint8)
    return np.concatenate(
        [locator(record, crack, side), gap, close_up(drawing, record, crack, side)], axis=1
    )


def _around(record: Record, crack: Crack, scale: float) -> tuple[int, int, int, int]:
    """Return top, left, bottom and right around a crack, in pixels of an image of the photo."""
    top, left, bottom, right = crack.box
    side = max(bottom - top, right - left)
    margin = MARGIN * side + max(0.0, (LEAST - side) / 2)
    height, width = (round(edge * scale) for edge in record.size_hw)
    return (
        max(0, round((top - margin) * scale)),
        max(0, round((left - margin) * scale)),
        min(max(height, 1), max(1, round((bottom + margin) * scale))),
        min(max(width, 1), max(1, round((right + margin) * scale))),
    )


def _within(middle: int, size: int, most: int) -> tuple[int, int]:
    """Return the ends of a span about a middle, moved so that it lies within 0 and `most`."""
    begin = max(0, min(middle - size // 2, most - size))
    return begin, min(begin + size, most)


def _resized(image: NDArray[np.uint8], side: int, widest: int | None = None) -> NDArray[np.uint8]:
    """Return an image of a height, cut where it would be wider than `widest`."""
    height, width = image.shape[:2]
    wide = max(1, round(width * side / height))
    way = cv2.INTER_AREA if side < height else cv2.INTER_CUBIC
    resized = cv2.resize(np.ascontiguousarray(image), (wide, side), interpolation=way)
    return np.ascontiguousarray(resized[:, : widest or wide], np.uint8)
