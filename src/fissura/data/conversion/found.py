"""What a model found, as an annotated set: results of `predict` and `inspect`."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fissura.data.folder import find_images
from fissura.data.formats.annotation import AnnotatedSet, Bitmap, Shape
from fissura.data.formats.mask_files import mask_shapes
from fissura.data.formats.source import Gathered, Source
from fissura.data.images import read_size
from fissura.data.masks import read_mask
from fissura.errors import InputError
from fissura.files import MASKS, output_names
from fissura.files.documents import read_json

RESULTS = ("prediction.json", "inspection.json")
SUFFIXES = (".png", ".tif")


def read_results(folder: Path, photos: Path | None = None) -> AnnotatedSet | None:
    """Read a folder of results.

    Args:
        folder: A folder that `predict` or `inspect` wrote.
        photos: Where the photos lie now, if not where they were found.

    Returns:
        The photos with their masks; None where the folder holds no results.

    Raises:
        InputError: The results are damaged, or their photos are gone.
    """
    settings = next((folder / name for name in RESULTS if (folder / name).is_file()), None)
    if settings is None or not (folder / MASKS).is_dir():
        return None
    try:
        told = read_json(settings)
        inputs = [photos] if photos is not None else [Path(path) for path in told["inputs"]]
        classes = [str(name) for name in told.get("classes") or []]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{settings}: is damaged. Predict the photos again.") from error
    missing = [path for path in inputs if not path.exists()]
    if missing:
        raise InputError(
            f"The photos of {folder} are no longer at {missing[0]}. Say with --photos where they "
            "are."
        )
    gathered = Gathered(Source(folder, (), ()))
    gathered.labels |= dict.fromkeys(classes[1:] if classes[:1] == ["background"] else classes)
    gathered.labels = gathered.labels or {"crack": None}
    files = [file for file in find_images(inputs) if not file.is_relative_to(folder / MASKS)]
    left = {file for file in (folder / MASKS).rglob("*") if file.is_file()}
    for photo, name in zip(files, output_names(files, inputs), strict=True):
        _add(folder / MASKS, photo, name, classes, left, gathered)
    for mask in sorted(left):
        gathered.skip(mask, "has no photo any more")
    if not gathered.images and not gathered.skipped:
        raise InputError(f"{folder}: no mask belongs to a photo in {inputs[0]}.")
    gathered.files = {}
    return gathered.finished("what a model found")


def _add(
    masks: Path, photo: Path, name: str, classes: list[str], left: set[Path], gathered: Gathered
) -> None:
    """Add a photo with its masks, which are taken from `left`; none where it was not predicted."""
    overlapping = bool(classes) and classes[0] != "background"
    shapes, size_hw = [], None
    try:
        for label in classes if overlapping else [""]:
            paths = [(masks / label / f"{name}{suffix}") for suffix in SUFFIXES]
            mask = next((path for path in paths if path in left), None)
            if mask is None:
                continue
            left.discard(mask)
            if classes and not overlapping:
                meaning = {0: ""} | dict(enumerate(classes[1:], start=1))
                shapes, size_hw = mask_shapes(mask, meaning)
            else:
                _, size_hw = read_size(mask)
                shapes.append(Shape(label or "crack", bitmap_of(mask)))
    except InputError as error:
        gathered.skip(photo, error)
        return
    if size_hw is not None:
        gathered.add(photo, shapes, photo, size_hw=size_hw, split="", name=name)


def bitmap_of(path: Path, rule: Any = None) -> Bitmap:
    """Return the crack pixels of a mask file: what is not 0, or what a rule says.

    Args:
        path: The file.
        rule: A rule of `fissura.data.masks`, or None.
    """

    def read() -> NDArray[np.bool_]:
        values = read_mask(path)
        if rule is None:
            return (values if values.ndim == 2 else values.max(axis=2)) > 0
        return rule.apply(values)

    return Bitmap(read, f"{hashlib.sha256(path.read_bytes()).hexdigest()} {rule}")
