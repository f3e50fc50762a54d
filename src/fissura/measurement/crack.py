"""A measured crack: its metrics in pixels and in named units, its centerline and its widths."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# Metrics of a crack and the power of their length unit, in the order of every table.
METRICS = {
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
    """A connected structure of crack pixels.

    Lengths are in pixels, points are (row, column); (0, 0) is the center of the first pixel.

    Attributes:
        number: 1 for the longest crack of its image, and so on.
        length: Length of the centerline, all branches together.
        longest_path: Length of the longest of the shortest paths between two of its points along
            the centerline.
        width_mean: Mean of `widths`; NaN, like the next ones, where none could be measured.
        width_median: Median of `widths`.
        width_p95: 95th percentile of `widths`.
        width_max: Maximum of `widths`.
        widest_at: The sample where `width_max` was measured.
        width_error: Typical (median) uncertainty of one of the `widths`, one standard deviation.
        area: Number of its pixels.
        orientation: Mean direction of the centerline in degrees, from 0 to 180: 0 is horizontal,
            90 vertical, 45 rises to the right.
        branches: Number of branches of the centerline, between ends and junctions.
        box: Top, left, bottom, right of its pixels; the last two are one past the last.
        lines: The centerline: for each branch its points (k, 2).
        samples: (n, 2) points where widths were measured.
        widths: (n,) widths across the crack.
        width_errors: (n,) their uncertainties, one standard deviation.
        mm_per_pixel: The resolution, or None where it is not known.
        anchors: One pixel of each of its components: of several where gaps were bridged.
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
    samples: NDArray[np.float64]
    widths: NDArray[np.float64]
    width_errors: NDArray[np.float64]
    mm_per_pixel: float | None = None
    anchors: tuple[tuple[int, int], ...] = ()

    @property
    def unit(self) -> str:
        """Unit of `metrics`: mm where the resolution is known, else px."""
        return "px" if self.mm_per_pixel is None else "mm"

    def metrics(self) -> dict[str, float]:
        """Return all metrics, with their unit in the name.

        Returns:
            Values by names such as length_mm or length_px; areas end in mm2 or px2.
        """
        resolution = self.mm_per_pixel or 1.0
        return {
            name: getattr(self, metric) * resolution**power
            for name, (metric, power) in zip(metric_names(self.unit), METRICS.items(), strict=True)
        }


def metric_names(unit: str) -> list[str]:
    """Return the names of all metrics with their unit.

    Args:
        unit: mm or px.

    Examples:
        >>> metric_names("mm")[0], metric_names("mm")[-1]
        ('length_mm', 'area_mm2')
    """
    return [f"{name}_{unit}{'2' if power == 2 else ''}" for name, power in METRICS.items()]
