"""Pascal VOC segmentation, and CVAT's 'Segmentation mask 1.1', which adds a list of colors.

Photos lie in JPEGImages, masks of the same names in SegmentationClass, and lists of names in
ImageSets/Segmentation. labelmap.txt has a line `name:red,green,blue:parts:actions` per class.
Without it, masks are palette images whose indices are classes, and 255 is no label.
"""

from __future__ import annotations

from pathlib import Path

from fissura.data.formats.annotation import BACKGROUND_LABELS, Shape
from fissura.data.formats.mask_files import mask_shapes, packed
from fissura.data.formats.source import Gathered, Source, not_used
from fissura.data.images import SUFFIXES
from fissura.errors import InputError

NAME = "Pascal VOC"
MASKS, LISTS, COLORS = "SegmentationClass", "ImageSets", "labelmap.txt"
SPLITS = {"train": "train", "val": "val", "test": "test", "validation": "val"}
BORDER = packed((224, 224, 192))  # which VOC draws around objects


def has_voc(source: Source) -> bool:
    """Whether a source has a folder of VOC's masks."""
    return any(MASKS in file.parts for file in source.images)


def read_voc(gathered: Gathered) -> None:
    """Read all masks of a source.

    Raises:
        InputError: There are several lists of colors, or no photo.
    """
    source = gathered.source
    lists = [file for file in source.files if file.name == COLORS]
    if len(lists) > 1:
        raise InputError(
            f"{source.root} has several files {COLORS}. Give the folder of one of them."
        )
    colors = _colors(lists[0]) if lists else {}
    gathered.labels |= dict.fromkeys(label for label in colors.values() if label)
    masks = {file for file in source.images if MASKS in file.parts}
    photos = {
        file.stem: file
        for file in source.images
        if not any(part.startswith("Segmentation") for part in file.parts)
    }
    if not photos:
        raise InputError(
            f"{source.root} holds masks, but no photos. Put them into its folder "
            "JPEGImages; CVAT exports them with 'Save images'."
        )
    splits = _splits(source)
    for mask in sorted(masks):
        photo = photos.pop(mask.stem, None)
        if photo is None:
            gathered.skip(mask, "has no photo of that name")
            continue
        try:
            shapes, size_hw = _shapes(mask, colors)
        except InputError as error:
            gathered.skip(mask, error)
            continue
        gathered.add(photo, shapes, mask, size_hw=size_hw, split=splits.get(mask.stem))
    if photos:
        gathered.notes.append(not_used(len(photos), "photo", f"no mask in {MASKS}"))
    gathered.files = dict.fromkeys(lists or [source.root / MASKS])


def _colors(path: Path) -> dict[int, str]:
    """Label of each color; "" for the background."""
    found = {}
    for line in path.read_bytes().decode("utf-8", "replace").splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        label, _, rest = line.partition(":")
        try:
            red, green, blue = (int(word) for word in rest.split(":")[0].split(","))
        except ValueError as error:
            raise InputError(f"{path}: the line {line[:80]!r} has no color.") from error
        found[packed((red, green, blue))] = "" if label.casefold() in BACKGROUND_LABELS else label
    return found


def _shapes(mask: Path, colors: dict[int, str]) -> tuple[list[Shape], tuple[int, int]]:
    """The shapes of a mask."""
    if colors:
        return mask_shapes(mask, colors, colored=True, ignored=frozenset({BORDER} - colors.keys()))
    meaning = {0: ""} | {number: f"class {number}" for number in range(1, 255)}
    return mask_shapes(mask, meaning, ignored=frozenset({255}))


def _splits(source: Source) -> dict[str, str]:
    """The split of each name, as the lists say; names of several splits have none."""
    found: dict[str, set[str]] = {}
    for file in source.files:
        split = SPLITS.get(file.stem.casefold())
        if LISTS in file.parts and file.suffix == ".txt" and split:
            for line in file.read_bytes().decode("utf-8", "replace").split("\n"):
                name = Path(line.strip())
                stem = name.stem if name.suffix.lower() in SUFFIXES else name.name
                if stem:
                    found.setdefault(stem, set()).add(split)
    return {name: splits.pop() for name, splits in found.items() if len(splits) == 1}
