"""Options of measuring; they need no numpy, so that the help of the command line is instant."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields
from typing import Any

from fissura.errors import InputError


@dataclass(frozen=True, kw_only=True)
class MeasureOptions:
    """How cracks are measured, by `fissura.measure` and by the command line."""

    min_length: float = 10.0
    """Cracks with a shorter centerline are left out as specks; in pixels."""

    spur: float = 1.0
    """Side branches with a free end are left out where they are shorter than the crack is wide,
    times this; 0 keeps all."""

    bridge: float = 0.0
    """Gaps of up to so many pixels are bridged where two ends of cracks point at each other."""

    prob_error: float = 0.1
    """Standard deviation of the probabilities at a crack's edges, from which the uncertainty of the
    widths follows."""

    min_prob: float | None = None
    """Cracks are left out where the mean probability of the ten surest points of their centerline
    is lower, 0 to 1; 0 keeps all. By default as the model's config.json says, and 0 with a
    --threshold of your own, and of masks."""

    def __post_init__(self) -> None:
        if self.min_prob is not None and not 0 <= self.min_prob <= 1:
            raise InputError(f"--min-prob is {self.min_prob}; it must be from 0 to 1.")
        for entry in fields(self):
            value = getattr(self, entry.name)
            if value is None:
                continue
            if not 0 <= value < math.inf or (value == 0 and entry.name == "prob_error"):
                least = "above 0" if entry.name == "prob_error" else "0 or more"
                raise InputError(
                    f"--{entry.name.replace('_', '-')} is {value}; it must be {least}."
                )

    def settings(self) -> dict[str, Any]:
        """Return the choices as results record them; without `min_prob` where it is not given."""
        values = asdict(self)
        if self.min_prob is None:  # unknown to results until version 0.2
            del values["min_prob"]
        return values


@dataclass(frozen=True, kw_only=True)
class ResolutionOptions:
    """How the resolution of photos is found. Without any of these, lengths are in pixels."""

    mm_per_pixel: float | None = None
    """Millimeters that a pixel of the photo shows."""

    distance_mm: float | None = None
    """Distance from the camera to the surface, which it faces squarely, in millimeters. Focal
    length and sensor are read from the photo's EXIF data unless given."""

    focal_length_mm: float | None = None
    """Focal length of the lens, in millimeters; the real one, not the 'equivalent'."""

    sensor_width_mm: float | None = None
    """Longer side of the camera's sensor, in millimeters."""

    marker_mm: float | None = None
    """Side of an ArUco or AprilTag marker that lies on the surface in the photo, in millimeters:
    of its black square."""

    def __post_init__(self) -> None:
        for name in (entry.name for entry in fields(self)):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise InputError(f"--{name.replace('_', '-')} is {value}; it must be above 0.")
        given = [
            f"--{name.replace('_', '-')}"
            for name in ("mm_per_pixel", "distance_mm", "marker_mm")
            if getattr(self, name) is not None
        ]
        if len(given) > 1:
            raise InputError(f"{' and '.join(given)} both tell the resolution. Give one of them.")
        if self.distance_mm is None and (self.focal_length_mm or self.sensor_width_mm):
            raise InputError(
                "A focal length or a sensor alone tells no resolution: add --distance-mm, the "
                "distance from the camera to the surface."
            )
