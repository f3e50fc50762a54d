"""Tips: where the centerline of a crack reaches the crack's end."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fissura.measurement.centerline import cut_blunt_end, end_direction, search_reach
from fissura.measurement.graph import Graph
from fissura.measurement.profiles import find_edges
from fissura.measurement.skeleton import Read


def find_tips(
    graph: Graph, read: Read, size_hw: tuple[int, int], threshold: float
) -> dict[int, NDArray[np.float64]]:
    """Extend branches to the crack's edge at their free ends, in place.

    Args:
        graph: Centered branches.
        read: The probabilities in a window.
        size_hw: Height and width of the image.
        threshold: Probability of an edge.

    Returns:
        For each free end's node the unit direction (2,) in which the crack leaves.
    """
    ends = [
        (node, number, graph.branches[number].ends[0] == node)
        for node, at in graph.at.items()
        if len(at) == 1
        for number in at
    ]
    ends += [  # a single point has two ends
        (branch.ends[0], number, side)
        for number, branch in graph.branches.items()
        if branch.ends[0] == branch.ends[1] and len(branch.points) == 2
        for side in (True, False)
    ]
    if not ends:
        return {}
    for _, number, at_start in ends:
        cut_blunt_end(graph.branches[number], at_start)
    sides = [0 if at_start else -1 for _, _, at_start in ends]
    branches = [graph.branches[number] for _, number, _ in ends]
    points = np.array([b.points[side] for b, side in zip(branches, sides, strict=True)])
    radius = np.array([b.radius[side] for b, side in zip(branches, sides, strict=True)])
    ahead = np.array(
        [end_direction(b, start) for b, (_, _, start) in zip(branches, ends, strict=True)]
    )
    reach = search_reach(2 * radius)
    edges = find_edges(read, size_hw, threshold, points, ahead, reach, prob_error=1.0)
    tips = points + np.nan_to_num(np.maximum(edges.after, 0.0))[:, None] * ahead
    for (node, _, at_start), branch, tip in zip(ends, branches, tips, strict=True):
        order = (tip[None], branch.points) if at_start else (branch.points, tip[None])
        branch.points = np.concatenate(order)
        edge = branch.radius[0 if at_start else -1 :][:1]
        order = (edge, branch.radius) if at_start else (branch.radius, edge)
        branch.radius = np.concatenate(order)
        graph.point[node] = tip
    return {node: direction for (node, _, _), direction in zip(ends, ahead, strict=True)}
