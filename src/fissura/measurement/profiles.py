"""Edges of a crack along lines across it, to fractions of a pixel."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from fissura.measurement.skeleton import WINDOW, Read, grown

STEP = 0.25  # pixels between samples; probabilities are linear between pixels
OFF_CENTER = 1.5  # how far beside its point a line may first meet the crack
SLOPE_OVER = 0.5  # pixels to either side of an edge that its slope is taken over
SAMPLES_AT_ONCE = 2**20


@dataclass(frozen=True)
class Edges:
    """The edges that lines across a crack meet; arrays are (n,), NaN where none is in reach.

    Attributes:
        before: Signed distance along the line from its point to the edge behind, in pixels.
        after: Likewise to the edge ahead.
        error: Uncertainty of after − before, in pixels.
    """

    before: NDArray[np.float64]
    after: NDArray[np.float64]
    error: NDArray[np.float64]


def find_edges(
    read: Read,
    size_hw: tuple[int, int],
    threshold: float,
    points: NDArray[np.float64],
    directions: NDArray[np.float64],
    reach: NDArray[np.float64],
    *,
    prob_error: float,
    window: int = WINDOW,
) -> Edges:
    """Find the edges of a crack along a line through each point.

    Probabilities are interpolated bilinearly and sampled every quarter of a pixel. From the point
    (or the nearest sample of the crack within 1.5 pixels) the edge on either side is where they
    first fall below the threshold, interpolated linearly between two samples. With g₁ and g₂ the
    slopes of the probability at the two edges, per pixel, an error σ of the probability moves them
    by σ/g₁ and σ/g₂, so that the uncertainty of the width is σ·√(1/g₁² + 1/g₂²).

    Outside the image is no crack; its border is half a pixel outside the last pixels' centers.

    Args:
        read: The probabilities in a window.
        size_hw: Height and width of the image.
        threshold: Probability of an edge.
        points: (n, 2) row and column.
        directions: (n, 2) of unit length.
        reach: (n,) distance up to which edges are looked for along the line, in pixels.
        prob_error: σ, above 0.
        window: Side of the windows that are read.
    """
    edges = Edges(*(np.full(len(points), np.nan) for _ in range(3)))
    # All lines of one window are looked at together, those of similar reach at once.
    row_window, column_window = (np.maximum(points, 0) // window).astype(np.int64).T
    last = (np.array(size_hw) - 1) // window
    row_window, column_window = np.minimum(row_window, last[0]), np.minimum(column_window, last[1])
    of_window = row_window * (last[1] + 1) + column_window
    order = np.argsort(of_window, kind="stable")
    starts = np.searchsorted(of_window[order], np.arange((last[0] + 1) * (last[1] + 1) + 1))
    for start, stop in pairwise(starts.tolist()):
        inside = order[start:stop]
        if not len(inside):
            continue
        low = np.floor((points[inside] - reach[inside, None]).min(0)).astype(int) - 2
        high = np.ceil((points[inside] + reach[inside, None]).max(0)).astype(int) + 3
        top, left, bottom, right = grown((*low.tolist(), *high.tolist()), 0, size_hw)
        prob = read(top, left, bottom, right)
        for lines in _alike(reach[inside]):
            found = _edges_in(
                prob, (top, left), threshold, points[inside[lines]], directions[inside[lines]],
                float(reach[inside[lines]].max()), prob_error,
            )  # fmt: skip
            within = inside[lines]
            most = reach[within]
            # Each side for itself: a line along a crack has an end ahead and maybe none behind.
            edges.before[within] = np.where(-found.before > most, np.nan, found.before)
            edges.after[within] = np.where(found.after > most, np.nan, found.after)
            both = np.isfinite(edges.before[within]) & np.isfinite(edges.after[within])
            edges.error[within] = np.where(both, found.error, np.nan)
    return edges


def _alike(reach: NDArray[np.float64]) -> list[NDArray[np.int64]]:
    """Groups of lines whose reach differs by less than a factor of 2, bounded in samples."""
    power = np.ceil(np.log2(np.maximum(reach, 1.0))).astype(np.int64)
    groups = []
    for each in np.unique(power):
        lines = np.flatnonzero(power == each)
        at_once = max(int(SAMPLES_AT_ONCE * STEP / (2 * 2.0**each + 1)), 1)
        groups += [lines[start : start + at_once] for start in range(0, len(lines), at_once)]
    return groups


def _edges_in(
    prob: NDArray[np.float32],
    first: tuple[int, int],
    threshold: float,
    points: NDArray[np.float64],
    directions: NDArray[np.float64],
    reach: float,
    prob_error: float,
) -> Edges:
    """Find the edges in a window, whose first row and column are given.

    Where a line is sampled is reckoned in the whole image and moved by whole pixels then, and
    distances are reckoned from the line's point: so neither the window nor the other lines in it
    change a bit of what is found on one.
    """
    half = int(np.ceil((reach + SLOPE_OVER) / STEP)) + 1
    offsets = np.arange(-half, half + 1) * STEP
    where = points[:, :, None] + directions[:, :, None] * offsets
    where -= np.array(first)[:, None]
    samples = ndimage.map_coordinates(
        prob, where.transpose(1, 0, 2), np.float64, order=1, mode="grid-constant"
    )
    crack = samples >= threshold
    index = np.arange(len(offsets))
    distance = np.where(crack, np.abs(index - half), len(offsets))
    start = distance.argmin(1)
    rows = np.arange(len(points))
    met = distance[rows, start] * STEP <= OFF_CENTER
    outside = ~crack
    far = len(offsets)
    first_after = np.where(outside & (index > start[:, None]), index, far).min(1)
    last_before = np.where(outside & (index < start[:, None]), index, -1).max(1)
    after, after_slope = _crossing(samples, rows, first_after, -1, threshold, half)
    before, before_slope = _crossing(samples, rows, last_before, 1, threshold, half)
    with np.errstate(divide="ignore"):
        error = prob_error * np.sqrt(1 / before_slope**2 + 1 / after_slope**2)
    nothing = ~met
    for array in (after, before, error):
        array[nothing] = np.nan
    return Edges(before * STEP, after * STEP, error)


def _crossing(
    samples: NDArray[np.float64],
    rows: NDArray[np.int64],
    outside: NDArray[np.int64],
    inwards: int,
    threshold: float,
    middle: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Where an edge lies between the last sample inside and the first outside; its slope.

    It is counted in samples from the middle one.
    """
    count = samples.shape[1]
    known = (outside >= 0) & (outside < count)
    at = np.clip(outside, 1, count - 2)
    low, high = samples[rows, at], samples[rows, at + inwards]
    fraction = (threshold - low) / np.where(high > low, high - low, 1.0)
    position = np.where(known, (at - middle) + inwards * np.clip(fraction, 0.0, 1.0), np.nan)
    over = round(SLOPE_OVER / STEP)
    inner = samples[rows, np.clip(at + inwards * over, 0, count - 1)]
    outer = samples[rows, np.clip(at - inwards * over, 0, count - 1)]
    slope = np.maximum(inner - outer, 1e-6) / (2 * SLOPE_OVER)
    return position, np.where(known, slope, np.nan)
