"""Label Studio: JSON exports with brush masks, polygons, rectangles and ellipses.

The format: https://labelstud.io/guide/export. Coordinates are percentages of the photo's width and
height. Brush masks are run lengths of bits, `fissura.data.formats.shapes.bit_runs`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fissura.data.formats.annotation import BACKGROUND_LABELS, Bitmap, Geometry, Polygon, Shape
from fissura.data.formats.documents import entries
from fissura.data.formats.readers.coco import note_outside
from fissura.data.formats.shapes.bit_runs import decode_brush
from fissura.data.formats.shapes.points import ellipse, number, points, polygon
from fissura.data.formats.source import Gathered, not_used
from fissura.errors import InputError

NAME = "Label Studio"
GEOMETRIES = ("brush", "polygon", "rectangle", "ellipse")


def is_label_studio(content: Any) -> bool:
    """Whether the content of a JSON file is Label Studio's, JSON or JSON-MIN."""
    return (
        isinstance(content, list)
        and bool(content)
        and all(isinstance(task, dict) for task in content)
        and any(_is_task(task) for task in content)
    )


def _is_task(task: dict[str, Any]) -> bool:
    """Whether an object is a task, whole or minimal."""
    if isinstance(task.get("data"), dict):
        return bool({"annotations", "completions", "predictions"} & task.keys())
    return {"annotation_id", "id"} <= task.keys()


def read_label_studio(path: Path, content: Any, gathered: Gathered) -> None:
    """Read one export.

    Of several annotations of a task the one that is marked as ground truth counts, or the last.
    Predictions are no annotations, and tasks without an annotation are not used.

    Args:
        path: The file.
        content: What it holds.
        gathered: Takes the images.
    """
    unlabeled = 0
    for count, task in enumerate(content, start=1):
        what = f"task {task.get('id', count)} in {path.name}"
        try:
            results = _results(task, what, gathered)
            if results is None:
                unlabeled += 1
                continue
            image = gathered.source.find_image(_image_of(task), path)
        except InputError as error:
            gathered.skip(path, f"{what}: {error}")
            continue

        def shapes(
            size_hw: tuple[int, int], results: list[Any] = results, what: str = what
        ) -> list[Shape]:
            return list(_shapes(results, size_hw, what, gathered))

        gathered.add(image, shapes, path)
    if unlabeled:
        gathered.notes.append(not_used(unlabeled, "task", f"no annotation in {path.name}"))


def _image_of(task: dict[str, Any]) -> Any:
    """The name of a task's image: under `image`, or the only text that ends as an image does."""
    data = task["data"] if isinstance(task.get("data"), dict) else task
    if isinstance(data.get("image"), str):
        return data["image"]
    texts = [value for value in data.values() if isinstance(value, str)]
    paths = [text for text in texts if "." in text.rsplit("/", 1)[-1]]
    return paths[0] if len(paths) == 1 else None


def _results(task: dict[str, Any], what: str, gathered: Gathered) -> list[Any] | None:
    """The results of the annotation that counts; None where there is none."""
    if not isinstance(task.get("data"), dict):  # JSON-MIN: lists of values under the names of tags
        return [
            {"type": _kind_of(value), "value": value, "original_width": value.get("original_width"),
             "original_height": value.get("original_height")}
            for listed in task.values() if isinstance(listed, list)
            for value in listed if isinstance(value, dict) and _kind_of(value)
        ]  # fmt: skip
    listed = entries(task.get("annotations") or task.get("completions"), "its annotations")
    made = [
        one
        for one in listed
        if isinstance(one, dict) and not one.get("was_cancelled") and not one.get("skipped")
    ]
    if not made:
        return None
    truth = [one for one in made if one.get("ground_truth")] or made
    if len(truth) > 1:
        gathered.notes.append(f"{what} has {len(truth)} annotations, of which the last one counts.")
    last = max(truth, key=lambda one: str(one.get("updated_at") or one.get("created_at") or ""))
    results = last.get("result")
    return results if isinstance(results, list) else []


def _kind_of(value: dict[str, Any]) -> str:
    """The kind of a value of JSON-MIN."""
    return next((key for key in value if key.endswith("labels")), "")


def _shapes(
    results: list[Any], size_hw: tuple[int, int], what: str, gathered: Gathered
) -> Iterator[Shape]:
    """Yield the shapes of an annotation."""
    drawn = [one for one in results if isinstance(one, dict) and isinstance(one.get("value"), dict)]
    # Where labels and geometry are tags of their own, they share an id.
    of_id = {str(one["id"]): _labels(one) for one in drawn if "id" in one and _labels(one)}
    for count, one in enumerate(drawn, start=1):
        kind = str(one.get("type")).removesuffix("labels")
        if kind not in GEOMETRIES:
            if kind == "keypoint":
                gathered.notes.append(f"{what} has a point, which marks no pixels.")
            continue
        told = f"result {count} of {what}"
        labels = _labels(one) or of_id.get(str(one.get("id")))
        if not labels:
            raise InputError(f"{told} has no label")
        stated = one.get("original_height"), one.get("original_width")
        if None not in stated and stated != size_hw:
            raise InputError(
                f"{told} was drawn on {str(stated[1])[:20]}×{str(stated[0])[:20]} pixels (width × "
                f"height), and the image has {size_hw[1]}×{size_hw[0]}"
            )
        if one.get("image_rotation"):
            raise InputError(f"{told} was drawn on a turned photo, which is not understood")
        geometry = _geometry(kind, one["value"], size_hw, told)
        if isinstance(geometry, Polygon):
            note_outside(geometry, size_hw, told, gathered)
        for label in labels:
            if label.casefold() not in BACKGROUND_LABELS:
                yield Shape(label, geometry)


def _labels(one: dict[str, Any]) -> list[str]:
    """The labels of a result."""
    for name, value in one["value"].items():
        if name.endswith("labels") and isinstance(value, list):
            return [str(label) for label in value]
    return []


def _geometry(kind: str, value: dict[str, Any], size_hw: tuple[int, int], what: str) -> Geometry:
    """The geometry of a value."""
    height, width = size_hw
    to_pixels = np.array([width / 100, height / 100])
    if kind == "polygon":
        shape = polygon(value.get("points"), what)
        return Polygon(shape.outer * to_pixels)
    if kind == "rectangle":
        (x, y), (w, h) = _two(value, ("x", "y"), ("width", "height"), what) * to_pixels
        corners = np.array([[0, 0], [w, 0], [w, h], [0, h]])
        turn = np.deg2rad(_number(value.get("rotation") or 0, what))
        matrix = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
        return Polygon(corners @ matrix.T + (x, y))
    if kind == "ellipse":
        center, radii = _two(value, ("x", "y"), ("radiusX", "radiusY"), what) * to_pixels
        turn = np.deg2rad(_number(value.get("rotation") or 0, what))
        return ellipse(tuple(center), tuple(radii), what, radians=turn)
    return _brush(value, size_hw, what)


def _two(
    value: dict[str, Any], first: tuple[str, str], second: tuple[str, str], what: str
) -> NDArray[np.float64]:
    """Two pairs of numbers by their names."""
    pairs = [[value.get(name) for name in names] for names in (first, second)]
    return points(pairs, what, at_least=2)


def _number(value: Any, what: str) -> float:
    """A number."""
    return float(points([[value, 0]], what, at_least=1)[0, 0])


def _brush(value: dict[str, Any], size_hw: tuple[int, int], what: str) -> Bitmap:
    """A brush mask, which is as large as the photo."""
    if value.get("format") != "rle" or not isinstance(value.get("rle"), list):
        raise InputError(f"{what} has a brush mask that is not in run lengths")
    try:
        data = bytes(number(code, "a code") for code in value["rle"])
    except (InputError, ValueError) as error:
        raise InputError(f"{what} has run lengths that are no bytes") from error

    def read() -> NDArray[np.bool_]:
        try:
            return decode_brush(data, size_hw)
        except InputError as error:
            raise InputError(f"{what}: {error}") from error

    return Bitmap(read, hashlib.sha256(data).hexdigest())
