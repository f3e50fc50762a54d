"""The graph of a skeleton: ends and junctions as nodes, and the branches between them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from fissura.measurement.skeleton import Skeleton

SHORTEST_BRANCH = 4.0  # pixels; shorter ones with a free end come from ragged edges


@dataclass(eq=False)
class Branch:
    """A line of a skeleton from one node to another, without junctions between.

    Attributes:
        ends: The two nodes; a ring begins and ends in one.
        points: (k, 2) from node to node, both included.
        radius: (k,) distance of each point to the crack's edge, in pixels.
    """

    ends: tuple[int, int]
    points: NDArray[np.float64]
    radius: NDArray[np.float64]

    @property
    def length(self) -> float:
        """Length of the line through its points, in pixels."""
        return float(np.hypot(*np.diff(self.points, axis=0).T).sum())


@dataclass(eq=False)
class Graph:
    """Nodes and branches; the steps of measuring change them in place.

    Attributes:
        point: (n, 2) of each node: the center of its pixels.
        radius: (n,) distance of each node to the crack's edge, in pixels.
        component: (n,) the component that each node lies in.
        branches: The branches by their numbers.
        at: The numbers of the branches at each node; a ring is there twice.
    """

    point: NDArray[np.float64]
    radius: NDArray[np.float64]
    component: NDArray[np.int64]
    branches: dict[int, Branch] = field(default_factory=dict)
    at: defaultdict[int, list[int]] = field(default_factory=lambda: defaultdict(list))

    def add(self, branch: Branch, number: int | None = None) -> int:
        """Add a branch.

        Args:
            branch: The branch.
            number: Its number; by default a new one.

        Returns:
            The number.
        """
        if number is None:
            number = max(self.branches, default=-1) + 1
        self.branches[number] = branch
        for node in branch.ends:
            self.at[node].append(number)
        return number

    def remove(self, number: int) -> None:
        """Remove the branch of a number."""
        for node in self.branches.pop(number).ends:
            self.at[node].remove(number)


def build_graph(skeleton: Skeleton) -> Graph:
    """Turn the points of a skeleton into nodes and branches.

    Points are neighbors along rows, columns and diagonals; a diagonal does not count where two
    straight steps lead to the same point, so that a corner is no junction. Points with one
    neighbor are ends, those with three or more are junctions; junction points that touch are one.

    Args:
        skeleton: The points, row by row.

    Returns:
        The graph, with branches numbered from 0.
    """
    edges = _edges(skeleton)
    count = len(skeleton.points)
    degree = np.bincount(edges.ravel(), minlength=count)
    node, centers, radii, components = _nodes(skeleton, edges, degree)
    graph = Graph(centers, radii, components)
    neighbors = _Neighbors(edges, count)
    seen, node_of = bytearray(count), node.data
    paths = (
        path
        for start in np.flatnonzero(node >= 0).tolist()
        for path in _paths(start, neighbors, node_of, seen)
    )
    for number, path in enumerate(paths):
        ends = (int(node[path[0]]), int(node[path[-1]]))
        inner = path[1:-1]
        points = np.vstack([centers[ends[0]], skeleton.points[inner], centers[ends[1]]])
        radius = np.concatenate([[radii[ends[0]]], skeleton.radius[inner], [radii[ends[1]]]])
        graph.add(Branch(ends, points.astype(np.float64), radius), number)
    return graph


def prune(graph: Graph, spur: float) -> None:
    """Remove spurs, in place: branches with a free end that hardly leave their crack.

    A branch with a free end is a spur where it is shorter than `spur` times the width of the crack
    at its junction (twice the distance to the edge), or shorter than 4 pixels. All spurs of a
    junction go at once; where that would leave nothing, its two longest branches stay. Two
    branches that are left at a former junction become one. This is repeated until nothing changes.

    Args:
        graph: Nodes and branches.
        spur: 0 or more; 0 prunes nothing.
    """
    if not spur:
        return
    changed = {node for node, at in graph.at.items() if len(at) > 2}
    while changed:
        again: set[int] = set()
        for node in sorted(changed):
            again |= _prune_at(graph, node, spur)
        changed = {node for node in again if len(graph.at[node]) > 2}


def _prune_at(graph: Graph, node: int, spur: float) -> set[int]:
    """Remove the spurs at a junction; return the junctions whose branches have changed."""
    least = max(spur * (2 * graph.radius[node] - 1), SHORTEST_BRANCH)
    lengths = {number: graph.branches[number].length for number in graph.at[node]}
    spurs = [
        number
        for number, length in sorted(lengths.items(), key=lambda item: -item[1])
        if length < least and _ends_freely(graph, number, node)
    ]
    if len(spurs) == len(graph.at[node]):
        spurs = spurs[2:]
    for number in spurs:
        graph.remove(number)
    if not spurs or len(graph.at[node]) != 2:
        return set()
    return _merge(graph, node)


def _ends_freely(graph: Graph, number: int, node: int) -> bool:
    """Whether the other end of a branch that begins at a node is free."""
    one, other = graph.branches[number].ends
    return one != other and len(graph.at[other if one == node else one]) == 1


def _merge(graph: Graph, node: int) -> set[int]:
    """Make one branch of the two at a node; return the nodes at its ends."""
    first, second = graph.at[node]
    if first == second:  # a ring keeps its node
        return set()
    one, other = graph.branches[first], graph.branches[second]
    if one.ends[1] != node:
        one = _turned(one)
    if other.ends[0] != node:
        other = _turned(other)
    graph.remove(first)
    graph.remove(second)
    joined = Branch(
        (one.ends[0], other.ends[1]),
        np.vstack([one.points, other.points[1:]]),
        np.concatenate([one.radius, other.radius[1:]]),
    )
    graph.add(joined, min(first, second))
    return set(joined.ends)


def _turned(branch: Branch) -> Branch:
    """The branch from its other end."""
    one, other = branch.ends
    return Branch((other, one), branch.points[::-1], branch.radius[::-1])


def _edges(skeleton: Skeleton) -> NDArray[np.int64]:
    """Pairs (m, 2) of neighboring points."""
    stride = skeleton.size_hw[1] + 2  # so that no step leads around the image's side
    keys = skeleton.points[:, 0].astype(np.int64) * stride + skeleton.points[:, 1] + 1

    def step(rows: int, columns: int) -> NDArray[np.int64]:
        """The point so many rows and columns on, or -1."""
        wanted = keys + (rows * stride + columns)
        at = np.minimum(np.searchsorted(keys, wanted), max(len(keys) - 1, 0))
        return np.where(keys[at] == wanted, at, -1) if len(keys) else at

    right, left, below = step(0, 1), step(0, -1), step(1, 0)
    diagonals = (
        np.where((right < 0) & (below < 0), step(1, 1), -1),
        np.where((left < 0) & (below < 0), step(1, -1), -1),
    )
    pairs = []
    for other in (right, below, *diagonals):
        here = np.flatnonzero(other >= 0)
        pairs.append(np.stack([here, other[here]], 1))
    return np.concatenate(pairs)


def _nodes(
    skeleton: Skeleton, edges: NDArray[np.int64], degree: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """Each point's node or -1, and center, radius and component of each node.

    A ring without ends or junctions gets a node at its first point.
    """
    count = len(degree)
    junction = degree > 2
    both = edges[junction[edges].all(axis=1)]
    cluster = _connected(both, count)
    whole = _connected(edges, count)
    has_node = np.zeros(count, bool)
    has_node[whole[degree != 2]] = True  # by component
    first = np.full(count, count)
    np.minimum.at(first, whole, np.arange(count))
    rings = first[np.flatnonzero(~has_node & (first < count))]
    is_node = degree != 2
    is_node[rings] = True
    node = np.full(count, -1, np.int64)
    _, node[is_node] = np.unique(cluster[is_node], return_inverse=True)
    members = np.flatnonzero(is_node)
    total = int(node.max(initial=-1)) + 1
    size = np.bincount(node[members], minlength=total)
    centers = (
        np.stack(
            [np.bincount(node[members], skeleton.points[members, axis], total) for axis in (0, 1)],
            1,
        )
        / np.maximum(size, 1)[:, None]
    )
    radii = np.zeros(total)
    np.maximum.at(radii, node[members], skeleton.radius[members])
    components = np.zeros(total, np.int64)
    components[node[members]] = skeleton.component[members]
    return node, centers, radii, components


def _connected(edges: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """The component of each of so many points that pairs connect."""
    matrix = coo_array((np.ones(len(edges), np.int8), tuple(edges.T)), (count, count))
    return connected_components(matrix, directed=False)[1].astype(np.int64)


class _Neighbors:
    """The neighbors of each point, in two arrays; lists of lists take ten times the memory."""

    def __init__(self, edges: NDArray[np.int64], count: int) -> None:
        ends = np.concatenate([edges[:, 0], edges[:, 1]])
        order = np.argsort(ends, kind="stable")
        # Memory views hand out Python's integers, which are what the walk below computes with.
        self._others = np.concatenate([edges[:, 1], edges[:, 0]])[order].data
        self._starts = np.searchsorted(ends[order], np.arange(count + 1)).data

    def __getitem__(self, point: int) -> list[int]:
        return self._others[self._starts[point] : self._starts[point + 1]].tolist()


def _paths(
    start: int, neighbors: _Neighbors, node: memoryview, seen: bytearray
) -> Iterator[list[int]]:
    """Paths from a node's point to the next node's, each from one of its ends only.

    An isolated point has the path from itself to itself.
    """
    beside = neighbors[start]
    if not beside:
        yield [start, start]
    for first in beside:
        if node[first] >= 0:
            if node[first] != node[start] and first > start:
                yield [start, first]
            continue
        if seen[first]:
            continue
        before, here = start, first
        path = [start, first]
        while node[here] < 0:
            seen[here] = True
            one, other = neighbors[here]
            before, here = here, other if one == before else one
            path.append(here)
        yield path
