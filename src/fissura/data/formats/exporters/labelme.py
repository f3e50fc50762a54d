"""Write LabelMe: a JSON file beside each photo."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fissura.data.formats.exporters import Ready
from fissura.data.formats.shapes.encoded import png_bytes
from fissura.files import replacing

VERSION = "5.4.1"  # the first versions that have masks are 5.3


def write_labelme(folder: Path, labels: tuple[str, ...], images: Iterator[Ready]) -> list[str]:
    """Write SPLIT/NAME and SPLIT/NAME.json.

    Args:
        folder: The folder to write into.
        labels: Names of the classes, which are written into labels.txt.
        images: The images.

    Returns:
        What was lost: nothing.
    """
    for ready in images:
        own = folder / ready.image.split
        height, width = ready.image.size_hw
        content = {
            "version": VERSION,
            "flags": {},
            "shapes": list(_shapes(ready)),
            "imagePath": ready.file.rpartition("/")[2],
            "imageData": None,
            "imageHeight": height,
            "imageWidth": width,
        }
        with replacing(own / f"{ready.name}.json") as temporary:
            text = json.dumps(content, indent=2, ensure_ascii=False)
            temporary.write_text(text, encoding="utf-8")
        ready.photo_in(own)
    with replacing(folder / "labels.txt") as temporary:
        temporary.write_text("".join(f"{label}\n" for label in labels), encoding="utf-8")
    return []


def _shapes(ready: Ready) -> Iterator[dict[str, Any]]:
    """Yield the shapes of an image."""
    if ready.polygons:
        for label, ring in ready.rings():
            yield _shape(label, ring.tolist(), "polygon", None)
        return
    for label, pixels, top, left in ready.objects():
        # Both corners are within the mask.
        corners = [[left, top], [left + pixels.shape[1] - 1, top + pixels.shape[0] - 1]]
        mask = base64.b64encode(png_bytes(pixels)).decode()
        yield _shape(label, [[float(x), float(y)] for x, y in corners], "mask", mask)


def _shape(label: str, points: list[list[float]], kind: str, mask: str | None) -> dict[str, Any]:
    """A shape as LabelMe writes it."""
    return {
        "label": label,
        "points": points,
        "group_id": None,
        "description": "",
        "shape_type": kind,
        "flags": {},
        "mask": mask,
    }
