"""Write cracks as COCO instances, which CVAT and other annotation tools import.

The format: https://cocodataset.org/#format-data. Masks are uncompressed run lengths: how many
pixels, column after column, are in turn outside and inside the crack.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fissura.files import replacing
from fissura.inspection.record import Record
from fissura.measurement.crack import Crack

CATEGORY = {"id": 1, "name": "crack", "supercategory": ""}


def write_coco(path: Path, photos: Iterable[tuple[Record, NDArray[np.int32]]]) -> None:
    """Write all cracks of all photos as one COCO file.

    photos: each with its labels, int32 (h, w): the number of the crack that a pixel belongs to,
            0 where there is none. They are taken one after the other and not kept.

    Measurements are in each annotation's "attributes", with their units in the names; a width that
    could not be measured is left out. `file_name` is the photo's path below the folder of all
    inputs. Raises `ValueError` where labels and cracks do not agree.
    """
    images: list[dict[str, Any]] = []
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        # The pictures are listed behind their annotations, which are too many to be kept.
        file.write('{"info": {"description": "Cracks found by Fissura"},\n"licenses": [],\n')
        file.write(f'"categories": [{json.dumps(CATEGORY)}],\n"annotations": [')
        written = 0
        for number, (photo, labels) in enumerate(photos, start=1):
            images.append(_image(number, photo))
            for annotation in crack_annotations(photo, labels):
                written += 1
                entry = {"id": written, "image_id": number} | annotation
                file.write(f"{',' if written > 1 else ''}\n{json.dumps(entry, allow_nan=False)}")
        file.write(f'],\n"images": {json.dumps(images)}}}\n')


def crack_annotations(photo: Record, labels: NDArray[np.int32]) -> Iterator[dict[str, Any]]:
    """Yield the annotations of one photo's cracks, without "id" and "image_id"."""
    if labels.shape != photo.size_hw:
        raise ValueError(f"labels are {labels.shape}, the photo is {photo.size_hw}.")
    height = labels.shape[0]
    pixels = crack_pixels(labels)
    if pixels.keys() != {crack.number for crack in photo.cracks}:
        raise ValueError(f"The labels of {photo.name} do not hold the same numbers as its cracks.")
    for crack in photo.cracks:
        positions = pixels[crack.number]
        columns, rows = np.divmod(positions, height)
        left, top = int(columns.min()), int(rows.min())
        yield {
            "category_id": CATEGORY["id"],
            "segmentation": {
                "size": list(labels.shape),
                "counts": run_lengths(positions, labels.size),
            },
            "area": len(positions),
            "bbox": [left, top, int(columns.max()) + 1 - left, int(rows.max()) + 1 - top],
            "iscrowd": 0,
            "attributes": _attributes(crack),
        }


def crack_pixels(labels: NDArray[np.int32]) -> dict[int, NDArray[np.int64]]:
    """Return for each number but 0 where it is, counted down the columns, rising.

    >>> labels = np.array([[0, 1], [2, 1]], np.int32)
    >>> {number: places.tolist() for number, places in crack_pixels(labels).items()}
    {1: [2, 3], 2: [1]}
    """
    columns, rows = np.nonzero(labels.T)
    positions = columns * labels.shape[0] + rows
    numbers = labels[rows, columns]
    order = np.argsort(numbers, kind="stable")
    found, begins = np.unique(numbers[order], return_index=True)
    parts = np.split(positions[order], begins[1:])
    return {int(number): part for number, part in zip(found, parts, strict=False)}


def run_lengths(positions: NDArray[np.int64], size: int) -> list[int]:
    """Return how many pixels are in turn outside and inside, beginning outside, maybe with 0.

    positions: of the pixels inside, rising.  size: number of all pixels.

    >>> run_lengths(np.array([0, 1, 4]), 6)
    [0, 2, 2, 1, 1]
    """
    breaks = np.flatnonzero(np.diff(positions) > 1)
    begins = positions[np.concatenate([[0], breaks + 1])] if len(positions) else positions
    ends = positions[np.concatenate([breaks, [-1]])] + 1 if len(positions) else positions
    edges = np.stack([begins, ends], axis=1).ravel()
    if len(edges) and edges[-1] == size:
        return np.diff(edges, prepend=0).tolist()
    return np.diff(edges, prepend=0, append=size).tolist()


def _image(number: int, photo: Record) -> dict[str, Any]:
    height, width = photo.size_hw
    return {
        "id": number,
        "file_name": f"{photo.name}{photo.file.suffix}",
        "height": height,
        "width": width,
    }


def _attributes(crack: Crack) -> dict[str, float]:
    figures = crack.figures() | {"orientation_deg": crack.orientation}
    known = {
        name: float(f"{value:.7g}") for name, value in figures.items() if not math.isnan(value)
    }
    return {"crack": crack.number} | known | {"branches": crack.branches}
