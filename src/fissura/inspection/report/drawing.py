"""Measured cracks drawn over a photo: centerlines colored by width, numbers, a legend."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from fissura.inspection.report.legend import UNMEASURED, Legend, draw_legend
from fissura.inspection.report.number_labels import draw_numbers
from fissura.measurement.crack import Crack
from fissura.overlay import YELLOW, overlay

NUMBERED = 30  # cracks that get a number in the drawing; the table has all
SMALLEST = 560  # geometric mean of the sides under which an image is enlarged, in pixels
LARGEST = 60_000  # pixels of a side that enlarging never exceeds: a JPEG holds 65,500
CASING = (16, 16, 20)
WHITE = (255, 255, 255)
COLORMAP, DARKEST = "plasma", 0.3  # the dark end would drown in the casing
SHADES = 64
SUBPIXEL = 4  # bits behind the point in OpenCV's coordinates

Path = tuple[NDArray[np.float64], NDArray[np.float64]]  # (k, 2) x and y, (k,) widths


@dataclass(frozen=True)
class Look:
    """Sizes in the drawing, in its pixels.

    Attributes:
        line: Width of the centerlines.
        casing: Width of the dark casing on either side of them.
        font: Height of letters.
    """

    line: int
    casing: int
    font: int

    @property
    def ring(self) -> int:
        """Radius of the marks where cracks are widest."""
        return round(2.2 * self.line + self.casing)


def draw_cracks(
    image: NDArray[np.uint8],
    cracks: Sequence[Crack],
    labels: NDArray[np.int32] | None = None,
    *,
    scale: float = 1.0,
    mm_per_pixel: float | None = None,
    widest: float | None = None,
    limit: float | None = None,
    slanted: bool = False,
) -> NDArray[np.uint8]:
    """Return the drawing of a photo's cracks, above a legend with their scales.

    Centerlines are colored by the width of the crack, from purple (0) to yellow (widest), in
    matplotlib's plasma: even to the eye, and rising in lightness, so that it reads without seeing
    color; what is wider than their end has its color. Gray is a line along which no width was
    measured. The 30 longest cracks and the widest one have their numbers and a ring at their widest
    point. Numbers keep off the lines and off one another where there is room.

    An image under about 560 pixels a side is enlarged by a whole number first, each pixel to a
    square, so that numbers are readable. So the result is (k·h + legend, k·w, 3): its upper rows
    lie on the photo where both are given the same width.

    Args:
        image: Photo as RGB (h, w, 3), whole or shrunk; it is not changed.
        cracks: Its cracks, the longest first, in pixels of the whole photo.
        labels: (h, w), 0 outside cracks: they get a yellow outline; None for no outline.
        scale: Size of `image` over that of the whole photo.
        mm_per_pixel: Resolution of the whole photo; None for lengths and widths in its pixels.
        widest: Width at the end of the colors, in mm or pixels; by default the greatest one here.
        limit: Greatest width allowed, which the legend marks.
        slanted: Whether the surface is slanted, so that the bar of a length is that of the mean
            pixel.

    Returns:
        RGB (k·h + legend, k·w, 3).
    """
    drawn, zoom = _canvas(image, labels)
    size = scale * zoom
    look = _look(drawn.shape[0], drawn.shape[1])
    per_pixel = mm_per_pixel or 1.0
    end = (widest or _widest(cracks) * per_pixel) / per_pixel
    lines = [_paths(crack, size) for crack in cracks]
    _draw_lines(drawn, lines, end, look)
    numbered = _numbered(cracks)
    rings = _draw_rings(drawn, numbered, size, look)
    draw_numbers(
        drawn,
        [(crack.number, _anchors(crack, size)) for crack in numbered],
        [xy for paths in lines for xy, _ in paths],
        [(x, y, look.ring) for x, y in rings],
        font=look.font,
        clearance=look.line + 2 * look.casing,
    )
    legend = Legend(
        font=look.font,
        unit="px" if mm_per_pixel is None else "mm",
        per_pixel=per_pixel / size,
        widest=end * per_pixel if cracks and end > 0 else None,
        colors=shades(),
        unmeasured=any(np.isnan(widths).any() for paths in lines for _, widths in paths),
        numbered=len(numbered),
        cracks=len(cracks),
        slanted=slanted,
        limit=limit,
        wider=_widest(cracks) > end * (1 + 1e-9),
    )
    return draw_legend(drawn, legend)


def shades() -> NDArray[np.uint8]:
    """Return the colors of widths, RGB (64, 3), from the narrowest to the widest."""
    from matplotlib import colormaps

    sampled = colormaps[COLORMAP](np.linspace(DARKEST, 1, SHADES))[:, :3]
    return (255 * sampled).round().astype(np.uint8)


def widths_along(crack: Crack, line: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the width at each point of a line, between those of the nearest two measurements.

    Args:
        crack: The crack with its measured widths.
        line: (k, 2) points, row and column.

    Returns:
        (k,) widths in pixels; NaN where none was measured nearby, that is within twice the crack's
        width: so junctions are spanned, and bridged gaps are not.
    """
    known = np.isfinite(crack.widths)
    if not known.any():
        return np.full(len(line), np.nan)
    points, widths = crack.samples[known], crack.widths[known]
    if len(points) == 1:  # the second nearest is the same
        points, widths = np.repeat(points, 2, axis=0), np.repeat(widths, 2)
    distances, nearest = KDTree(points).query(line, k=2)
    weights = 1 / (distances + 1e-6)
    along = (weights * widths[nearest]).sum(axis=1) / weights.sum(axis=1)
    return np.where(distances[:, 0] <= 2 * widths.max() + 3, along, np.nan)


def _canvas(
    image: NDArray[np.uint8], labels: NDArray[np.int32] | None
) -> tuple[NDArray[np.uint8], int]:
    """Return a copy to draw on, with outlines and enlarged where it is small, and its zoom."""
    drawn = image.copy()
    if labels is not None:
        drawn = overlay(drawn, labels > 0, YELLOW, alpha=0.0, outline=1)
    height, width = image.shape[:2]
    wanted = math.ceil(SMALLEST / math.sqrt(height * width))
    zoom = max(1, min(wanted, LARGEST // max(height, width)))
    if zoom > 1:
        drawn = np.repeat(np.repeat(drawn, zoom, axis=0), zoom, axis=1)
    return drawn, zoom


def _look(height: int, width: int) -> Look:
    """Return the sizes that suit a drawing of height × width pixels."""
    side = math.sqrt(height * width)
    line = max(2, round(side / 420))
    return Look(line=line, casing=max(1, round(line / 3)), font=max(12, round(side / 58)))


def _widest(cracks: Sequence[Crack]) -> float:
    """Return the greatest measured width in pixels; 0 where there is none."""
    widths = [crack.width_max for crack in cracks if math.isfinite(crack.width_max)]
    return max(widths, default=0.0)


def _numbered(cracks: Sequence[Crack]) -> list[Crack]:
    """Return the longest cracks, and the widest one."""
    shown = list(cracks[:NUMBERED])
    measured = [crack for crack in cracks if math.isfinite(crack.width_max)]
    if measured:
        widest = max(measured, key=lambda crack: crack.width_max)
        if widest not in shown:
            shown.append(widest)
    return shown


def _to_xy(points: NDArray[np.float64], size: float) -> NDArray[np.float64]:
    """Turn (k, 2) row and column of the photo into x and y of the drawing, pixel centers at 0."""
    return (points[:, ::-1] + 0.5) * size - 0.5


def _paths(crack: Crack, size: float) -> list[Path]:
    """Return each branch as (k, 2) x, y and (k,) widths, no denser than the drawing shows."""
    step = max(1, int(1.5 / size))
    kept = [
        line[np.unique(np.append(np.arange(0, len(line), step), len(line) - 1))]
        for line in crack.lines
        if len(line)
    ]
    if not kept:
        return []
    # Of all branches at once: a crack may be a network of thousands.
    widths = widths_along(crack, np.concatenate(kept))
    ends = np.cumsum([len(line) for line in kept])[:-1]
    return [
        (_to_xy(line, size), along)
        for line, along in zip(kept, np.split(widths, ends), strict=True)
    ]


def _polylines(
    drawn: NDArray[np.uint8],
    lines: Sequence[NDArray[np.float64]],
    color: tuple[int, int, int],
    thickness: int,
) -> None:
    """Draw lines (k, 2) of x and y in one color."""
    points = [np.rint(line * 2**SUBPIXEL).astype(np.int32) for line in lines]
    cv2.polylines(drawn, points, False, color, thickness, cv2.LINE_AA, SUBPIXEL)


def _draw_lines(
    drawn: NDArray[np.uint8], lines: Sequence[list[Path]], end: float, look: Look
) -> None:
    """Draw the centerlines of all cracks in their casings."""
    for paths in lines:
        _polylines(drawn, [xy for xy, _ in paths], CASING, look.line + 2 * look.casing)
    for paths in reversed(lines):  # the longest last, upon the others
        _draw_by_width(drawn, paths, end, look)


def _draw_by_width(drawn: NDArray[np.uint8], paths: Sequence[Path], end: float, look: Look) -> None:
    """Draw branches in the colors of their widths, runs of one color at once."""
    colors = shades()
    for xy, widths in paths:
        fraction = np.nan_to_num(widths / end if end > 0 else widths * np.nan, nan=-1.0)
        shade = np.clip((fraction * (SHADES - 1)).round().astype(int), -1, SHADES - 1)
        breaks = [0, *(np.flatnonzero(np.diff(shade)) + 1).tolist(), len(shade) - 1]
        for first, last in pairwise(breaks):
            at = shade[first]
            color = UNMEASURED if at < 0 else tuple(colors[at].tolist())
            _polylines(drawn, [xy[first : last + 1]], color, look.line)


def _draw_rings(
    drawn: NDArray[np.uint8], cracks: Sequence[Crack], size: float, look: Look
) -> list[tuple[float, float]]:
    """Draw a ring where each crack is widest; return their centers, x and y."""
    centers = [
        _to_xy(np.array([crack.widest_at]), size)[0]
        for crack in cracks
        if math.isfinite(crack.width_max)
    ]
    thin = max(1, look.line // 2)
    for color, thickness in ((CASING, thin + 2 * look.casing), (WHITE, thin)):
        for x, y in centers:
            center = (round(x * 2**SUBPIXEL), round(y * 2**SUBPIXEL))
            radius = look.ring << SUBPIXEL
            cv2.circle(drawn, center, radius, color, thickness, cv2.LINE_AA, SUBPIXEL)
    return [(float(x), float(y)) for x, y in centers]


def _anchors(crack: Crack, size: float) -> NDArray[np.float64]:
    """Return points of the longest branch that a number may stand beside, its middle first."""
    line = max(crack.lines, key=len, default=np.zeros((0, 2)))
    if not len(line):
        return _to_xy(np.array([crack.widest_at]), size)
    fractions = (0.5, 0.35, 0.65, 0.2, 0.8, 0.08, 0.92)
    at = [round(fraction * (len(line) - 1)) for fraction in fractions]
    return _to_xy(line[np.array(at)], size)
