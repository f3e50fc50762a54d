"""Shapes of exactly known length and width, as the fraction of each pixel that they cover.

A perfect model would give them as probabilities; measuring is compared with their true sizes.
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
    """Cover a straight bar with flat ends.

    Args:
        size_hw: Height and width of the image in pixels.
        center: Row and column; (0, 0) is the center of the first pixel.
        angle: In radians; 0 lies along a row, π/2 points down.
        length: In pixels.
        width: In pixels.

    Returns:
        The covered fraction of each pixel, (h, w), 0 to 1.

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
    """Cover an arc with flat ends.

    Args:
        size_hw: Height and width of the image in pixels.
        center: Row and column; (0, 0) is the center of the first pixel.
        radius: Of its middle line, in pixels; so its length is radius·turn.
        start: The angle at which it begins, in radians.
        turn: The angle that it covers, in radians.
        width: In pixels.

    Returns:
        The covered fraction of each pixel, (h, w), 0 to 1.
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
    """Return the fraction of each pixel that lies inside a shape, from 8×8 samples.

    Args:
        size_hw: Height and width of the image in pixels.
        inside: Tells for rows and columns, broadcast against each other, whether they lie inside.

    Returns:
        The covered fraction of each pixel, (h, w), 0 to 1.
    """
    rows, columns = ((np.arange(side * FINE) + 0.5) / FINE - 0.5 for side in size_hw)
    hit = inside(rows[:, None], columns[None, :])
    return hit.reshape(size_hw[0], FINE, size_hw[1], FINE).mean((1, 3)).astype(np.float32)


def lines(branches: Sequence[NDArray[np.float64]], size_hw: tuple[int, int]) -> NDArray[np.float32]:
    """Cover branches.

    Args:
        branches: Row, column and width of the points of each, (k, 3), as of `Panel.centerline`.
        size_hw: Height and width of the image in pixels.

    Returns:
        The covered fraction of each pixel, (h, w), 0 to 1.
    """
    prob = np.zeros(size_hw[0] * size_hw[1])
    for branch in branches:
        for pairs in near_pixels(branch, size_hw, 1.0):
            np.maximum.at(prob, pairs.pixel, coverage(pairs.distance, pairs.width))
    return prob.reshape(size_hw).astype(np.float32)


def length_within(branches: Sequence[NDArray[np.float64]], size_hw: tuple[int, int]) -> float:
    """Add up the lengths of the branches' lines that can be seen in the image, in pixels.

    Points outside the image don't count, nor does a branch where it runs within another one before
    it: within half of that one's width, and half a pixel.

    Args:
        branches: Row, column and width of the points of each, (k, 3).
        size_hw: Height and width of the image in pixels.
    """
    total = 0.0
    for index, branch in enumerate(branches):
        points = branch[:, :2]
        seen = np.all((points >= -0.5) & (points <= np.array(size_hw) - 0.5), axis=1)
        if index:
            before = np.concatenate(branches[:index])
            distance, nearest = KDTree(before[:, :2]).query(points)
            seen &= distance > before[nearest, 2] / 2 + 0.5
        steps = np.hypot(*np.diff(points, axis=0).T)
        total += float(steps[seen[1:] & seen[:-1]].sum())
    return total


def true_widths(
    branches: Sequence[NDArray[np.float64]], points: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the width of the branches where they lie nearest to some points.

    Args:
        branches: Row, column and width of the points of each, (k, 3).
        points: Rows and columns, (n, 2).

    Returns:
        Widths in pixels, (n,).
    """
    drawn = np.concatenate(branches)
    _, nearest = KDTree(drawn[:, :2]).query(points)
    return drawn[nearest, 2]
