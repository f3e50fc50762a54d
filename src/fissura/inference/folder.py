"""`fissura predict`: masks, overlays and a table for files and folders of photos."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from fissura.checkpoint import find_model
from fissura.data.folder import find_images
from fissura.data.images import read_image, read_size
from fissura.device import Precision
from fissura.errors import InputError
from fissura.files import is_result, output_names
from fissura.files.failures import Failure
from fissura.inference.by_windows import by_windows, predict_by_windows, write_small_overlay
from fissura.inference.options import Engine
from fissura.inference.predictor import Finding, Predictor
from fissura.inference.results import (
    TABLE,
    mask_of,
    start_results,
    write_pictures,
    write_table,
)

AHEAD = 8  # photos that are read before their turn, or written after it
AHEAD_PIXELS = 2**26  # and of how many pixels together
HUGE = 100_000_000  # pixels, from which on a photo's memory is worth a word


_Ahead = deque[tuple[Path, int, Future[NDArray[np.uint8]] | None]]


@dataclass(frozen=True)
class Summary:
    """What `predict_files` did.

    table:     the path of predictions.csv.
    predicted: number of files predicted now.
    kept:      number of files that an earlier run had predicted, with `resume`.
    failures:  files that could not be read.
    """

    table: Path
    predicted: int
    kept: int
    failures: list[Failure]


def predict_files(
    model: Path,
    inputs: list[Path],
    out: Path,
    *,
    threshold: float | None = None,
    probabilities: bool = False,
    overlays: bool = True,
    tta: bool = False,
    tile: int | None = None,
    overlap: float = 0.25,
    batch_size: int | None = None,
    scale: float | None = None,
    device: str = "auto",
    precision: Precision = "auto",
    engine: Engine = "torch",
    resume: bool = False,
    overwrite: bool = False,
    console: Console | None = None,
) -> Summary:
    """Predict photos with a trained model and write what it finds into a folder.

    Written below `out`, with the sub-folders of the inputs: masks/NAME.png (8 bit, 255 is crack);
    overlays/NAME.jpg, unless `overlays` is false; probabilities/NAME.png (16 bit, 65535 is 1), with
    `probabilities`; predictions.csv, a line per photo (file, mask, crack_fraction, threshold,
    seconds); and prediction.json with the settings. NAME is the photo's path below the folder that
    holds all inputs, without suffix, or with it where two photos would share a name. While the
    command runs, the table is called predictions.partial.csv. Each file appears whole or not at
    all.

    Images that are read by windows (`fissura.inference.by_windows`) get masks/NAME.tif and
    probabilities/NAME.tif instead, GeoTIFFs at the same place, and an overlay of reduced size.

    Arguments:
      model:         a run folder or a model folder.
      inputs:        image files, and folders that are searched to any depth; results that lie
                     there already are not taken for photos.
      out:           the folder for the results.
      threshold, tta, tile, overlap, batch_size, scale, device, precision, engine: see `Predictor`.
      resume:        go on where an earlier run with the same settings stopped.
      overwrite:     write into a folder that is not empty.
      console:       for progress and complaints; standard error if None.

    A photo that cannot be read is reported, listed in the summary's failures, and left out.

    Raises `InputError` where there is no model or no photo, an option is out of range, or `out` is
    not empty and neither `resume` nor `overwrite` allows it.
    """
    console = console or Console(stderr=True)
    files = [file for file in find_images(inputs) if not is_result(file, out)]
    if not files:
        raise InputError(f"There are no photos to predict but earlier results in {out}.")
    predictor = Predictor.load(
        model,
        device=device,
        precision=precision,
        engine=engine,
        tile=tile,
        overlap=overlap,
        batch_size=batch_size,
        tta=tta,
        scale=scale,
        threshold=threshold,
    )
    names = dict(zip(files, output_names(files, inputs), strict=True))
    settings = {
        "model": str(find_model(model).absolute()),
        "inputs": [str(path.absolute()) for path in inputs],
        "threshold": predictor.threshold,
        "scale": predictor.scale,
        "tile": tile,
        "overlap": overlap,
        "tta": tta,
        "overlays": overlays,
        "probabilities": probabilities,
    }
    rows = start_results(out, settings, resume=resume, overwrite=overwrite)
    kept = {(Path(row["file"]).name, row["mask"]) for row in rows}
    masks = {file: mask_of(names[file], ".tif" if by_windows(file) else ".png") for file in files}
    todo = [file for file in files if (file.name, masks[file]) not in kept]
    waiting = [file for file in todo if masks[file].endswith(".png")]

    failures: list[Failure] = []

    def leave_out(file: Path, reason: str) -> None:
        failures.append(Failure(file, reason))
        console.print(f"Left out: {reason}", style="red", highlight=False, markup=False)

    with write_table(out, rows) as add_line:
        for file in todo:
            if file in waiting:
                continue
            began = time.perf_counter()
            try:
                found = predict_by_windows(
                    predictor,
                    file,
                    out,
                    names[file],
                    model=model,
                    overwrite=overwrite,
                    console=console,
                )
            except InputError as error:
                leave_out(file, str(error))
                continue
            if overlays:
                write_small_overlay(file, found.mask, out, names[file])
            seconds = time.perf_counter() - began
            add_line(file, masks[file], found.crack_fraction, found.threshold, seconds)
        photos = _Photos(predictor, out, names, overlays, probabilities, console, leave_out)
        photos.predict(
            waiting,
            lambda file, found: add_line(
                file, masks[file], found.crack_fraction, found.threshold, found.seconds
            ),
        )
    return Summary(out / TABLE, len(todo) - len(failures), len(files) - len(todo), failures)


@dataclass(frozen=True)
class _Photos:
    """How photos that are held whole are predicted: read before their turn, written after it."""

    predictor: Predictor
    out: Path
    names: dict[Path, str]
    overlays: bool
    probabilities: bool
    console: Console
    leave_out: Callable[[Path, str], None]

    def predict(self, files: list[Path], done: Callable[[Path, Finding], None]) -> None:
        """Predict the photos; `done` is called for each when its pictures are written."""
        taken: deque[tuple[Path, NDArray[np.uint8]]] = deque()
        written: deque[tuple[Future[None], Path, Finding]] = deque()
        with ThreadPoolExecutor(1) as writer, _progress(self.console, len(files)) as advance:

            def leave_out(file: Path, reason: str) -> None:
                self.leave_out(file, reason)
                advance()

            def settle(most: int = 0) -> None:
                """Wait until photos of at most so many pixels are being written."""
                while written and (len(written) > AHEAD or _pixels_of(written) > most):
                    future, file, finding = written.popleft()
                    future.result()
                    done(file, finding)
                    advance()

            photos = _read_ahead(files, taken, leave_out, settle, self.console)
            for finding in self.predictor.findings(photos, levels=self.probabilities):
                file, image = taken.popleft()
                future = writer.submit(
                    write_pictures,
                    self.out,
                    self.names[file],
                    image,
                    finding,
                    overlays=self.overlays,
                )
                written.append((future, file, finding))
                del image, finding  # they may be large, and the next photo has to fit in
                settle(AHEAD_PIXELS)
            settle()


def _read_ahead(
    files: list[Path],
    taken: deque[tuple[Path, NDArray[np.uint8]]],
    leave_out: Callable[[Path, str], None],
    settle: Callable[[], None],
    console: Console,
) -> Iterator[NDArray[np.uint8]]:
    """Yield the photos, and append each with its file to `taken`; the next are read meanwhile.

    A photo that is too large for that is read when nothing else is in memory.
    """
    coming = ((file, _pixels(file)) for file in files)
    following = next(coming, None)
    ahead: _Ahead = deque()
    with ThreadPoolExecutor(1) as reader:
        while following or ahead:
            while following and (not ahead or _fits(following[1], ahead)):
                file, pixels = following
                # Not in a thread if large: threads keep the memory that Pillow gives back.
                alone = pixels > AHEAD_PIXELS
                ahead.append((file, pixels, None if alone else reader.submit(read_image, file)))
                following = next(coming, None)
            file, pixels, future = ahead.popleft()
            if future is None:
                settle()
            if pixels > HUGE:
                _warn_of_size(console, file, pixels)
            try:
                image = future.result() if future else read_image(file)
            except InputError as error:
                leave_out(file, str(error))
            except MemoryError:
                leave_out(file, f"{file} is too large for the memory of this machine.")
            else:
                del future
                taken.append((file, image))
                yield image
                del image


def _fits(pixels: int, ahead: _Ahead) -> bool:
    """Whether a photo may be read while those before it wait."""
    return len(ahead) < AHEAD and pixels + sum(entry[1] for entry in ahead) <= AHEAD_PIXELS


def _pixels(file: Path) -> int:
    """Count a photo's pixels by its header; 0 where that is damaged, which reading will tell."""
    try:
        (height, width), _ = read_size(file)
    except InputError:
        return 0
    return height * width


def _pixels_of(written: Iterable[tuple[Future[None], Path, Finding]]) -> int:
    return sum(finding.mask.size for _, _, finding in written)


def _warn_of_size(console: Console, file: Path, pixels: int) -> None:
    """Say what reading a huge photo takes: 4 bytes a pixel in Pillow, and 3 in our array."""
    console.print(
        f"{file} has {pixels / 1e6:.0f} megapixels. Its format is not read in parts: that takes "
        f"about {7e-9 * pixels:.1f} GB of memory, {3e-9 * pixels:.1f} GB of it until the photo is "
        "done.",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )


@contextmanager
def _progress(console: Console, total: int) -> Iterator[Callable[[], None]]:
    """A bar on a terminal, nothing elsewhere; gives the function that moves it by one."""
    columns = (
        TextColumn("predicting"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    shown = console.is_terminal and total > 0
    with Progress(*columns, console=console, disable=not shown) as progress:
        task = progress.add_task("", total=total)
        yield lambda: progress.advance(task)
