"""Predict an image that is larger than the memory, or has a place on the earth, by windows.

Each chunk of rows is computed from its own rows and a halo above and below, independently of all
others, and lies in a file of its own until all are there. So a run that was killed goes on to the
bits of one that was not.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from fissura.bit_depth import Depth
from fissura.checkpoint import weight_files
from fissura.errors import InputError
from fissura.files.failures import printable, say
from fissura.gdal import has_raster, limited_cache, open_dataset, telling_damage
from fissura.inference.network import WIDEST
from fissura.inference.prediction import HIGHEST_8
from fissura.inference.predictor import Predictor
from fissura.inference.rasters.raster_files import (
    RasterFiles,
    assemble,
    record,
    remove_chunks,
    start,
    write_chunk,
)
from fissura.inference.rasters.windows import Interval, even, filled, intervals
from fissura.inference.tiling import ALIGN
from fissura.inference.working_scale import in_words, scale_by_windows
from fissura.measurement.calibration import surest_pixels
from fissura.raster import Raster, has_place, open_raster

SUFFIXES = (".tif", ".tiff", ".jp2")
LARGE = 50_000_000  # pixels, from which on an image is read by windows where that is possible
MOST_BANDS = 4  # of an image that may be a photo all the same
CHUNK_ROWS = 2048
TILES_HALO = 256  # pixels of the network; beyond them, what a tile sees hardly matters
MOST_COLUMNS = 2**14  # of an image that the network sees much smaller


@dataclass(frozen=True)
class RasterPrediction:
    """The result of predicting an image by windows.

    Attributes:
        probability: GeoTIFF of integers, 0 to 255; an integer by 255 is the probability of crack.
        mask: GeoTIFF, 255 where the probability is at least the threshold, else 0.
        threshold: 0 to 1.
        crack_fraction: Fraction of crack among the pixels that show something.
        valid_fraction: Fraction of the pixels that show something.
        chunks: Number of chunks that the image was cut into.
        computed: Number of those that were computed now; an earlier run left the others.
        scale: Factor by which the network saw the image resampled.
    """

    probability: Path
    mask: Path
    threshold: float
    crack_fraction: float
    valid_fraction: float
    chunks: int
    computed: int
    scale: float = 1.0


@contextmanager
def raster_of(file: Path, *, depth: Depth | None = None) -> Iterator[Raster | None]:
    """Open an image that is to be read by windows.

    A TIFF or JPEG 2000 is, if rasterio is installed, where it is georeferenced or has more than 50
    megapixels or more than four bands.

    Args:
        file: Any image file.
        depth: The depth of the set that it belongs to, see `fissura.raster.open_raster`.

    Yields:
        The open image, or None where it is a photo to be read as a whole. So is what GDAL cannot
        open: reading it as a photo will say why.

    Raises:
        InputError: It has a place on the earth or is large, but its bands or values are not those
            of a photo.
    """
    with ExitStack() as stack:
        yield _opened(file, depth, stack)


def _opened(file: Path, depth: Depth | None, stack: ExitStack) -> Raster | None:
    """The image where it is read by windows; `stack` will close it."""
    if file.suffix.lower() not in SUFFIXES or not has_raster() or not file.is_file():
        return None
    from rasterio.errors import RasterioError

    stack.enter_context(limited_cache())
    try:
        dataset = stack.enter_context(open_dataset(file))
        with telling_damage():
            placed, pixels = not dataset.transform.is_identity, dataset.width * dataset.height
    except RasterioError as error:
        if has_place(file):
            raise InputError(
                f"{file}: cannot be read, what it says of its place on the earth is damaged. "
                f"({error}) Copy it anew from where it came."
            ) from error
        return None
    if placed or pixels > LARGE or dataset.count > MOST_BANDS:
        return Raster(file, dataset, depth)
    return None


def predict_raster(
    predictor: Predictor,
    raster: Raster,
    files: RasterFiles,
    *,
    model: str | Path,
    chunk_rows: int = CHUNK_ROWS,
    overwrite: bool = False,
    console: Console | None = None,
) -> RasterPrediction:
    """Predict an image of any size, and write probabilities and mask.

    Both results are tiled, compressed GeoTIFFs with the image's size, transform and CRS, and appear
    whole or not at all. Where the image shows nothing (alpha, nodata, mask), they are 0, and the
    network sees the colors beside. Elsewhere they are those of the whole photo given to
    `predictor`, but for rounding probabilities to 8 bits (networks that take tiles: but for how the
    tiles lie). Where 32 / scale is no whole number of rows, chunks may be shifted against the whole
    photo by up to half a row.

    Called again after it was killed, it goes on; called again after it was done, it does nothing.
    Memory is needed for the probabilities of one chunk, width × `chunk_rows` bytes, and for a
    window of 4096 columns in the network; and for a chunk's colors where the file does not store
    tiles.

    Args:
        predictor: Of the run or model folder `model`, whose hash is recorded.
        raster: The image.
        files: The files to write.
        model: The model of the predictor.
        chunk_rows: Rows of the image that are predicted together, at least 32.
        overwrite: Replace results of other settings, and files that are there.
        console: For the progress, on a terminal; standard error if None.

    Raises:
        InputError: The image cannot be read, or other results are in the way.
    """
    if predictor.auto_scale:
        predictor = _at_own_scale(predictor, raster)
        if console is not None:
            say(console, f"{raster.path}: predicted at scale {in_words(predictor.scale)}.")
    if chunk_rows < ALIGN:
        raise InputError(f"A chunk has {chunk_rows} rows, but must have at least {ALIGN}.")
    settings = _settings(predictor, raster.path, model, chunk_rows)
    finished, computed = start(files, settings, overwrite), 0
    if finished is None:
        chunks = intervals(raster.size_hw[0], chunk_rows, predictor.scale, _halo(predictor))
        computed = _predict_chunks(predictor, raster, chunks, files, console)
        crack, valid = assemble(
            files,
            len(chunks),
            raster,
            predictor.threshold,
            min_prob=predictor.min_prob,
            surest=surest_pixels(predictor.scale),
        )
        finished = {
            "threshold": predictor.threshold,
            "crack_fraction": crack / max(valid, 1),
            "valid_fraction": valid / math.prod(raster.size_hw),
            "chunks": len(chunks),
        }
        record(files, settings | {"finished": finished})
        remove_chunks(files)
    return RasterPrediction(
        files.probability, files.mask, **finished, computed=computed, scale=predictor.scale
    )


def chunks_to_do(
    predictor: Predictor,
    raster: Raster,
    files: RasterFiles,
    *,
    model: str | Path,
    overwrite: bool = False,
) -> list[int]:
    """Prepare an image for `predict_chunk` in other processes.

    When they have done the chunks, `predict_raster` with the same arguments joins them.

    Args:
        predictor: Of the model, as for `predict_raster`.
        raster: The image.
        files: The files to write.
        model: The model of the predictor.
        overwrite: Replace results of other settings.

    Returns:
        The numbers of the chunks that are still to be predicted.
    """
    predictor = _at_own_scale(predictor, raster)
    settings = _settings(predictor, raster.path, model, CHUNK_ROWS)
    if start(files, settings, overwrite) is not None:
        return []
    chunks = intervals(raster.size_hw[0], CHUNK_ROWS, predictor.scale, _halo(predictor))
    return [chunk.index for chunk in chunks if not files.chunk(chunk.index).exists()]


def predict_chunk(predictor: Predictor, raster: Raster, files: RasterFiles, index: int) -> None:
    """Predict one chunk of an image into its file, after `chunks_to_do`.

    Args:
        predictor: Of the model.
        raster: The image.
        files: The files to write.
        index: Number of the chunk.
    """
    predictor = _at_own_scale(predictor, raster)
    chunks = intervals(raster.size_hw[0], CHUNK_ROWS, predictor.scale, _halo(predictor))
    prob, valid = _predict_chunk(predictor, raster, chunks[index], lambda rows: None)
    write_chunk(files.chunk(index), prob, valid)


def _at_own_scale(predictor: Predictor, raster: Raster) -> Predictor:
    """Return the predictor at the scale of an image, where each chooses its own."""
    if not predictor.auto_scale:
        return predictor
    return predictor.at(predictor.scale * scale_by_windows(raster.read, raster.size_hw))


@contextmanager
def probability_reader(path: Path) -> Iterator[ProbabilityReader]:
    """Open the probabilities (or the mask) that `predict_raster` wrote, to read them by windows.

    It is for one thread. GDAL keeps up to 128 MiB of decoded tiles.

    Args:
        path: The GeoTIFF.

    Raises:
        InputError: The file is missing or damaged.
    """
    with open_raster(path) as raster:
        yield ProbabilityReader(raster)


class ProbabilityReader:
    """An open GeoTIFF of probabilities; from `probability_reader`.

    Attributes:
        size_hw: Height and width in pixels.
    """

    def __init__(self, raster: Raster) -> None:
        self.size_hw = raster.size_hw
        self._raster = raster

    def read(self, top: int, left: int, bottom: int, right: int) -> NDArray[np.uint8]:
        """Return the integers of a window, uint8 (bottom − top, right − left)."""
        return self._raster.stored(top, left, bottom, right)[0]


def _halo(predictor: Predictor) -> int:
    """How far around a pixel the network looks, in its own pixels."""
    return predictor.halo or TILES_HALO


def _predict_chunks(
    predictor: Predictor,
    raster: Raster,
    chunks: list[Interval],
    files: RasterFiles,
    console: Console | None,
) -> int:
    """Predict the chunks that are not there yet, each into its file; return their number."""
    waiting = [chunk for chunk in chunks if not files.chunk(chunk.index).exists()]
    rows = sum(chunk.stop - chunk.start for chunk in waiting)
    with _progress(console, raster, raster.size_hw[0] - rows) as advance:
        for chunk in waiting:
            prob, valid = _predict_chunk(predictor, raster, chunk, advance)
            write_chunk(files.chunk(chunk.index), prob, valid)
            del prob
    return len(waiting)


def _predict_chunk(
    predictor: Predictor, raster: Raster, chunk: Interval, advance: Callable[[int], None]
) -> tuple[NDArray[np.uint8], int]:
    """Probabilities of a chunk's own rows, 0 to 255, and how many of its pixels show something.

    No part of the mask is left out yet: a chunk may show but an end of one.
    """
    predictor = predictor.keeping_unsure()
    whole_hw, scale, rows = raster.size_hw, predictor.scale, chunk.stop - chunk.start
    width = whole_hw[1]
    prob, count = np.zeros((rows, width), np.uint8), 0
    first, last = chunk.seen.start, chunk.seen.stop
    image = None
    # The predictor would cut long rows itself, but have all of them in memory at once.
    for columns in _columns(predictor, width):
        left, right = columns.seen.start, columns.seen.stop
        above, before = chunk.start - first, columns.start - left
        own_width = columns.stop - columns.start
        own = slice(above, above + rows), slice(before, before + own_width)
        valid = raster.valid(first, left, last, right)
        shown = rows * own_width if valid is None else np.count_nonzero(valid[own])
        if shown:
            if raster.in_rows and image is None:
                image = raster.read(first, 0, last, width)
            read = raster.read(first, left, last, right) if image is None else image[:, left:right]
            window = even(read if valid is None else filled(read, valid), whole_hw, scale)
            (found,) = predictor.compact([window], highest=HIGHEST_8)
            assert found.prob is not None
            values = np.asarray(found.prob[own], np.uint8)
            prob[:, columns.start : columns.stop] = values if valid is None else values * valid[own]
        count += int(shown)
        advance(rows * columns.stop // width - rows * columns.start // width)
    return prob, count


def _columns(predictor: Predictor, width: int) -> list[Interval]:
    """Cut columns so that the predictor need not do so."""
    halo, scale = _halo(predictor), predictor.scale
    most = min(WIDEST / scale, MOST_COLUMNS) - 2 * halo / scale
    return intervals(width, max(most, halo / scale), scale, halo)


def _settings(
    predictor: Predictor, path: Path, model: str | Path, chunk_rows: int
) -> dict[str, Any]:
    """All that the results depend on, as JSON returns it."""
    stat, digest = path.stat(), hashlib.sha256()
    for file in weight_files(model):
        digest.update(file.read_bytes())
    return {
        "image": {"name": path.name, "bytes": stat.st_size, "modified_ns": stat.st_mtime_ns},
        "model": digest.hexdigest(),
        "threshold": predictor.threshold,
        "scale": predictor.scale,
        "tile": None if predictor.streams else predictor.tile,
        "overlap": predictor.overlap,
        "tta": predictor.tta,
        "engine": predictor.engine,
        **({} if predictor.of_class is None else {"of_class": predictor.of_class}),
        **({"min_prob": predictor.min_prob} if predictor.min_prob else {}),
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
        task = progress.add_task(
            printable(raster.path.name), total=raster.size_hw[0], completed=done
        )
        yield lambda rows: progress.advance(task, rows)
