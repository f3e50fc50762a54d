"""Skeletons drawn by hand, and what a graph must keep of any."""

import networkx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from fissura.measurement.graph import build_graph, prune
from fissura.measurement.skeleton import find_skeleton


def graph_of(drawing):
    if isinstance(drawing, str):
        rows = drawing.split()
        drawing = np.array([[letter == "#" for letter in row] for row in rows])
    mask = np.asarray(drawing, bool)

    def read(top, left, bottom, right):
        return mask[top:bottom, left:right]

    return build_graph(find_skeleton(read, mask.shape))


def degrees(graph):
    return sorted(len(at) for at in graph.at.values())


@pytest.mark.parametrize(
    ("drawing", "expected", "branches"),
    [
        ("..... .###. .....", [1, 1], 1),
        ("#.... .#... ..#..", [1, 1], 1),
        ("##### ....# ....# ....#", [1, 1], 1),  # a corner is no junction
        ("..#.. ..#.. ##### ..... .....", [1, 1, 1, 3], 3),
        ("#...# .#.#. ..#.. .#.#. #...#", [1, 1, 1, 1, 4], 4),
        (".###. #...# #...# .###.", [2], 1),  # a ring
        (".###... #...#.. #...### .###...", [1, 3], 2),  # a ring with a tail
        ("... .#. ...", [2], 1),  # one point: a branch from itself to itself
        ("##", [1, 1], 1),
    ],
)
def test_drawings(drawing, expected, branches):
    graph = graph_of(drawing)
    assert degrees(graph) == expected
    assert len(graph.branches) == branches


def test_lengths():
    graph = graph_of("..#.. ..#.. ##### ..... .....")
    lengths = sorted(branch.length for branch in graph.branches.values())
    assert lengths == pytest.approx([2, 2, 2], abs=0.6)


@given(seed=st.integers(0, 10**6), fraction=st.floats(0.05, 0.7), coarse=st.integers(1, 3))
def test_a_graph_has_the_components_and_loops_of_its_mask(seed, fraction, coarse):
    mask = np.random.default_rng(seed).random((14, 15)) < fraction
    mask = np.kron(mask, np.ones((coarse, coarse), bool))
    graph = graph_of(mask)
    for spur in (0.0, 1.0):
        prune(graph, spur)
        # Components and holes: networkx counts them in the graph, scipy in the mask.
        drawn = networkx.MultiGraph()
        drawn.add_edges_from(branch.ends for branch in graph.branches.values())
        components = networkx.number_connected_components(drawn)
        assert components == ndimage.label(mask, np.ones((3, 3)))[1]
        single = sum(len(branch.points) == 2 and branch.ends[0] == branch.ends[1]
                     for branch in graph.branches.values())  # fmt: skip
        loops = drawn.number_of_edges() - drawn.number_of_nodes() + components - single
        holes = ndimage.label(~np.pad(mask, 1))[1] - 1
        assert loops <= holes  # holes of one pixel within a junction may close
        for number, branch in graph.branches.items():
            assert all(number in graph.at[node] for node in branch.ends)


def test_branches_at_a_pruned_junction_become_one():
    graph = graph_of(
        "....#........ ....#........ ....#........ ############# ............. ............."
    )
    assert len(graph.branches) == 3
    prune(graph, 1.0)
    (branch,) = graph.branches.values()
    assert branch.length == pytest.approx(12, abs=0.7)
    assert [degree for degree in degrees(graph) if degree] == [1, 1]
