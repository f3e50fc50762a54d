"""The width of polylines, which have none: that of the dark ridge in the image beneath them.

A profile of brightness is taken across the line at every pixel of its length, and averaged along
the line over `ALONG` pixels. The ridge is the darkest place within `SHIFT` pixels of the line; its
width is that at half of its depth below the surroundings, which are the median of the profile. The
stroke follows the ridge. Where it is no deeper than `CONTRAST` times the noise of the profile, the
width and place are taken from the rest of the line; `FALLBACK` pixels where no part shows a ridge.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

REACH, STEP = 16.0, 0.25  # pixels to either side that a profile shows, and from sample to sample
SHIFT = 5.0
ALONG = 9
CONTRAST = 2.0
FALLBACK = 3.0
LONGEST = (
    100_000  # pixels of a polyline that are measured; points of a longer one are further apart
)


@dataclass(frozen=True, eq=False)
class Stroke:
    """A line of varying width.

    Attributes:
        points: (n, 2) x and y.
        widths: (n,) in pixels.
    """

    points: NDArray[np.float64]
    widths: NDArray[np.float64]

    def pieces(self) -> Iterator[tuple[NDArray[np.float64], NDArray[np.float64]]]:
        """Yield start and end of each piece."""
        return pairwise(self.points)

    def piece_widths(self) -> Iterator[tuple[float, float]]:
        """Yield the widths at start and end of each piece."""
        return pairwise(self.widths.tolist())


def measured_strokes(gray: NDArray[np.float32], points: NDArray[np.float64]) -> list[Stroke]:
    """Measure the width along a polyline.

    Args:
        gray: (h, w), brightness.
        points: (n, 2) x and y of the polyline.

    Returns:
        Strokes along the dark ridge beneath the line, one for each run of samples within the image;
        none where the line lies outside.
    """
    path, normals = _samples(points)
    height, width = gray.shape
    inside = np.all((path >= 0) & (path <= np.array([width, height])), axis=1)
    strokes = []
    for run in np.split(np.arange(len(path)), np.flatnonzero(np.diff(inside)) + 1):
        if len(run) and inside[run[0]]:
            shift, widths = _ridge(gray, path[run], normals[run])
            moved = path[run] + shift[:, None] * normals[run]
            if len(run) == 1:
                moved, widths = np.repeat(moved, 2, axis=0), np.repeat(widths, 2)
            strokes.append(Stroke(moved, widths))
    return strokes


def _samples(points: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Places along a polyline about a pixel apart, and the normals there."""
    lengths = np.hypot(*np.diff(points, axis=0).T)
    points = points[np.concatenate([[True], lengths > 0])]
    along = np.concatenate([[0], np.cumsum(lengths[lengths > 0])])
    count = int(min(max(np.ceil(along[-1]), 1), LONGEST)) + 1
    at = np.linspace(0, along[-1], count)
    path = np.stack([np.interp(at, along, points[:, axis]) for axis in (0, 1)], axis=1)
    if len(points) < 2:
        return path, np.tile([0.0, 1.0], (count, 1))
    # Over a few pixels to either side, so that a corner's normal turns gradually.
    ahead = np.stack([np.interp(at + 3, along, points[:, axis]) for axis in (0, 1)], axis=1)
    behind = np.stack([np.interp(at - 3, along, points[:, axis]) for axis in (0, 1)], axis=1)
    tangent = ahead - behind
    tangent /= np.maximum(np.hypot(*tangent.T), 1e-9)[:, None]
    return path, np.stack([-tangent[:, 1], tangent[:, 0]], axis=1)


def _ridge(
    gray: NDArray[np.float32], path: NDArray[np.float64], normals: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """How far the ridge lies from each sample, and its width there."""
    offsets = np.arange(-REACH, REACH + STEP / 2, STEP)
    # Pixel centers lie at .5, where remap has them at whole numbers.
    places = path[:, None, :] + offsets[None, :, None] * normals[:, None, :] - 0.5
    profiles = np.empty(places.shape[:2], np.float32)
    for first in range(0, len(path), 2**14):  # remap takes no more than 2^15 rows
        x, y = np.moveaxis(places[first : first + 2**14].astype(np.float32), 2, 0)
        profiles[first : first + 2**14] = cv2.remap(
            gray, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
    profiles = cv2.blur(profiles, (1, ALONG), borderType=cv2.BORDER_REPLICATE)
    surroundings = np.median(profiles, axis=1)
    noise = 1.4826 * np.median(np.abs(profiles - surroundings[:, None]), axis=1)
    near = np.abs(offsets) <= SHIFT
    lowest = np.flatnonzero(near)[np.argmin(profiles[:, near], axis=1)]
    depth = surroundings - profiles[np.arange(len(path)), lowest]
    clear = depth > CONTRAST * np.maximum(noise, 1.0)
    below = profiles < (surroundings - depth / 2)[:, None]
    first, last = _run_around(below, lowest)
    clear &= (first > 0) & (last < len(offsets) - 1)
    if not clear.any():
        return np.zeros(len(path)), np.full(len(path), FALLBACK)
    at = np.arange(len(path))
    center = (offsets[first] + offsets[last]) / 2
    # A run of n samples below half depth spans n steps.
    width = (last - first + 1) * STEP
    shift = np.interp(at, at[clear], center[clear])
    return shift, np.maximum(np.interp(at, at[clear], width[clear]), 1.0)


def _run_around(
    below: NDArray[np.bool_], place: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First and last column of the unbroken run that each row has around a column."""
    columns = np.arange(below.shape[1])
    left = np.where(~below & (columns[None, :] < place[:, None]), columns, -1).max(axis=1) + 1
    far = below.shape[1]
    right = np.where(~below & (columns[None, :] > place[:, None]), columns, far).min(axis=1) - 1
    return left, right
