"""Widths: where along its centerline a crack's width is measured, and the widths there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fissura.measurement.centerline import free_of_junctions, normal, search_reach, tangents
from fissura.measurement.graph import Graph
from fissura.measurement.profiles import Edges, find_edges
from fissura.measurement.skeleton import Read


@dataclass(frozen=True)
class Widths:
    """The widths of all branches, one branch after another.

    Attributes:
        branch: (n,) number of the branch.
        samples: (n, 2) points where the widths were measured, in the middle between the edges.
        widths: (n,) in pixels.
        errors: (n,) their uncertainties, one standard deviation.
    """

    branch: NDArray[np.int64]
    samples: NDArray[np.float64]
    widths: NDArray[np.float64]
    errors: NDArray[np.float64]


def measure_widths(
    graph: Graph,
    bridged: set[int],
    read: Read,
    size_hw: tuple[int, int],
    threshold: float,
    prob_error: float,
) -> Widths:
    """Measure the width at each point of the branches, but not within junctions and at tips.

    Args:
        graph: Final branches.
        bridged: Numbers of the branches that are bridges and have no width.
        read: The probabilities in a window.
        size_hw: Height and width of the image.
        threshold: Probability of an edge.
        prob_error: Standard deviation of the probabilities at the edges.
    """
    columns: list[tuple[NDArray[np.float64], ...]] = []
    measured = {key: branch for key, branch in graph.branches.items() if key not in bridged}
    along = tangents([branch.points for branch in measured.values()])
    start = 0
    for number, branch in measured.items():
        own = slice(start, start := start + len(branch.points))
        free = free_of_junctions(graph, branch)
        # A tip has no width: it is where the crack ends.
        for side, node in zip((0, -1), branch.ends, strict=True):
            free[side] &= len(graph.at[node]) > 1
        if free.any():
            ahead = along[own][free]
            numbers = np.full(len(ahead), float(number))
            columns.append((numbers, branch.points[free], normal(ahead), branch.radius[free]))
    if not columns:
        return Widths(np.empty(0, np.int64), np.empty((0, 2)), np.empty(0), np.empty(0))
    numbers, points, normals, radius = (
        np.concatenate(column) for column in zip(*columns, strict=True)
    )
    edges = find_edges(
        read, size_hw, threshold, points, normals, search_reach(radius), prob_error=prob_error
    )
    inside = _inside(points, normals, edges, size_hw)
    known = np.isfinite(edges.before) & np.isfinite(edges.after) & inside
    return Widths(
        numbers[known].astype(np.int64),
        points[known] + ((edges.before + edges.after) / 2)[known, None] * normals[known],
        (edges.after - edges.before)[known],
        edges.error[known],
    )


def _inside(
    points: NDArray[np.float64],
    normals: NDArray[np.float64],
    edges: Edges,
    size_hw: tuple[int, int],
) -> NDArray[np.bool_]:
    """Whether both edges are those of the crack, and neither that of the image."""
    inside = np.ones(len(points), bool)
    for distance in (edges.before, edges.after):
        at = points + distance[:, None] * normals
        inside &= ((at > 0) & (at < np.array(size_hw) - 1)).all(1)
    return inside
