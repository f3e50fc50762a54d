"""The desk: a folder of photos, found by the model, corrected by a person, filed in the end."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from fissura.checkpoint import config_of
from fissura.data.folder import find_images
from fissura.errors import InputError
from fissura.files import output_names
from fissura.inspection.photo_table import known_photos
from fissura.serve.desk.answers import shown_photo
from fissura.serve.desk.edits.editing import Editing, Stale
from fissura.serve.desk.folder import DeskFolder, DeskOptions
from fissura.serve.desk.photos.open_photos import OpenPhoto
from fissura.serve.desk.photos.tiles import Tiles
from fissura.serve.desk.report.earlier import EarlierInspection
from fissura.serve.desk.report.filing import Filing
from fissura.serve.desk.report.finish import Filed
from fissura.serve.desk.storage.store import PhotoRow
from fissura.serve.desk.turn import ModelTurn, Worker
from fissura.serve.uploads import keep_upload

__all__ = ["Desk", "DeskOptions", "Stale", "Worker"]


class Desk:
    """A folder of photos with all that is known of them; any thread may call.

    Args:
        folder: The photos.
        options: Limits, and how photos are measured.
        worker: Predicts the photos.

    Attributes:
        folder: The photos.
        home: The desk's own folder.
        store: Photos, cracks and edits on disk.
        events: What pages are told.

    Raises:
        InputError: There is no such folder, or what it holds cannot be used.
    """

    def __init__(self, folder: Path, options: DeskOptions, worker: Worker) -> None:
        self._folder = DeskFolder(folder, options)
        self.folder, self.home = folder, self._folder.home
        self.store, self.events = self._folder.store, self._folder.events
        self._worker = worker
        self._adding, self._receiving = threading.Lock(), threading.Lock()
        self._turn = ModelTurn(self._folder, worker)
        self._editing = Editing(self._folder)
        self._filing = Filing(self._folder, worker.model, self._editing.opened)
        self._find_photos()
        self._turn.start()

    def end_streams(self) -> None:
        """End the pages' streams of events, so that the server can end."""
        self.events.close()

    def close(self) -> None:
        """End what the desk is doing, and close the store."""
        self.events.close()
        self._turn.close()
        self._filing.wait()
        self._folder.close()

    # The photos.

    def add(self, files: Iterable[Path]) -> list[PhotoRow]:
        """Take photos that lie in the folder onto the desk.

        Args:
            files: The photos.

        Returns:
            What is stored of them.
        """
        rows, files = [], list(files)
        with self._adding:
            self._folder.known |= known_photos(files, [self.folder], None).of_photo
            known = self.store.photos()
            by_file = {row.file: row for row in known}
            taken = {row.name.casefold() for row in known}
            for file in files:
                below = file.relative_to(self.folder).as_posix()
                if below not in by_file:
                    by_file[below] = self.store.add_photo(below, self._name(file, taken))
                    self._turn.take(by_file[below].id)
                rows.append(by_file[below])
        for row in rows:
            self.events.tell("photo", shown_photo(row))
        self._turn.tell_progress()
        return rows

    def _name(self, file: Path, taken: set[str]) -> str:
        """Return a name for the results of a photo that none has, and note it."""
        (name,) = output_names([file], [self.folder])
        if name.casefold() in taken:
            name += f"_{file.suffix[1:]}"
        while name.casefold() in taken:
            name += "_"
        taken.add(name.casefold())
        return name

    def receive(self, content: BinaryIO, name: str | None) -> PhotoRow:
        """Keep an uploaded photo in the folder, and take it onto the desk.

        Args:
            content: The file.
            name: As the client gave it.

        Raises:
            HttpError: It is no photo that is taken here.
        """
        most = self._folder.options.max_megapixels
        with self._receiving:
            taken = {file.stem.lower() for file in self.folder.iterdir()}
            kept = keep_upload(content, name, self.folder, taken, most)
        (row,) = self.add([kept.file])
        return row

    def _find_photos(self) -> None:
        """Take the photos of the folder onto the desk, those that are new at its end."""
        try:
            files = find_images([self.folder])
        except InputError:
            files = []  # an empty folder waits for photos to be dropped
        files = [file for file in files if self.home not in file.parents]
        for row in self.store.photos():
            if row.state in ("queued", "running"):
                self.store.change_photo(row.id, state="queued", message="")
                self._turn.take(row.id)
        self.add(files)

    def about(self) -> dict[str, Any]:
        """Return what the page shows of the desk itself."""
        rows = self.store.photos()
        try:
            terms = config_of(self._worker.model).training.get("terms", "")
        except InputError:
            terms = ""
        return {
            "name": self.folder.resolve().name,
            "model": self._worker.name,
            "terms": terms,
            "classes": self.store.about("classes") or [],
            "unit": "mm" if any(row.summary.get("mm_per_pixel") for row in rows) else "px",
            "revision": sum(row.revision for row in rows),
            "progress": self._turn.progress(),
            "finished": self.store.about("finished"),
        }

    # One photo, and what a person does to it.

    def opened(self, photo: str) -> OpenPhoto:
        """Return a photo with its mask and cracks in memory; as `Editing.opened`."""
        return self._editing.opened(photo)

    def opened_tiles(self, photo: str) -> Tiles:
        """Return the tiles of a photo; as `DeskFolder.tiles_of`."""
        return self._folder.tiles_of(photo)

    def photo(self, photo: str) -> dict[str, Any]:
        """Return a photo with its cracks, as the page has it."""
        return self._editing.photo(photo)

    def edit(self, photo: str, kind: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Do an edit; what is returned is on disk; as `Editing.edit`."""
        return self._editing.edit(photo, kind, body)

    def undo(self, photo: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Take the last edit back; as `Editing.undo`."""
        return self._editing.undo(photo, body)

    def redo(self, photo: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Do the edit again that was taken back; as `Editing.redo`."""
        return self._editing.redo(photo, body)

    def way(self, photo: str, start: Any, end: Any) -> dict[str, Any]:
        """Return the way along a crack between two points; as `Editing.way`."""
        return self._editing.way(photo, start, end)

    # Filing.

    def earlier(self) -> list[EarlierInspection]:
        """Return the earlier inspections that the photos can be compared with."""
        return self._filing.earlier()

    def finish(self, body: Mapping[str, Any]) -> None:
        """Begin to write the report; an event tells the end; as `Filing.begin`."""
        self._filing.begin(body)

    def file_report(self, body: Mapping[str, Any]) -> Filed:
        """Write the report; as `Filing.file_report`."""
        return self._filing.file_report(body)

    def result(self, name: str) -> Path | None:
        """Return a file of the last report; as `Filing.result`."""
        return self._filing.result(name)
