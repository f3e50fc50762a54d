"""Cracks as GeoJSON."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any

from fissura.files import replacing
from fissura.inspection.features import crack_features, crack_lines, properties
from fissura.inspection.record import Record
from fissura.measurement.crack import Crack


def write_geojson(path: Path, inspected: Iterable[Record], crs: str | None) -> None:
    """Write the cracks of photos of one coordinate system, `crs`, as GeoJSON.

    Each crack is a feature with its centerline as a MultiLineString, and the properties photo,
    crack (its number), the `figures` of the crack with the unit in their names, orientation_deg,
    branches, mm_per_pixel, and widest_x and widest_y, where its largest width is. What could not
    be measured is null.

    The standard (RFC 7946) knows degrees on WGS84 alone. Its forerunner of 2008 names other
    systems in the member "crs", which GDAL, and thus QGIS, reads; that is used here. Coordinates of
    no system get one without a place on the earth, for GDAL takes an absent one for WGS84, and the
    null of 2008, too.
    """
    head = {"type": "FeatureCollection", "name": "cracks", "crs": _crs_member(crs)}
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        file.write(json.dumps(head, ensure_ascii=False)[:-1] + ', "features": [')
        between = "\n"
        for photo, crack in crack_features(inspected):
            file.write(between)
            _write_feature(file, photo, crack)
            between = ",\n"
        file.write("\n]}\n")


def _write_feature(file: IO[str], photo: Record, crack: Crack) -> None:
    said = json.dumps(properties(photo, crack), ensure_ascii=False, allow_nan=False)
    file.write(f'{{"type": "Feature", "properties": {said}, "geometry": ')
    lines = crack_lines(crack, photo.transform)
    if not lines:
        file.write("null}")
        return
    file.write('{"type": "MultiLineString", "coordinates": [')
    # Line by line: in a huge image a net of cracks has millions of points.
    for index, line in enumerate(lines):
        file.write((", " if index else "") + json.dumps(line.tolist(), allow_nan=False))
    file.write("]}}")


def _crs_member(crs: str | None) -> dict[str, Any]:
    if crs is None:
        name = 'LOCAL_CS["pixels or unknown",UNIT["unknown",1]]'
    elif re.fullmatch(r"\w+:\w+", crs):
        name = f"urn:ogc:def:crs:{crs.replace(':', '::')}"
    else:
        name = crs
    return {"type": "name", "properties": {"name": name}}
