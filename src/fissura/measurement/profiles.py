"""Where a crack's edges are, to fractions of a pixel, along lines across it."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from fissura.measurement.skeleton import BLOCK, Read, grown

STEP = 0.25  # pixels between samples; probabilities are linear between pixels
OFF_CENTER = 1.5  # how far beside its place a line may first meet the crack
SLOPE_OVER = 0.5  # pixels to either side of an edge that its slope is taken over
SAMPLES_AT_ONCE = 2**20


@dataclass(frozen=True)
class Edges:
    """What lines across a crack meet; all arrays are (n,), NaN where there is no edge in reach.

    before, after: signed distance along the line from its place to the two edges, in pixels.
    error:         uncertainty of after − before, in pixels.
    """

    before: NDArray[np.float64]
    after: NDArray[np.float64]
    error: NDArray[np.float64]


def find_edges(
    read: Read,
    size_hw: tuple[int, int],
    threshold: float,
    places: NDArray[np.float64],
    directions: NDArray[np.float64],
    reach: NDArray[np.float64],
    *,
    prob_error: float,
    block: int = BLOCK,
) -> Edges:
    """Find the edges of a crack along a line through each place.

    Probabilities are interpolated bilinearly and sampled every quarter of a pixel. From the place
    (or the nearest sample of the crack within 1.5 pixels) the edge on either side is where they
    first fall below the threshold, interpolated linearly between two samples. With g₁ and g₂ the
    slopes of the probability at the two edges, per pixel, an error σ of the probability moves them
    by σ/g₁ and σ/g₂, so that the uncertainty of the width is σ·√(1/g₁² + 1/g₂²).

    Outside the picture is no crack; its border is half a pixel outside the last pixels' centers.

    read:        the probabilities in a window.
    places:      (n, 2) row and column.
    directions:  (n, 2) of unit length.
    reach:       (n,) how far along the line edges are looked for, in pixels.
    prob_error:  σ, above 0.
    """
    edges = Edges(*(np.full(len(places), np.nan) for _ in range(3)))
    # All of the lines of one block are looked at together, those of similar reach at once.
    row_block, column_block = (np.maximum(places, 0) // block).astype(np.int64).T
    last = (np.array(size_hw) - 1) // block
    row_block, column_block = np.minimum(row_block, last[0]), np.minimum(column_block, last[1])
    of_block = row_block * (last[1] + 1) + column_block
    order = np.argsort(of_block, kind="stable")
    starts = np.searchsorted(of_block[order], np.arange((last[0] + 1) * (last[1] + 1) + 1))
    for start, stop in pairwise(starts.tolist()):
        inside = order[start:stop]
        if not len(inside):
            continue
        low = np.floor((places[inside] - reach[inside, None]).min(0)).astype(int) - 2
        high = np.ceil((places[inside] + reach[inside, None]).max(0)).astype(int) + 3
        top, left, bottom, right = grown((*low.tolist(), *high.tolist()), 0, size_hw)
        prob = read(top, left, bottom, right)
        local = places[inside] - (top, left)
        for lines in _alike(reach[inside]):
            found = _edges_in(
                prob, threshold, local[lines], directions[inside[lines]],
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
    threshold: float,
    places: NDArray[np.float64],
    directions: NDArray[np.float64],
    reach: float,
    prob_error: float,
) -> Edges:
    half = int(np.ceil((reach + SLOPE_OVER) / STEP)) + 1
    offsets = np.arange(-half, half + 1) * STEP
    where = places[:, :, None] + directions[:, :, None] * offsets
    samples = ndimage.map_coordinates(
        prob, where.transpose(1, 0, 2), np.float64, order=1, mode="grid-constant"
    )
    crack = samples >= threshold
    index = np.arange(len(offsets))
    distance = np.where(crack, np.abs(index - half), len(offsets))
    start = distance.argmin(1)
    rows = np.arange(len(places))
    met = distance[rows, start] * STEP <= OFF_CENTER
    outside = ~crack
    far = len(offsets)
    first_after = np.where(outside & (index > start[:, None]), index, far).min(1)
    last_before = np.where(outside & (index < start[:, None]), index, -1).max(1)
    after, after_slope = _crossing(samples, rows, first_after, -1, threshold)
    before, before_slope = _crossing(samples, rows, last_before, 1, threshold)
    with np.errstate(divide="ignore"):
        error = prob_error * np.sqrt(1 / before_slope**2 + 1 / after_slope**2)
    nothing = ~met
    for array in (after, before, error):
        array[nothing] = np.nan
    return Edges((before - half) * STEP, (after - half) * STEP, error)


def _crossing(
    samples: NDArray[np.float64],
    rows: NDArray[np.int64],
    outside: NDArray[np.int64],
    inwards: int,
    threshold: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Where between the first sample outside and the last inside it is; and its slope per pixel."""
    count = samples.shape[1]
    known = (outside >= 0) & (outside < count)
    at = np.clip(outside, 1, count - 2)
    low, high = samples[rows, at], samples[rows, at + inwards]
    share = (threshold - low) / np.where(high > low, high - low, 1.0)
    position = np.where(known, at + inwards * np.clip(share, 0.0, 1.0), np.nan)
    over = round(SLOPE_OVER / STEP)
    inner = samples[rows, np.clip(at + inwards * over, 0, count - 1)]
    outer = samples[rows, np.clip(at - inwards * over, 0, count - 1)]
    slope = np.maximum(inner - outer, 1e-6) / (2 * SLOPE_OVER)
    return position, np.where(known, slope, np.nan)
