"""The files of `fissura.inference.raster`: parts of an image, and the two GeoTIFFs made of them."""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fissura.errors import InputError
from fissura.files import UNFINISHED, remove_unfinished, replacing
from fissura.gdal import limited_cache, open_dataset
from fissura.raster import Raster, threshold_level

SETTINGS = "settings.json"
TILE = 512


def part_file(work: Path, index: int) -> Path:
    """Where the levels of a chunk wait for those of the others."""
    return work / f"part-{index:05}.npz"


def write_part(part: Path, levels: NDArray[np.uint8], valid: int) -> None:
    """Write the levels of a chunk, and how many of its pixels show something; whole or not."""
    with replacing(part) as temporary:
        np.savez_compressed(temporary, levels=levels, valid=np.int64(valid))


def remove_parts(work: Path) -> None:
    """Delete all parts."""
    for part in work.glob("part-*.npz"):
        part.unlink()


def start(
    work: Path, settings: dict[str, Any], outs: tuple[Path, Path], overwrite: bool
) -> dict[str, Any] | None:
    """Prepare `work`; return the figures of an earlier run with these settings that finished.

    Parts of a run with these settings that did not finish stay. Raises `InputError` where results
    of other settings, or other files, are in the way, unless they may be overwritten.
    """
    path = work / SETTINGS
    before: dict[str, Any] = {}
    if path.is_file():
        try:
            before = dict(json.loads(path.read_text()))
        except (ValueError, TypeError) as error:
            if not overwrite:
                raise InputError(f"{path} is damaged. Use --overwrite to start anew.") from error
    finished = before.pop("finished", None)
    remove_unfinished(work)
    if before == settings:
        return finished if all(out.is_file() for out in outs) else None
    if before and not overwrite:
        differing = [name for name in settings if before.get(name) != settings[name]]
        raise InputError(
            f"The parts in {work} were made with other settings ({', '.join(differing)}). Use the "
            "same to resume, give another folder, or use --overwrite to start anew."
        )
    for out in outs:
        if out.exists() and not overwrite:
            raise InputError(
                f"{out} is there already. Give another folder, or use --overwrite to replace it."
            )
    remove_parts(work)
    record(work, settings)
    return None


def record(work: Path, settings: dict[str, Any]) -> None:
    """Write settings.json, with the figures under "finished" where all is done."""
    with replacing(work / SETTINGS) as temporary:
        temporary.write_text(json.dumps(settings, indent=2) + "\n")


def assemble(
    parts: list[Path], raster: Raster, outs: tuple[Path, Path], threshold: float
) -> tuple[int, int]:
    """Put the parts together as two GeoTIFFs; return the numbers of crack and valid pixels."""
    crack, valid = 0, 0
    lowest = threshold_level(threshold)
    for out in outs:
        for path in out.parent.glob(".*"):
            if UNFINISHED.fullmatch(path.name) and path.name.startswith(f".{out.stem}."):
                path.unlink()  # left by a process that was killed
    held = np.empty((0, raster.size_hw[1]), np.uint8)
    with ExitStack() as stack:
        add_levels = stack.enter_context(
            new_raster(outs[0], raster, scale=1 / 255, DESCRIPTION="probability of crack · 255")
        )
        add_mask = stack.enter_context(
            new_raster(outs[1], raster, DESCRIPTION=f"crack (255) where it is {threshold} or more")
        )
        for part in parts:
            levels, count = _read_part(part)
            valid += count
            held = np.concatenate([held, levels])
            del levels
            whole = len(held) if part == parts[-1] else len(held) // TILE * TILE
            for top in range(0, whole, TILE):
                rows = held[top : min(top + TILE, whole)]
                mask = (rows >= lowest).astype(np.uint8) * np.uint8(255)
                crack += int(np.count_nonzero(mask))
                add_levels(rows)
                add_mask(mask)
            held = held[whole:].copy()
    return crack, valid


def _read_part(part: Path) -> tuple[NDArray[np.uint8], int]:
    try:
        with part.open("rb") as file, np.load(file) as arrays:
            return arrays["levels"], int(arrays["valid"])
    except (OSError, ValueError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(
            f"{part} is damaged ({error}). Delete it and resume; it will be made again."
        ) from error


@contextmanager
def new_raster(
    path: Path, like: Raster, *, scale: float | None = None, **tags: str
) -> Iterator[Callable[[NDArray[np.uint8]], None]]:
    """Write an 8-bit GeoTIFF of one band; give the function that appends rows (rows, width).

    It is tiled and compressed (a BigTIFF where it might need to be), with the size, the transform
    and the CRS of `like`, and appears under its name when it is whole. Give `TILE` rows at a
    time, or tiles are compressed more than once.

    `scale` is what values have to be multiplied by, a hint for GIS; `tags` are further metadata.
    """
    height, width = like.size_hw
    profile = {
        "driver": "GTiff", "height": height, "width": width, "count": 1, "dtype": "uint8",
        "tiled": True, "blockxsize": TILE, "blockysize": TILE, "compress": "deflate",
        "BIGTIFF": "IF_SAFER", **like.georeference,
    }  # fmt: skip
    with replacing(path) as temporary, limited_cache():
        with open_dataset(temporary, "w", **profile) as dataset:
            if scale is not None:
                dataset.scales = (scale,)
            dataset.update_tags(**tags)
            done = 0

            def append(rows: NDArray[np.uint8]) -> None:
                nonlocal done
                window = ((done, done + len(rows)), (0, width))
                dataset.write(rows, 1, window=window)
                done += len(rows)

            yield append
        assert done == height, f"{done} of {height} rows were written to {path}"
