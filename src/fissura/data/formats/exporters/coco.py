"""Write COCO instances: run lengths, or outlines where these are wanted."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fissura.data.formats.exporters import Ready
from fissura.data.formats.shapes.runs import runs_of_pixels
from fissura.files import replacing


def write_coco(folder: Path, labels: tuple[str, ...], images: Iterator[Ready]) -> list[str]:
    """Write annotations/instances_SPLIT.json and images/NAME.

    Args:
        folder: The folder to write into.
        labels: Names of the categories, from number 1 on.
        images: The images.

    Returns:
        What was lost: nothing.
    """
    number = {label: place for place, label in enumerate(labels, start=1)}
    listed: dict[str, list[dict[str, Any]]] = defaultdict(list)
    annotations: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for ready in images:
        height, width = ready.image.size_hw
        own = listed[ready.split]
        own.append({"id": len(own) + 1, "file_name": ready.file, "height": height, "width": width})
        for label, segmentation in _segmentations(ready, labels[0]):
            of_split = annotations[ready.split]
            entry = {"id": len(of_split) + 1, "image_id": len(own), "category_id": number[label]}
            of_split.append(entry | {"iscrowd": 0} | segmentation)
        ready.photo_in(folder / "images")
    for split, entries in listed.items():
        content = {
            "info": {"description": "Written by Fissura"},
            "licenses": [],
            "categories": [{"id": n, "name": label} for label, n in number.items()],
            "images": entries,
            "annotations": annotations[split],
        }
        with replacing(folder / "annotations" / f"instances_{split}.json") as temporary:
            temporary.write_text(json.dumps(content), encoding="utf-8")
    return []


def _segmentations(ready: Ready, first: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield label and fields of each object; areas without a label are crowds of the first one."""
    yield from _outlined(ready) if ready.polygons else _run_lengths(ready)
    for pixels, top, left in ready.unlabeled():
        yield first, _encoded(pixels, top, left, ready.image.size_hw) | {"iscrowd": 1}


def _outlined(ready: Ready) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield label and outline of each object."""
    for label, ring in ready.rings():
        x, y = ring.T
        area = abs(float((x * np.roll(y, -1) - np.roll(x, -1) * y).sum())) / 2
        left, top, right, bottom = x.min(), y.min(), x.max(), y.max()
        box = [float(left), float(top), float(right - left), float(bottom - top)]
        yield label, {"segmentation": [ring.ravel().tolist()], "area": area, "bbox": box}


def _run_lengths(ready: Ready) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield label and run lengths of each object."""
    for label, pixels, top, left in ready.objects():
        yield label, _encoded(pixels, top, left, ready.image.size_hw)


def _encoded(
    pixels: NDArray[np.bool_], top: int, left: int, size_hw: tuple[int, int]
) -> dict[str, Any]:
    """Return the fields of pixels: run lengths of the whole image, area and box."""
    whole = np.zeros(size_hw, np.bool_)
    whole[top : top + pixels.shape[0], left : left + pixels.shape[1]] = pixels
    return {
        "segmentation": {
            "size": list(size_hw),
            "counts": runs_of_pixels(whole, by_columns=True),
        },
        "area": int(pixels.sum()),
        "bbox": [left, top, pixels.shape[1], pixels.shape[0]],
    }
