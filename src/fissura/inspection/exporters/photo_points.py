"""Where photos were taken: points on WGS84 with what was found on each, as GeoJSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fissura.files import replacing
from fissura.inspection.exporters import Add
from fissura.inspection.records.record import Record
from fissura.inspection.records.totals import totals, verdict


@contextmanager
def photo_points(path: Path) -> Iterator[Add]:
    """Write a point for each photo whose position is known, with its totals and its facts.

    Coordinates are longitude and latitude, as RFC 7946 demands; it is where the camera stood.
    """
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        file.write('{"type": "FeatureCollection", "name": "photos", "features": [')
        between = "\n"

        def add(record: Record) -> None:
            nonlocal between
            point = record.facts.point
            if point is None:
                return
            feature = {
                "type": "Feature",
                "properties": point_properties(record),
                "geometry": {"type": "Point", "coordinates": list(point)},
            }
            file.write(between + json.dumps(feature, ensure_ascii=False, allow_nan=False))
            between = ",\n"

        yield add
        file.write("\n]}\n")


def point_properties(record: Record) -> dict[str, Any]:
    """Return what is known of a photo, and what was found on it; None where it is not known."""
    found, per_pixel, unit = totals(record), record.mm_per_pixel or 1.0, record.unit
    facts = record.facts
    return {
        "photo": record.text_name,
        "verdict": verdict(record),
        "cracks": len(record.cracks),
        f"total_length_{unit}": round(found.length * per_pixel, 3),
        f"width_max_{unit}": (
            None if found.widest is None else round(found.widest.width_max * per_pixel, 4)
        ),
        "element": facts.element or None,
        "note": facts.note or None,
        "taken": facts.taken or None,
        "altitude_m": facts.altitude_m,
        "camera": facts.camera or None,
        "focal_length_mm": facts.focal_length_mm,
    }
