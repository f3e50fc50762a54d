"""VGG Image Annotator 1, 2 and 3: JSON of projects and of annotations, and CSV.

The format: https://www.robots.ox.ac.uk/~vgg/software/via. Circles, ellipses and rectangles are
filled, polylines are lines, points mark nothing.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from fissura.data.formats.annotation import BACKGROUND_LABELS, Geometry, Polygon, Shape
from fissura.data.formats.readers.coco import note_outside
from fissura.data.formats.shapes.points import ellipse, points, polygon, polyline, rectangle
from fissura.data.formats.source import Gathered
from fissura.errors import InputError
from fissura.files.documents import parse_json

NAME = "VIA"
CSV_COLUMNS = {"filename", "region_shape_attributes", "region_attributes"}
# Kinds of regions by VIA 3's numbers, with the names of their numbers in VIA 2.
KINDS_3 = {
    1: ("point", ("cx", "cy")),
    2: ("rect", ("x", "y", "width", "height")),
    3: ("circle", ("cx", "cy", "r")),
    4: ("ellipse", ("cx", "cy", "rx", "ry")),
    5: ("polyline", ()),
    6: ("polyline", ()),
    7: ("polygon", ()),
    8: ("rect", ("x", "y", "width", "height")),
    9: ("circle", ("cx", "cy", "r")),
}
# Attributes that name the class of a region, before all others.
CLASS = ("label", "labels", "class", "type", "name", "category", "defect", "damage")


def is_via(content: Any) -> bool:
    """Whether the content of a JSON file is VIA's."""
    if not isinstance(content, dict):
        return False
    if _is_via_3(content):
        return True
    listed = content.get("_via_img_metadata", content)
    return (
        isinstance(listed, dict)
        and bool(listed)
        and all(
            isinstance(one, dict) and {"filename", "regions"} <= one.keys()
            for one in listed.values()
        )
    )


def read_via(path: Path, content: Any, gathered: Gathered) -> None:
    """Read a JSON file.

    Args:
        path: The file.
        content: What it holds.
        gathered: Takes the images.
    """
    if _is_via_3(content):
        for name, regions in _images_of_via_3(path, content, gathered).items():
            _add(path, name, regions, gathered)
        return
    for entry in content.get("_via_img_metadata", content).values():
        regions = entry["regions"]
        if isinstance(regions, dict):  # version 1 numbers them
            regions = list(regions.values())
        _add(path, entry["filename"], regions, gathered)


def _is_via_3(content: dict[str, Any]) -> bool:
    """Whether the content of a JSON file is a project of VIA 3."""
    parts = [content.get(name) for name in ("file", "view", "metadata", "attribute")]
    return "project" in content and all(isinstance(part, dict) for part in parts)


def _images_of_via_3(
    path: Path, content: dict[str, Any], gathered: Gathered
) -> dict[str, list[dict[str, Any]]]:
    """The regions of each image of a project of VIA 3, as VIA 2 writes them."""
    try:
        names = {
            view: str(content["file"][str(shown["fid_list"][0])]["fname"])
            for view, shown in content["view"].items()
        }
        images: dict[str, list[dict[str, Any]]] = {name: [] for name in names.values()}
        for one in content["metadata"].values():
            if one.get("z"):
                gathered.notes.append(f"{path.name} marks times of videos, which are not read.")
            elif one.get("xy"):
                region = _region_of_via_3(one["xy"], one.get("av"), content["attribute"])
                images[names[str(one["vid"])]].append(region)
    except (KeyError, IndexError, TypeError, ArithmeticError, ValueError, AttributeError) as error:
        raise InputError(f"{path}: is damaged, it is no whole project of VIA 3.") from error
    return images


def _region_of_via_3(xy: list[Any], chosen: Any, attributes: dict[str, Any]) -> dict[str, Any]:
    """A region as VIA 2 writes it; the names of its attributes and options instead of numbers."""
    name, sides = KINDS_3[int(xy[0])]
    values = xy[1:]
    shape = {"name": name, **dict(zip(sides, values, strict=bool(sides)))}
    if not sides:
        shape |= {"all_points_x": values[::2], "all_points_y": values[1::2]}
    labels = {}
    for number, value in (chosen or {}).items():
        attribute = attributes[str(number)]
        options = attribute.get("options") or {}
        labels[str(attribute.get("aname"))] = options.get(str(value), value)
    return {"shape_attributes": shape, "region_attributes": labels}


def is_via_csv(path: Path) -> bool:
    """Whether a CSV file is VIA's."""
    with path.open("rb") as file:
        header = file.readline(4096).decode("utf-8-sig", "replace")
    return {word.strip().strip('"#') for word in header.split(",")} >= CSV_COLUMNS


def read_via_csv(path: Path, gathered: Gathered) -> None:
    """Read a CSV file, a line per region; see `read_via`.

    Raises:
        InputError: A cell holds no JSON.
    """
    text = path.read_bytes().decode("utf-8-sig", "replace")
    of_image: dict[str, list[Any]] = {}
    try:
        rows = list(csv.DictReader(text.splitlines()))
    except csv.Error as error:
        raise InputError(f"{path}: is damaged, it is no whole CSV ({error}).") from error
    for count, row in enumerate(rows, start=2):
        row = {str(name).strip("#"): value for name, value in row.items()}
        regions = of_image.setdefault(str(row.get("filename")), [])
        try:
            shape = parse_json(row.get("region_shape_attributes") or "{}")
            attributes = parse_json(row.get("region_attributes") or "{}")
        except (ValueError, TypeError) as error:
            raise InputError(f"{path}: line {count} holds a cell that is no JSON.") from error
        if shape:
            regions.append({"shape_attributes": shape, "region_attributes": attributes})
    for name, regions in of_image.items():
        _add(path, name, regions, gathered)


def _add(path: Path, name: Any, regions: Any, gathered: Gathered) -> None:
    """Add an image."""
    try:
        image = gathered.source.find_image(name, path)
    except InputError as error:
        gathered.skip(path, error)
        return

    def shapes(size_hw: tuple[int, int]) -> list[Shape]:
        if not isinstance(regions, list):
            raise InputError(f"the regions of {name} in {path.name} are no list")
        return list(_shapes(regions, f"of {name} in {path.name}", size_hw, gathered))

    gathered.add(image, shapes, path)


def _shapes(
    regions: list[Any], where: str, size_hw: tuple[int, int], gathered: Gathered
) -> Iterator[Shape]:
    """Yield the shapes of an image."""
    for count, region in enumerate(regions, start=1):
        what = f"region {count} {where}"
        shape = region.get("shape_attributes") if isinstance(region, dict) else None
        if not isinstance(shape, dict):
            raise InputError(f"{what} has no shape")
        label = _label(region.get("region_attributes"))
        if label.casefold() in BACKGROUND_LABELS:
            continue
        if shape.get("name") == "point":
            gathered.notes.append(f"{what} is a point and marks no pixels.")
            continue
        geometry = _geometry(shape, what)
        if isinstance(geometry, Polygon):
            note_outside(geometry, size_hw, what, gathered)
        yield Shape(label, geometry)


def _label(attributes: Any) -> str:
    """The class that a region's attributes name; 'region' where they name none."""
    if not isinstance(attributes, dict) or not attributes:
        return "region"
    known = {name.casefold(): name for name in reversed(list(attributes))}
    names = [known[word] for word in CLASS if word in known]
    value = attributes[names[0] if names else next(iter(attributes))]
    if isinstance(value, dict):  # boxes that are ticked
        value = next((name for name, ticked in value.items() if ticked), "")
    return str(value).strip() or "region"


def _geometry(shape: dict[str, Any], what: str) -> Geometry:
    """The geometry of a region."""
    kind = shape.get("name")
    if kind in ("polygon", "polyline"):
        x, y = shape.get("all_points_x"), shape.get("all_points_y")
        if not isinstance(x, list) or not isinstance(y, list) or len(x) != len(y):
            raise InputError(f"{what} has coordinates that are no pairs of x and y")
        pairs = list(zip(x, y, strict=True))
        return polygon(pairs, what) if kind == "polygon" else polyline(pairs, what)
    if kind == "rect":
        pairs = [[shape.get("x"), shape.get("y")], [shape.get("width"), shape.get("height")]]
        (left, top), (width, height) = points(pairs, what, at_least=2).tolist()
        return rectangle(left, top, left + width, top + height, what)
    if kind == "circle":
        return ellipse((shape.get("cx"), shape.get("cy")), (shape.get("r"), shape.get("r")), what)
    if kind == "ellipse":
        turn = float(points([[shape.get("theta") or 0, 0]], what, at_least=1)[0, 0])
        # In radians; what is beyond a full turn can only be degrees.
        turn = np.deg2rad(turn) if abs(turn) > 2 * np.pi else turn
        center, radii = (shape.get("cx"), shape.get("cy")), (shape.get("rx"), shape.get("ry"))
        return ellipse(center, radii, what, radians=turn)
    raise InputError(f"{what} is of the unknown kind {str(kind)[:40]!r}")
