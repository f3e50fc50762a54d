"""Roboflow's 'Semantic Segmentation Masks': NAME.jpg, NAME_mask.png and _classes.csv per split."""

from __future__ import annotations

from pathlib import Path

from fissura.data.formats.annotation import BACKGROUND_LABELS
from fissura.data.formats.documents import is_value
from fissura.data.formats.mask_files import mask_shapes
from fissura.data.formats.source import Gathered, Source
from fissura.errors import InputError

NAME = "Roboflow masks"
CLASSES, ENDING = "_classes.csv", "_mask"


def has_roboflow(source: Source) -> bool:
    """Whether a source has lists of classes beside masks."""
    lists = {file.parent for file in source.files if file.name == CLASSES}
    return any(file.parent in lists and file.stem.endswith(ENDING) for file in source.images)


def read_roboflow(gathered: Gathered) -> None:
    """Read all folders that have a list of classes."""
    source = gathered.source
    for listed in [file for file in source.files if file.name == CLASSES]:
        meaning = _meaning(listed)
        gathered.labels |= dict.fromkeys(label for label in meaning.values() if label)
        here = [file for file in source.images if file.parent == listed.parent]
        masks = {f.stem.removesuffix(ENDING): f for f in here if f.stem.endswith(ENDING)}
        for photo in [file for file in here if not file.stem.endswith(ENDING)]:
            mask = masks.pop(photo.stem, None)
            if mask is None:
                gathered.skip(photo, f"has no mask {photo.stem}{ENDING}.png")
                continue
            try:
                shapes, size_hw = mask_shapes(mask, meaning)
            except InputError as error:
                gathered.skip(mask, error)
                continue
            gathered.add(photo, shapes, listed, size_hw=size_hw)
        for mask in masks.values():
            gathered.skip(mask, "has no photo of that name")


def _meaning(path: Path) -> dict[int, str]:
    """Label of each value; "" for the background."""
    found = {}
    for line in path.read_bytes().decode("utf-8-sig", "replace").splitlines()[1:]:
        value, _, label = (word.strip() for word in line.partition(","))
        if not value:
            continue
        if not is_value(value):
            raise InputError(f"{path}: the line {line[:80]!r} has no value of a mask.")
        found[int(value)] = "" if label.casefold() in BACKGROUND_LABELS else label
    return found
