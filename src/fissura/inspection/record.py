"""What an inspection knows of one photo."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from fissura.georeference import Transform
from fissura.measurement.crack import Crack

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# Without georeference: x to the right, y upwards, so that a GIS lays the cracks on the picture.
PIXELS: Transform = (1.0, 0.0, 0.0, 0.0, -1.0, 0.0)


@dataclass(frozen=True, eq=False)
class Record:
    """A photo, its cracks, and how they were judged.

    file:        the photo.
    name:        of its results: its path below the folder of all inputs, without suffix.
    size_hw:     height and width in pixels.
    cracks:      longest first.
    mm_per_pixel, scale_source: the scale and, in words, where it comes from; None and "unknown".
    preview:     RGB (h, w, 3), the photo, shrunk where it is large.
    preview_scale: size of the preview over that of the photo, at most 1.
    transform:   from pixels to coordinates.
    crs:         the coordinate system, such as EPSG:32633; None for a plain photo.
    failures:    why it fails the limits, a sentence each; empty where it passes.
    judged:      whether there were limits.
    files:       what was written for it: kind (mask, overlay …) to path below the results' folder.
    """

    file: Path
    name: str
    size_hw: tuple[int, int]
    cracks: list[Crack]
    mm_per_pixel: float | None
    scale_source: str
    preview: NDArray[np.uint8]
    preview_scale: float
    transform: Transform = PIXELS
    crs: str | None = None
    failures: list[str] = field(default_factory=list)
    judged: bool = False
    files: Mapping[str, str] = field(default_factory=dict)

    @property
    def unit(self) -> str:
        """Unit of the figures of the cracks."""
        return "px" if self.mm_per_pixel is None else "mm"

    @property
    def area_m2(self) -> float | None:
        """Area that the photo shows, or None where the scale is not known."""
        if self.mm_per_pixel is None:
            return None
        return self.size_hw[0] * self.size_hw[1] * (self.mm_per_pixel / 1000) ** 2
