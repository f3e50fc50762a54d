"""Resample photos, and probabilities that come in bands of rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

LARGEST_BAND = 2**22  # pixels that are resampled at once


def resized(
    image: NDArray[Any], size: tuple[int, int], *, shrink_by_area: bool = False
) -> NDArray[Any]:
    """Resample an image or probabilities.

    Args:
        image: (h, w) or (h, w, c).
        size: The new height and width.
        shrink_by_area: Average over the area that a pixel shows, where a side shrinks; else the
            result is bilinear.

    Returns:
        An array of the same type.
    """
    if image.shape[:2] == size:
        return np.require(image, requirements=("C", "W"))  # torch warns of read-only arrays
    height, width = size
    shrinks = height < image.shape[0] or width < image.shape[1]
    method = cv2.INTER_AREA if shrink_by_area and shrinks else cv2.INTER_LINEAR
    return cv2.resize(image, (width, height), interpolation=method)


def resized_bands(
    bands: Iterable[NDArray[np.float32]], from_hw: tuple[int, int], to_hw: tuple[int, int]
) -> Iterator[NDArray[np.float32]]:
    """Resample probabilities bilinearly whose rows come in bands, as `resized` does the whole.

    Args:
        bands: Bands of rows from top to bottom, (rows, from_w) or (rows, from_w, c), from_h rows
            together.
        from_hw: Height and width of the whole.
        to_hw: Height and width of the result.

    Yields:
        Bands of the result, (rows, to_w), to_h rows together.
    """
    if from_hw == to_hw:
        yield from bands
        return
    (from_h, _), (to_h, to_w) = from_hw, to_hw
    position = ((np.arange(to_h) + 0.5) * from_h / to_h - 0.5).clip(0, from_h - 1)
    above = np.floor(position).astype(np.intp)
    below = np.minimum(above + 1, from_h - 1)
    fraction = (position - above).astype(np.float32)[:, None]
    step = max(LARGEST_BAND // to_w, 1)
    held, first, done = np.empty((0, to_w), np.float32), 0, 0
    for band in bands:
        wide = resized(band, (len(band), to_w))
        if band.ndim == 3 and not done and not len(held):
            held = np.empty((0, to_w, band.shape[2]), np.float32)
            fraction = fraction[:, :, None] if fraction.ndim == 2 else fraction
        held = np.concatenate([held, wide.reshape(len(band), *held.shape[1:])])
        known = int(np.searchsorted(below, first + len(held)))
        for start in range(done, known, step):
            rows = slice(start, min(start + step, known))
            upper, lower = held[above[rows] - first], held[below[rows] - first]
            lower -= upper
            lower *= fraction[rows]
            lower += upper
            yield lower
        done = known
        unneeded = min(int(above[done]) - first, len(held)) if done < to_h else len(held)
        held, first = held[unneeded:], first + unneeded
