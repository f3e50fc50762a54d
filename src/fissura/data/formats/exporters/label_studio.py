"""Write Label Studio: tasks with predictions, which appear as pre-labels, and the configuration.

Photos are named as local files, `/data/local-files/?d=images/NAME`: Label Studio must be allowed to
serve the folder (LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED=true and
LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT set to the folder).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote
from xml.sax.saxutils import quoteattr

import numpy as np

from fissura.data.formats.exporters import Ready
from fissura.data.formats.shapes.bit_runs import encode_brush
from fissura.files import replacing

PREFIX = "/data/local-files/?d="


def write_label_studio(folder: Path, labels: tuple[str, ...], images: Iterator[Ready]) -> list[str]:
    """Write tasks.json, label_config.xml and images/NAME.

    Args:
        folder: The folder to write into.
        labels: Names of the labels.
        images: The images.

    Returns:
        What was lost.
    """
    tasks, kind = [], "brushlabels"
    split = False
    for ready in images:
        kind = "polygonlabels" if ready.polygons else "brushlabels"
        split |= bool(ready.image.split)
        tasks.append(
            {
                "data": {
                    "image": PREFIX + quote(f"images/{ready.file}"),
                    **({"split": ready.image.split} if ready.image.split else {}),
                },
                "predictions": [{"model_version": "fissura", "result": list(_results(ready))}],
            }
        )
        ready.photo_in(folder / "images")
    with replacing(folder / "tasks.json") as temporary:
        temporary.write_text(json.dumps(tasks, ensure_ascii=False), encoding="utf-8")
    tag = {"brushlabels": "BrushLabels", "polygonlabels": "PolygonLabels"}[kind]
    values = "".join(f"    <Label value={quoteattr(label)}/>\n" for label in labels)
    with replacing(folder / "label_config.xml") as temporary:
        temporary.write_text(
            '<View>\n  <Image name="image" value="$image" zoom="true"/>\n'
            f'  <{tag} name="tag" toName="image">\n{values}  </{tag}>\n</View>\n',
            encoding="utf-8",
        )
    return ["Splits are kept in each task's data, and are not read back."] if split else []


def _results(ready: Ready) -> Iterator[dict[str, Any]]:
    """Yield the regions of an image: an outline each, or one brush mask per label."""
    height, width = ready.image.size_hw
    shared = {
        "from_name": "tag",
        "to_name": "image",
        "original_width": width,
        "original_height": height,
        "image_rotation": 0,
    }
    if ready.polygons:
        for place, (label, ring) in enumerate(ready.rings()):
            points = (100 * ring / (width, height)).tolist()
            value = {"points": points, "closed": True, "polygonlabels": [label]}
            yield shared | {"id": _id(ready, place), "type": "polygonlabels", "value": value}
        return
    masks: dict[str, np.ndarray] = {}
    for label, pixels, top, left in ready.objects():
        mask = masks.setdefault(label, np.zeros((height, width), np.bool_))
        mask[top : top + pixels.shape[0], left : left + pixels.shape[1]] |= pixels
    for place, (label, mask) in enumerate(masks.items()):
        value = {"format": "rle", "rle": encode_brush(mask), "brushlabels": [label]}
        yield shared | {"id": _id(ready, place), "type": "brushlabels", "value": value}


def _id(ready: Ready, place: int) -> str:
    """A name for a region, the same each time."""
    return hashlib.sha256(f"{ready.file} {place}".encode()).hexdigest()[:10]
