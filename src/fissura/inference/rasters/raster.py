"""Predict an image that is larger than the memory, or has a place on the earth, by windows.

Each chunk of rows is computed from its own rows and a halo above and below, independently of all
others, and lies in a file of its own until all are there. So a run that was killed goes on to the
bits of one that was not.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from fissura.checkpoint import weight_files
from fissura.errors import InputError
from fissura.files.failures import printable, say
from fissura.inference.predictor import Predictor
from fissura.inference.rasters.chunks import halo_of, predict_rows
from fissura.inference.rasters.raster_files import (
    RasterFiles,
    assemble,
    record,
    recorded,
    remove_chunks,
    start,
    write_chunk,
)
from fissura.inference.rasters.windows import Interval, intervals
from fissura.inference.tiling import ALIGN
from fissura.inference.working_scale import in_words
from fissura.measurement.calibration import surest_pixels
from fissura.raster import Raster

CHUNK_ROWS = 2048


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
        predictor = _at_own_scale(predictor, raster, files, model, chunk_rows)
        if console is not None:
            say(console, f"{raster.path}: predicted at scale {in_words(predictor.scale)}.")
    if chunk_rows < ALIGN:
        raise InputError(f"A chunk has {chunk_rows} rows, but must have at least {ALIGN}.")
    settings = _settings(predictor, raster.path, model, chunk_rows)
    finished, computed = start(files, settings, overwrite), 0
    if finished is None:
        chunks = intervals(raster.size_hw[0], chunk_rows, predictor.scale, halo_of(predictor))
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
    predictor = _at_own_scale(predictor, raster, files, model, CHUNK_ROWS)
    settings = _settings(predictor, raster.path, model, CHUNK_ROWS)
    if start(files, settings, overwrite) is not None:
        return []
    chunks = intervals(raster.size_hw[0], CHUNK_ROWS, predictor.scale, halo_of(predictor))
    return [chunk.index for chunk in chunks if not files.chunk(chunk.index).exists()]


def predict_chunk(predictor: Predictor, raster: Raster, files: RasterFiles, index: int) -> None:
    """Predict one chunk of an image into its file, after `chunks_to_do`.

    Args:
        predictor: Of the model.
        raster: The image.
        files: The files to write.
        index: Number of the chunk.
    """
    if predictor.auto_scale:
        predictor = predictor.at(recorded(files)["scale"])
    chunks = intervals(raster.size_hw[0], CHUNK_ROWS, predictor.scale, halo_of(predictor))
    prob, valid = predict_rows(predictor, raster, chunks[index], lambda rows: None)
    write_chunk(files.chunk(index), prob, valid)


def _at_own_scale(
    predictor: Predictor, raster: Raster, files: RasterFiles, model: str | Path, chunk_rows: int
) -> Predictor:
    """Return the predictor at the scale of an image, where each chooses its own.

    That is the scale of results that are there, if all else is as it was, so that a machine whose
    rounding differs goes on with them.
    """
    if not predictor.auto_scale:
        return predictor
    with suppress(ValueError, KeyError, TypeError, InputError):  # told of by `start`
        before = recorded(files)
        before.pop("finished", None)
        same = predictor.at(before["scale"])
        if _settings(same, raster.path, model, chunk_rows) == before:
            return same
    return predictor.at(predictor.scale_by_windows(raster.read, raster.size_hw))


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
            prob, valid = predict_rows(predictor, raster, chunk, advance)
            write_chunk(files.chunk(chunk.index), prob, valid)
            del prob
    return len(waiting)


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
