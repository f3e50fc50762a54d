"""YOLO segmentation, as Ultralytics and Roboflow define it: a text file of outlines per image.

The format: https://docs.ultralytics.com/datasets/segment. A line is the number of a class and an
outline, x and y in turn as fractions of width and height. Holes are joined with their outline by
two lines that lie on each other. An image without a text file, or with an empty one, shows nothing.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from fissura.data.formats.annotation import Polygon, Shape
from fissura.data.formats.documents import read_yaml
from fissura.data.formats.shapes.points import points
from fissura.data.formats.source import Gathered, Source
from fissura.data.layouts import SPLITS, meanings
from fissura.data.walk import below
from fissura.errors import InputError

NAME = "YOLO"
# How far beyond the image a coordinate may lie, as a fraction; farther it is in pixels.
MOST = 1.5
_LINE = re.compile(r"\d+(\s+-?[\d.]+(e[-+]?\d+)?)+\s*", re.IGNORECASE)
_NOT_LABELS = re.compile(
    r"^(readme|classes|labels|names|license|notes?|train|val|valid|test)\b", re.I
)


def has_yolo(source: Source) -> bool:
    """Whether a source has text files of outlines, or describes itself as YOLO's."""
    if any(_is_description(file) for file in source.ending(".yaml", ".yml")):
        return True
    texts = _texts(source)
    return any(_looks_like_labels(file) for file in texts[:20])


def read_yolo(gathered: Gathered) -> None:
    """Read all text files of a source."""
    source = gathered.source
    described = [file for file in source.ending(".yaml", ".yml") if _is_description(file)]
    if len(described) > 1:
        names = " and ".join(below(file, source.root) for file in described[:2])
        raise InputError(f"{source.root} has several descriptions of the data set: {names}.")
    content = read_yaml(described[0]) if described else {}
    classes = _classes(content, source)
    gathered.labels |= dict.fromkeys(classes.values())
    if described:
        gathered.files[described[0]] = None
    labels = _label_files(source, gathered)
    splits = _splits(content)
    for image in source.images:
        text = labels.pop(image, None)
        split = gathered.split_of(image) or _split_by_path(image, source.root, splits)

        def shapes(
            size_hw: tuple[int, int], text: Path | None = text, image: Path = image
        ) -> list[Shape]:
            return _shapes(text, classes, size_hw, gathered) if text else []

        gathered.add(image, shapes, described[0] if described else (text or image), split=split)
    if not described:
        gathered.files = dict.fromkeys(_texts(source))


def _is_description(path: Path) -> bool:
    """Whether a YAML file has the names of classes, and folders of a split."""
    try:
        content = read_yaml(path)
    except (InputError, OSError):
        return False
    return (
        isinstance(content, dict) and "names" in content and bool({"train", "val"} & set(content))
    )


def _texts(source: Source) -> list[Path]:
    """Text files that may hold outlines."""
    return [
        file for file in source.files if file.suffix == ".txt" and not _NOT_LABELS.match(file.name)
    ]


def _looks_like_labels(path: Path) -> bool:
    """Whether the first line of a file is one of YOLO's."""
    with path.open("rb") as file:
        line = file.readline(4096).decode("ascii", "replace")
    return bool(_LINE.match(line)) and len(line.split()) >= 5


def _classes(content: dict[str, Any], source: Source) -> dict[int, str]:
    """Names of the classes by their numbers; none where they are not told."""
    names = content.get("names")
    if isinstance(names, list):
        return {number: str(name) for number, name in enumerate(names)}
    if isinstance(names, dict):
        try:
            return {int(number): str(name) for number, name in names.items()}
        except (TypeError, ValueError, OverflowError) as error:
            raise InputError(
                f"{source.root}: the classes of its description have no numbers."
            ) from error
    for file in source.files:
        if file.name in ("classes.txt", "obj.names"):
            lines = file.read_bytes().decode("utf-8", "replace").split("\n")
            return {n: line.strip() for n, line in enumerate(lines) if line.strip()}
    return {}


def _label_files(source: Source, gathered: Gathered) -> dict[Path, Path]:
    """The text file of each image: in a folder `labels` beside `images`, or beside the image."""
    by_place: dict[tuple[str, ...], Path] = {}
    for image in source.images:
        by_place[_place(image, source.root)] = image
    found: dict[Path, Path] = {}
    for text in _texts(source):
        place = _place(text, source.root)
        if image := by_place.get(place):
            found[image] = text
        elif _looks_like_labels(text):
            gathered.skip(text, "has no image of that name")
    return found


def _place(path: Path, root: Path) -> tuple[str, ...]:
    """Folders and name of a file, without those that are for images or labels."""
    parts = path.relative_to(root).with_suffix("").parts
    return (*(p for p in parts[:-1] if not (meanings(p) or set()) & {"image", "mask"}), parts[-1])


def _splits(content: dict[str, Any]) -> dict[str, list[str]]:
    """Last parts of the paths that the description gives to each split."""
    found: dict[str, list[str]] = {}
    for split in SPLITS:
        value = content.get(split)
        paths = value if isinstance(value, list) else [value]
        found[split] = [path for path in paths if isinstance(path, str)]
    return found


def _split_by_path(image: Path, root: Path, splits: dict[str, list[str]]) -> str:
    """The split whose folder, as described, an image lies in; "" where that is not one."""
    folder = image.parent.relative_to(root).parts
    fitting = set()
    for split, paths in splits.items():
        for path in paths:
            parts = [part for part in re.split(r"[/\\]", path) if part not in ("", ".", "..")]
            if parts and any(
                list(folder[at : at + len(parts)]) == parts for at in range(len(folder))
            ):
                fitting.add(split)
    return fitting.pop() if len(fitting) == 1 else ""


def _shapes(
    text: Path, classes: dict[int, str], size_hw: tuple[int, int], gathered: Gathered
) -> list[Shape]:
    """Read the outlines of an image."""
    height, width = size_hw
    shapes = []
    lines = text.read_bytes().decode("utf-8", "replace").splitlines()
    for count, line in enumerate(lines, start=1):
        words = line.split()
        if not words:
            continue
        what = f"line {count} of {below(text, gathered.source.root)}"
        if not words[0].isdecimal() or len(words[0]) > 6:
            raise InputError(f"{what} begins with {words[0][:20]!r}, which is no number of a class")
        if len(words) == 5:
            raise InputError(f"{what} is a box without an outline")
        label = classes.get(int(words[0]))
        if label is None and classes:
            raise InputError(f"{what} has the class {int(words[0])}, which is not listed")
        corners = points(words[1:], what, at_least=3)
        if np.abs(corners).max() > MOST:
            raise InputError(
                f"{what} has coordinates up to {np.abs(corners).max():g}; YOLO's are fractions"
            )
        if corners.min() < -1e-3 or corners.max() > 1 + 1e-3:
            gathered.notes.append(f"{what} reaches beyond its image and is cut off there.")
        shapes.append(Shape(label or f"class {int(words[0])}", Polygon(corners * (width, height))))
    return shapes
