"""Pixels that a record keeps: the runs of its cracks, and of those that belong to none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fissura.data.formats.shapes.runs import crack_runs
from fissura.inference.rasters.opening import LARGE, probability_reader
from fissura.measurement import Crack, crack_labels


def specks_of(mask: NDArray[np.bool_], labels: NDArray[np.int32]) -> NDArray[np.int64]:
    """Return the runs of the pixels of a mask that belong to no crack.

    Args:
        mask: Where there is crack, (h, w).
        labels: The number of the crack at each pixel, 0 elsewhere, (h, w).
    """
    return crack_runs((mask & (labels == 0)).astype(np.int32), 1)[0]


def pixels_of_raster(mask: Path, size_hw: tuple[int, int], cracks: list[Crack]) -> dict[str, Any]:
    """Return the runs of an image measured by windows; none where it is too large to have whole.

    Args:
        mask: GeoTIFF of the mask.
        size_hw: Height and width.
        cracks: Its cracks.

    Returns:
        The fields `runs` and `specks` of a record.
    """
    found = _whole_mask(mask, size_hw)
    if found is None:
        return {"runs": None}
    labels = crack_labels(found, cracks)
    return {"runs": crack_runs(labels, len(cracks)), "specks": specks_of(found, labels)}


def labels_of_raster(
    mask: Path, size_hw: tuple[int, int], cracks: list[Crack]
) -> NDArray[np.int32] | None:
    """Return the numbers of cracks at their pixels; None where the image is too large for that.

    Args:
        mask: GeoTIFF of the mask.
        size_hw: Height and width.
        cracks: Its cracks.
    """
    found = _whole_mask(mask, size_hw)
    return None if found is None else crack_labels(found, cracks)


def _whole_mask(mask: Path, size_hw: tuple[int, int]) -> NDArray[np.bool_] | None:
    """Read a mask; None where it is too large to have it whole."""
    height, width = size_hw
    if height * width > LARGE:
        return None
    with probability_reader(mask) as stored:
        return np.asarray(stored.read(0, 0, height, width)) > 0
