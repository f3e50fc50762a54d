"""Runs of pixels: a crack's pixels in unbroken rows down the columns of an image."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray


def crack_runs(labels: NDArray[np.int32], count: int) -> list[NDArray[np.int64]]:
    """Return the runs of pixels of each crack.

    Args:
        labels: (h, w), number of the crack at each of its pixels, 0 elsewhere.
        count: Number of cracks; they are numbered from 1.

    Returns:
        For each crack (k, 2), the first pixel of each run and one past its last, counted down the
        columns and rising.

    >>> labels = np.array([[0, 1], [2, 1]], np.int32)
    >>> [runs.tolist() for runs in crack_runs(labels, 2)]
    [[[2, 4]], [[1, 2]]]
    """
    columns, rows = np.nonzero(labels.T)
    positions = columns * labels.shape[0] + rows
    numbers = labels[rows, columns]
    order = np.argsort(numbers, kind="stable")
    ends = np.searchsorted(numbers[order], np.arange(1, count + 2))
    return [_runs(positions[order[first:last]]) for first, last in pairwise(ends)]


def run_lengths(runs: NDArray[np.int64], size: int) -> list[int]:
    """Return how many pixels are in turn outside and inside, beginning outside, maybe with 0.

    Args:
        runs: (k, 2) as `crack_runs` returns them.
        size: Number of all pixels of the image.

    >>> run_lengths(np.array([[0, 2], [4, 5]]), 6)
    [0, 2, 2, 1, 1]
    """
    edges = runs.ravel()
    if len(edges) and edges[-1] == size:
        return np.diff(edges, prepend=0).tolist()
    return np.diff(edges, prepend=0, append=size).tolist()


def _runs(positions: NDArray[np.int64]) -> NDArray[np.int64]:
    """Join rising positions to runs (k, 2)."""
    if not len(positions):
        return np.empty((0, 2), np.int64)
    breaks = np.flatnonzero(np.diff(positions) > 1)
    first = positions[np.concatenate([[0], breaks + 1])]
    last = positions[np.concatenate([breaks, [len(positions) - 1]])]
    return np.stack([first, last + 1], axis=1)
