"""Cracks as vectors for a GIS: GeoJSON, and GeoPackage where pyogrio is installed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fissura.inspection.geojson import write_geojson
from fissura.inspection.geopackage import has_geopackage, write_geopackage
from fissura.inspection.record import Record
from fissura.inspection.systems import by_system


def write_vectors(out: Path, inspected: Sequence[Record]) -> list[Path]:
    """Write the cracks of all photos into the folder `out`; return the files.

    cracks.geojson holds all; where the photos are of several coordinate systems, there is a file
    for each: cracks-EPSG-32633.geojson, and cracks-pixels.geojson for plain photos
    (cracks-local.geojson for those that have coordinates of an unknown system). cracks.gpkg holds
    the layers of `write_geopackage`, where pyogrio and shapely are installed.
    """
    systems = by_system(inspected)
    files = []
    for name, system in systems.items():
        files.append(out / ("cracks.geojson" if len(systems) == 1 else f"cracks-{name}.geojson"))
        write_geojson(files[-1], (inspected[index] for index in system.photos), system.crs)
    if has_geopackage():
        files.append(out / "cracks.gpkg")
        write_geopackage(files[-1], inspected, systems)
    return files
