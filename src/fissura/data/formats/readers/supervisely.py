"""Supervisely: meta.json with the classes, and img/NAME beside ann/NAME.json in each data set.

The format: https://docs.supervisely.com/data-organization/00_ann_format_navi. Bitmaps are PNGs that
zlib has packed, in base64; polygons have holes.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fissura.data.formats.annotation import BACKGROUND_LABELS, Geometry, Polygon, Shape
from fissura.data.formats.documents import read_json
from fissura.data.formats.readers.coco import note_outside
from fissura.data.formats.shapes.encoded import decode_base64, png_bitmap, unpack
from fissura.data.formats.shapes.points import number, points, polygon, polyline, rectangle
from fissura.data.formats.source import Gathered, Source
from fissura.errors import InputError

NAME = "Supervisely"


def find_supervisely(source: Source) -> Path | None:
    """Return the description of a Supervisely project in a source, or None."""
    for file in source.given:
        if file.name == "meta.json" and any(other.parent.name == "ann" for other in source.files):
            try:
                content = read_json(file)
            except InputError:
                continue
            if isinstance(content, dict) and isinstance(content.get("classes"), list):
                return file
    return None


def read_supervisely(description: Path, gathered: Gathered) -> None:
    """Read all data sets of a project; their names may tell the split.

    Args:
        description: Its meta.json.
        gathered: Takes the images.
    """
    listed = [
        str(one["title"])
        for one in read_json(description)["classes"]
        if isinstance(one, dict) and "title" in one
    ]
    gathered.labels |= {
        label: None for label in listed if label.casefold() not in BACKGROUND_LABELS
    }
    images = {file: None for file in gathered.source.images if file.parent.name == "img"}
    for path in gathered.source.files:
        if path.parent.name != "ann" or path.suffix != ".json":
            continue
        image = path.parent.parent / "img" / path.stem
        if image not in images:
            gathered.skip(path, f"the image {image.name} is missing")
            continue
        del images[image]
        try:
            content = read_json(path)
            size = content["size"]
            stated = number(size["height"], "the height"), number(size["width"], "the width")
            objects = list(content["objects"])
        except InputError as error:
            gathered.skip(path, error)
            continue
        except (KeyError, TypeError):
            gathered.skip(path, "has no size and objects, as Supervisely's files do")
            continue

        def shapes(
            size_hw: tuple[int, int], objects: list[Any] = objects, path: Path = path
        ) -> list[Shape]:
            return list(_shapes(objects, listed, path, size_hw, gathered))

        gathered.add(image, shapes, path, size_hw=stated)
    for image in images:
        gathered.skip(image, f"has no annotation ann/{image.name}.json")
    gathered.files = {description: None}


def _shapes(
    objects: list[Any], listed: list[str], path: Path, size_hw: tuple[int, int], gathered: Gathered
) -> Iterator[Shape]:
    """Yield the shapes of an image."""
    for count, one in enumerate(objects, start=1):
        what = f"object {count} in {path.name}"
        if not isinstance(one, dict):
            raise InputError(f"{what} is no object")
        label = str(one.get("classTitle"))
        if label not in listed:
            raise InputError(f"{what} has the class {label[:80]!r}, which is not listed")
        if label.casefold() in BACKGROUND_LABELS:
            continue
        kind = one.get("geometryType") or ("bitmap" if one.get("bitmap") else "polygon")
        if kind in ("point", "graph", "cuboid"):
            gathered.notes.append(f"{what} marks no pixels.")
            continue
        geometry = _geometry(str(kind), one, size_hw, what)
        if isinstance(geometry, Polygon):
            note_outside(geometry, size_hw, what, gathered)
        yield Shape(label, geometry)


def _geometry(kind: str, one: dict[str, Any], size_hw: tuple[int, int], what: str) -> Geometry:
    """The geometry of an object."""
    if kind == "bitmap":
        bitmap = one.get("bitmap")
        origin = bitmap.get("origin") if isinstance(bitmap, dict) else None
        if not isinstance(bitmap, dict) or not isinstance(origin, list) or len(origin) != 2:
            raise InputError(f"{what} has no bitmap with an origin")
        left, top = (number(value, f"the origin of {what}") for value in origin)
        data = unpack(decode_base64(bitmap.get("data"), what), what)
        return png_bitmap(data, size_hw, what, top=top, left=left)
    values = one.get("points")
    if not isinstance(values, dict):
        raise InputError(f"{what} has no points")
    outer, holes = values.get("exterior"), values.get("interior") or []
    if kind == "polygon":
        return polygon(outer, what, holes)
    if kind == "line":
        return polyline(outer, what)
    if kind == "rectangle":
        (x0, y0), (x1, y1) = points(outer, what, at_least=2)[:2].tolist()
        return rectangle(min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1), what)
    raise InputError(f"{what} is of the unknown kind {kind[:40]!r}")
