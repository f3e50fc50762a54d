"""nnU-Net, versions 1 and 2: imagesTr/NAME_0000.png, labelsTr/NAME.png, and dataset.json.

The format: https://github.com/MIC-DKFZ/nnUNet, documentation/dataset_format.md.
"""

from __future__ import annotations

import io
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from fissura.data.formats.annotation import BACKGROUND_LABELS
from fissura.data.formats.documents import is_value, read_json
from fissura.data.formats.mask_files import mask_shapes
from fissura.data.formats.source import Gathered, Source, not_used
from fissura.data.images import SUFFIXES, read_image
from fissura.data.walk import below
from fissura.errors import InputError

NAME = "nnU-Net"
DESCRIPTION = "dataset.json"


def find_nnunet(source: Source) -> Path | None:
    """Return the description of an nnU-Net data set in a source, or None."""
    for file in source.given:
        if file.name == DESCRIPTION and any("imagesTr" in other.parts for other in source.files):
            try:
                content = read_json(file)
            except InputError:
                continue
            if isinstance(content, dict) and isinstance(content.get("labels"), dict):
                return file
    return None


def read_nnunet(description: Path, gathered: Gathered) -> None:
    """Read a data set.

    The photos of imagesTs are for testing where labelsTs is there, and are not used otherwise.

    Args:
        description: Its dataset.json.
        gathered: Takes the images.

    Raises:
        InputError: The labels have no values, or the images are of a kind that is not read.
    """
    source, root = gathered.source, description.parent
    meaning, ignored = _meaning(read_json(description), description)
    gathered.labels |= dict.fromkeys(label for label in meaning.values() if label)
    for folder, labels, split in (
        ("imagesTr", "labelsTr", "train"),
        ("imagesTs", "labelsTs", "test"),
    ):
        masks = {f.stem: f for f in source.images if f.parent == root / labels}
        cases: dict[str, list[Path]] = defaultdict(list)
        for file in source.files:
            if file.parent != root / folder:
                continue
            if file.suffix.lower() not in SUFFIXES:
                raise InputError(
                    f"{file}: is no photo. Of nnU-Net's images those are read that are stored as "
                    "PNG, JPEG, BMP or TIFF."
                )
            cases[file.stem.rpartition("_")[0]].append(file)
        if not masks and cases and split == "test":
            gathered.notes.append(not_used(len(cases), "photo", f"no labels in {labels}"))
            continue
        for case, channels in cases.items():
            mask = masks.pop(case, None)
            if mask is None:
                gathered.skip(channels[0], f"has no mask {case} in {labels}")
                continue
            try:
                shapes, size_hw = mask_shapes(mask, meaning, ignored=ignored)
                stored = _joined(sorted(channels))
            except InputError as error:
                gathered.skip(mask, error)
                continue
            name = below(channels[0].with_name(case), source.root)
            gathered.add(
                channels[0], shapes, mask, size_hw=size_hw, split=split, name=name, stored=stored
            )
        for mask in masks.values():
            gathered.skip(mask, f"has no image of that name in {folder}")
    gathered.files = {description: None}


def _meaning(content: dict[str, Any], path: Path) -> tuple[dict[int, str], frozenset[int]]:
    """Label of each value, "" for background; and values without a label."""
    meaning: dict[int, str] = {}
    ignored: set[int] = set()
    for one, other in content["labels"].items():
        # Version 1 has values before names, and version 2 names before values or lists of them.
        value, label = (one, other) if one.isdecimal() else (other, one)
        for each in value if isinstance(value, list) else [value]:
            if not is_value(str(each)):
                raise InputError(f"{path}: the label {str(label)[:80]} has no value.")
            if str(label).casefold() == "ignore":
                ignored.add(int(each))
            else:
                background = str(label).casefold() in BACKGROUND_LABELS
                meaning[int(each)] = "" if background else str(label)
    return meaning, frozenset(ignored)


def _joined(channels: list[Path]) -> Callable[[], bytes] | None:
    """Return what joins gray images to one of three colors; None where there is one image."""
    if len(channels) == 1:
        return None
    if len(channels) != 3:
        raise InputError(f"{channels[0]}: has {len(channels)} channels, and a photo has 1 or 3")

    def stored() -> bytes:
        planes = [read_image(channel)[:, :, 0] for channel in channels]
        if len({plane.shape for plane in planes}) > 1:
            raise InputError(f"{channels[0]}: has channels of different sizes")
        buffer = io.BytesIO()
        Image.fromarray(np.stack(planes, axis=2)).save(buffer, "PNG")
        return buffer.getvalue()

    return stored
