"""Windows of a large image: cut where pixels of the network begin, and filled up for it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from fissura.inference.tiling import ALIGN


@dataclass(frozen=True)
class Interval:
    """Rows, or columns, of an image that are predicted together.

    Attributes:
        index: 0 for the first.
        start: The first row or column that it yields.
        stop: The end of those that it yields.
        seen: Those that they are computed from, with a halo at either side.
    """

    index: int
    start: int
    stop: int
    seen: slice


def intervals(length: int, step: float, scale: float, halo: int) -> list[Interval]:
    """Cut an axis of an image into intervals of about `step` pixels.

    Intervals and what they see begin where a network pixel does whose number 32 divides, or at the
    nearest pixel: there the network's pooling lies as it lies in the whole image.

    Args:
        length: Of the axis, in pixels.
        step: About how many pixels an interval has.
        scale: Factor by which the network sees the image resampled.
        halo: In pixels of the network.

    >>> for interval in intervals(5000, 2048, 1.0, 160):
    ...     print(interval.start, interval.stop, "from", interval.seen.start, interval.seen.stop)
    0 2048 from 0 2208
    2048 4096 from 1888 4256
    4096 5000 from 3936 5000
    """
    unit = ALIGN / scale
    units, beside = max(round(step / unit), math.ceil(1 / unit)), math.ceil(halo / ALIGN)

    def at(count: int) -> int:
        return min(max(round(count * unit), 0), length)

    found, first = [], 0
    while at(first) < length:
        end = first + units
        seen = slice(at(first - beside), at(end + beside))
        found.append(Interval(len(found), at(first), at(end), seen))
        first = end
    return found


def filled(image: NDArray[np.uint8], valid: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Give pixels that show nothing the colors of about the nearest that do.

    The step to black at the edge of an orthophoto would be called a crack all along.

    Args:
        image: RGB, uint8 (h, w, 3).
        valid: Where it shows something, bool (h, w).
    """
    if valid.all() or not valid.any():
        return image
    _, labels = cv2.distanceTransformWithLabels(
        (~valid).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    nearest = np.asarray(labels, np.int32)
    colors = np.empty((nearest.max() + 1, 3), np.uint8)
    colors[nearest[valid]] = image[valid]
    return np.where(valid[..., None], image, colors[nearest])


def even(window: NDArray[np.uint8], whole_hw: tuple[int, int], scale: float) -> NDArray[np.uint8]:
    """Repeat the last row and column until the window is so many network pixels high and wide.

    Or nearly so. Else its pixels would be resampled to others than those of its neighbors. An axis
    that is whole in the window stays as it is.

    Args:
        window: RGB, uint8 (h, w, 3).
        whole_hw: Height and width of the image that it was read from.
        scale: Factor by which the network sees the image resampled.
    """
    below, beside = (
        0 if length == whole else missing(length, scale)
        for length, whole in zip(window.shape, whole_hw, strict=False)
    )
    return np.pad(window, ((0, below), (0, beside), (0, 0)), mode="edge")


def missing(length: int, scale: float) -> int:
    """Return how many pixels to add for a whole number of network pixels, or nearly one.

    Args:
        length: Pixels that are there.
        scale: Factor by which the network sees them resampled.

    >>> missing(101, 0.25), missing(101, 1), missing(102, 0.37)
    (3, 0, 1)
    """
    numbers = range(math.ceil(1 / scale))

    def off(number: int) -> float:
        scaled = (length + number) * scale
        return round(abs(scaled - round(scaled)), 6)

    return min(numbers, key=off)
