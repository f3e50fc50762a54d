"""COCO instances, which CVAT and other annotation tools import.

The format: https://cocodataset.org/#format-data. Masks are uncompressed run lengths: how many
pixels, column after column, are in turn outside and inside the crack.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fissura.data.formats.shapes.runs import run_lengths
from fissura.files import replacing
from fissura.files.failures import printable
from fissura.inspection.exporters import Add
from fissura.inspection.records.record import Record
from fissura.measurement.crack import Crack

CATEGORY = {"id": 1, "name": "crack", "supercategory": ""}


@contextmanager
def coco(path: Path) -> Iterator[Add]:
    """Write all cracks of all photos as one COCO file.

    Measurements are in each annotation's "attributes", with their units in the names; a width that
    could not be measured is left out. `file_name` is the photo's path below the folder of all
    inputs. Images that are too large to have the runs of their cracks are left out.
    """
    images: list[dict[str, Any]] = []
    written = 0
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        # The images are listed behind their annotations, which are too many to be kept.
        file.write('{"info": {"description": "Cracks found by Fissura"},\n"licenses": [],\n')
        file.write(f'"categories": [{json.dumps(CATEGORY)}],\n"annotations": [')

        def add(record: Record) -> None:
            nonlocal written
            if record.runs is None:
                return
            number = len(images) + 1
            images.append(_image(number, record))
            for annotation in crack_annotations(record):
                written += 1
                entry = {"id": written, "image_id": number} | annotation
                file.write(f"{',' if written > 1 else ''}\n{json.dumps(entry, allow_nan=False)}")

        yield add
        file.write(f'],\n"images": {json.dumps(images)}}}\n')


def crack_annotations(record: Record) -> Iterator[dict[str, Any]]:
    """Yield the annotations of one photo's cracks, without "id" and "image_id"."""
    height, width = record.size_hw
    for crack, runs in zip(record.cracks, record.runs or [], strict=True):
        top, left, bottom, right = crack.box
        yield {
            "category_id": CATEGORY["id"],
            "segmentation": {
                "size": [height, width],
                "counts": run_lengths(runs, height * width),
            },
            "area": int((runs[:, 1] - runs[:, 0]).sum()),
            "bbox": [left, top, right - left, bottom - top],
            "iscrowd": 0,
            "attributes": _attributes(crack)
            | ({} if record.correction is None else {"status": record.status(crack)}),
        }


def _image(number: int, record: Record) -> dict[str, Any]:
    """Return the entry of an image."""
    height, width = record.size_hw
    return {
        "id": number,
        "file_name": printable(f"{record.name}{record.file.suffix}"),
        "height": height,
        "width": width,
    }


def _attributes(crack: Crack) -> dict[str, float]:
    """Return the measurements of a crack, rounded to seven digits."""
    metrics = crack.metrics() | {"orientation_deg": crack.orientation}
    known = {
        name: float(f"{value:.7g}") for name, value in metrics.items() if not math.isnan(value)
    }
    return {"crack": crack.number} | known | {"branches": crack.branches}
