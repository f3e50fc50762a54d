"""Write YOLO segmentation: a text file of outlines per image, and data.yaml."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import yaml

from fissura.data.formats.exporters import Ready
from fissura.files import replacing


def write_yolo(folder: Path, labels: tuple[str, ...], images: Iterator[Ready]) -> list[str]:
    """Write images/SPLIT/NAME, labels/SPLIT/NAME.txt and data.yaml.

    Args:
        folder: The folder to write into.
        labels: Names of the classes, from number 0 on.
        images: The images; those without a split are for training.

    Returns:
        What was lost.
    """
    splits: dict[str, None] = {}
    for ready in images:
        split = ready.image.split or "train"
        splits[split] = None
        height, width = ready.image.size_hw
        rows = []
        for label, ring in ready.rings():
            fractions = np.clip(ring / (width, height), 0, 1).ravel()
            rows.append(f"{labels.index(label)} {' '.join(f'{v:.7f}' for v in fractions)}\n")
        with replacing(folder / "labels" / split / f"{ready.name}.txt") as temporary:
            temporary.write_text("".join(rows), encoding="utf-8")
        ready.photo_in(folder / "images" / split)
    shown = splits or {"train": None}
    content = {split: f"images/{split}" for split in ("train", "val", "test") if split in shown}
    notes = []
    for needed in ("train", "val"):
        if needed not in content:
            content[needed] = next(iter(content.values()))
            notes.append(
                f"There are no images for '{needed}', which YOLO wants: data.yaml names those of "
                f"{content[needed]} instead."
            )
    content |= {"names": dict(enumerate(labels))}
    with replacing(folder / "data.yaml") as temporary:
        text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
        temporary.write_text(f"path: .\n{text}", encoding="utf-8")
    return notes
