"""The skeleton of a mask of any size, found window by window, with nothing cut at the seams.

A skeleton is thin and cracks are rare, so that its points fit into memory where the image does not.
Thinning and distances depend on near pixels only: a window that is read with enough of a halo has
the skeleton that the whole image has there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from fissura.measurement.thinning import thin

# Called with top, left, bottom, right of a window; returns the probabilities (h, w) in it.
Read = Callable[[int, int, int, int], NDArray[np.float32]]
# Likewise, returns the crack pixels in it.
ReadMask = Callable[[int, int, int, int], NDArray[np.bool_]]

WINDOW = 2048
HALO = 128
EIGHT = np.ones((3, 3), np.int8)  # neighbors of a pixel, diagonal ones too


@dataclass(frozen=True)
class Skeleton:
    """The points of a skeleton, row by row, and the connected components of the mask.

    Attributes:
        points: (n, 2) row and column.
        radius: (n,) distance to the nearest pixel outside the mask; 1 where a crack is one wide.
        component: (n,) the component that each point lies in.
        area: (c,) pixels of each component.
        box: (c, 4) top, left, bottom, right of each component, the last two one past its end.
        anchor: (c, 2) its first pixel.
        size_hw: Height and width of the image.
    """

    points: NDArray[np.int32]
    radius: NDArray[np.float32]
    component: NDArray[np.int32]
    area: NDArray[np.int64]
    box: NDArray[np.int64]
    anchor: NDArray[np.int64]
    size_hw: tuple[int, int]


def find_skeleton(
    read: ReadMask, size_hw: tuple[int, int], *, window: int = WINDOW, halo: int = HALO
) -> Skeleton:
    """Find the skeleton of a mask.

    A pair of rounds of `thin` depends on pixels up to 2 away, and it takes about as many pairs as
    the thickest crack has pixels to its middle; so the halo of a window is at least four times
    that, and is made larger where it is less. The result does not depend on `window`.

    Args:
        read: The crack pixels in a window.
        size_hw: Height and width of the image.
        window: Side of the windows without their halo.
        halo: Least width of the surroundings that are read with a window.
    """
    # Points, radius and label, in as little memory as they fit into.
    columns: tuple[list[NDArray[Any]], ...] = (
        [np.empty((0, 2), np.int32)],
        [np.empty(0, np.float32)],
        [np.empty(0, np.int32)],
    )
    components = _Components(size_hw[1])
    thinned = None
    for core in windows(size_hw, window):
        top, left, bottom, right = core
        # A crack so thick that the whole image was needed: that is thinned once.
        if thinned is None or thinned[0].shape != size_hw:
            thinned = _thinned(read, core, size_hw, halo)
        mask, skeleton, distance, (row, column) = thinned
        inner = (slice(top - row, bottom - row), slice(left - column, right - column))
        labels = components.add(mask[inner], core)
        points = np.argwhere(skeleton[inner])
        if len(points):
            at = tuple(points.T)
            values = points + np.array([top, left]), distance[inner][at], labels[at]
            for listed, value in zip(columns, values, strict=True):
                listed.append(value.astype(listed[0].dtype))
    points, radius, labels = map(_emptied, columns)
    order = np.lexsort((points[:, 1], points[:, 0]))
    component, area, box, anchor = components.joined()
    return Skeleton(
        points[order],
        radius[order],
        component[labels[order]].astype(np.int32),
        area,
        box,
        anchor,
        size_hw,
    )


def _emptied(arrays: list[NDArray[Any]]) -> NDArray[Any]:
    """Concatenate arrays and empty the list, so that their memory is free."""
    joined = np.concatenate(arrays)
    arrays.clear()
    return joined


def without_dots(skeleton: Skeleton) -> Skeleton:
    """Leave out components of one pixel, whose centerline is at most 2 pixels long.

    Noise makes hundreds of thousands of them.
    """
    return _only(skeleton, skeleton.area > 1)


def moved(skeleton: Skeleton, by: tuple[int, int], size_hw: tuple[int, int]) -> Skeleton:
    """Return the skeleton of a part of an image as one of the whole image.

    Args:
        skeleton: That of the part.
        by: Row and column of the part's first pixel.
        size_hw: Height and width of the image.
    """
    return replace(
        skeleton,
        points=skeleton.points + np.array(by, np.int32),
        box=skeleton.box + np.array([*by, *by]),
        anchor=skeleton.anchor + np.array(by),
        size_hw=size_hw,
    )


def chunks(skeleton: Skeleton, most: int) -> Iterator[Skeleton]:
    """Divide a skeleton into chunks of whole components, from top to bottom.

    Args:
        skeleton: The whole skeleton.
        most: About how many points a chunk has.
    """
    sizes = np.bincount(skeleton.component, minlength=len(skeleton.area))
    order = np.argsort(skeleton.anchor[:, 0], kind="stable")
    chunk = np.empty(len(order), np.int64)
    chunk[order] = (np.cumsum(sizes[order]) - 1) // most
    for each in np.unique(chunk[skeleton.component]):
        yield _only(skeleton, chunk == each)


def _only(skeleton: Skeleton, components: NDArray[np.bool_]) -> Skeleton:
    """The skeleton of some components."""
    if components.all():
        return skeleton
    mine = components[skeleton.component]
    number = np.cumsum(components) - 1
    return Skeleton(
        skeleton.points[mine],
        skeleton.radius[mine],
        number[skeleton.component[mine]].astype(np.int32),
        skeleton.area[components],
        skeleton.box[components],
        skeleton.anchor[components],
        skeleton.size_hw,
    )


def windows(size_hw: tuple[int, int], window: int) -> Iterator[tuple[int, int, int, int]]:
    """Yield top, left, bottom, right of the windows that an image is divided into, row by row.

    Examples:
        >>> list(windows((3, 5), 4))
        [(0, 0, 3, 4), (0, 4, 3, 5)]
    """
    height, width = size_hw
    for top in range(0, height, window):
        for left in range(0, width, window):
            yield top, left, min(top + window, height), min(left + window, width)


def grown(core: tuple[int, int, int, int], by: int, size_hw: tuple[int, int]) -> tuple[int, ...]:
    """Return the window with `by` more pixels on each side, as far as the image reaches."""
    top, left, bottom, right = core
    height, width = size_hw
    return max(top - by, 0), max(left - by, 0), min(bottom + by, height), min(right + by, width)


def _thinned(
    read: ReadMask, core: tuple[int, int, int, int], size_hw: tuple[int, int], halo: int
) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.float32], tuple[int, int]]:
    """Mask, skeleton and distances of the core and its halo, and their first row and column."""
    while True:
        top, left, bottom, right = grown(core, halo, size_hw)
        mask = read(top, left, bottom, right)
        skeleton, distance = np.zeros(mask.shape, bool), np.zeros(mask.shape, np.float32)
        if not mask.any():
            return mask, skeleton, distance, (top, left)
        # Padded, so that there is an outside even where the mask is everywhere.
        padded = np.pad(mask.view(np.uint8), 1, mode="edge")
        open_sides = (top == 0, bottom == size_hw[0], left == 0, right == size_hw[1])
        for is_open, side in zip(open_sides, _sides(padded), strict=True):
            if is_open:
                side[:] = 0
        if not padded.all():
            whole = cv2.distanceTransform(padded, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
            distance = whole[1:-1, 1:-1].astype(np.float32)
        everything = (top, left, bottom, right) == (0, 0, *size_hw)
        if everything or (not padded.all() and 4 * float(distance[mask].max()) <= halo):
            break
        halo *= 2
    filled = ndimage.find_objects(mask.view(np.uint8))[0]
    skeleton[filled] = thin(mask[filled])
    return mask, skeleton, distance, (top, left)


def label_components(mask: NDArray[np.bool_]) -> tuple[NDArray[np.int32], int]:
    """Number the connected components of a mask (h, w) from 1, diagonal neighbors joined."""
    labels = np.empty(mask.shape, np.int32)
    return labels, int(ndimage.label(mask, EIGHT, output=labels))  # pyright: ignore[reportArgumentType]


def _sides(padded: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], ...]:
    """Views of the four border lines: top, bottom, left, right."""
    return padded[0], padded[-1], padded[:, 0], padded[:, -1]


class _Components:
    """Connected components, labeled window by window and joined where windows meet."""

    def __init__(self, width: int) -> None:
        self.count = 0
        self.sizes: list[NDArray[np.int64]] = []
        self.boxes: list[NDArray[np.int64]] = []
        self.anchors: list[NDArray[np.int64]] = []
        self.pairs: list[NDArray[np.int64]] = []
        # Labels of the last row above the current row of windows, of its first and its last row,
        # and of the last column of the window to the left; -1 where there is no crack.
        self.above = np.full(width, -1, np.int64)
        self.first, self.last = self.above.copy(), self.above.copy()
        self.beside = np.empty(0, np.int64)

    def add(self, mask: NDArray[np.bool_], core: tuple[int, int, int, int]) -> NDArray[np.int64]:
        """Label the components of a window, -1 outside; windows come row by row."""
        top, left, _, right = core
        found, count = label_components(mask)
        labels = np.where(mask, found.astype(np.int64) + (self.count - 1), -1)
        self.count += count
        if count:
            self.sizes.append(np.bincount(found.ravel())[1:])
            slices: list[tuple[slice, slice]] = ndimage.find_objects(found)
            boxes = [(rows.start, cols.start, rows.stop, cols.stop) for rows, cols in slices]
            self.boxes.append(np.array(boxes) + np.array([top, left, top, left]))
            inside = np.flatnonzero(mask)
            firsts = inside[np.unique(found.ravel()[inside], return_index=True)[1]]
            self.anchors.append(
                np.stack(np.divmod(firsts, mask.shape[1]), 1) + np.array([top, left])
            )
        if left:
            self._join(self.beside, labels[:, 0])
        self.beside = labels[:, -1]
        self.first[left:right], self.last[left:right] = labels[0], labels[-1]
        if right == len(self.above):  # the row of windows is complete
            self._join(self.above, self.first)
            self.above = self.last.copy()
        return labels

    def _join(self, one: NDArray[np.int64], other: NDArray[np.int64]) -> None:
        """Note the components that touch across a seam, along it or diagonally."""
        for a, b in ((one, other), (one[1:], other[:-1]), (one[:-1], other[1:])):
            both = (a >= 0) & (b >= 0)
            if both.any():
                self.pairs.append(np.unique(np.stack([a[both], b[both]], 1), axis=0))

    def joined(self) -> tuple[NDArray[np.int64], ...]:
        """The component of each label, and pixels, box and first pixel of each component."""
        if not self.count:
            none = np.empty(0, np.int64)
            return none, none, np.empty((0, 4), np.int64), np.empty((0, 2), np.int64)
        pairs = np.concatenate(self.pairs or [np.empty((0, 2), np.int64)])
        graph = coo_array((np.ones(len(pairs), np.int8), tuple(pairs.T)), (self.count, self.count))
        count, component = connected_components(graph, directed=False)
        component = component.astype(np.int64)
        area = np.bincount(component, np.concatenate(self.sizes), count).astype(np.int64)
        boxes, anchors = np.concatenate(self.boxes), np.concatenate(self.anchors)
        box = np.tile(np.array([np.iinfo(np.int64).max] * 2 + [0, 0]), (count, 1))
        np.minimum.at(box[:, :2], component, boxes[:, :2])
        np.maximum.at(box[:, 2:], component, boxes[:, 2:])
        anchor = np.empty((count, 2), np.int64)
        order = np.lexsort((anchors[:, 1], anchors[:, 0]))[::-1]
        anchor[component[order]] = anchors[order]  # the first pixel comes last and stays
        return component, area, box, anchor
