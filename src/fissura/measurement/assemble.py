"""Assembly of the cracks from their branches and widths."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components, dijkstra

from fissura.measurement.crack import Crack
from fissura.measurement.graph import Branch, Graph
from fissura.measurement.skeleton import Skeleton
from fissura.measurement.widths import Widths


def assemble(
    graph: Graph,
    skeleton: Skeleton,
    measured: Widths,
    bridged: set[int],
    mm_per_pixel: float | None,
    min_length: float = 0.0,
) -> list[Crack]:
    """Assemble the cracks, each from one component or from several that gaps' bridges join.

    Args:
        graph: Nodes and branches, final.
        skeleton: The skeleton that the graph was made of.
        measured: The widths of all branches.
        bridged: Numbers of the branches that are bridges.
        mm_per_pixel: Resolution kept in the cracks.
        min_length: Least length of a crack in pixels, 0 or more. Shorter ones are left out before
            anything else is computed of them, since noise makes hundreds of thousands.

    Returns:
        The cracks, not numbered yet.
    """
    count = len(skeleton.area)
    joins = np.array(
        [[graph.component[node] for node in graph.branches[number].ends] for number in bridged]
    ).reshape(-1, 2)
    matrix = coo_array((np.ones(len(joins), np.int8), tuple(joins.T)), (count, count))
    total, crack_of = connected_components(matrix, directed=False)
    numbers: list[list[int]] = [[] for _ in range(total)]
    for number in sorted(graph.branches):
        numbers[crack_of[graph.component[graph.branches[number].ends[0]]]].append(number)
    members: list[list[int]] = [[] for _ in range(total)]
    for component in range(count):
        members[crack_of[component]].append(component)
    of_crack = crack_of[
        graph.component[[graph.branches[number].ends[0] for number in measured.branch.tolist()]]
        if len(measured.branch)
        else np.empty(0, np.int64)
    ]
    order = np.argsort(of_crack, kind="stable")
    starts = np.searchsorted(of_crack[order], np.arange(total + 1))
    cracks = []
    for index in range(total):
        mine = order[starts[index] : starts[index + 1]]
        branches = [graph.branches[number] for number in numbers[index]]
        if not branches:
            continue
        length = sum(branch.length for branch in branches)
        if length < min_length:
            continue
        widths, errors = measured.widths[mine], measured.errors[mine]
        cracks.append(
            Crack(
                number=0,
                length=length,
                longest_path=_longest_path(branches),
                **metrics_of_widths(widths, errors, measured.samples[mine]),
                area=float(skeleton.area[members[index]].sum()),
                orientation=mean_direction(
                    np.concatenate([np.diff(branch.points, axis=0) for branch in branches])
                ),
                branches=len(branches) - sum(number in bridged for number in numbers[index]),
                box=_box(skeleton.box[members[index]]),
                lines=[branch.points for branch in branches],
                samples=measured.samples[mine],
                widths=widths,
                width_errors=errors,
                mm_per_pixel=mm_per_pixel,
                anchors=tuple(sorted(map(tuple, skeleton.anchor[members[index]].tolist()))),
            )
        )
    return cracks


def metrics_of_widths(
    widths: NDArray[np.float64], errors: NDArray[np.float64], samples: NDArray[np.float64]
) -> dict[str, Any]:
    """Return the fields of a crack that sum up its widths.

    Args:
        widths: In pixels, (n,).
        errors: Their uncertainties, (n,).
        samples: Points where they were measured, (n, 2).
    """
    if not len(widths):
        nan = float("nan")
        names = ("width_mean", "width_median", "width_p95", "width_max", "width_error")
        return {**dict.fromkeys(names, nan), "widest_at": (nan, nan)}
    widest = int(widths.argmax())
    return {
        "width_mean": float(widths.mean()),
        "width_median": float(np.median(widths)),
        "width_p95": float(np.percentile(widths, 95)),
        "width_max": float(widths[widest]),
        "width_error": float(np.median(errors)),
        "widest_at": (float(samples[widest, 0]), float(samples[widest, 1])),
    }


def _box(boxes: NDArray[np.int64]) -> tuple[int, int, int, int]:
    """The box around several boxes."""
    top, left = boxes[:, :2].min(0).tolist()
    bottom, right = boxes[:, 2:].max(0).tolist()
    return top, left, bottom, right


def mean_direction(steps: NDArray[np.float64]) -> float:
    """Return the mean direction of steps, weighted by length, as `Crack.orientation` has it.

    Opposite directions are the same.

    Args:
        steps: (n, 2) rows and columns.
    """
    length, angle = np.hypot(*steps.T), np.arctan2(-steps[:, 0], steps[:, 1])
    double = np.arctan2((length * np.sin(2 * angle)).sum(), (length * np.cos(2 * angle)).sum())
    return float(np.degrees(double / 2) % 180)


def _longest_path(branches: list[Branch]) -> float:
    """Greatest distance along the branches: exact for trees, at least as long with loops.

    Of a loop a path takes the shorter half. The search goes from any node to the farthest, and from
    there to the farthest, which in a tree are the two ends of the longest path.
    """
    if len(branches) == 1:
        (branch,) = branches
        closed = branch.ends[0] == branch.ends[1] and len(branch.points) > 4
        return branch.length / 2 if closed else branch.length
    edges: list[tuple[int, int, float]] = []
    extra = 1 + max(max(branch.ends) for branch in branches)
    for branch in branches:  # halved, so that two branches between the same nodes stay two
        edges += [
            (branch.ends[0], extra, branch.length / 2),
            (extra, branch.ends[1], branch.length / 2),
        ]
        extra += 1
    ends = np.array([edge[:2] for edge in edges])
    nodes, ends = np.unique(ends, return_inverse=True)
    ends = ends.reshape(-1, 2)
    lengths = np.array([edge[2] for edge in edges]) + 1e-9  # 0 would be no edge
    matrix = coo_array((lengths, tuple(ends.T)), (len(nodes), len(nodes))).tocsr()
    farthest, longest = 0, 0.0
    for _ in range(3):
        distance = dijkstra(matrix, directed=False, indices=farthest)
        farthest = int(np.where(np.isfinite(distance), distance, -1).argmax())
        longest = max(longest, float(distance[farthest]))
    return longest
