"""Write photos and masks in two folders, which is what most programs for training take."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from fissura.data.formats.exporters import Ready
from fissura.data.formats.shapes.rasterize import IGNORED, rasterize
from fissura.files import replacing
from fissura.files.images import write_image


def write_masks(folder: Path, labels: tuple[str, ...], images: Iterator[Ready]) -> list[str]:
    """Write SPLIT/images/NAME and SPLIT/masks/NAME.png: 255 for the only label, else 1, 2, 3 ….

    Masks of pixels that have no label go into SPLIT/ignored.

    Args:
        folder: The folder to write into.
        labels: Names of the classes; of several, classes.txt names the values.
        images: The images.

    Returns:
        What was lost: objects, and where one hides another.
    """
    hidden = 0
    for ready in images:
        own = folder / ready.image.split
        indices = rasterize(ready.image, labels)
        ignored = indices == IGNORED
        values = np.where(ignored, 0, indices)
        mask = 255 * values if len(labels) == 1 else values
        write_image(own / "masks" / f"{ready.name}.png", mask.astype(np.uint8))
        if ignored.any():
            write_image(own / "ignored" / f"{ready.name}.png", (255 * ignored).astype(np.uint8))
        ready.photo_in(own / "images")
        if len(labels) > 1:
            marked = {shape.label for shape in ready.marked()}
            hidden += len(marked) > len(set(np.unique(values).tolist()) - {0})
    if len(labels) > 1:
        with replacing(folder / "classes.txt") as temporary:
            lines = [f"{number} {label}\n" for number, label in enumerate(labels, start=1)]
            temporary.write_text("0 background\n" + "".join(lines), encoding="utf-8")
    if hidden:
        images_ = "1 image" if hidden == 1 else f"{hidden} images"
        return [f"On {images_} a class is hidden below another, since a mask holds one per pixel."]
    return []
