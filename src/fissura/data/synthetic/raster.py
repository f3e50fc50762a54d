"""Turn a crack's centerline and width into pixels, exactly."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_CHUNK = 1 << 20  # pixel-segment pairs looked at together: bounds the memory


@dataclass(frozen=True)
class Pairs:
    """Pixels near the segments of one branch; all arrays are (n,), ordered by segment.

    Attributes:
        pixel: Flat index into the image.
        segment: Number of the segment.
        along: Where on the segment the closest point lies, 0 to 1.
        distance: From the pixel's center to that point, in pixels.
        width: Of the crack at that point, in pixels.
        down: From the closest point down to the pixel, in pixels.
        right: From the closest point right to the pixel, in pixels.
    """

    pixel: NDArray[np.int64]
    segment: NDArray[np.int64]
    along: NDArray[np.float64]
    distance: NDArray[np.float64]
    width: NDArray[np.float64]
    down: NDArray[np.float64]
    right: NDArray[np.float64]


def near_pixels(
    branch: NDArray[np.float64], size_hw: tuple[int, int], reach: float
) -> Iterator[Pairs]:
    """Yield every (pixel, segment) pair of a branch nearer than half the crack's width + `reach`.

    Memory is bounded by working through the branch in chunks.

    Args:
        branch: Row, column and width in pixels of its points, (k, 3).
        size_hw: Height and width of the image in pixels.
        reach: How far beside the crack pixels still count, in pixels.

    Yields:
        The pairs of one chunk.
    """
    if len(branch) < 2:
        return
    stride = float(np.hypot(*np.diff(branch[:, :2], axis=0).T).max())
    radius = branch[:, 2].max() / 2 + reach + stride / 2 + 0.71
    whole = int(np.ceil(radius))
    offsets = np.indices((2 * whole + 1, 2 * whole + 1)).reshape(2, -1) - whole
    offsets = offsets[:, np.hypot(*offsets) <= radius]
    per_chunk = max(1, _CHUNK // offsets.shape[1])
    for begin in range(0, len(branch) - 1, per_chunk):
        yield _pairs(branch[begin : begin + per_chunk + 1], begin, offsets, size_hw, reach)


def _pairs(
    points: NDArray[np.float64],
    begin: int,
    offsets: NDArray[np.int64],
    size_hw: tuple[int, int],
    reach: float,
) -> Pairs:
    """Pairs of a chunk of a branch, whose first segment has the number `begin`."""
    first, step = points[:-1].T[:, :, None], np.diff(points, axis=0).T[:, :, None]
    middle = np.rint(first[:2] + step[:2] / 2).astype(np.int64)
    rows, columns = middle[0] + offsets[0], middle[1] + offsets[1]
    down, right = rows - first[0], columns - first[1]
    squared = np.maximum(step[0] ** 2 + step[1] ** 2, 1e-12)
    along = np.clip((down * step[0] + right * step[1]) / squared, 0.0, 1.0)
    down -= along * step[0]
    right -= along * step[1]
    width = first[2] + along * step[2]
    distance = np.sqrt(down**2 + right**2)
    keep = distance <= width / 2 + reach
    keep &= (rows >= 0) & (rows < size_hw[0]) & (columns >= 0) & (columns < size_hw[1])
    segment = np.nonzero(keep)[0] + begin
    pixel = rows[keep] * size_hw[1] + columns[keep]
    return Pairs(pixel, segment, along[keep], distance[keep], width[keep], down[keep], right[keep])


def covered_pixels(
    branch: NDArray[np.float64], size_hw: tuple[int, int]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Find the pixels that a branch covers.

    A pixel counts where the crack covers at least half of what it can cover of a pixel: where
    the pixel's center lies within max(width, 1)/2 of the centerline. So a crack finer than a
    pixel has an unbroken mask one pixel wide.

    Args:
        branch: Row, column and width in pixels of its points, (k, 3).
        size_hw: Height and width of the image in pixels.

    Returns:
        Flat indices of the pixels, ascending, and for each the first segment that covers it.
    """
    pixels, segments = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for pairs in near_pixels(branch, size_hw, 0.5):
        hit = pairs.distance <= np.maximum(pairs.width, 1.0) / 2
        pixels.append(pairs.pixel[hit])
        segments.append(pairs.segment[hit])
    unique, index = np.unique(np.concatenate(pixels), return_index=True)
    return unique, np.concatenate(segments)[index]


def coverage(
    distance: NDArray[np.floating], width: NDArray[np.floating] | float
) -> NDArray[np.floating]:
    """Return the fraction of a pixel that a crack covers.

    The overlap of [d − ½, d + ½] with [−w/2, w/2]: 1 inside, a ramp one pixel wide at the edge,
    never more than the width of a crack finer than a pixel, which so loses contrast.

    Args:
        distance: d, from the pixel's center to the centerline, in pixels.
        width: w, of the crack, in pixels.

    Returns:
        Fractions, 0 to 1, of the shape of `distance`.
    """
    return np.clip(
        np.minimum(distance + 0.5, width / 2) - np.maximum(distance - 0.5, -width / 2), 0.0, 1.0
    )
