"""Shrink masks, of classes too, and valid masks: by areas, in whole numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def shrink_mask(
    mask: NDArray[np.bool_], size_hw: tuple[int, int], area_threshold: float
) -> NDArray[np.bool_]:
    """Shrink a mask: a new pixel is crack where at least `area_threshold` of its area is.

    The area is exact: old pixels that lie across the border of two new ones count for each by
    their overlap, in whole numbers, so that a fraction equal to the threshold is never missed.

    Args:
        mask: True where there is crack, of shape (height, width).
        size_hw: Height and width of the result, not above those of the mask.
        area_threshold: Fraction of a new pixel's area, in (0, 1], from which it is crack.

    Returns:
        A mask of shape `size_hw`.

    >>> corner = np.zeros((4, 4), bool); corner[0, :2] = True
    >>> shrink_mask(corner, (1, 1), 1 / 8), shrink_mask(corner, (1, 1), 1 / 7)
    (array([[ True]]), array([[False]]))
    """
    rows = _overlaps(mask.shape[0], size_hw[0])
    columns = _overlaps(mask.shape[1], size_hw[1])
    area = rows @ mask.astype(np.float64) @ columns.T
    return area >= area_threshold * mask.shape[0] * mask.shape[1]


def shrink_labels(
    mask: NDArray[Any],
    valid: NDArray[np.bool_] | None,
    size_hw: tuple[int, int],
    area_threshold: float,
    *,
    overlapping: bool = False,
) -> tuple[NDArray[Any], NDArray[np.bool_] | None]:
    """Shrink a mask, of classes too, with its valid mask; `shrink_mask` does the rest.

    A new pixel is valid where at least half of its area is, and areas are then measured against
    the valid one alone. It belongs to a class where all classes together have at least
    `area_threshold` of it, and then to the class that has the most, the first of equals. Where
    classes overlap, each is shrunk by itself.

    Args:
        mask: Of shape (height, width), as in `fissura.data.preparation.prepared.PreparedSet`.
        valid: True where a pixel has a label; None: everywhere.
        size_hw: As in `shrink_mask`.
        area_threshold: As in `shrink_mask`.
        overlapping: Whether the bits of the mask are classes.

    Returns:
        The mask and the valid mask, None where that was None or all is valid.
    """
    if mask.dtype == np.bool_ and valid is None:
        return shrink_mask(mask, size_hw, area_threshold), None
    rows = _overlaps(mask.shape[0], size_hw[0])
    columns = _overlaps(mask.shape[1], size_hw[1])

    def area(where: NDArray[np.bool_]) -> NDArray[np.float64]:
        return rows @ where.astype(np.float64) @ columns.T

    whole = np.full(size_hw, float(mask.size))
    known = whole if valid is None else area(valid)
    kept = known >= whole / 2
    shrunk = np.zeros(size_hw, mask.dtype)
    top = int(mask.max(initial=0))
    if mask.dtype == np.bool_:
        shrunk = area(mask) >= area_threshold * known
    elif overlapping:
        for bit in range(top.bit_length()):
            marked = area(((mask >> bit) & 1) > 0) >= area_threshold * known
            shrunk |= (marked << bit).astype(mask.dtype)
    elif top:
        areas = np.stack([area(mask == number) for number in range(1, top + 1)])
        marked = areas.sum(axis=0) >= area_threshold * known
        shrunk[marked] = (areas.argmax(axis=0) + 1)[marked]
    shrunk[~kept] = 0
    return shrunk, None if kept.all() else kept


def _overlaps(old: int, new: int) -> NDArray[np.float64]:
    """Overlap of each new pixel (rows) with each old one (columns); old pixels are `new` long."""
    starts, begins = np.arange(new)[:, None] * old, np.arange(old)[None] * new
    overlap = np.minimum(starts + old, begins + new) - np.maximum(starts, begins)
    return np.maximum(overlap, 0).astype(np.float64)
