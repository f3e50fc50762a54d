"""LabelMe: a JSON file beside each image, with polygons, lines, and bitmaps in base64.

The format: https://github.com/wkentaro/labelme, `shapes` of its label files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from fissura.data.formats.annotation import BACKGROUND_LABELS, Geometry, Polygon, Shape
from fissura.data.formats.documents import read_json
from fissura.data.formats.readers.coco import note_outside
from fissura.data.formats.shapes.encoded import decode_base64, png_bitmap
from fissura.data.formats.shapes.points import ellipse, points, polygon, polyline, rectangle
from fissura.data.formats.source import Gathered
from fissura.data.walk import below
from fissura.errors import InputError

NAME = "LabelMe"


def is_labelme(content: Any) -> bool:
    """Whether the content of a JSON file is LabelMe's."""
    return (
        isinstance(content, dict)
        and isinstance(content.get("shapes"), list)
        and "imagePath" in content
    )


def read_labelme(path: Path, content: Any, gathered: Gathered) -> None:
    """Read the file of one image.

    Circles and rectangles are filled, lines are polylines; points mark nothing.

    Args:
        path: The file.
        content: What it holds.
        gathered: Takes the image.
    """
    image, stored, name = path, None, ""
    try:
        image = gathered.source.find_image(content["imagePath"], path)
    except InputError as error:
        if not content.get("imageData"):
            gathered.skip(path, error)
            return
        stored, name = _image_data(path), below(path.with_suffix(""), gathered.source.root)

    def shapes(size_hw: tuple[int, int]) -> list[Shape]:
        return list(_shapes(path, content["shapes"], size_hw, gathered))

    stated = content.get("imageHeight"), content.get("imageWidth")
    gathered.add(image, shapes, path, size_hw=stated, name=name, stored=stored)


def _image_data(path: Path) -> Callable[[], bytes]:
    """Return what reads the image that is stored in a file: all together would fill the memory."""
    return lambda: decode_base64(read_json(path).get("imageData"), path.name)


def _shapes(
    path: Path, entries: list[Any], size_hw: tuple[int, int], gathered: Gathered
) -> Iterator[Shape]:
    """Yield the shapes of a file."""
    for count, entry in enumerate(entries, start=1):
        what = f"shape {count} in {path.name}"
        if not isinstance(entry, dict):
            raise InputError(f"{what} is no object")
        label = str(entry.get("label"))
        kind = entry.get("shape_type") or "polygon"
        if label.casefold() in BACKGROUND_LABELS:
            continue
        if kind in ("point", "points"):
            gathered.notes.append(f"{what} is a point and marks no pixels.")
            continue
        geometry = _geometry(kind, entry, size_hw, what)
        if isinstance(geometry, Polygon):
            note_outside(geometry, size_hw, what, gathered)
        yield Shape(label, geometry)


def _geometry(kind: str, entry: dict[str, Any], size_hw: tuple[int, int], what: str) -> Geometry:
    """The geometry of a shape."""
    values = entry.get("points")
    if kind == "polygon":
        return polygon(values, what)
    if kind in ("linestrip", "line"):
        return polyline(values, what)
    corners = points(values, what, at_least=2)
    (x0, y0), (x1, y1) = corners[:2].tolist()
    if kind == "rectangle":
        return rectangle(min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1), what)
    if kind == "circle":
        radius = ((x1 - x0) ** 2 + (y1 - y0) ** 2) ** 0.5
        return ellipse((x0, y0), (radius, radius), what)
    if kind == "mask":
        data = decode_base64(entry.get("mask"), what)
        return png_bitmap(data, size_hw, what, top=round(min(y0, y1)), left=round(min(x0, x1)))
    raise InputError(f"{what} is of the unknown kind {str(kind)[:40]!r}")
