"""Which coordinate systems photos are in."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from fissura.inspection.record import PIXELS, Record

PIXEL_SYSTEM, LOCAL_SYSTEM = "pixels", "local"


@dataclass
class System:
    """A coordinate system.

    crs:     such as EPSG:32633; None for pixels, and for coordinates of an unknown system.
    photos:  the photos in it, by their index.
    units:   mm, px or both: of the cracks' figures.
    places:  how many widths were measured on them.
    """

    crs: str | None = None
    photos: list[int] = field(default_factory=list)
    units: list[str] = field(default_factory=list)
    places: int = 0


def by_system(inspected: Iterable[Record]) -> dict[str, System]:
    """Sort photos by coordinate system; the keys are fit for file names. Never empty."""
    names: dict[str, str] = {}
    systems: dict[str, System] = {}
    for index, photo in enumerate(inspected):
        key = photo.crs or (PIXEL_SYSTEM if photo.transform == PIXELS else LOCAL_SYSTEM)
        if key not in names:
            quoted = re.search('"(.+?)"', key)  # WKT begins with a name
            name = re.sub(r"\W+", "-", quoted[1] if quoted else key).strip("-")
            others = sum(known.split("~")[0] == name for known in names.values())
            names[key] = f"{name}~{others + 1}" if others else name
        system = systems.setdefault(names[key], System(photo.crs))
        system.photos.append(index)
        system.places += sum(len(crack.places) for crack in photo.cracks)
        if photo.unit not in system.units:
            system.units.append(photo.unit)
    return systems or {PIXEL_SYSTEM: System()}
