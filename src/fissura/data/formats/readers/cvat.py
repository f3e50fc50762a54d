"""CVAT for images 1.1: one XML file with polygons, polylines and masks of run lengths.

The format: https://docs.cvat.ai/docs/manual/advanced/xml_format. Runs go along the rows of their
box, the first outside.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

import numpy as np
from numpy.typing import NDArray

from fissura.data.formats.annotation import (
    BACKGROUND_LABELS,
    Bitmap,
    Geometry,
    Polygon,
    Shape,
)
from fissura.data.formats.readers.coco import note_outside
from fissura.data.formats.readers.cvat_video import read_tracks
from fissura.data.formats.shapes.points import ellipse, number, polygon, polyline, rectangle
from fissura.data.formats.shapes.runs import pixels_of_runs
from fissura.data.formats.source import Gathered
from fissura.errors import InputError

NAME = "CVAT for images"
SPLITS = {"train": "train", "val": "val", "validation": "val", "valid": "val", "test": "test"}
DRAWN = ("polygon", "polyline", "mask", "box", "ellipse", "points", "skeleton", "cuboid")


def is_cvat(root: Element) -> bool:
    """Whether an XML file is CVAT's."""
    return root.tag == "annotations" and (
        root.find("image") is not None
        or root.find("track") is not None
        or root.find("meta") is not None
    )


def read_cvat(path: Path, root: Element, gathered: Gathered) -> None:
    """Read one file.

    Later shapes lie above earlier ones of the same `z_order`. Tracks of a video ("CVAT for video
    1.1") belong to the images whose names end with the numbers of its frames.

    Args:
        path: The file.
        root: What it holds.
        gathered: Takes the images.

    Raises:
        InputError: It has neither images nor tracks, or those of a video whose frames are not here.
    """
    if root.find("image") is None and root.find("track") is None:
        raise InputError(f"{path}: has no images. Export the task as 'CVAT for images 1.1'.")
    listed = [
        name.strip()
        for element in root.iterfind("./meta//labels/label/name")
        if (name := element.text)
    ]
    gathered.labels |= {name: None for name in listed if name.casefold() not in BACKGROUND_LABELS}
    if root.find("track") is not None:

        def make(entry: Element, size_hw: tuple[int, int]) -> list[Shape]:
            return list(shapes_of(entry, listed, size_hw, gathered))

        read_tracks(path, root, make, gathered)
    for entry in root.iterfind("image"):
        try:
            image = gathered.source.find_image(entry.get("name"), path)
            stated = (
                number(entry.get("height"), "the height of an image"),
                number(entry.get("width"), "the width of an image"),
            )
        except InputError as error:
            gathered.skip(path, error)
            continue

        def shapes(size_hw: tuple[int, int], entry: Element = entry) -> list[Shape]:
            return list(shapes_of(entry, listed, size_hw, gathered))

        split = SPLITS.get((entry.get("subset") or "").casefold())
        gathered.add(image, shapes, path, size_hw=stated, split=split)


def shapes_of(
    entry: Element, listed: list[str], size_hw: tuple[int, int], gathered: Gathered
) -> Iterator[Shape]:
    """Yield the shapes of an image from the lowest to the topmost.

    Args:
        entry: The element of the image, with its shapes.
        listed: The labels of the task; none: any label.
        size_hw: Height and width of the image.
        gathered: Takes notes.

    Raises:
        InputError: A shape cannot be understood.
    """
    drawn = [element for element in entry if element.tag in DRAWN]
    for element in sorted(
        drawn, key=lambda element: number(element.get("z_order") or 0, "z_order")
    ):
        what = f"a {element.tag} on {entry.get('name')}"
        label = element.get("label") or ""
        if listed and label not in listed:
            raise InputError(f"{what} has the label {label[:80]!r}, which is not listed")
        if label.casefold() in BACKGROUND_LABELS:
            continue
        if element.tag in ("points", "skeleton", "cuboid"):
            gathered.notes.append(f"{what} marks no pixels.")
            continue
        geometry = _geometry(element, size_hw, what)
        if isinstance(geometry, Polygon):
            note_outside(geometry, size_hw, what, gathered)
        yield Shape(label, geometry)


def _geometry(element: Element, size_hw: tuple[int, int], what: str) -> Geometry:
    """The geometry of a shape."""
    value = element.attrib.get
    match element.tag:
        case "polygon":
            return polygon(_pairs(value("points")), what)
        case "polyline":
            return polyline(_pairs(value("points")), what)
        case "box":
            sides = [_float(value(side), what) for side in ("xtl", "ytl", "xbr", "ybr")]
            return rectangle(*sides, what)  # pyright: ignore[reportCallIssue]
        case "ellipse":
            cx, cy, rx, ry = (_float(value(name), what) for name in ("cx", "cy", "rx", "ry"))
            turn = np.deg2rad(_float(value("rotation") or 0, what))
            return ellipse((cx, cy), (rx, ry), what, radians=turn)
    return _mask(element, size_hw, what)


def _mask(element: Element, size_hw: tuple[int, int], what: str) -> Bitmap:
    """Run lengths in a box."""
    left, top, width, height = (
        number(element.get(name), f"the {name} of {what}")
        for name in ("left", "top", "width", "height")
    )
    if not (0 <= height <= size_hw[0] + 1 and 0 <= width <= size_hw[1] + 1):
        raise InputError(f"{what} is larger than its image")
    try:
        lengths = np.array((element.get("rle") or "").replace(",", " ").split(), np.int64)
    except (ValueError, OverflowError) as error:
        raise InputError(f"{what} has run lengths that are no numbers") from error

    def read() -> NDArray[np.bool_]:
        return pixels_of_runs(lengths, (height, width), by_columns=False)

    try:
        read()
    except InputError as error:
        raise InputError(f"{what}: {error}") from error
    return Bitmap(
        read,
        hashlib.sha256(f"{height} {width}".encode() + lengths.tobytes()).hexdigest(),
        top,
        left,
    )


def _pairs(text: str | None) -> list[list[str]]:
    """Points of a list such as 1.5,2;3,4."""
    return [pair.split(",") for pair in (text or "").split(";") if pair.strip()]


def _float(value: Any, what: str) -> float:
    """A coordinate."""
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        raise InputError(f"{what} has coordinates that are no numbers") from error
