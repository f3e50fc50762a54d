"""The files of a raster's prediction: chunks of an image, and the GeoTIFFs made of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fissura.errors import InputError
from fissura.files import MASKS, PROBABILITIES, remove_unfinished, replacing
from fissura.files.archives import UNREADABLE
from fissura.files.atomic import remove_unfinished_of
from fissura.files.documents import read_json
from fissura.gdal import limited_cache, open_dataset
from fissura.inference.prediction import HIGHEST_8, lowest_crack
from fissura.inference.unsure import in_bands, unsure_pixels
from fissura.raster import Raster

SETTINGS = "settings.json"
CHUNKS = "chunks"  # of predictions under way
TILE = 512


@dataclass(frozen=True)
class RasterFiles:
    """Where the results of a raster lie.

    Attributes:
        probability: GeoTIFF of the probabilities, as integers from 0 to 255.
        mask: GeoTIFF of the mask, 255 is crack.
        work: A folder for chunks and settings.json, of its own for each image. When all is done,
            only settings.json stays.
    """

    probability: Path
    mask: Path
    work: Path

    @classmethod
    def below(cls, out: Path, name: str) -> RasterFiles:
        """Return where they lie in a folder of results.

        Args:
            out: The folder of results.
            name: From `fissura.files.output_names`.
        """
        file = f"{name}.tif"
        return cls(out / PROBABILITIES / file, out / MASKS / file, out / CHUNKS / name)

    def chunk(self, index: int) -> Path:
        """Return the file in which a chunk waits for the others.

        Args:
            index: Of the chunk, from 0.
        """
        return self.work / f"chunk-{index:05}.npz"


def write_chunk(file: Path, prob: NDArray[np.uint8], valid: int) -> None:
    """Write a chunk, whole or not at all.

    Args:
        file: From `RasterFiles.chunk`.
        prob: Probabilities as integers from 0 to 255, (rows, w).
        valid: Number of the pixels that show something.
    """
    with replacing(file) as temporary:
        np.savez_compressed(temporary, prob=prob, valid=np.int64(valid))


def remove_chunks(files: RasterFiles) -> None:
    """Delete all chunks of an image.

    Args:
        files: Where its results lie.
    """
    for chunk in files.work.glob("chunk-*.npz"):
        chunk.unlink()


def start(files: RasterFiles, settings: dict[str, Any], overwrite: bool) -> dict[str, Any] | None:
    """Prepare the folder for chunks. Chunks of an unfinished run with these settings stay.

    Args:
        files: Where the results lie.
        settings: All that the results depend on.
        overwrite: Replace results of other settings, and files that are there.

    Returns:
        What an earlier run with these settings that finished has recorded, or None.

    Raises:
        InputError: Results of other settings, or other files, are in the way.
    """
    outs = (files.probability, files.mask)
    before: dict[str, Any] = {}
    try:
        before = recorded(files)
    except ValueError as error:
        if not overwrite:
            raise InputError(f"{error} Use --overwrite to start anew.") from error
    finished = before.pop("finished", None)
    remove_unfinished(files.work)
    if before == settings:
        return finished if all(out.is_file() for out in outs) else None
    if before and not overwrite:
        differing = [name for name in settings if before.get(name) != settings[name]]
        raise InputError(
            f"The chunks in {files.work} were made with other settings ({', '.join(differing)}). "
            "Use the same to resume, give another folder, or use --overwrite to start anew."
        )
    for out in outs:
        if out.exists() and not overwrite:
            raise InputError(
                f"{out} is there already. Give another folder, or use --overwrite to replace it."
            )
    remove_chunks(files)
    record(files, settings)
    return None


def recorded(files: RasterFiles) -> dict[str, Any]:
    """Read settings.json; nothing where it is not there.

    Args:
        files: Where the results lie.

    Raises:
        ValueError: It is damaged.
    """
    path = files.work / SETTINGS
    try:
        return dict(read_json(path)) if path.is_file() else {}
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path} is damaged.") from error


def record(files: RasterFiles, settings: dict[str, Any]) -> None:
    """Write settings.json.

    Args:
        files: Where the results lie.
        settings: All that the results depend on, and under "finished" what came out in the end.
    """
    with replacing(files.work / SETTINGS) as temporary:
        temporary.write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")


def assemble(
    files: RasterFiles,
    chunks: int,
    raster: Raster,
    threshold: float,
    *,
    min_prob: float = 0.0,
    surest: int = 1,
) -> tuple[int, int]:
    """Make the two GeoTIFFs of all chunks.

    Args:
        files: Where the chunks and the results lie.
        chunks: Number of chunks.
        raster: The image.
        threshold: Probability from which a pixel counts as crack.
        min_prob: As of `fissura.inference.unsure.unsure_pixels`; 0 leaves out no part of the mask.
        surest: As there.

    Returns:
        The numbers of crack pixels and of those that show something.
    """
    crack, valid = 0, 0
    lowest = lowest_crack(threshold, HIGHEST_8)
    for out in (files.probability, files.mask):
        remove_unfinished_of(out)  # left by a process that was killed
    width = raster.size_hw[1]

    def cracks() -> Iterator[NDArray[np.uint8]]:
        for index in range(chunks):
            prob, _ = _read_chunk(files.chunk(index), width)
            prob[prob < lowest] = 0
            yield from in_bands(prob)()

    unsure = unsure_pixels(cracks, min_prob, surest) if min_prob else None
    held = np.empty((0, width), np.uint8)
    with ExitStack() as stack:
        add_prob = stack.enter_context(
            new_raster(
                files.probability,
                raster,
                scale=1 / HIGHEST_8,
                DESCRIPTION="probability of crack · 255",
            )
        )
        add_mask = stack.enter_context(
            new_raster(
                files.mask, raster, DESCRIPTION=f"crack (255) where it is {threshold} or more"
            )
        )
        for index in range(chunks):
            prob, count = _read_chunk(files.chunk(index), width)
            valid += count
            if unsure is not None:
                for band in in_bands(prob)():
                    band[next(unsure)] = lowest - 1
            held = np.concatenate([held, prob])
            del prob
            whole = len(held) if index == chunks - 1 else len(held) // TILE * TILE
            for top in range(0, whole, TILE):
                rows = held[top : min(top + TILE, whole)]
                mask = (rows >= lowest).astype(np.uint8) * np.uint8(255)
                crack += int(np.count_nonzero(mask))
                add_prob(rows)
                add_mask(mask)
            held = held[whole:].copy()
    return crack, valid


def _read_chunk(file: Path, width: int) -> tuple[NDArray[np.uint8], int]:
    """The probabilities of a chunk, and how many of its pixels show something."""
    try:
        with file.open("rb") as opened, np.load(opened) as arrays:
            prob, valid = arrays["prob"], int(arrays["valid"])
            if prob.ndim != 2 or prob.shape[1] != width or prob.dtype != np.uint8:
                raise ValueError(f"{prob.shape} values of {prob.dtype}")
            return prob, valid
    except UNREADABLE as error:
        raise InputError(
            f"{file} is damaged ({error}). Delete it and resume; it will be made again."
        ) from error


@contextmanager
def new_raster(
    path: Path, like: Raster, *, scale: float | None = None, **tags: str
) -> Iterator[Callable[[NDArray[np.uint8]], None]]:
    """Write an 8-bit GeoTIFF of one band row by row; it appears under its name when it is whole.

    It is tiled and compressed, and a BigTIFF where it might need to be.

    Args:
        path: The file.
        like: An image whose size, transform and CRS it gets.
        scale: Factor to multiply values by, a hint for GIS.
        **tags: Further metadata.

    Yields:
        The function that appends rows (rows, w). Give it `TILE` rows at a time, or tiles are
        compressed more than once.
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
