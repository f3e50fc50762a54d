"""COCO instances, also as Roboflow and CVAT export them: polygons, and run lengths of both kinds.

The format: https://cocodataset.org/#format-data.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fissura.data.formats.annotation import BACKGROUND_LABELS, Bitmap, Polygon, Shape
from fissura.data.formats.documents import entries
from fissura.data.formats.shapes.points import number, outside, polygon
from fissura.data.formats.shapes.runs import expand_counts, pixels_of_runs
from fissura.data.formats.source import Gathered
from fissura.data.layouts import SPLITS
from fissura.errors import InputError

NAME = "COCO"
_SPLIT = re.compile(
    rf"(?:^|[^a-z])(?:{'|'.join(f'(?P<{s}>{w})' for s, w in SPLITS.items())})\d*(?![a-z])", re.I
)


def is_coco(content: Any) -> bool:
    """Whether the content of a JSON file is COCO's."""
    return (
        isinstance(content, dict)
        and isinstance(content.get("images"), list)
        and isinstance(content.get("annotations"), list)
    )


def read_coco(path: Path, content: Any, gathered: Gathered) -> None:
    """Read one file of instances.

    An image without annotations shows no crack. Several polygons of one annotation are united.
    Crowds are ignored.

    Args:
        path: The file; its name or folder may tell the split (instances_val2017.json).
        content: What it holds.
        gathered: Takes the images.
    """
    names = _categories(path, content, gathered)
    images, of_image = _by_image(path, content, gathered)
    for identity, entry in images.items():
        try:
            image = gathered.source.find_image(entry.get("file_name"), path)
        except InputError as error:
            gathered.skip(path, error)
            continue

        def shapes(size_hw: tuple[int, int], own: list[Any] = of_image[identity]) -> list[Shape]:
            return [shape for one in own for shape in _shapes(one, names, size_hw, gathered, path)]

        stated = entry.get("height"), entry.get("width")
        split = gathered.split_of(image) or _split_of(path, gathered)
        gathered.add(image, shapes, path, size_hw=stated, split=split)


def _categories(path: Path, content: Any, gathered: Gathered) -> dict[Any, str]:
    """Names of the categories by their numbers."""
    names: dict[Any, str] = {}
    categories = entries(content.get("categories"), f"{path}: its categories")
    for entry in categories:
        if not isinstance(entry, dict) or not isinstance(entry.get("id"), int):
            raise InputError(f"{path}: has a category without a number.")
        if entry["id"] in names:
            raise InputError(f"{path}: has two categories of the number {entry['id']}.")
        names[entry["id"]] = str(entry.get("name", entry["id"]))
    used = {str(name) for name in names.values()}
    # Roboflow lists a category above all others, which no annotation has.
    above = {str(entry.get("supercategory")) for entry in categories}
    listed = [one for one in content["annotations"] if isinstance(one, dict)]
    marked = {_key(one.get("category_id")) for one in listed}
    for identity, name in names.items():
        if name.casefold() in BACKGROUND_LABELS:
            continue
        if identity in marked or not (name in above and len(used) > 1):
            gathered.labels[name] = None
    return names


def _by_image(
    path: Path, content: Any, gathered: Gathered
) -> tuple[dict[Any, dict[str, Any]], dict[Any, list[Any]]]:
    """Images, and the annotations of each, by the number of the image."""
    listed = [entry for entry in content["images"] if isinstance(entry, dict)]
    if len(listed) < len(content["images"]):
        raise InputError(f"{path}: lists images that are no objects.")
    times = Counter(_key(entry.get("id")) for entry in listed)
    for identity, count in times.items():
        if count > 1:
            gathered.skip(path, f"has {count} images of the number {identity}, left out")
    images = {_key(e.get("id")): e for e in listed if times[_key(e.get("id"))] == 1}
    of_image: dict[Any, list[Any]] = defaultdict(list)
    seen: Counter[Any] = Counter()
    for one in content["annotations"]:
        if not isinstance(one, dict):
            raise InputError(f"{path}: lists annotations that are no objects.")
        identity = _key(one.get("image_id"))
        if identity not in times:
            gathered.skip(path, f"annotation {one.get('id')} is of image {identity}, not listed")
        of_image[identity].append(one)
        seen[_key(one.get("id"))] += 1
    if doubles := [
        identity for identity, count in seen.items() if count > 1 and identity != "None"
    ]:
        gathered.notes.append(
            f"{path.name}: {len(doubles)} numbers of annotations are used more than once (such as "
            f"{doubles[0]}); all of them are read."
        )
    return images, of_image


def _key(identity: Any) -> Any:
    """A number of an image; as text where it is none, which cannot be looked up."""
    return identity if isinstance(identity, int | str) else str(identity)


def _shapes(
    one: dict[str, Any],
    names: dict[Any, str],
    size_hw: tuple[int, int],
    gathered: Gathered,
    path: Path,
) -> Iterable[Shape]:
    """Yield the shapes of an annotation."""
    what = f"annotation {one.get('id')} in {path.name}"
    category = one.get("category_id")
    if not isinstance(category, int) or category not in names:
        raise InputError(f"{what} has the category {category}, which is not listed")
    label, crowd = names[category], bool(one.get("iscrowd"))
    if label.casefold() in BACKGROUND_LABELS:
        return
    segmentation = one.get("segmentation")
    if isinstance(segmentation, dict):
        yield Shape(label, _bitmap(segmentation, size_hw, what), crowd)
        return
    if not isinstance(segmentation, list) or not segmentation:
        raise InputError(f"{what} is a box without an outline")
    parts = segmentation if isinstance(segmentation[0], list) else [segmentation]
    for part in parts:
        shape = polygon(part, what)
        note_outside(shape, size_hw, what, gathered)
        yield Shape(label, shape, crowd)


def note_outside(shape: Polygon, size_hw: tuple[int, int], what: str, gathered: Gathered) -> None:
    """Note that an outline reaches beyond its image, where it does."""
    if outside(shape.outer, size_hw):
        gathered.notes.append(f"{what} reaches beyond its image and is cut off there.")


def _bitmap(segmentation: dict[str, Any], size_hw: tuple[int, int], what: str) -> Bitmap:
    """Run lengths, compressed or not."""
    counts, size = segmentation.get("counts"), segmentation.get("size")
    if not isinstance(size, list) or len(size) != 2:
        raise InputError(f"{what} has run lengths without a size")
    stated = number(size[0], f"the height of {what}"), number(size[1], f"the width of {what}")
    if stated != size_hw:
        raise InputError(
            f"{what} has run lengths of {stated[1]}×{stated[0]} pixels (width × height), and the "
            f"image has {size_hw[1]}×{size_hw[0]}"
        )
    lengths = _counts(counts, what)

    def read() -> NDArray[np.bool_]:
        return pixels_of_runs(lengths, size_hw, by_columns=True)

    if (lengths < 0).any() or int(lengths.sum()) != size_hw[0] * size_hw[1]:
        try:
            read()
        except InputError as error:
            raise InputError(f"{what}: {error}") from error
    return Bitmap(read, hashlib.sha256(lengths.tobytes()).hexdigest())


def _counts(counts: Any, what: str) -> NDArray[np.int64]:
    """Run lengths as numbers."""
    if isinstance(counts, str):
        try:
            return expand_counts(counts)
        except InputError as error:
            raise InputError(f"{what}: {error}") from error
    try:
        lengths = np.array(counts)
        if lengths.ndim != 1 or (len(lengths) and lengths.dtype.kind not in "iu"):
            raise ValueError
        return lengths.astype(np.int64)
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(f"{what} has run lengths that are no numbers") from error


def _split_of(path: Path, gathered: Gathered) -> str:
    """The split that a file's name or folder means, such as instances_val2017.json."""
    if split := gathered.split_of(path):
        return split
    found = {
        split for match in _SPLIT.finditer(path.stem) for split, w in match.groupdict().items() if w
    }
    return found.pop() if len(found) == 1 else ""
