"""Predict an image that is larger than the memory: by chunks of rows, killed and resumed at will.

Each chunk is computed from its own rows and a halo above and below, independently of all others,
and lies in a file of its own until all are there. So a run that was killed goes on to the bits of
one that was not.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from fissura.checkpoint import find_model
from fissura.errors import InputError
from fissura.inference.large_files import (
    assemble,
    part_file,
    record,
    remove_parts,
    start,
    write_part,
)
from fissura.inference.predictor import WIDEST, Predictor
from fissura.inference.spans import Span, cut, even
from fissura.inference.streaming import RowNetwork
from fissura.inference.tiling import ALIGN
from fissura.raster import Raster, open_raster

CHUNK_ROWS = 2048
TILES_HALO = 256  # pixels of the network; beyond them, what a tile sees hardly matters
MOST_COLUMNS = 2**14  # of an image that the network sees much smaller


@dataclass(frozen=True)
class LargePrediction:
    """What `predict_raster` wrote.

    probability:  GeoTIFF of levels, 0 to 255; a level by 255 is the probability of crack.
    mask:         GeoTIFF, 255 where the level by 255 is at least the threshold, else 0.
    threshold:    0 to 1.
    crack_fraction:  fraction of the pixels that show something that are crack in `mask`.
    valid_fraction:  fraction of the pixels that show something.
    chunks:       how many the image was cut into.
    computed:     how many of them were computed now; an earlier run left the others.
    """

    probability: Path
    mask: Path
    threshold: float
    crack_fraction: float
    valid_fraction: float
    chunks: int
    computed: int


def predict_raster(
    predictor: Predictor,
    path: Path,
    out_probability: Path,
    out_mask: Path,
    *,
    work: Path,
    model: Path,
    chunk_rows: int = CHUNK_ROWS,
    overwrite: bool = False,
    console: Console | None = None,
) -> LargePrediction:
    """Predict an image of any size that rasterio reads, and write probabilities and mask.

    Both results are tiled, compressed GeoTIFFs with the image's size, transform and CRS, and appear
    whole or not at all. Where the image shows nothing (alpha, nodata, mask), they are 0, and the
    network sees the colors beside. Elsewhere they are those of the whole photo given to
    `predictor`, but for rounding to 8 bits (networks that take tiles: but for how the tiles lie).
    Where 32 / scale is no whole number of rows, chunks may be shifted against the whole photo by up
    to half a row.

    Called again after it was killed, it goes on; called again after it was done, it does nothing.
    Memory is needed for the levels of one chunk, width × `chunk_rows` bytes, and for a window of
    4096 columns in the network; and where the file has strips instead of tiles, for a chunk's
    colors.

    Arguments:
      predictor:        of the run or model folder `model`, whose hash is recorded.
      path:             the image.
      out_probability, out_mask: the files to write.
      work:             a folder for parts and settings.json; a folder of its own for each image.
                        When all is done, only settings.json stays.
      chunk_rows:       of the image, at least 32.
      overwrite:        replace results of other settings, and files that are there.
      console:          for the progress, on a terminal; standard error if None.

    Raises `InputError` where the image cannot be read, or where other results are in the way.
    """
    if chunk_rows < ALIGN:
        raise InputError(f"A chunk has {chunk_rows} rows, but must have at least {ALIGN}.")
    outs = out_probability, out_mask
    with open_raster(path) as raster:
        settings = _settings(predictor, path, model, chunk_rows)
        figures = start(work, settings, outs, overwrite)
        if figures is not None:
            return LargePrediction(*outs, **figures, computed=0)
        chunks = cut(raster.size_hw[0], chunk_rows, predictor.scale, _halo(predictor))
        computed = _predict_chunks(predictor, raster, chunks, work, console)
        parts = [part_file(work, chunk.index) for chunk in chunks]
        crack, valid = assemble(parts, raster, outs, predictor.threshold)
        figures = {
            "threshold": predictor.threshold,
            "crack_fraction": crack / max(valid, 1),
            "valid_fraction": valid / math.prod(raster.size_hw),
            "chunks": len(chunks),
        }
    record(work, settings | {"finished": figures})
    remove_parts(work)
    return LargePrediction(*outs, **figures, computed=computed)


@contextmanager
def probability_reader(path: Path) -> Iterator[LevelReader]:
    """Open the probabilities (or the mask) that `predict_raster` wrote, to read them by windows.

    For one thread. GDAL keeps up to 128 MiB of decoded tiles.

    Raises `InputError` where the file is missing or damaged.
    """
    with open_raster(path) as raster:
        yield LevelReader(raster)


class LevelReader:
    """An open GeoTIFF of levels; from `probability_reader`. `size_hw` is its height and width."""

    def __init__(self, raster: Raster) -> None:
        self.size_hw = raster.size_hw
        self._raster = raster

    def read(self, top: int, left: int, bottom: int, right: int) -> NDArray[np.uint8]:
        """Return the levels of a window, uint8 (bottom − top, right − left)."""
        return self._raster.stored(top, left, bottom, right)[0]


def _halo(predictor: Predictor) -> int:
    """How far around a pixel the network looks, in its own pixels."""
    return RowNetwork.reach if predictor.by_rows else TILES_HALO


def _predict_chunks(
    predictor: Predictor, raster: Raster, chunks: list[Span], work: Path, console: Console | None
) -> int:
    """Predict the chunks that are not there yet, each into its part; return their number."""
    waiting = [chunk for chunk in chunks if not part_file(work, chunk.index).exists()]
    rows = sum(chunk.stop - chunk.start for chunk in waiting)
    with _progress(console, raster, raster.size_hw[0] - rows) as advance:
        for chunk in waiting:
            levels, valid = _levels(predictor, raster, chunk, advance)
            write_part(part_file(work, chunk.index), levels, valid)
            del levels
    return len(waiting)


def _levels(
    predictor: Predictor, raster: Raster, chunk: Span, advance: Callable[[int], None]
) -> tuple[NDArray[np.uint8], int]:
    """Levels of a chunk's own rows, and how many of its pixels show something."""
    whole_hw, scale, rows = raster.size_hw, predictor.scale, chunk.stop - chunk.start
    width = whole_hw[1]
    levels, count = np.zeros((rows, width), np.uint8), 0
    first, last = chunk.seen.start, chunk.seen.stop
    image = None
    # The predictor would cut long rows itself, but have all of them in memory at once.
    for span in _columns(predictor, width):
        left, right = span.seen.start, span.seen.stop
        above, before = chunk.start - first, span.start - left
        own = slice(above, above + rows), slice(before, before + span.stop - span.start)
        valid = raster.valid(first, left, last, right)
        shown = rows * (span.stop - span.start) if valid is None else np.count_nonzero(valid[own])
        if shown:
            if raster.in_rows and image is None:
                image = raster.read(first, 0, last, width)
            read = raster.read(first, left, last, right) if image is None else image[:, left:right]
            window = read if valid is None else filled(read, valid)
            (finding,) = predictor.findings([even(window, whole_hw, scale)], levels=True)
            assert finding.levels is not None
            found = (finding.levels[own].astype(np.uint32) + 128) // 257  # 65535 levels to 255
            levels[:, span.start : span.stop] = found if valid is None else found * valid[own]
        count += int(shown)
        advance(rows * span.stop // width - rows * span.start // width)
    return levels, count


def filled(image: NDArray[np.uint8], valid: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Give pixels that show nothing the colors of about the nearest that do.

    The step to black at the edge of an orthophoto would be called a crack all along.
    """
    if valid.all() or not valid.any():
        return image
    _, labels = cv2.distanceTransformWithLabels(
        (~valid).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    nearest = np.asarray(labels, np.int32)
    colors = np.empty((nearest.max() + 1, 3), np.uint8)
    colors[nearest[valid]] = image[valid]
    return np.where(valid[..., None], image, colors[nearest])


def _columns(predictor: Predictor, width: int) -> list[Span]:
    """Cut columns so that the predictor need not do so."""
    halo, scale = _halo(predictor), predictor.scale
    most = min(WIDEST / scale, MOST_COLUMNS) - 2 * halo / scale
    return cut(width, max(most, halo / scale), scale, halo)


def _settings(predictor: Predictor, path: Path, model: Path, chunk_rows: int) -> dict[str, Any]:
    """All that the results depend on, as JSON returns it."""
    stat, digest = path.stat(), hashlib.sha256()
    for name in ("config.json", "model.safetensors"):
        digest.update((find_model(model) / name).read_bytes())
    return {
        "image": {"name": path.name, "bytes": stat.st_size, "modified_ns": stat.st_mtime_ns},
        "model": digest.hexdigest(),
        "threshold": predictor.threshold,
        "scale": predictor.scale,
        "tile": None if predictor.by_rows else predictor.tile,
        "overlap": predictor.overlap,
        "tta": predictor.tta,
        "engine": predictor.engine,
        "precision": str(predictor.dtype),
        "device": predictor.device.type,
        "chunk_rows": chunk_rows,
    }


@contextmanager
def _progress(
    console: Console | None, raster: Raster, done: int
) -> Iterator[Callable[[int], None]]:
    """A bar in rows on a terminal, nothing elsewhere; gives the function that moves it."""
    console = console or Console(stderr=True)
    columns = (
        TextColumn("predicting {task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("rows, left"),
        TimeRemainingColumn(),
    )
    shown = not console.is_terminal
    # Chunks take minutes, and the time left is judged by the last hour.
    with Progress(*columns, console=console, disable=shown, speed_estimate_period=3600) as progress:
        task = progress.add_task(raster.path.name, total=raster.size_hw[0], completed=done)
        yield lambda rows: progress.advance(task, rows)
