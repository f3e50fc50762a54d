"""Coordinate systems: which of them the photos of an inspection are in."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from fissura.inspection.records.record import PIXEL_SYSTEM, Outline


@dataclass
class System:
    """A coordinate system of some photos.

    Attributes:
        name: Name that is fit for a file.
        crs: Coordinate system such as EPSG:32633; None for pixels, and for coordinates of an
            unknown system.
        units: Units of the cracks' lengths and widths: mm, px or both.
        widths: Number of widths measured on its photos.
    """

    name: str
    crs: str | None = None
    units: list[str] = field(default_factory=list)
    widths: int = 0


def coordinate_systems(outlines: Iterable[Outline]) -> dict[str, System]:
    """Return the coordinate systems of photos, by `Outline.key`. Never empty."""
    systems: dict[str, System] = {}
    for outline in outlines:
        if outline.key not in systems:
            taken = {system.name for system in systems.values()}
            systems[outline.key] = System(_name(outline.key, taken), outline.crs)
        system = systems[outline.key]
        system.widths += outline.widths
        if outline.unit not in system.units:
            system.units.append(outline.unit)
    return systems or {PIXEL_SYSTEM: System(PIXEL_SYSTEM)}


def _name(key: str, taken: set[str]) -> str:
    """Return a name for files and layers that no other system has."""
    quoted = re.search('"(.+?)"', key)  # WKT begins with a name
    name = re.sub(r"\W+", "-", quoted[1] if quoted else key).strip("-")
    others = sum(known.split("~")[0] == name for known in taken)
    return f"{name}~{others + 1}" if others else name
