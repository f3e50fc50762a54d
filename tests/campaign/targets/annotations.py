"""Targets: annotation files of labeling tools, and folders of photos and masks."""

from __future__ import annotations

from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from tests.data.formats.layouts import LAYOUTS

from .photos import drawn as drawn_photo
from .target import Target, fissura

DOCUMENTS = ("*.json", "*.xml", "*.txt", "*.yaml", "*.csv", "*.parquet", "*.arrow")
MASKS = ("*mask*.png", "labelsTr/*.png")


@cache
def five_photos() -> list[Any]:
    """Draw the photos of the tests of formats, once a process."""
    from tests.data.formats.conftest import draw

    return draw()


def write_annotated(layout: str) -> None:
    """Write the five drawn photos of the tests as a labeling tool leaves them."""
    LAYOUTS[layout](Path("walls"), five_photos())


def read_annotated(file: Path) -> None:
    """Read the photos and paint the masks."""
    from PIL import Image

    from fissura.data.folder import find_pairs

    folder = find_pairs(Path("walls"), skip_bad=True)
    for pair in (pair for pairs in folder.splits.values() for pair in pairs):
        with Image.open(pair.image) as image:
            width, height = image.size
        for mask in pair.masks:
            with Image.open(mask) as painted:
                assert painted.size == (width, height)


def check_annotated(file: Path) -> int:
    """Check the folder as before a training."""
    return fissura("check", "walls", "--out", "out")


def convert_annotated(file: Path) -> int:
    """Convert the folder for another labeling tool."""
    return fissura("convert", "walls", "out", "--to", "coco", "--skip-bad")


def write_pairs() -> None:
    """Write photos with masks, as folders for training are."""
    import cv2

    for part in ("images", "masks"):
        Path("walls", part).mkdir(parents=True)
    for seed in range(5):
        image, mask = drawn_photo(seed)
        cv2.imwrite(f"walls/images/{seed}.png", np.roll(image, seed, 1))
        cv2.imwrite(f"walls/masks/{seed}.png", np.roll(mask, seed, 1))


TARGETS = (
    *(
        Target(
            name=f"read {layout}", row="annotation files", make=partial(write_annotated, layout),
            call=read_annotated, files=(*DOCUMENTS, *MASKS), share=15,
        )
        for layout in LAYOUTS
    ),
    *(
        Target(
            name=f"convert {layout}", row="annotation files", make=partial(write_annotated, layout),
            call=convert_annotated, share=3,
            files=MASKS if layout == "mvtec" else DOCUMENTS,  # which has no documents
        )
        for layout in LAYOUTS
    ),
    Target(
        name="check a folder", row="annotation files", make=write_pairs, call=check_annotated,
        share=3,
    ),
    Target(
        name="check COCO", row="annotation files", make=partial(write_annotated, "coco"),
        call=check_annotated, share=3,
    ),
)  # fmt: skip
