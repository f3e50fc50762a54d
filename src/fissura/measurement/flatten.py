"""Cracks of a slanted surface, as if the camera had faced it squarely."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from fissura.measurement.assemble import mean_direction, metrics_of_widths
from fissura.measurement.crack import Crack
from fissura.measurement.perspective import Perspective

APART = 2  # points on either side, from which a line's direction follows


def flatten(cracks: Sequence[Crack], perspective: Perspective, mm_per_pixel: float) -> list[Crack]:
    """Return cracks with their lengths, widths, areas and directions on the surface.

    What is a length afterwards is in pixels of `mm_per_pixel`, as of a photo that was taken
    squarely, so that length · mm_per_pixel is true wherever on the photo the crack lies. Lines,
    samples and boxes stay where they are on the photo, and so do the numbers, which follow the
    lengths there.

    Lengths are those of the centerline's points on the surface; each width is multiplied by the
    local scale across the crack (`Perspective.scales`), and the area by the mean of the squares of
    `Perspective.mm_per_pixel` along the crack. The longest path is lengthened as the whole crack
    is.

    Args:
        cracks: From `fissura.measure`, in pixels of the photo.
        perspective: That of the photo.
        mm_per_pixel: Resolution that the cracks get, such as `Perspective.mean_mm_per_pixel`.
    """
    return [_flat(crack, perspective, mm_per_pixel) for crack in cracks]


def _flat(crack: Crack, perspective: Perspective, mm_per_pixel: float) -> Crack:
    """Return a crack as it is on the surface."""
    lines = [line for line in crack.lines if len(line) > 1]
    points = np.concatenate(crack.lines) if crack.lines else np.array([_middle(crack)])
    mean = float(np.mean(perspective.mm_per_pixel(points)))
    steps = [np.diff(line, axis=0) for line in lines]
    flat = [np.diff(perspective.to_mm(line), axis=0) for line in lines]
    before = sum(float(np.hypot(*step.T).sum()) for step in steps)
    after = sum(float(np.hypot(*step.T).sum()) for step in flat)
    longer = (after / before if before else mean) / mm_per_pixel
    widths, errors = _widths(crack, lines, perspective, mm_per_pixel)
    area = float(np.mean(np.square(perspective.mm_per_pixel(points)))) / mm_per_pixel**2
    return replace(
        crack,
        length=crack.length * longer,
        longest_path=crack.longest_path * longer,
        area=crack.area * area,
        orientation=mean_direction(np.concatenate(flat)[:, ::-1]) if after else crack.orientation,
        widths=widths,
        width_errors=errors,
        mm_per_pixel=mm_per_pixel,
        **metrics_of_widths(widths, errors, crack.samples),
    )


def _widths(
    crack: Crack,
    lines: Sequence[NDArray[np.float64]],
    perspective: Perspective,
    mm_per_pixel: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the widths and their uncertainties on the surface."""
    if not len(crack.widths) or not lines:
        return crack.widths, crack.width_errors
    along = np.concatenate([_directions(line) for line in lines])
    nearest = np.asarray(KDTree(np.concatenate(lines)).query(crack.samples)[1])
    _, across = perspective.scales(crack.samples, along[nearest])
    return crack.widths * across / mm_per_pixel, crack.width_errors * across / mm_per_pixel


def _directions(line: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return unit vectors along a line (k, 2) at each of its points."""
    at = np.arange(len(line))
    ahead = line[np.minimum(at + APART, len(line) - 1)] - line[np.maximum(at - APART, 0)]
    size = np.hypot(*ahead.T)[:, None]
    return np.where(size > 0, ahead / np.where(size > 0, size, 1.0), [0.0, 1.0])


def _middle(crack: Crack) -> tuple[float, float]:
    """Return row and column of the middle of a crack's box."""
    top, left, bottom, right = crack.box
    return (top + bottom - 1) / 2, (left + right - 1) / 2
