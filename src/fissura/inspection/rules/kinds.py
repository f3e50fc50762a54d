"""Type of a crack by its course: longitudinal, transverse, diagonal or map."""

from __future__ import annotations

import math

import numpy as np

from fissura.measurement.crack import Crack

LONGITUDINAL, TRANSVERSE, DIAGONAL, MAP = "longitudinal", "transverse", "diagonal", "map"
SECTOR = 22.5  # degrees on either side of a direction: the four sectors of a half circle are equal
BRANCHED, SPREAD, ALIGNED = 6, 1.8, 0.5  # of a map, see `crack_kind`
KINDS = {
    LONGITUDINAL: f"within {SECTOR:g}° of the axis",
    TRANSVERSE: f"within {SECTOR:g}° of the direction across it",
    DIAGONAL: "between them",
    MAP: (
        f"a net without a direction: at least {BRANCHED} branches, together {SPREAD:g} times as "
        "long as the longest path, in no common direction"
    ),
}


def crack_kind(crack: Crack, axis: float = 90.0) -> str:
    """Return the type of a crack, a key of `KINDS`.

    A map crack has at least 6 branches, is at least 1.8 times as long as its longest path, and has
    no common direction: the mean of its steps' unit vectors of twice their angle, weighted by
    length, is shorter than 0.5 (1 is a straight line, 0 all directions alike). The others are told
    by the angle between their orientation and the axis.

    Args:
        crack: The crack.
        axis: Direction of the road or member on the photo, in degrees as `Crack.orientation`: 90
            is upright.
    """
    if (
        crack.branches >= BRANCHED
        and crack.length >= SPREAD * crack.longest_path
        and alignment(crack) < ALIGNED
    ):
        return MAP
    angle = abs((crack.orientation - axis + 90) % 180 - 90)
    if angle <= SECTOR:
        return LONGITUDINAL
    return TRANSVERSE if angle >= 90 - SECTOR else DIAGONAL


def alignment(crack: Crack) -> float:
    """Return how much a crack keeps one direction: 1 for a line, 0 where all are alike."""
    steps = [np.diff(line, axis=0) for line in crack.lines if len(line) > 1]
    if not steps:
        return 1.0
    rows, columns = np.concatenate(steps).T
    length, angle = np.hypot(rows, columns), np.arctan2(-rows, columns)
    total = float(length.sum())
    if not total:
        return 1.0
    across = float((length * np.sin(2 * angle)).sum())
    return math.hypot(float((length * np.cos(2 * angle)).sum()), across) / total
