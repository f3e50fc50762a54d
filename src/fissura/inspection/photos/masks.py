"""Masks of an inspection: written for rasters, hashed, compared with those measured."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from fissura.errors import InputError
from fissura.files import replacing
from fissura.gdal import open_dataset
from fissura.inspection.records.store import load_outline
from fissura.measurement.skeleton import ReadMask
from fissura.raster import Raster


def write_raster_mask(path: Path, raster: Raster, read: ReadMask) -> float:
    """Write the crack pixels of a raster as a GeoTIFF, by bands.

    Args:
        path: The file.
        raster: Raster that the mask belongs to; its coordinates are kept.
        read: Returns the mask of a window.

    Returns:
        Fraction of the pixels that are crack, 0 to 1.
    """
    height, width = raster.size_hw
    profile = {
        "driver": "GTiff", "height": height, "width": width, "count": 1, "dtype": "uint8",
        "tiled": True, "blockxsize": 512, "blockysize": 512, "compress": "deflate",
        "BIGTIFF": "IF_SAFER", **raster.georeference,
    }  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    crack = 0
    with replacing(path) as temporary, open_dataset(temporary, "w", **profile) as dataset:
        dataset.update_tags(DESCRIPTION="crack (255), as it was measured")
        for top in range(0, height, 512):
            bottom = min(top + 512, height)
            mask = read(top, 0, bottom, width)
            crack += int(np.count_nonzero(mask))
            rows = mask.astype(np.uint8) * np.uint8(255)
            dataset.write(rows, 1, window=((top, bottom), (0, width)))
    return crack / (height * width)


def sha256(file: Path) -> str:
    """Return the hash of a file's content."""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def edited_masks(out: Path, records: Iterable[Path]) -> list[str]:
    """Return a sentence for each mask that is not the one whose cracks were measured.

    Args:
        out: Folder of the results.
        records: Files of the stored records.
    """
    sentences = []
    for record in records:
        try:
            _, fields = load_outline(record)
        except InputError:
            continue  # it is named when its record is read
        file = out / fields["files"]["mask"]
        if not file.is_file():
            sentences.append(
                f"{file} is missing; the measurements are those of the mask that was there. To "
                f"have it again, delete {record} and use --resume."
            )
        elif fields["mask_sha256"] != sha256(file):
            sentences.append(
                f"{file} was changed after it had been measured; the measurements are those of the "
                "mask before. To measure the changed one, inspect once more with --resume. To have "
                f"the model's mask again, delete {record} and use --resume."
            )
    return sentences
