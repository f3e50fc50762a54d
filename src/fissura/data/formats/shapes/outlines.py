"""Outlines of pixels, along their edges, so that painting them gives the same pixels again."""

from __future__ import annotations

from collections import defaultdict

import cv2
import numpy as np
from numpy.typing import NDArray

from fissura.data.formats.annotation import Polygon

INSET = 0.01
# Directions of the edges around a pixel, clockwise as y points down: right, down, left, up.
_STEPS = np.array([[1, 0], [0, 1], [-1, 0], [0, -1]])


def components(pixels: NDArray[np.bool_]) -> list[tuple[NDArray[np.bool_], int, int]]:
    """Divide pixels into connected components; pixels that touch at a corner are connected.

    Args:
        pixels: bool (h, w).

    Returns:
        For each component its pixels within its box, and the box's first row and column.
    """
    if not pixels.any():  # of a box without pixels, OpenCV ends the process
        return []
    count, labels, stats, _ = cv2.connectedComponentsWithStats(
        pixels.astype(np.uint8), connectivity=8
    )
    found = []
    for number in range(1, count):
        left, top, width, height = stats[number, :4].tolist()
        found.append((labels[top : top + height, left : left + width] == number, top, left))
    return found


def outlines(pixels: NDArray[np.bool_]) -> list[Polygon]:
    """Return the outline of each component, with its holes.

    Points lie at corners of pixels, and only where the outline turns. Pixels that touch at a corner
    are connected, and so an outline may touch itself there.

    Args:
        pixels: bool (h, w).

    >>> [polygon.outer.tolist() for polygon in outlines(np.array([[False, True, True]]))]
    [[[1.0, 0.0], [3.0, 0.0], [3.0, 1.0], [1.0, 1.0]]]
    """
    if not pixels.any():
        return []
    _, labels = cv2.connectedComponents(pixels.astype(np.uint8), connectivity=8)
    outer: dict[int, NDArray[np.float64]] = {}
    holes: dict[int, list[NDArray[np.float64]]] = defaultdict(list)
    for ring, row, column in _rings(pixels):
        number = int(labels[row, column])
        if _area(ring) > 0:
            outer[number] = ring
        else:
            holes[number].append(ring)
    return [Polygon(ring, tuple(holes[number])) for number, ring in sorted(outer.items())]


def inset(ring: NDArray[np.float64]) -> NDArray[np.float64]:
    """Move an outline or a hole along the edges of pixels by 1/100 pixel into the shape.

    Programs that fill outlines with OpenCV (Ultralytics, supervision) drop the fractions of
    coordinates and paint the outline's own pixels, too. Those of an outline on the far edges would
    lie outside; a hundredth before, they are the outermost ones of the shape.
    """
    ahead = np.sign(np.roll(ring, -1, axis=0) - ring)
    inward = np.stack([-ahead[:, 1], ahead[:, 0]], axis=1)  # the shape is on the right hand
    return ring + INSET * (inward + np.roll(inward, 1, axis=0))


def keyhole(polygon: Polygon) -> NDArray[np.float64]:
    """Join an outline with its holes to one outline.

    Each hole is joined by two lines that lie on each other and run from its leftmost edge to the
    left until they meet what is joined already: through pixels of the shape, so that nothing
    changes for a program that paints lines, too.

    Args:
        polygon: Along the edges of pixels, as `outlines` gives it, or after `inset`.

    Returns:
        (n, 2) x and y.
    """
    joined = polygon.outer
    for hole in sorted(polygon.holes, key=lambda ring: ring[:, 0].min()):
        # The leftmost edge of the hole, and a place on it that is no corner of any pixel.
        after = np.roll(hole, -1, axis=0)
        upright = np.flatnonzero((hole[:, 0] == hole[:, 0].min()) & (hole[:, 0] == after[:, 0]))
        at = int(upright[0])
        x, y = hole[at, 0], np.ceil(min(hole[at, 1], after[at, 1])) + 0.5
        start, end = joined, np.roll(joined, -1, axis=0)
        crosses = ((start[:, 1] > y) != (end[:, 1] > y)) & (start[:, 0] < x)
        met = int(np.flatnonzero(crosses)[np.argmax(start[crosses, 0])])
        bridge = np.array([[start[met, 0], y]]), np.array([[x, y]])
        around = np.roll(hole, -(at + 1), axis=0)
        joined = np.concatenate(
            [
                joined[: met + 1],
                bridge[0],
                bridge[1],
                around,
                bridge[1],
                bridge[0],
                joined[met + 1 :],
            ]
        )
    return joined


def _rings(pixels: NDArray[np.bool_]) -> list[tuple[NDArray[np.float64], int, int]]:
    """Closed outlines with the shape on the right hand, and row and column of a pixel of each."""
    padded = np.pad(pixels, 1)
    neighbors = (padded[:-2, 1:-1], padded[1:-1, 2:], padded[2:, 1:-1], padded[1:-1, :-2])
    corner = np.array([[0, 0], [1, 0], [1, 1], [0, 1]])  # where the edge of a side begins
    parts = []
    for direction, neighbor in enumerate(neighbors):
        rows, columns = np.nonzero(pixels & ~neighbor)
        x, y = columns + corner[direction, 0], rows + corner[direction, 1]
        parts.append(np.stack([x, y, np.full(len(x), direction), rows, columns], axis=1))
    edges = np.concatenate(parts)
    following = _following(edges, pixels.shape[1])
    turns = edges[:, 2] != edges[following, 2]
    rings, left = [], np.ones(len(edges), np.bool_)
    order, corners = following.tolist(), (edges[:, :2] + _STEPS[edges[:, 2]]).astype(np.float64)
    for first in range(len(edges)):
        if not left[first]:
            continue
        ring, edge = [], first
        while left[edge]:
            left[edge] = False
            ring.append(edge)
            edge = order[edge]
        own = np.array(ring)
        points = corners[own[turns[own]]]
        begin = int(np.lexsort((points[:, 0], points[:, 1]))[0])  # the topmost, leftmost corner
        rings.append((np.roll(points, -begin, axis=0), int(edges[first, 3]), int(edges[first, 4])))
    return rings


def _following(edges: NDArray[np.int64], width: int) -> NDArray[np.int64]:
    """The edge that follows each one: where two begin, that to the left, which joins corners."""
    begin = edges[:, 1] * (width + 1) + edges[:, 0]
    ends = edges[:, :2] + _STEPS[edges[:, 2]]
    end = ends[:, 1] * (width + 1) + ends[:, 0]
    order = np.argsort(begin, kind="stable")
    first = np.searchsorted(begin[order], end, side="left")
    last = np.searchsorted(begin[order], end, side="right") - 1
    one, other = order[first], order[last]
    to_left = (edges[:, 2] + 3) % 4
    return np.where(edges[one, 2] == to_left, one, np.where(edges[other, 2] == to_left, other, one))


def _area(ring: NDArray[np.float64]) -> float:
    """Area within a ring, positive where the shape lies inside of it."""
    x, y = ring.T
    return float((x * np.roll(y, -1) - np.roll(x, -1) * y).sum()) / 2
