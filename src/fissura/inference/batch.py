"""`fissura predict`: masks, overlays and a table for files and folders of photos."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from fissura.checkpoint import find_model
from fissura.data.folder import find_images
from fissura.data.images import read_image
from fissura.device import Precision
from fissura.errors import InputError
from fissura.inference.predictor import Prediction, Predictor
from fissura.inference.results import (
    TABLE,
    is_result,
    mask_of,
    output_names,
    start_results,
    write_pictures,
    write_table,
)


@dataclass(frozen=True)
class Failure:
    """A file that could not be predicted, and why, in a sentence."""

    file: Path
    reason: str


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
    tile: int = 512,
    overlap: float = 0.25,
    batch_size: int | None = None,
    scale: float | None = None,
    device: str = "auto",
    precision: Precision = "auto",
    resume: bool = False,
    overwrite: bool = False,
    console: Console | None = None,
) -> Summary:
    """Predict photos with a trained model and write what it finds into a folder.

    Written below `out`, with the sub-folders of the inputs: masks/NAME.png (8 bit, 255 is crack);
    overlays/NAME.jpg, unless `overlays` is false; probabilities/NAME.png (16 bit, 65535 is 1), with
    `probabilities`; predictions.csv, a line per photo (file, mask, crack_share, threshold,
    seconds); and prediction.json with the settings. NAME is the photo's path below the folder that
    holds all inputs, without suffix, or with it where two photos would share a name. While the
    command runs, the table is called predictions.partial.csv. Each file appears whole or not at
    all.

    Arguments:
      model:         a run folder or a model folder.
      inputs:        image files, and folders that are searched to any depth; results that lie
                     there already are not taken for photos.
      out:           the folder for the results.
      threshold, tta, tile, overlap, batch_size, scale, device, precision: see `Predictor`.
      resume:        go on where an earlier run with the same settings stopped.
      overwrite:     write into a folder that is not empty.
      console:       for progress and complaints; standard error if None.

    A photo that cannot be read is reported, listed in the summary's failures, and left out.

    Raises `InputError` where there is no model or no photo, an option is out of range, or `out` is
    not empty and neither `resume` nor `overwrite` allows it.
    """
    console = console or Console(stderr=True)
    predictor = Predictor.load(
        model,
        device=device,
        precision=precision,
        tile=tile,
        overlap=overlap,
        batch_size=batch_size,
        tta=tta,
        scale=scale,
        threshold=threshold,
    )
    files = [file for file in find_images(inputs) if not is_result(file, out)]
    if not files:
        raise InputError(f"There are no photos to predict but earlier results in {out}.")
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
    waiting = [file for file in files if (file.name, mask_of(names[file])) not in kept]

    failures: list[Failure] = []
    with write_table(out, rows) as add_line, _progress(console, len(waiting)) as advance:

        def leave_out(file: Path, reason: str) -> None:
            failures.append(Failure(file, reason))
            console.print(f"Left out: {reason}", style="red", highlight=False, markup=False)
            advance()

        for file, image, prediction in _predict(predictor, waiting, leave_out):
            write_pictures(
                out, names[file], image, prediction, overlays=overlays, probabilities=probabilities
            )
            add_line(file, names[file], prediction)
            advance()
    predicted = len(waiting) - len(failures)
    return Summary(out / TABLE, predicted, len(files) - len(waiting), failures)


def _predict(
    predictor: Predictor, files: list[Path], leave_out: Callable[[Path, str], None]
) -> Iterator[tuple[Path, NDArray[np.uint8], Prediction]]:
    """Read and predict one file after the other, small ones in batches."""
    read: deque[tuple[Path, NDArray[np.uint8]]] = deque()

    def images() -> Iterator[NDArray[np.uint8]]:
        for file in files:
            try:
                image = read_image(file)
            except InputError as error:
                leave_out(file, str(error))
            except MemoryError:
                leave_out(file, f"{file} is too large for the memory of this machine.")
            else:
                read.append((file, image))
                yield image

    for prediction in predictor.predictions(images()):
        yield *read.popleft(), prediction


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
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=total)
        yield lambda: progress.advance(task)
