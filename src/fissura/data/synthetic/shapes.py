"""Shapes of exactly known length and width, as the share of each pixel that they cover.

They are what a perfect model would say of a picture, and the truth that measuring is held against.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from fissura.data.synthetic.raster import coverage, near_pixels

FINE = 8  # samples per pixel and axis


def bar(
    size_hw: tuple[int, int], center: tuple[float, float], angle: float, length: float, width: float
) -> NDArray[np.float32]:
    """Cover a straight bar with flat ends; return (h, w), 0 to 1.

    center:         row and column; (0, 0) is the center of the first pixel.
    angle:          in radians; 0 lies along a row, π/2 points down.
    length, width:  in pixels.

    >>> round(float(bar((20, 40), (9.3, 19.8), 0.4, 20.0, 3.0).sum()), 1)
    60.0
    """
    down, right = np.sin(angle), np.cos(angle)

    def inside(row: NDArray[np.float64], column: NDArray[np.float64]) -> NDArray[np.bool_]:
        along = (row - center[0]) * down + (column - center[1]) * right
        across = (column - center[1]) * down - (row - center[0]) * right
        return (np.abs(along) <= length / 2) & (np.abs(across) <= width / 2)

    return covered(size_hw, inside)


def arc(
    size_hw: tuple[int, int],
    center: tuple[float, float],
    radius: float,
    start: float,
    turn: float,
    width: float,
) -> NDArray[np.float32]:
    """Cover a part of a ring with flat ends; return (h, w), 0 to 1.

    radius:       of its middle line, in pixels; so its length is radius·turn.
    start, turn:  the angle it begins at and the one it covers, in radians.
    """

    def inside(row: NDArray[np.float64], column: NDArray[np.float64]) -> NDArray[np.bool_]:
        down, right = row - center[0], column - center[1]
        at = (np.arctan2(down, right) - start) % (2 * np.pi)
        return (np.abs(np.hypot(down, right) - radius) <= width / 2) & (at <= turn)

    return covered(size_hw, inside)


def covered(
    size_hw: tuple[int, int],
    inside: Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.bool_]],
) -> NDArray[np.float32]:
    """Return the share of each pixel where `inside(row, column)` holds, from 8×8 samples."""
    rows, columns = ((np.arange(side * FINE) + 0.5) / FINE - 0.5 for side in size_hw)
    hit = inside(rows[:, None], columns[None, :])
    return hit.reshape(size_hw[0], FINE, size_hw[1], FINE).mean((1, 3)).astype(np.float32)


def lines(branches: Sequence[NDArray[np.float64]], size_hw: tuple[int, int]) -> NDArray[np.float32]:
    """Cover branches (k, 3) of row, column and width, as of `Panel.centerline`; return (h, w)."""
    prob = np.zeros(size_hw[0] * size_hw[1])
    for branch in branches:
        for pairs in near_pixels(branch, size_hw, 1.0):
            np.maximum.at(prob, pairs.pixel, coverage(pairs.distance, pairs.width))
    return prob.reshape(size_hw).astype(np.float32)


def length_within(branches: Sequence[NDArray[np.float64]], size_hw: tuple[int, int]) -> float:
    """Add up the lengths of the branches' lines that can be seen in the picture, in pixels.

    Left out is what lies outside the picture, and where a branch runs within another one before it:
    within half of that one's width, and half a pixel.
    """
    total = 0.0
    for index, branch in enumerate(branches):
        places = branch[:, :2]
        seen = np.all((places >= -0.5) & (places <= np.array(size_hw) - 0.5), axis=1)
        if index:
            before = np.concatenate(branches[:index])
            distance, nearest = KDTree(before[:, :2]).query(places)
            seen &= distance > before[nearest, 2] / 2 + 0.5
        steps = np.hypot(*np.diff(places, axis=0).T)
        total += float(steps[seen[1:] & seen[:-1]].sum())
    return total


def true_widths(
    branches: Sequence[NDArray[np.float64]], places: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the width of the branches at the point nearest to each place (n, 2); (n,)."""
    points = np.concatenate(branches)
    _, nearest = KDTree(points[:, :2]).query(places)
    return points[nearest, 2]
