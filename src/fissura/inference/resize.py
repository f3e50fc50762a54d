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
    """Resample an image or probabilities to a height and width; bilinear where not by area."""
    if image.shape[:2] == size:
        return np.require(image, requirements=("C", "W"))  # torch warns of read-only arrays
    height, width = size
    shrinks = height < image.shape[0] or width < image.shape[1]
    method = cv2.INTER_AREA if shrink_by_area and shrinks else cv2.INTER_LINEAR
    return cv2.resize(image, (width, height), interpolation=method)


def resized_rows(
    bands: Iterable[NDArray[np.float32]], from_hw: tuple[int, int], to_hw: tuple[int, int]
) -> Iterator[NDArray[np.float32]]:
    """Resample a map bilinearly whose rows come in bands; yield the result in bands.

    The bands, (rows, from_w) each, hold from_h rows together; those of the result, (rows, to_w),
    to_h rows. The same as `resized` of the whole, which is never in memory.
    """
    if from_hw == to_hw:
        yield from bands
        return
    (from_h, _), (to_h, to_w) = from_hw, to_hw
    position = ((np.arange(to_h) + 0.5) * from_h / to_h - 0.5).clip(0, from_h - 1)
    above = np.floor(position).astype(np.intp)
    below = np.minimum(above + 1, from_h - 1)
    share = (position - above).astype(np.float32)[:, None]
    step = max(LARGEST_BAND // to_w, 1)
    held, first, done = np.empty((0, to_w), np.float32), 0, 0
    for band in bands:
        held = np.concatenate([held, resized(band, (len(band), to_w))])
        known = int(np.searchsorted(below, first + len(held)))
        for start in range(done, known, step):
            rows = slice(start, min(start + step, known))
            upper, lower = held[above[rows] - first], held[below[rows] - first]
            lower -= upper
            lower *= share[rows]
            lower += upper
            yield lower
        done = known
        unneeded = min(int(above[done]) - first, len(held)) if done < to_h else len(held)
        held, first = held[unneeded:], first + unneeded
