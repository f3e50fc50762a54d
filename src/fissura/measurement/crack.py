"""What is known of one crack, in pixels, and the same in named units."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# Figures of a crack and the power of their length unit, in the order of every table.
FIGURES = {
    "length": 1,
    "longest_path": 1,
    "width_mean": 1,
    "width_median": 1,
    "width_p95": 1,
    "width_max": 1,
    "width_error": 1,
    "area": 2,
}


@dataclass(frozen=True, eq=False)
class Crack:
    """A connected structure of crack pixels. Lengths are in pixels, places are (row, column).

    (0, 0) is the center of the first pixel.

    number:        1 for the longest crack of its picture, and so on.
    length:        of the centerline, all branches together.
    longest_path:  the longest of the shortest ways between two of its points along the centerline.
    width_mean, width_median, width_p95, width_max: over `widths`; NaN where none could be measured.
    widest_at:     where `width_max` is.
    width_error:   typical (median) uncertainty of one of the `widths`, one standard deviation.
    area:          number of its pixels.
    orientation:   of the centerline on average, in degrees from 0 to 180: 0 lies, 90 stands, 45
                   rises to the right.
    branches:      stretches of centerline between ends and junctions.
    box:           top, left, bottom, right of its pixels; the last two are one past the last.
    lines:         the centerline, for each branch (k, 2) places.
    places:        (n, 2), where widths were measured.
    widths:        (n,), across the crack.
    width_errors:  (n,), their uncertainties.
    mm_per_pixel:  the scale, or None where it is not known.
    anchors:       a pixel of each of its connected areas: of several where gaps were bridged.
    """

    number: int
    length: float
    longest_path: float
    width_mean: float
    width_median: float
    width_p95: float
    width_max: float
    widest_at: tuple[float, float]
    width_error: float
    area: float
    orientation: float
    branches: int
    box: tuple[int, int, int, int]
    lines: list[NDArray[np.float64]]
    places: NDArray[np.float64]
    widths: NDArray[np.float64]
    width_errors: NDArray[np.float64]
    mm_per_pixel: float | None = None
    anchors: tuple[tuple[int, int], ...] = ()

    @property
    def unit(self) -> str:
        """The unit of `figures`: mm where the scale is known, else px."""
        return "px" if self.mm_per_pixel is None else "mm"

    def figures(self) -> dict[str, float]:
        """Return all figures with their unit in the name, such as length_mm, or length_px.

        Areas end in mm2 or px2.
        """
        scale = self.mm_per_pixel or 1.0
        return {
            name: getattr(self, figure) * scale**power
            for name, (figure, power) in zip(figure_names(self.unit), FIGURES.items(), strict=True)
        }


def figure_names(unit: str) -> list[str]:
    """Return the names of all figures with their unit, mm or px.

    >>> figure_names("mm")[0], figure_names("mm")[-1]
    ('length_mm', 'area_mm2')
    """
    return [f"{name}_{unit}{'2' if power == 2 else ''}" for name, power in FIGURES.items()]
