"""From the probabilities of a picture to its cracks, measured."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fissura.errors import InputError
from fissura.measurement.assemble import Widths, assemble
from fissura.measurement.centerline import (
    center,
    cut_blunt_end,
    end_direction,
    free_of_junctions,
    normal,
    search_reach,
    tangents,
)
from fissura.measurement.crack import Crack
from fissura.measurement.gaps import bridge_gaps
from fissura.measurement.graph import Graph, build_graph, prune
from fissura.measurement.profiles import Edges, find_edges
from fissura.measurement.skeleton import BLOCK, HALO, Read, find_skeleton, label_areas, portions

PROB_ERROR = 0.1
POINTS_AT_ONCE = 500_000  # of skeletons that are measured together: some 400 bytes each


def measure(
    prob_or_mask: NDArray[Any],
    *,
    mm_per_pixel: float | None = None,
    threshold: float = 0.5,
    min_length: float = 0.0,
    spur: float = 1.0,
    bridge: float = 0.0,
    prob_error: float = PROB_ERROR,
) -> list[Crack]:
    """Measure the cracks in a picture: length, width, area, course.

    A crack is a connected area (diagonal neighbors count) of pixels with a probability of at
    least `threshold`. Its centerline is the skeleton of the area, pruned of spurs, moved into the
    middle between the edges and smoothed; where it ends freely, it goes on in its direction to the
    crack's tip. Widths are measured across the centerline at each of its points, outside the
    inscribed circles of junctions: from edge to edge, each where the probability passes through the
    threshold (see `fissura.measurement.profiles.find_edges`). A crack that the border of the image
    cuts off lengthwise has no widths there.

    prob_or_mask:  (h, w) probabilities, 0 to 1, or a mask.
    mm_per_pixel:  scale, above 0, or None; kept in the cracks, whose figures stay in pixels.
    threshold:     above 0, at most 1; of a mask it means nothing.
    min_length:    cracks with a shorter centerline are left out; in pixels.
    spur:          what counts as a spur, see `fissura.measurement.graph.prune`; 0 prunes nothing.
    bridge:        gaps up to this length, in pixels, are bridged where two free ends point at each
                   other, see `fissura.measurement.gaps.bridge_gaps`; 0 for none. A bridge counts as
                   length, and has no widths.
    prob_error:    standard deviation of the probabilities at the edges, above 0, from which the
                   uncertainties of the widths follow.

    Returns the cracks, longest first.

    Raises `InputError` for values outside these ranges and `ValueError` for other arrays.

    >>> mask = np.zeros((9, 60), bool)
    >>> mask[3:6, 5:55] = True
    >>> (crack,) = measure(mask, mm_per_pixel=0.2)
    >>> [round(crack.figures()[name], 2) for name in ("length_mm", "width_mean_mm", "area_mm2")]
    [10.0, 0.6, 6.0]
    """
    prob = np.asarray(prob_or_mask)
    if prob.ndim != 2 or not (prob.dtype == np.bool_ or np.issubdtype(prob.dtype, np.floating)):
        raise ValueError(
            f"measure takes probabilities or a mask, floats or bools (h, w); got {prob.dtype} "
            f"{prob.shape}."
        )
    if prob.dtype == np.bool_:
        threshold = 0.5

    def read(top: int, left: int, bottom: int, right: int) -> NDArray[np.float32]:
        return prob[top:bottom, left:right].astype(np.float32)

    return measure_windows(
        read,
        (prob.shape[0], prob.shape[1]),
        mm_per_pixel=mm_per_pixel,
        threshold=threshold,
        min_length=min_length,
        spur=spur,
        bridge=bridge,
        prob_error=prob_error,
    )


def measure_windows(
    read: Read,
    size_hw: tuple[int, int],
    *,
    mm_per_pixel: float | None = None,
    threshold: float = 0.5,
    min_length: float = 0.0,
    spur: float = 1.0,
    bridge: float = 0.0,
    prob_error: float = PROB_ERROR,
    block: int = BLOCK,
    halo: int = HALO,
) -> list[Crack]:
    """Measure the cracks in a picture that is read by windows, because it does not fit in memory.

    The result is that of `measure` for the whole picture, whatever the size of the windows: no
    crack is cut in two where they meet. The picture is gone through once for its skeleton, and,
    where there are cracks, three times for measuring: some neighboring cracks at a time, unless
    gaps are bridged.

    read:     called with top, left, bottom and right of a window, returns the probabilities
              (h, w) in it, float32.
    size_hw:  height and width of the picture.
    block:    side of the windows, without the surroundings that are read as well, in pixels.
    halo:     least width of these surroundings.

    The other arguments, the result and the errors are those of `measure`.
    """
    _check(threshold, min_length, spur, bridge, prob_error, mm_per_pixel)
    skeleton = find_skeleton(read, size_hw, threshold, block=block, halo=halo)
    kept: list[Crack] = []
    # A bridge may join any two areas, so that none can be measured without the others.
    for part in [skeleton] if bridge else portions(skeleton, POINTS_AT_ONCE):
        graph = build_graph(part)
        prune(graph, spur)
        center(graph, read, size_hw, threshold)
        tips = _find_tips(graph, read, size_hw, threshold)
        bridged = bridge_gaps(graph, tips, bridge)
        widths = _measure_widths(graph, bridged, read, size_hw, threshold, prob_error)
        kept += assemble(graph, part, widths, bridged, mm_per_pixel, min_length)
    kept.sort(key=lambda crack: (-crack.length, crack.anchors))
    return [replace(crack, number=number) for number, crack in enumerate(kept, 1)]


def crack_labels(mask: NDArray[np.bool_], cracks: list[Crack]) -> NDArray[np.int32]:
    """Return (h, w) with the number of the crack at each of its pixels, 0 elsewhere.

    mask:    (h, w), the pixels that the cracks were measured on.
    """
    found, count = label_areas(mask)
    numbers = np.zeros(count + 1, np.int32)
    for crack in cracks:
        for row, column in crack.anchors:
            numbers[found[row, column]] = crack.number
    return numbers[found]


def _check(
    threshold: float,
    min_length: float,
    spur: float,
    bridge: float,
    prob_error: float,
    mm_per_pixel: float | None,
) -> None:
    problem = None
    if not 0 < threshold <= 1:
        problem = f"The threshold is {threshold}, but must be above 0 and at most 1."
    elif not all(value >= 0 for value in (min_length, spur, bridge)):
        problem = "The least length, the spur factor and the bridged gap are 0 or more."
    elif not prob_error > 0:
        problem = f"The error of the probabilities is {prob_error}, but must be above 0."
    elif mm_per_pixel is not None and not 0 < mm_per_pixel < float("inf"):
        problem = f"The scale is {mm_per_pixel} mm per pixel, but must be above 0."
    if problem:
        raise InputError(problem)


def _find_tips(
    graph: Graph, read: Read, size_hw: tuple[int, int], threshold: float
) -> dict[int, NDArray[np.float64]]:
    """Extend branches to the crack's rim at their free ends; return the direction at each end."""
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
    places = np.array([b.points[side] for b, side in zip(branches, sides, strict=True)])
    radius = np.array([b.radius[side] for b, side in zip(branches, sides, strict=True)])
    ahead = np.array(
        [end_direction(b, start) for b, (_, _, start) in zip(branches, ends, strict=True)]
    )
    reach = search_reach(2 * radius)
    edges = find_edges(read, size_hw, threshold, places, ahead, reach, prob_error=1.0)
    tips = places + np.nan_to_num(np.maximum(edges.after, 0.0))[:, None] * ahead
    for (node, _, at_start), branch, tip in zip(ends, branches, tips, strict=True):
        parts = [tip[None], branch.points] if at_start else [branch.points, tip[None]]
        branch.points = np.vstack(parts)
        edge = branch.radius[0 if at_start else -1 :][:1]
        parts = [edge, branch.radius] if at_start else [branch.radius, edge]
        branch.radius = np.concatenate(parts)
        graph.place[node] = tip
    return {node: direction for (node, _, _), direction in zip(ends, ahead, strict=True)}


def _measure_widths(
    graph: Graph,
    bridged: set[int],
    read: Read,
    size_hw: tuple[int, int],
    threshold: float,
    prob_error: float,
) -> Widths:
    parts: list[tuple[NDArray[np.float64], ...]] = []
    measured = {key: branch for key, branch in graph.branches.items() if key not in bridged}
    along = tangents([branch.points for branch in measured.values()] or [np.empty((0, 2))])
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
            parts.append((numbers, branch.points[free], normal(ahead), branch.radius[free]))
    if not parts:
        return Widths(np.empty(0, np.int64), np.empty((0, 2)), np.empty(0), np.empty(0))
    numbers, places, normals, radius = (np.concatenate(part) for part in zip(*parts, strict=True))
    edges = find_edges(
        read, size_hw, threshold, places, normals, search_reach(radius), prob_error=prob_error
    )
    inside = _inside(places, normals, edges, size_hw)
    known = np.isfinite(edges.before) & np.isfinite(edges.after) & inside
    return Widths(
        numbers[known].astype(np.int64),
        places[known] + ((edges.before + edges.after) / 2)[known, None] * normals[known],
        (edges.after - edges.before)[known],
        edges.error[known],
    )


def _inside(
    places: NDArray[np.float64],
    normals: NDArray[np.float64],
    edges: Edges,
    size_hw: tuple[int, int],
) -> NDArray[np.bool_]:
    """Whether both edges are those of the crack, and neither that of the picture."""
    inside = np.ones(len(places), bool)
    for distance in (edges.before, edges.after):
        at = places + distance[:, None] * normals
        inside &= ((at > 0) & (at < np.array(size_hw) - 1)).all(1)
    return inside
