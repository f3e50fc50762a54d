"""Centerlines: smooth curves through the middle of a crack, to fractions of a pixel."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from fissura.measurement.graph import Branch, Graph
from fissura.measurement.profiles import find_edges
from fissura.measurement.skeleton import Read

SMOOTHING = 2.0  # points; a skeleton jumps by whole pixels, about every second one
BLUNT, FINE = 1.5, 1.5
MARGIN = 3.0  # pixels beyond the inscribed circle within which edges are looked for


def smoothed(points: NDArray[np.float64], sigma: float = SMOOTHING) -> NDArray[np.float64]:
    """Smooth a line by a Gaussian along it.

    The line is continued by its own point reflection at either end, so that straight lines stay
    straight.

    Args:
        points: (k, 2).
        sigma: Standard deviation of the Gaussian, in points.

    Returns:
        (k, 2); the two ends stay where they are.
    """
    if len(points) < 3:
        return points
    reach = min(round(4 * sigma), len(points) - 1)
    before = 2 * points[0] - points[reach:0:-1]
    after = 2 * points[-1] - points[-2 : -reach - 2 : -1]
    line = ndimage.gaussian_filter1d(np.vstack([before, points, after]), sigma, axis=0)
    line = line[reach : reach + len(points)]
    line[0], line[-1] = points[0], points[-1]
    return line


def tangents(lines: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Return the unit directions of lines at each of their points, one line after another.

    Args:
        lines: Any number of lines, (k, 2) points each, of any k ≥ 1. All are computed at once,
            since an image can hold hundreds of thousands.

    Returns:
        (sum of k, 2): central differences, and one-sided ones at the ends; along a row for a line
        of a single point.
    """
    if not lines:
        return np.empty((0, 2))
    points = np.concatenate(lines)
    lengths = np.array([len(line) for line in lines])
    first = np.cumsum(lengths) - lengths
    last = first + lengths - 1
    index = np.arange(len(points))
    before, after = index - 1, index + 1
    before[first], after[last] = first, last
    ahead = points[after] - points[before]
    ahead[(after - before) == 2] /= 2.0
    length = np.linalg.norm(ahead, axis=1)[:, None]
    return np.where(length > 0, ahead / np.where(length > 0, length, 1.0), [0.0, 1.0])


def search_reach(radius: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the distance from the centerline up to which edges are looked for, in pixels.

    It is 1.5 times the radius and 3 pixels more.

    Args:
        radius: Distance of each point to the nearest edge, in pixels.
    """
    return 1.5 * radius + MARGIN


def center(graph: Graph, read: Read, size_hw: tuple[int, int], threshold: float) -> None:
    """Move the branches of a graph into the middle between the crack's edges, in place.

    Each point is moved along the normal by half the difference of the distances to the two edges,
    except within the crack's own radius of a junction, where there are other edges than its own.
    Then the lines are smoothed. Junctions stay where they are.

    Args:
        graph: Pruned branches.
        read: The probabilities in a window.
        size_hw: Height and width of the image.
        threshold: Probability of an edge.
    """
    branches = list(graph.branches.values())
    for branch in branches:
        branch.points = smoothed(branch.points)
    if not branches:
        return
    points = np.concatenate([branch.points for branch in branches])
    along = tangents([branch.points for branch in branches])
    radius = np.concatenate([branch.radius for branch in branches])
    normals = normal(along)
    edges = find_edges(
        read, size_hw, threshold, points, normals, search_reach(radius), prob_error=1.0
    )
    shift = (edges.before + edges.after) / 2
    free = np.concatenate([free_of_junctions(graph, branch) for branch in branches])
    # No further than the edge: beyond it lies another crack beside this one.
    shift = np.where(free & (np.abs(shift) <= radius), shift, 0.0)
    moved = points + np.nan_to_num(shift)[:, None] * normals
    start = 0
    for branch in branches:
        stop = start + len(branch.points)
        branch.points = smoothed(moved[start:stop])
        start = stop


def normal(along: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return directions (n, 2) turned by a right angle."""
    return np.stack([-along[:, 1], along[:, 0]], 1)


def free_of_junctions(graph: Graph, branch: Branch) -> NDArray[np.bool_]:
    """Return bool (k,): whether points of a branch lie outside its junctions' inscribed circles."""
    free = np.ones(len(branch.points), bool)
    for node in branch.ends:
        if len(graph.at[node]) > 1:
            apart = branch.points - graph.point[node]
            free &= np.hypot(*apart.T) > graph.radius[node] + 1
    return free


def end_direction(branch: Branch, at_start: bool) -> NDArray[np.float64]:
    """Return the unit direction (2,) in which a branch leaves through one of its ends.

    It leads from the point twice the crack's radius back, at least 4 points, to the end.

    Args:
        branch: The branch.
        at_start: Whether its first end is meant, or its last.
    """
    points = branch.points if at_start else branch.points[::-1]
    radius = branch.radius[0 if at_start else -1]
    back = points[min(max(round(2 * radius), 4), len(points) - 1)]
    ahead = points[0] - back
    length = float(np.hypot(*ahead))
    sign = -1.0 if at_start else 1.0
    return ahead / length if length > 0 else np.array([0.0, sign])


def cut_blunt_end(branch: Branch, at_start: bool) -> None:
    """Cut off the end of a skeleton within a blunt end of a crack, in place.

    There the skeleton turns into one of the corners. It is cut at the last point whose inscribed
    circle, made 1.5 times as large, holds the end (a square's corner is 1.41 times as far as its
    sides). Pointed ends and cracks of up to 3 pixels stay. At most half of the branch goes.

    Args:
        branch: The branch.
        at_start: Whether its first end is meant, or its last.
    """
    if branch.ends[0] == branch.ends[1]:
        return
    points = branch.points if at_start else branch.points[::-1]
    radius = branch.radius if at_start else branch.radius[::-1]
    within = (np.hypot(*(points - points[0]).T) <= BLUNT * radius) & (radius > FINE)
    cut = int(np.flatnonzero(within[: len(points) // 2]).max(initial=0))
    kept = slice(cut, None) if at_start else slice(0, len(points) - cut)
    branch.points, branch.radius = branch.points[kept], branch.radius[kept]
