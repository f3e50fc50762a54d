"""Open photos: the corrected mask, its cracks, tiles and probabilities, in memory while used."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fissura.data.images import read_image
from fissura.files.images import write_image
from fissura.inference.prediction import HIGHEST_8, Prediction, quantized
from fissura.inspection.photos.given_masks import mask_in_place
from fissura.inspection.steps import record_file
from fissura.measurement.options import MeasureOptions
from fissura.measurement.perspective import Perspective
from fissura.measurement.resolution import Resolution
from fissura.serve.desk.photos.found import ModelFound
from fissura.serve.desk.photos.pixels import Box, unpack_pixels
from fissura.serve.desk.photos.scale import resolution
from fissura.serve.desk.photos.tiles import MaskLevels, Tiles, write_tiles
from fissura.serve.desk.storage.entry import Entry, unpack
from fissura.serve.desk.storage.store import PhotoRow, Store

MOST_OPEN = 250_000_000  # pixels of all photos that are held open; one is open in any case
MOST_TILES = 64  # files of tiles that are open
BAND = 1024  # rows of a photo that are handed on at once


class OpenPhoto:
    """A photo whose mask and cracks are in memory.

    Args:
        row: What is stored of it.
        store: The store.
        home: The desk's own folder.
        file: The photo.
        measuring: How cracks are measured.

    Attributes:
        lock: Held while it is changed.
        mask: The corrected mask, bool (h, w).
        entries: Its cracks by id.
        model: What the model found.
        levels: The mask at every size.
    """

    def __init__(
        self, row: PhotoRow, store: Store, home: Path, file: Path, measuring: MeasureOptions
    ) -> None:
        self.lock = threading.RLock()
        self.file = file
        self._home, self._name = home, row.name
        found = found_folder(home)
        mask_file = mask_of_model(home, row.name)
        self.mask = np.ascontiguousarray(mask_in_place(mask_file, str(mask_file)).read())
        with store.unpacking():
            for packed in store.deltas(row):
                unpack_pixels(packed).turn(self.mask)
        self.model = ModelFound.load(record_file(found, row.name), measuring)
        self.entries: dict[str, Entry] = {}
        with store.unpacking():
            for packed in store.cracks(row.id).values():
                for entry in unpack(packed)[0]:
                    self.entries[entry.id] = entry
        self.levels = MaskLevels(self.mask)

    @property
    def size_hw(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.mask.shape[0], self.mask.shape[1]

    @cached_property
    def _prob(self) -> NDArray[np.uint8]:
        file = probability_file(self._home, self._name)
        return np.ascontiguousarray(read_image(file)[..., 0])

    def probability(self, box: Box) -> NDArray[np.float32]:
        """Return the model's probabilities in a window, as 8 bits hold them."""
        top, left, bottom, right = box
        return self._prob[top:bottom, left:right].astype(np.float32) / np.float32(HIGHEST_8)


class OpenPhotos:
    """The photos that are held open, as many as memory is meant for.

    Args:
        most: Pixels of all of them together.
    """

    def __init__(self, most: int = MOST_OPEN) -> None:
        self._most = most
        self._open: OrderedDict[str, OpenPhoto] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, photo: str) -> OpenPhoto | None:
        """Return an open photo, which counts as just used."""
        with self._lock:
            found = self._open.get(photo)
            if found is not None:
                self._open.move_to_end(photo)
            return found

    def put(self, photo: str, opened: OpenPhoto) -> OpenPhoto:
        """Hold a photo open, or return the one that is held already."""
        with self._lock:
            kept = self._open.setdefault(photo, opened)
            self._open.move_to_end(photo)
            while sum(one.mask.size for one in self._open.values()) > self._most:
                if len(self._open) == 1:
                    break
                # One that is being used lives on until its user is done; what it changes is stored.
                self._open.popitem(last=False)
            return kept


class TileFiles:
    """The tiles of photos, in a file each; they are written where they are missing.

    Args:
        home: The desk's own folder.
    """

    def __init__(self, home: Path) -> None:
        self._home = home
        self._open: OrderedDict[str, Tiles] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, name: str, file: Path, image: NDArray[np.uint8] | None = None) -> Tiles:
        """Return the tiles of a photo.

        Args:
            name: Name of the photo's results.
            file: The photo.
            image: Its pixels, where they have been read already.
        """
        with self._lock:
            found = self._open.get(name)
            if found is None:
                path = self._home / "tiles" / f"{name}.tiles"
                try:
                    found = Tiles(path)
                except (FileNotFoundError, ValueError):  # damaged ones are made again
                    _write(path, file, image)
                    found = Tiles(path)
                self._open[name] = found
            self._open.move_to_end(name)
            while len(self._open) > MOST_TILES:
                self._open.popitem(last=False)[1].close()
            return found

    def close(self) -> None:
        """Close all files."""
        with self._lock:
            while self._open:
                self._open.popitem()[1].close()


def _write(path: Path, file: Path, image: NDArray[np.uint8] | None) -> None:
    """Write the tiles of a photo."""
    pixels = read_image(file) if image is None else image
    path.parent.mkdir(parents=True, exist_ok=True)
    write_tiles(path, (pixels.shape[0], pixels.shape[1]), _bands(pixels))


def found_folder(home: Path) -> Path:
    """Return the folder of what the model found: results as `fissura inspect` has them."""
    return home / "model"


def mask_of_model(home: Path, name: str) -> Path:
    """Return the file of the mask that the model found."""
    return found_folder(home) / "masks" / f"{name}.png"


def probability_file(home: Path, name: str) -> Path:
    """Return the file of a photo's probabilities."""
    return home / "probabilities" / f"{name}.png"


def save_probability(home: Path, name: str, prediction: Prediction) -> None:
    """Keep a photo's probabilities, as 8 bits."""
    values = quantized(prediction.prob, prediction.mask, prediction.threshold, HIGHEST_8)
    write_image(probability_file(home, name), values)


def _bands(pixels: NDArray[np.uint8]) -> Iterator[NDArray[np.uint8]]:
    """Yield the rows of a photo, some at a time."""
    for top in range(0, len(pixels), BAND):
        yield pixels[top : top + BAND]


def resolution_of(row: PhotoRow, file: Path) -> Resolution | None:
    """Return the resolution of a photo: the one set by hand before the one that was found."""
    if row.height is None or row.width is None:
        return None
    by_hand = resolution(row.scale, file, (row.height, row.width))
    if by_hand is not None:
        return by_hand
    value = row.facts.get("mm_per_pixel")
    if value is None:
        return None
    stored = row.facts.get("perspective")
    perspective = None if stored is None else Perspective.from_fields(stored)
    return Resolution(value, row.facts.get("resolution_source", ""), None, perspective)


def live(entries: Iterable[Entry], least: float) -> list[Entry]:
    """Return the cracks that count: not rejected, and long enough."""
    return [entry for entry in entries if entry.is_live and entry.crack.length >= least]
