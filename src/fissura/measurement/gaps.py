"""Bridge gaps between cracks that go on in each other's direction."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from fissura.measurement.graph import Branch, Graph

MOST_TURN = 30.0  # degrees


def bridge_gaps(graph: Graph, tips: dict[int, NDArray[np.float64]], longest: float) -> set[int]:
    """Join free ends that are at most `longest` pixels apart and point at each other.

    They do where the straight line from one tip to the other turns by at most 30° from the
    direction of either. Shorter gaps are bridged first, and each tip once.

    tips:     of each free end, the unit direction in which its crack leaves.
    longest:  0 or more; 0 bridges nothing.

    Returns the numbers of the new branches in the graph, which is changed in place.
    """
    nodes = np.array(sorted(tips))
    if not longest or len(nodes) < 2:
        return set()
    places, ahead = graph.place[nodes], np.array([tips[node] for node in nodes])
    pairs = KDTree(places).query_pairs(longest, output_type="ndarray")
    gap = places[pairs[:, 1]] - places[pairs[:, 0]]
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
        points = np.vstack([graph.place[one], graph.place[other]])
        radius = np.array([graph.radius[one], graph.radius[other]])
        bridged.add(graph.add(Branch((one, other), points, radius)))
    return bridged
