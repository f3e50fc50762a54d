"""Cut a large image so that the network sees in each window what it would in the whole."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fissura.inference.tiling import ALIGN


@dataclass(frozen=True)
class Span:
    """Rows, or columns, of an image that are predicted together.

    index:        0 for the first.
    start, stop:  those that it yields.
    seen:         those that they are computed from, with a halo at either side.
    """

    index: int
    start: int
    stop: int
    seen: slice


def cut(length: int, step: float, scale: float, halo: int) -> list[Span]:
    """Cut an axis of an image into spans of about `step` pixels.

    Spans and what they see begin where a network pixel does whose number 32 divides, or at the
    nearest pixel: there the network's pooling lies as it lies in the whole image.

    Arguments: `scale`, of the network's pixels; `halo`, in pixels of the network.

    >>> for span in cut(5000, 2048, 1.0, 160):
    ...     print(span.start, span.stop, "from", span.seen.start, span.seen.stop)
    0 2048 from 0 2208
    2048 4096 from 1888 4256
    4096 5000 from 3936 5000
    """
    unit = ALIGN / scale
    units, beside = max(round(step / unit), math.ceil(1 / unit)), math.ceil(halo / ALIGN)

    def at(count: int) -> int:
        return min(max(round(count * unit), 0), length)

    spans, start = [], 0
    while at(start) < length:
        end = start + units
        seen = slice(at(start - beside), at(end + beside))
        spans.append(Span(len(spans), at(start), at(end), seen))
        start = end
    return spans


def even(window: NDArray[np.uint8], whole_hw: tuple[int, int], scale: float) -> NDArray[np.uint8]:
    """Repeat the last row and column until the window is so many network pixels high and wide.

    Or nearly so. Else its pixels would be resampled to others than those of its neighbors. An axis
    that is whole in the window stays as it is.
    """
    below, beside = (
        0 if part == whole else missing(part, scale)
        for part, whole in zip(window.shape, whole_hw, strict=False)
    )
    return np.pad(window, ((0, below), (0, beside), (0, 0)), mode="edge")


def missing(length: int, scale: float) -> int:
    """How many pixels to add for a whole number of network pixels; the least of the best numbers.

    >>> missing(101, 0.25), missing(101, 1), missing(102, 0.37)
    (3, 0, 1)
    """
    numbers = range(math.ceil(1 / scale))

    def off(number: int) -> float:
        scaled = (length + number) * scale
        return round(abs(scaled - round(scaled)), 6)

    return min(numbers, key=off)
