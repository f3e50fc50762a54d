"""Predict files and folders of photos: masks, overlays and a table, whatever one photo is like."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from fissura.bit_depth import Depth, common_depth
from fissura.checkpoint import find_model, versions
from fissura.data.folder import find_images
from fissura.data.images import read_image, read_size
from fissura.errors import InputError
from fissura.files import MASKS, OutputOptions, free_folder, is_result, output_names
from fissura.files.failures import Failure, failure, printable
from fissura.files.images import LONGEST_JPEG
from fissura.inference.class_results import mask_path, write_classes
from fissura.inference.engines.familiar import UNFAMILIAR
from fissura.inference.merge import finish_predictions
from fissura.inference.options import PredictOptions
from fissura.inference.prediction import HIGHEST_16, CompactPrediction
from fissura.inference.predictor import Predictor
from fissura.inference.raster import RasterFiles, predict_raster, raster_of
from fissura.inference.results import (
    TABLE,
    Predicted,
    start_results,
    write_photo,
    write_raster_overlay,
    write_table,
)
from fissura.inference.working_scale import in_words
from fissura.raster import lost_places
from fissura.shipped import DEFAULT
from fissura.spread.manifest import begin_shard
from fissura.spread.options import Shard, SpreadOptions
from fissura.spread.parts import part_of

AHEAD = 8  # photos that are read before their turn, or written after it
AHEAD_PIXELS = 2**26  # and of how many pixels together
HUGE = 100_000_000  # pixels, from which on a photo's memory is worth a word

Photos = str | Path | Sequence[str | Path]
_Ahead = deque[tuple[Path, int, Future[NDArray[np.uint8]] | None]]
_Done = Callable[[Path, str, Predicted, float], None]  # file, mask below the folder, …, seconds


@dataclass(frozen=True)
class Summary:
    """The outcome of `predict`.

    Attributes:
        table: The path of predictions.csv.
        predicted: Number of files predicted now.
        kept: Number of files that an earlier run had predicted, with `resume`.
        failures: Files that were left out.
    """

    table: Path
    predicted: int
    kept: int
    failures: list[Failure]


def predict(
    photos: Photos,
    out: str | Path | None = None,
    *,
    model: str | Path = DEFAULT,
    options: PredictOptions | None = None,
    probabilities: bool = False,
    overlays: bool = True,
    output: OutputOptions | None = None,
    console: Console | None = None,
    spreading: SpreadOptions | None = None,
) -> Summary:
    """Find the cracks in photos and write masks, overlays and a table into a folder.

    Written below `out`, with the sub-folders of the photos: masks/NAME.png (8 bit, 255 is crack);
    overlays/NAME.jpg; probabilities/NAME.png (16 bit, 65535 is 1); predictions.csv, a line per
    photo (file, mask, crack_fraction, threshold, seconds); and prediction.json with the settings.
    NAME is the photo's path below the folder that holds all photos, without suffix, or with it
    where two photos would have the same name. While the command runs, the table is called
    predictions.partial.csv. Each file appears whole or not at all.

    A model of several classes writes maps: palette images whose values are 0 for background and the
    numbers of the classes, in the order of prediction.json; the table has a fraction of each class,
    and probabilities/CLASS/NAME.png are those of each. Where classes overlap, each has masks of its
    own, masks/CLASS/NAME.png. With `options.of_class` one class is predicted as crack is.

    Images that are read by windows (`fissura.inference.raster.raster_of`) get masks/NAME.tif and
    probabilities/NAME.tif instead, GeoTIFFs at the same place, and an overlay of reduced size.

    A photo that cannot be read, predicted or written is named and left out; the others go on.

    Args:
        photos: An image file, a folder that is searched to any depth, or several of them. Results
            that lie there already are not taken for photos.
        out: Folder for the results; by default "predictions", or "predictions-2" and so on.
        model: Run folder, model folder, or name of a model that comes with Fissura.
        options: How the model is applied.
        probabilities: Write the probabilities, too.
        overlays: Write the photos with the cracks marked.
        output: What to do where the folder is not empty.
        console: For progress and complaints; standard error if None.
        spreading: How the photos are spread over machines.

    Returns:
        What was done.

    Raises:
        InputError: There is no model or no photo, an option is out of its range, or `out` is not
            empty and may not be written to.
        OSError: The disk is full or cannot be written to.
    """
    console, options = console or Console(stderr=True), options or PredictOptions()
    output = output or OutputOptions()
    given = [photos] if isinstance(photos, str | Path) else photos
    inputs = [Path(path) for path in given]
    out = free_folder("predictions") if out is None else Path(out)
    files = [file for file in find_images(inputs) if not is_result(file, out)]
    if not files:
        raise InputError(f"There are no photos to predict but earlier results in {out}.")
    predictor = Predictor.load(model, **asdict(options))
    names = dict(zip(files, output_names(files, inputs), strict=True))
    shard = (spreading or SpreadOptions()).shard
    part = part_of(names, Shard.parse(shard)) if shard else None
    scale = "auto" if predictor.auto_scale else predictor.scale
    chosen = {"threshold": predictor.threshold, "scale": scale}
    chosen |= {"overlays": overlays, "probabilities": probabilities}
    settings = {
        "model": str(find_model(model).absolute()),
        "inputs": [str(path.absolute()) for path in inputs],
        **chosen,
        **{name: getattr(options, name) for name in ("tile", "overlap", "tta")},
        **({} if options.of_class is None else {"of_class": options.of_class}),
    }
    classes = predictor.classes
    notes = {**asdict(options), **chosen, "versions": versions()}
    if classes:
        notes["classes"] = ["background"] * (not predictor.config.overlapping) + [*classes]
    alone = {} if shard is None else {"shard": shard}
    rows = start_results(out, settings | alone, notes | alone, output, classes)
    if part is not None:
        begin_shard(out)
        names = part.names
    kept = {(Path(row["file"]).name, row["mask"].rpartition(".")[0]) for row in rows}
    todo = {
        file: name
        for file, name in names.items()
        if (printable(file.name), mask_path(name, predictor.config, classes)[:-4]) not in kept
    }
    work = _Work(
        predictor,
        out,
        todo,
        console,
        overlays=overlays,
        probabilities=probabilities,
        depth=common_depth(files),
    )
    if work.depth:
        work.say(f"Brightness: {work.depth}.")
    if lost := lost_places(files):
        work.say(lost, style="yellow")
    with write_table(out, rows, classes) as done:
        waiting = [file for file in todo if not work.predict_raster(file, model, output, done)]
        work.predict_photos(waiting, done)
    if part is not None:
        finish_predictions(out, part, model, settings, notes, work.failures)
    count = len(todo) - len(work.failures)
    return Summary(out / TABLE, count, len(names) - len(todo), work.failures)


@dataclass(frozen=True)
class _Work:
    """How files are predicted: with which model, into which folder, under which names."""

    predictor: Predictor
    out: Path
    names: dict[Path, str]
    console: Console
    overlays: bool = field(kw_only=True)
    probabilities: bool = field(kw_only=True)
    depth: Depth | None = field(kw_only=True)
    failures: list[Failure] = field(default_factory=list)

    def leave_out(self, file: Path, error: Exception) -> None:
        """Name a file that cannot be used, and why."""
        self.failures.append(failure(file, error))
        self.say(f"Left out: {self.failures[-1].reason}", style="red")

    def mask_of(self, file: Path) -> str:
        """Return the path of a photo's mask below the folder of results."""
        return mask_path(self.names[file], self.predictor.config, self.predictor.classes)

    def say(self, text: str, style: str = "") -> None:
        """Print a sentence with a file name in it."""
        text = printable(text)
        self.console.print(text, style=style, highlight=False, markup=False, soft_wrap=True)

    def predict_raster(
        self, file: Path, model: str | Path, output: OutputOptions, done: _Done
    ) -> bool:
        """Predict an image that is read by windows; return False where it is a photo."""
        name, began = self.names[file], time.perf_counter()
        try:
            with raster_of(file, depth=self.depth) as raster:
                if raster is None:
                    return False
                self.predictor.refuse_classes("an image that is read by windows takes one")
                found = predict_raster(
                    self.predictor,
                    raster,
                    RasterFiles.below(self.out, name),
                    model=model,
                    overwrite=output.overwrite,
                    console=self.console,
                )
                if self.overlays:
                    write_raster_overlay(self.out, name, raster, found.mask)
        except Exception as error:
            self.leave_out(file, error)
        else:
            done(file, f"{MASKS}/{name}.tif", found, time.perf_counter() - began)
        return True

    def predict_photos(self, files: list[Path], done: _Done) -> None:
        """Predict photos that are held whole: read before their turn, written after it."""
        taken: deque[tuple[Path, NDArray[np.uint8]]] = deque()
        written: deque[tuple[Future[float], Path, CompactPrediction]] = deque()
        highest = HIGHEST_16 if self.probabilities else None
        with ThreadPoolExecutor(1) as writer, _progress(self.console, len(files)) as advance:

            def leave_out(file: Path, error: Exception) -> None:
                self.leave_out(file, error)
                advance()

            def settle(most: int = 0) -> None:
                """Wait until photos of at most so many pixels are being written."""
                while written and (len(written) > AHEAD or _pixels_of(written) > most):
                    future, file, found = written.popleft()
                    try:
                        scale = future.result()
                    except Exception as error:
                        leave_out(file, error)
                        continue
                    if scale < 1:
                        self.say(
                            f"The overlay of {file} is shrunk to {LONGEST_JPEG:,} pixels, the most "
                            "that a JPEG can hold; its mask is whole."
                        )
                    done(file, self.mask_of(file), found, found.seconds)
                    advance()

            photos = _read_ahead(files, taken, leave_out, settle, self)
            for found in self.predictor.attempts(photos, highest=highest):
                file, image = taken.popleft()
                if isinstance(found, Exception):
                    del image
                    leave_out(file, found)
                    continue
                self.tell_scale(file, found.scale)
                if found.unfamiliarity is not None and found.unfamiliarity > 1:
                    self.say(f"{file}: {UNFAMILIAR}", style="yellow")
                future = writer.submit(self._write, self.names[file], image, found)
                written.append((future, file, found))
                del image, found  # they may be large, and the next photo has to fit in
                settle(AHEAD_PIXELS)
            settle()

    def tell_scale(self, file: Path, scale: float) -> None:
        """Say at which scale a photo was predicted, where it was chosen by the photo."""
        if self.predictor.auto_scale and scale != self.predictor.scale:
            self.say(f"{file}: predicted at scale {in_words(scale)}; no detail is finer.")

    def _write(self, name: str, image: NDArray[np.uint8], found: CompactPrediction) -> float:
        """Write the results of a photo; return the size of its overlay over the photo's."""
        if not self.predictor.classes:
            return write_photo(self.out, name, image, found, overlays=self.overlays)
        card = self.predictor.config
        return write_classes(self.out, name, image, found, card, overlays=self.overlays)

    def warn_of_size(self, file: Path, pixels: int) -> None:
        """Say what reading a huge photo takes: 4 bytes a pixel in Pillow, and 3 in our array."""
        self.say(
            f"{file} has {pixels / 1e6:.0f} megapixels. Its format cannot be read by windows: that "
            f"takes about {7e-9 * pixels:.1f} GB of memory, {3e-9 * pixels:.1f} GB of it until the "
            "photo is done."
        )


def _read_ahead(
    files: list[Path],
    taken: deque[tuple[Path, NDArray[np.uint8]]],
    leave_out: Callable[[Path, Exception], None],
    settle: Callable[[], None],
    work: _Work,
) -> Iterator[NDArray[np.uint8]]:
    """Yield the photos, and append each with its file to `taken`; the next are read meanwhile.

    A photo that is too large for that is read when nothing else is in memory.
    """
    coming = ((file, _pixels(file)) for file in files)

    def read(file: Path) -> NDArray[np.uint8]:
        return read_image(file, depth=work.depth)

    following = next(coming, None)
    ahead: _Ahead = deque()
    with ThreadPoolExecutor(1) as reader:
        while following or ahead:
            while following and (not ahead or _fits(following[1], ahead)):
                file, pixels = following
                # Not in a thread if large: threads keep the memory that Pillow gives back.
                alone = pixels > AHEAD_PIXELS
                ahead.append((file, pixels, None if alone else reader.submit(read, file)))
                following = next(coming, None)
            file, pixels, future = ahead.popleft()
            if future is None:
                settle()
            if pixels > HUGE:
                work.warn_of_size(file, pixels)
            try:
                image = future.result() if future else read(file)
            except Exception as error:
                leave_out(file, error)
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
    except Exception:
        return 0
    return height * width


def _pixels_of(written: Iterable[tuple[Future[float], Path, CompactPrediction]]) -> int:
    """Count the pixels of photos that are being written."""
    return sum(found.mask.size for _, _, found in written)


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
