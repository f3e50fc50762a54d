"""Centerlines of all cracks of a photo as even points in the old photo's frame, with widths."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from fissura.measurement.crack import Crack

STEP = 1.0  # pixels of the old photo between points
FREE = 2.5  # pixels: an end that is farther from all other branches is free
BACK = 6  # points behind an end, from which its direction follows
BESIDE = 3.0  # pixels: a width measured farther off is not the width of a point

Points = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Centerlines:
    """Points along the centerlines of a photo's cracks; arrays are (n, …), branch after branch.

    Attributes:
        points: (n, 2) row and column in the old photo, or on its slanted surface, in pixels of the
            mean size.
        seen: (n, 2) row and column in the old photo.
        source: (n, 2) the same points in the photo that they were measured on.
        weights: (n,) length that each stands for, in pixels of the old photo.
        crack: (n,) position of its crack in the photo's list.
        branch: (n,) number of its branch, rising.
        outward: (n, 2) direction of the crack where it ends freely; NaN elsewhere.
        widths: (n,) in pixels of the old photo; NaN where none was measured.
        errors: (n,) their uncertainties.
        normals: (n, 2) unit vectors across the crack in `source`.
        source_widths: (n,) the widths in pixels of the photo that they were measured on.
    """

    points: Points
    seen: Points
    source: Points
    weights: NDArray[np.float64]
    crack: NDArray[np.int64]
    branch: NDArray[np.int64]
    outward: Points
    widths: NDArray[np.float64]
    errors: NDArray[np.float64]
    normals: Points
    source_widths: NDArray[np.float64]

    def moved(
        self, to_old: Callable[[Points], Points]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return weights and widths as another registration would have them.

        Args:
            to_old: Turns `source` into what `points` are.
        """
        return _weights(to_old(self.source), self.branch), _sizes(self, to_old)


def centerlines(
    cracks: Sequence[Crack],
    to_old: Callable[[Points], Points] | None = None,
    scale: float = 1.0,
    flat: Callable[[Points], Points] | None = None,
) -> Centerlines:
    """Take even points along the centerlines of cracks.

    Args:
        cracks: Cracks of the photo.
        to_old: Turns points (n, 2), row and column, into those of the old photo; None for the old
            photo itself.
        scale: Pixels of the old photo per pixel of this one.
        flat: Turns points of the old photo into those of its slanted surface; None where it is seen
            squarely.
    """
    source, crack_of, branch, outward, normals, widths, errors = _columns(cracks, STEP / scale)
    seen_by = to_old or (lambda points: points)
    seen = seen_by(source)

    def place(points: Points) -> Points:
        return seen_by(points) if flat is None else flat(seen_by(points))

    points = place(source)
    ends = np.isfinite(outward[:, 0])
    ahead = np.full_like(outward, np.nan)
    ahead[ends] = place(source[ends] + outward[ends]) - points[ends]
    found = Centerlines(
        points=points,
        seen=seen,
        source=source,
        weights=_weights(points, branch),
        crack=crack_of.astype(np.int64),
        branch=branch.astype(np.int64),
        outward=ahead / np.hypot(*ahead.T)[:, None],
        widths=widths,
        errors=errors,
        normals=normals,
        source_widths=widths,
    )
    sizes = _sizes(found, place)
    return replace(found, widths=sizes, errors=errors * sizes / np.maximum(widths, 1e-9))


def _columns(cracks: Sequence[Crack], step: float) -> list[NDArray]:
    """Return points, crack, branch, outward, normals, widths and errors of all branches."""
    parts: list[tuple[NDArray, ...]] = []
    for position, crack in enumerate(cracks):
        lines = [_even(line, step) for line in crack.lines if len(line) > 1]
        for index, line in enumerate(lines):
            others = [other for at, other in enumerate(lines) if at != index]
            parts.append(
                (
                    line,
                    np.full(len(line), position),
                    np.full(len(line), len(parts)),
                    _outward(line, others),
                    _normals(line),
                    *_widths(crack, line),
                )
            )
    if not parts:
        points, numbers, values = np.empty((0, 2)), np.empty(0, int), np.empty(0)
        return [points, numbers, numbers, points, points, values, values]
    return [np.concatenate(column) for column in zip(*parts, strict=True)]


def _sizes(lines: Centerlines, to_old: Callable[[Points], Points]) -> NDArray[np.float64]:
    """Return the widths in pixels of the old photo: what a registration makes of their ends."""
    across = lines.normals * (lines.source_widths / 2)[:, None]
    return np.hypot(*(to_old(lines.source + across) - to_old(lines.source - across)).T)


def _even(line: Points, step: float) -> Points:
    """Take points at even distances along a line, its ends among them."""
    along = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(line, axis=0).T))])
    count = max(2, round(float(along[-1]) / step) + 1)
    at = np.linspace(0, along[-1], count)
    return np.stack([np.interp(at, along, line[:, axis]) for axis in (0, 1)], 1)


def _weights(points: Points, branch: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the length that each point stands for: half of the way to either neighbor."""
    weights = np.zeros(len(points))
    if len(points) > 1:
        steps = np.hypot(*np.diff(points, axis=0).T) * (branch[1:] == branch[:-1])
        weights[1:] += steps / 2
        weights[:-1] += steps / 2
    return weights


def _normals(line: Points) -> Points:
    """Return unit vectors across a line at each of its points."""
    ahead = np.asarray(np.gradient(line, axis=0), np.float64)
    if len(line) > 4:
        wide = np.empty_like(line)
        wide[2:-2] = line[4:] - line[:-4]
        wide[:2], wide[-2:] = wide[2], wide[-3]
        ahead = wide
    ahead /= np.maximum(np.hypot(*ahead.T), 1e-9)[:, None]
    return np.stack([-ahead[:, 1], ahead[:, 0]], 1)


def _outward(line: Points, others: Sequence[Points]) -> Points:
    """Return the direction in which a line ends freely, at its ends; NaN elsewhere."""
    outward = np.full_like(line, np.nan)
    tree = KDTree(np.concatenate(others)) if others else None
    for end, inner in ((0, min(BACK, len(line) - 1)), (-1, max(-1 - BACK, -len(line)))):
        if tree is None or float(tree.query(line[end])[0]) > FREE:
            away = line[end] - line[inner]
            if np.hypot(*away) > 0:
                outward[end] = away / np.hypot(*away)
    return outward


def _widths(crack: Crack, line: Points) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the width measured beside each point of a line, and its uncertainty; NaN for none."""
    widths, errors = np.full(len(line), np.nan), np.full(len(line), np.nan)
    if len(crack.widths):
        found = KDTree(crack.samples).query(line)
        distance, nearest = np.asarray(found[0]), np.asarray(found[1])
        near = distance <= BESIDE
        widths[near] = crack.widths[nearest[near]]
        errors[near] = crack.width_errors[nearest[near]]
    return widths, errors
