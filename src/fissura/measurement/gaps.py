"""Bridges over gaps between cracks that go on in each other's direction."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from fissura.measurement.graph import Branch, Graph

MOST_TURN = 30.0  # degrees


def bridge_gaps(graph: Graph, tips: dict[int, NDArray[np.float64]], longest: float) -> set[int]:
    """Join free ends that are at most `longest` pixels apart and point at each other.

    Two ends point at each other where the straight line from one tip to the other turns by at most
    30° from the direction of either. Shorter gaps are bridged first, and each tip once.

    Args:
        graph: Nodes and branches; the bridges are added to it.
        tips: Of each free end's node, the unit direction (2,) in which its crack leaves.
        longest: In pixels, 0 or more; 0 bridges nothing.

    Returns:
        The numbers of the new branches.
    """
    nodes = np.array(sorted(tips))
    if not longest or len(nodes) < 2:
        return set()
    points, ahead = graph.point[nodes], np.array([tips[node] for node in nodes])
    pairs = KDTree(points).query_pairs(longest, output_type="ndarray")
    gap = points[pairs[:, 1]] - points[pairs[:, 0]]
    length = np.hypot(*gap.T)
    to_other = gap / np.maximum(length, 1e-9)[:, None]
    least = np.cos(np.radians(MOST_TURN))
    facing = ((ahead[pairs[:, 0]] * to_other).sum(1) >= least) & (
        (ahead[pairs[:, 1]] * -to_other).sum(1) >= least
    )
    bridged: set[int] = set()
    used: set[int] = set()
    for index in np.argsort(length, kind="stable"):
        one, other = nodes[pairs[index]].tolist()
        if not facing[index] or {one, other} & used:
            continue
        used |= {one, other}
        line = np.vstack([graph.point[one], graph.point[other]])
        radius = np.array([graph.radius[one], graph.radius[other]])
        bridged.add(graph.add(Branch((one, other), line, radius)))
    return bridged
