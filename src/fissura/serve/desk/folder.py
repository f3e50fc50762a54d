"""What all parts of the desk share: the folder of photos, the store, the events and the options."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from fissura.comparison.limits import read_growth_limits
from fissura.data.walk import DESK
from fissura.errors import InputError
from fissura.inference.options import PredictOptions
from fissura.inspection.photo_table import Known
from fissura.inspection.rules.limits import Limits, read_limits
from fissura.measurement.options import MeasureOptions, ResolutionOptions
from fissura.serve.desk.answers import shown_photo, summary
from fissura.serve.desk.events import Events
from fissura.serve.desk.photos.open_photos import TileFiles, resolution_of
from fissura.serve.desk.photos.tiles import Tiles
from fissura.serve.desk.storage.entry import Entry
from fissura.serve.desk.storage.store import PhotoRow, Store


@runtime_checkable
class DeskOptions(Protocol):
    """What the desk needs of its options."""

    @property
    def limits(self) -> Path | None:
        """A limits.yaml."""
        ...

    @property
    def growth(self) -> Path | None:
        """Rules of growth, for comparisons with earlier inspections."""
        ...

    @property
    def earlier(self) -> Sequence[Path]:
        """Folders in which earlier inspections are looked for."""
        ...

    @property
    def predicting(self) -> PredictOptions:
        """How the model is applied."""
        ...

    @property
    def measuring(self) -> MeasureOptions:
        """How cracks are measured."""
        ...

    @property
    def resolution(self) -> ResolutionOptions:
        """How millimeters per pixel are found."""
        ...

    @property
    def max_megapixels(self) -> float:
        """The largest photo that is received."""
        ...


class DeskFolder:
    """The folder of photos, and what is kept of them; any thread may call.

    What is kept lies in the folder `fissura-desk` below that of the photos, which are never written
    to.

    Args:
        photos: The folder of photos.
        options: Limits, and how photos are measured.

    Attributes:
        home: The desk's own folder.
        limits: The rules that photos are judged by, or None.
        store: Photos, cracks and edits on disk.
        events: What pages are told.
        tiles: The photos in tiles.
        known: What tables and `scale.yaml` say of photos.

    Raises:
        InputError: There is no such folder, or what it holds cannot be used.
    """

    def __init__(self, photos: Path, options: DeskOptions) -> None:
        if not photos.is_dir():
            raise InputError(f"{photos} is no folder. Give the folder that holds the photos.")
        self.photos, self.options = photos, options
        self.home = photos / DESK
        self.limits: Limits | None = read_limits(options.limits) if options.limits else None
        if options.growth:
            read_growth_limits(options.growth)  # what is wrong with it is said now
        self.store = Store(self.home / "desk.sqlite")
        self.events = Events()
        self.tiles = TileFiles(self.home)
        self.known: dict[Path, Known] = {}

    def close(self) -> None:
        """Close the store and the tiles."""
        self.tiles.close()
        self.store.close()

    def file_of(self, row: PhotoRow) -> Path:
        """Return the file of a photo."""
        return self.photos / row.file

    def tiles_of(self, photo: str) -> Tiles:
        """Return the tiles of a photo.

        Raises:
            NoPhotoError: There is no such photo.
            InputError: It cannot be read.
        """
        row = self.store.photo(photo)
        return self.tiles.get(row.name, self.file_of(row))

    def change(self, photo: str, **columns: Any) -> None:
        """Change columns of a photo, and tell the pages."""
        self.store.change_photo(photo, **columns)
        self.events.tell("photo", shown_photo(self.store.photo(photo)))

    def summary(self, row: PhotoRow, entries: Mapping[str, Entry]) -> dict[str, Any]:
        """Return what the list of photos shows of a photo's cracks.

        Args:
            row: What is stored of the photo, its size among it.
            entries: Its cracks by id.
        """
        assert row.height is not None
        assert row.width is not None
        return summary(
            entries,
            (row.height, row.width),
            resolution_of(row, self.file_of(row)),
            self.limits,
            self.options.measuring.min_length,
        )
