"""Parts of a mask that a model is nowhere sure of: hysteresis by the surest pixels of each part.

A low threshold finds cracks whole and, on a surface without any, specks of dirt and seams as well.
What tells the two apart is how sure the model is at best: somewhere along a crack it is. So a
connected part of the mask stays only where its surest pixels are sure enough. (Canny, A
computational approach to edge detection, IEEE TPAMI 1986, has a part stay for one pixel above a
second threshold.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

Bands = Callable[[], Iterable[NDArray[np.uint8]]]

PIXELS = 2**22  # of an image that are looked at together, so that their labels need little memory


def in_bands(image: NDArray[np.uint8]) -> Bands:
    """Return an image as bands of its rows, views of it."""
    rows = max(PIXELS // image.shape[1], 1)
    return lambda: (image[top : top + rows] for top in range(0, len(image), rows))


def unsure_pixels(bands: Bands, min_prob: float, surest: int) -> Iterator[NDArray[np.bool_]]:
    """Tell which crack pixels belong to parts that the model is nowhere sure of.

    A part is a connected component (diagonal neighbors count) of the whole image. The model is sure
    of it where the mean probability of its `surest` surest pixels, or of all where it has fewer, is
    at least `min_prob`.

    Args:
        bands: Gives the image anew each time that it is called: bands of rows from top to bottom,
            uint8 (rows, w), 0 where there is no crack, elsewhere 1 to 255, the probability · 255.
        min_prob: 0 to 1.
        surest: At least 1.

    Yields:
        For each band, where the pixels to be left out lie, bool (rows, w).

    >>> image = np.array([[200, 200, 0, 140, 150]], np.uint8)
    >>> next(unsure_pixels(in_bands(image), 0.7, surest=2)).tolist()
    [[False, False, False, True, True]]
    """
    best, firsts = [np.zeros((1, surest), np.uint8)], [1]  # number 0 is where no crack is
    touching: list[NDArray[np.int64]] = []
    above: NDArray[np.int64] | None = None
    for band in bands():
        labels, count = _labels(band)
        here = band > 0
        best.append(_highest(band[here], labels[here] - 1, count, surest))
        if above is not None:
            touching.append(_touching(above, _numbered(labels[0], firsts[-1])))
        above = _numbered(labels[-1], firsts[-1])
        firsts.append(firsts[-1] + count)
    unsure = _unsure(np.concatenate(best), touching, min_prob)
    for band, (first, after) in zip(bands(), pairwise(firsts), strict=True):
        labels, _ = _labels(band)
        yield np.concatenate([[False], unsure[first:after]])[labels]


def _labels(band: NDArray[np.uint8]) -> tuple[NDArray[np.int32], int]:
    """The parts within a band, numbered from 1, and how many there are."""
    count, labels = cv2.connectedComponents((band > 0).astype(np.uint8), connectivity=8)
    return np.asarray(labels, np.int32), count - 1


def _numbered(labels: NDArray[np.int32], first: int) -> NDArray[np.int64]:
    """Labels of a band as numbers within the whole image, of which its first has `first`."""
    return np.where(labels > 0, labels.astype(np.int64) + (first - 1), 0)


def _touching(above: NDArray[np.int64], below: NDArray[np.int64]) -> NDArray[np.int64]:
    """The pairs of parts that touch where two bands meet, (n, 2)."""
    width = len(above)
    pairs = []
    for shift in (-1, 0, 1):
        left = slice(max(0, -shift), width - max(0, shift))
        right = slice(max(0, shift), width - max(0, -shift))
        pair = np.stack([above[left], below[right]], axis=1)
        pairs.append(pair[(pair > 0).all(axis=1)])
    return np.unique(np.concatenate(pairs), axis=0)


def _highest(
    values: NDArray[np.uint8], groups: NDArray[np.integer], count: int, most: int
) -> NDArray[np.uint8]:
    """The highest values of each of `count` groups, (count, most), 0 where a group has fewer."""
    order = np.lexsort((255 - values, groups))
    values, groups = values[order], groups[order]
    rank = np.arange(len(groups)) - np.searchsorted(groups, groups)
    kept = rank < most
    found = np.zeros((count, most), np.uint8)
    found[groups[kept], rank[kept]] = values[kept]
    return found


def _unsure(
    best: NDArray[np.uint8], touching: list[NDArray[np.int64]], min_prob: float
) -> NDArray[np.bool_]:
    """Whether the model is nowhere sure of each part, those that touch taken together."""
    count, most = best.shape
    pairs = np.concatenate([np.empty((0, 2), np.int64), *touching])
    graph = coo_array((np.ones(len(pairs), np.bool_), (pairs[:, 0], pairs[:, 1])), (count, count))
    wholes, whole = connected_components(graph, directed=False)
    values, parts = best.reshape(-1), np.repeat(whole, most)
    found = _highest(values, parts, wholes, most)
    mean = found.sum(axis=1) / np.maximum((found > 0).sum(axis=1), 1) / 255
    unsure = (mean < min_prob)[whole]
    unsure[0] = False
    return unsure
