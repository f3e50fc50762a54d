"""The photos of a folder predicted one after the other: read ahead, written behind."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from fissura.bit_depth import Depth
from fissura.data.images import count_pixels, read_image
from fissura.files import MASKS, OutputOptions
from fissura.files.failures import Failure, failure, say
from fissura.files.images import LONGEST_JPEG
from fissura.inference.engines.familiar import UNFAMILIAR
from fissura.inference.files.class_results import mask_path, write_classes
from fissura.inference.files.results import Predicted, write_photo, write_raster_overlay
from fissura.inference.prediction import HIGHEST_16, CompactPrediction
from fissura.inference.predictor import Predictor
from fissura.inference.rasters.opening import raster_of
from fissura.inference.rasters.raster import predict_raster
from fissura.inference.rasters.raster_files import RasterFiles
from fissura.inference.working_scale import chosen_scale
from fissura.spread.progress import shown_progress

AHEAD = 8  # photos that are read before their turn, or written after it
AHEAD_PIXELS = 2**26  # and of how many pixels together
HUGE = 100_000_000  # pixels, from which on a photo's memory is worth a word

_Ahead = deque[tuple[Path, int, Future[NDArray[np.uint8]] | None]]
Done = Callable[[Path, str, Predicted, float], None]  # file, mask below the folder, …, seconds


@dataclass(frozen=True)
class Work:
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
        say(self.console, text, style)

    def predict_raster(
        self, file: Path, model: str | Path, output: OutputOptions, done: Done
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

    def predict_photos(self, files: list[Path], done: Done) -> None:
        """Predict photos that are held whole: read before their turn, written after it."""
        taken: deque[tuple[Path, NDArray[np.uint8]]] = deque()
        written: deque[tuple[Future[float], Path, CompactPrediction]] = deque()
        highest = HIGHEST_16 if self.probabilities else None
        with (
            ThreadPoolExecutor(1) as writer,
            shown_progress(self.console, "predicting", len(files)) as advance,
        ):

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
            self.say(f"{file}: {chosen_scale(scale)}")

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
    work: Work,
) -> Iterator[NDArray[np.uint8]]:
    """Yield the photos, and append each with its file to `taken`; the next are read meanwhile.

    A photo that is too large for that is read when nothing else is in memory.
    """
    coming = ((file, count_pixels(file)) for file in files)

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


def _pixels_of(written: Iterable[tuple[Future[float], Path, CompactPrediction]]) -> int:
    """Count the pixels of photos that are being written."""
    return sum(found.mask.size for _, _, found in written)
