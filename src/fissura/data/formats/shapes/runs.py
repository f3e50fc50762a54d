"""Runs of pixels: unbroken rows of pixels down the columns of an image, or along its rows."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from fissura.errors import InputError


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
    # Of a copy that lies in the order of the columns: searching across it is ten times as slow.
    positions = np.flatnonzero(np.ascontiguousarray((labels != 0).T))
    columns, rows = np.divmod(positions, labels.shape[0])
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


def pixels_of_runs(
    counts: NDArray[np.int64], size_hw: tuple[int, int], *, by_columns: bool
) -> NDArray[np.bool_]:
    """Return the pixels of run lengths, which are in turn outside and inside.

    Args:
        counts: Lengths of the runs, the first outside.
        size_hw: Height and width of the box.
        by_columns: Runs go down the columns, as COCO's; or else along the rows, as CVAT's.

    Returns:
        bool (h, w).

    Raises:
        InputError: The lengths are negative or don't sum up to the size.

    >>> pixels_of_runs(np.array([1, 2, 1]), (2, 2), by_columns=True)
    array([[False,  True],
           [ True, False]])
    """
    height, width = size_hw
    total = sum(counts.tolist())  # in Python's numbers, which don't overflow
    if (counts < 0).any() or total != height * width:
        told = "a negative one" if (counts < 0).any() else f"{total} pixels"
        raise InputError(f"the run lengths hold {told}, and its box has {height * width}")
    flat = np.repeat(np.arange(len(counts)) % 2 == 1, counts)
    return flat.reshape(width, height).T if by_columns else flat.reshape(height, width)


def runs_of_pixels(pixels: NDArray[np.bool_], *, by_columns: bool) -> list[int]:
    """Return the run lengths of pixels; the inverse of `pixels_of_runs`.

    >>> runs_of_pixels(np.array([[False, True], [True, False]]), by_columns=True)
    [1, 2, 1]
    """
    flat = (pixels.T if by_columns else pixels).ravel()
    edges = np.flatnonzero(np.diff(flat, prepend=False)) if flat.size else np.empty(0, np.int64)
    return np.diff(edges, prepend=0, append=flat.size).tolist()


def expand_counts(text: str | bytes) -> NDArray[np.int64]:
    """Return the run lengths of COCO's compressed text.

    Each number is written in groups of 5 bits, the lowest first, as characters from '0' on; the
    sixth bit says that more follow, and the fifth of the last group is the sign. From the fourth
    number on it is the difference from the last but one.

    Args:
        text: The text, of characters from '0' to 'o'.

    Raises:
        InputError: It holds other characters, or ends within a number.

    >>> expand_counts("0Td0").tolist() == [0, 644]
    True
    """
    codes = np.frombuffer(
        text.encode("latin-1", "replace") if isinstance(text, str) else text, np.uint8
    )
    groups = codes.astype(np.int64) - 48
    if len(groups) and (groups.min() < 0 or groups.max() > 63 or groups[-1] & 32):
        raise InputError("its compressed run lengths are damaged")
    last = (groups & 32) == 0
    ends = np.flatnonzero(last)
    starts = np.concatenate([[0], ends[:-1] + 1])
    place = np.arange(len(groups)) - np.repeat(starts, ends - starts + 1)
    if place.max(initial=0) > 11:
        raise InputError("its compressed run lengths are damaged")
    parts = (groups & 31) << (5 * place)
    values = np.add.reduceat(parts, starts) if len(ends) else np.empty(0, np.int64)
    negative = (groups[ends] & 16) > 0
    values = np.where(negative, values - (1 << (5 * (place[ends] + 1))), values)
    # Every other number from the third on adds up: two interleaved sums, the first number apart.
    values[1::2] = np.cumsum(values[1::2])
    values[2::2] = np.cumsum(values[2::2])
    return values
