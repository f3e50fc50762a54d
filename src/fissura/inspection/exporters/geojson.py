"""GeoJSON: the centerlines of cracks with their measurements."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any

from fissura.files import replacing
from fissura.inspection.exporters import Add
from fissura.inspection.exporters.features import crack_lines, properties
from fissura.inspection.exporters.systems import System
from fissura.inspection.records.record import Record
from fissura.measurement.crack import Crack


@contextmanager
def geojson(out: Path, systems: Mapping[str, System]) -> Iterator[Add]:
    """Write the cracks of all photos as GeoJSON into the folder `out`.

    cracks.geojson holds all; where the photos are of several coordinate systems, there is a file
    for each: cracks-EPSG-32633.geojson, and cracks-pixels.geojson for plain photos
    (cracks-local.geojson for those that have coordinates of an unknown system).

    Args:
        out: The folder.
        systems: Coordinate systems of the photos, from `coordinate_systems`.
    """
    with ExitStack() as stack:
        adds = {
            key: stack.enter_context(
                geojson_file(
                    out
                    / (f"cracks-{system.name}.geojson" if len(systems) > 1 else "cracks.geojson"),
                    system.crs,
                )
            )
            for key, system in systems.items()
        }

        def add(record: Record) -> None:
            adds[record.outline.key](record)

        yield add


@contextmanager
def geojson_file(path: Path, crs: str | None) -> Iterator[Add]:
    """Write the cracks of photos of one coordinate system, `crs`, as GeoJSON.

    Each crack is a feature with its centerline as a MultiLineString, and the properties photo,
    crack (its number), the `metrics` of the crack with the unit in their names, orientation_deg,
    branches, mm_per_pixel, and widest_x and widest_y, where its largest width is. A value that
    could not be measured is null.

    The standard (RFC 7946) knows degrees on WGS84 alone. Its forerunner of 2008 names other
    systems in the member "crs", which GDAL, and thus QGIS, reads; that is used here. Coordinates of
    no system get one that is nowhere on the earth, for GDAL takes an absent one for WGS84, and the
    null of 2008, too.
    """
    head = {"type": "FeatureCollection", "name": "cracks", "crs": _crs_member(crs)}
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        file.write(json.dumps(head, ensure_ascii=False)[:-1] + ', "features": [')
        between = "\n"

        def add(record: Record) -> None:
            nonlocal between
            for crack in record.cracks:
                file.write(between)
                _write_feature(file, record, crack)
                between = ",\n"

        yield add
        file.write("\n]}\n")


def _write_feature(file: IO[str], record: Record, crack: Crack) -> None:
    """Write a crack as a feature."""
    said = json.dumps(properties(record, crack), ensure_ascii=False, allow_nan=False)
    file.write(f'{{"type": "Feature", "properties": {said}, "geometry": ')
    lines = crack_lines(crack, record.transform)
    if not lines:
        file.write("null}")
        return
    file.write('{"type": "MultiLineString", "coordinates": [')
    # Line by line: in a huge image a net of cracks has millions of points.
    for index, line in enumerate(lines):
        file.write((", " if index else "") + json.dumps(line.tolist(), allow_nan=False))
    file.write("]}}")


def _crs_member(crs: str | None) -> dict[str, Any]:
    """Return the member "crs" of a coordinate system."""
    if crs is None:
        name = 'LOCAL_CS["pixels or unknown",UNIT["unknown",1]]'
    elif re.fullmatch(r"\w+:\w+", crs):
        name = f"urn:ogc:def:crs:{crs.replace(':', '::')}"
    else:
        name = crs
    return {"type": "name", "properties": {"name": name}}
