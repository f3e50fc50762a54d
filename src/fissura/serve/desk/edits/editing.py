"""What a person does to a photo: edits, undo, redo, and the way of a line along a crack."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from fissura.errors import InputError
from fissura.serve.desk.answers import shown_cracks, shown_photo
from fissura.serve.desk.edits.kinds import Done, apply, redone, undone
from fissura.serve.desk.edits.path import find_way
from fissura.serve.desk.folder import DeskFolder
from fissura.serve.desk.photos.open_photos import OpenPhoto, OpenPhotos, resolution_of
from fissura.serve.desk.photos.tiles import TILE
from fissura.serve.desk.storage.entry import Entry, pack
from fissura.serve.desk.storage.store import PhotoRow


class Stale(Exception):  # noqa: N818
    """An edit was made on a revision that is not the present one any more.

    Attributes:
        revision: The present one.
    """

    def __init__(self, revision: int) -> None:
        super().__init__(
            "The photo was changed meanwhile, maybe in another window. Load it anew, and repeat "
            "the edit."
        )
        self.revision = revision


class Editing:
    """The photos that are open, and all that changes them; any thread may call.

    Args:
        folder: The desk's folder.
    """

    def __init__(self, folder: DeskFolder) -> None:
        self._folder = folder
        self._open = OpenPhotos()
        self._opening = threading.Lock()

    def opened(self, photo: str) -> OpenPhoto:
        """Return a photo with its mask and cracks in memory.

        Args:
            photo: Id of the photo.

        Raises:
            NoPhotoError: There is no such photo.
            InputError: Its cracks have not been found.
        """
        folder = self._folder
        row = folder.store.photo(photo)
        found = self._open.get(photo)
        if found is not None:
            return found
        if row.state != "done":
            raise InputError(f"{row.file} has no cracks yet: it is {row.state}. {row.message}")
        # Loaded under the lock, so that no edit is stored between its reading and its keeping.
        with self._opening:
            found = self._open.get(photo)
            if found is not None:
                return found
            row, file = folder.store.photo(photo), folder.file_of(row)
            opened = OpenPhoto(row, folder.store, folder.home, file, folder.options.measuring)
            return self._open.put(photo, opened)

    def photo(self, photo: str) -> dict[str, Any]:
        """Return a photo with its cracks, as the page has it."""
        row = self._folder.store.photo(photo)
        shown: dict[str, Any] = shown_photo(row) | {"tile": TILE}
        if row.state != "done":
            return shown | {"cracks": [], "levels": [], "can_undo": False, "can_redo": False}
        opened = self.opened(photo)
        with opened.lock:
            row = self._folder.store.photo(photo)
            cracks = self._shown(row, opened.entries.values())
        sizes = self._folder.tiles_of(photo).sizes
        return shown | {
            "revision": row.revision,
            "cracks": cracks,
            "levels": [{"width": width, "height": height} for height, width in sizes],
            "scale": row.scale,
            **self._ways(row),
        }

    def edit(self, photo: str, kind: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Do an edit; what is returned is on disk.

        Args:
            photo: Id of the photo.
            kind: One of `fissura.serve.desk.edits.kinds.KINDS`.
            body: What the kind needs, and `base_revision`.

        Raises:
            NoPhotoError: There is no such photo.
            Stale: It was made on another revision than the present one.
            InputError: Something is missing or out of range.
        """
        opened = self.opened(photo)
        with opened.lock:
            row = self._current(photo, body)
            done = apply(opened, row, kind, body)
            if not (done.before or done.after or done.turned or done.fields):
                return self._answer(row, opened, done)
            kept = {name: value for name, value in body.items() if name != "base_revision"}

            def store(row: PhotoRow) -> None:
                before, after = done.packed()
                self._folder.store.add_edit(row, kind, kept, done.delta, before, after)

            return self._put(row, opened, done, store, turned=True)

    def undo(self, photo: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Take the last edit back; as `edit`."""
        store, opened = self._folder.store, self.opened(photo)
        with opened.lock:
            row = self._current(photo, body)
            if row.head is None:
                raise InputError("There is nothing to take back.")
            edit = store.edit(row.head)
            with store.unpacking():
                done = undone(edit)
            return self._put(
                row,
                opened,
                done,
                lambda row: store.log(row, "undo", edit.number, head=edit.previous),
            )

    def redo(self, photo: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Do the edit again that was taken back; as `edit`."""
        store, opened = self._folder.store, self.opened(photo)
        with opened.lock:
            row = self._current(photo, body)
            edit = store.next_edit(row)
            if edit is None:
                raise InputError("There is nothing to do again.")
            with store.unpacking():
                done = redone(edit)
            return self._put(
                row,
                opened,
                done,
                lambda row: store.log(row, "redo", edit.number, head=edit.number),
            )

    def way(self, photo: str, start: Any, end: Any) -> dict[str, Any]:
        """Return the way along a crack between two points, and its width.

        Args:
            photo: Id of the photo.
            start: x and y of its beginning.
            end: The same of its end.

        Raises:
            InputError: They are no points of the photo.
        """
        row, opened = self._folder.store.photo(photo), self.opened(photo)
        ends = []
        for point in (start, end):
            try:
                x, y = (float(value) for value in point)
            except (TypeError, ValueError) as error:
                raise InputError("A path needs from and to, each an x and a y.") from error
            ends.append((x, y))
        found = find_way(
            ends[0],
            ends[1],
            opened.size_hw,
            opened.probability,
            lambda box: self._folder.tiles_of(photo).window(*box),
            row.facts.get("threshold", 0.5),
        )
        return {"points": found.points, "width": round(found.width, 2)}

    def _current(self, photo: str, body: Mapping[str, Any]) -> PhotoRow:
        """Return what is stored of a photo, where the edit was made on its present revision."""
        row = self._folder.store.photo(photo)
        base = body.get("base_revision")
        if base is not None and base != row.revision:
            raise Stale(row.revision)
        return row

    def _put(
        self,
        row: PhotoRow,
        opened: OpenPhoto,
        done: Done,
        store: Callable[[PhotoRow], None],
        *,
        turned: bool = False,
    ) -> dict[str, Any]:
        """Store what was done, all or nothing, then change the open photo.

        `turned` says that its mask is changed already.
        """
        folder = self._folder
        entries = dict(opened.entries)
        for name in done.removed:
            entries.pop(name, None)
        entries |= {entry.id: entry for entry in done.after}
        columns = {name: after for name, (_, after) in done.fields.items()}
        try:
            summary = folder.summary(replace(row, **columns), entries)
            packed = dict.fromkeys(done.removed) | {entry.id: pack([entry]) for entry in done.after}
            with folder.store.transaction():
                store(row)
                folder.store.put_cracks(row.id, packed)
                folder.store.change_photo(row.id, **columns, summary=summary)
        except BaseException:
            if turned and done.turned is not None:
                done.turned.turn(opened.mask)
            raise
        if done.turned is not None:
            if not turned:
                done.turned.turn(opened.mask)
            opened.levels.update(done.turned.box)
        opened.entries = entries
        row = folder.store.photo(row.id)
        self._remember_classes(done)
        folder.events.tell("photo", shown_photo(row))
        return self._answer(row, opened, done)

    def _answer(self, row: PhotoRow, opened: OpenPhoto, done: Done) -> dict[str, Any]:
        """Return what an edit changed."""
        # Another scale changes the figures of all cracks.
        changed = opened.entries.values() if "scale" in done.fields else done.after
        height, width = opened.size_hw
        box = (0, 0, height, width) if "scale" in done.fields else done.dirty
        shown = shown_photo(row)
        return {
            "revision": row.revision,
            "cracks": self._shown(row, changed),
            "removed": [*done.removed, *self._short(done)],
            "dirty": None if box is None else [box[1], box[0], box[3], box[2]],
            **{
                name: shown[name] for name in ("verdict", "reasons", "open", "mm_per_pixel", "note")
            },
            "scale": row.scale,
            **self._ways(row),
        }

    def _short(self, done: Done) -> list[str]:
        """Return ids of cracks that have become too short to be shown."""
        least = self._folder.options.measuring.min_length
        return [entry.id for entry in done.after if entry.is_live and entry.crack.length < least]

    def _shown(self, row: PhotoRow, entries: Iterable[Entry]) -> list[dict[str, Any]]:
        """Return cracks as the page has them."""
        resolution = resolution_of(row, self._folder.file_of(row))
        return shown_cracks(entries, resolution, self._folder.options.measuring.min_length)

    def _ways(self, row: PhotoRow) -> dict[str, bool]:
        """Return whether an edit can be taken back, and done again."""
        return {
            "can_undo": row.head is not None,
            "can_redo": self._folder.store.next_edit(row) is not None,
        }

    def _remember_classes(self, done: Done) -> None:
        """Keep the classes that cracks were given, to be offered again."""
        given = {entry.label for entry in done.after if entry.label}
        known = self._folder.store.about("classes") or []
        if given - set(known):
            self._folder.store.tell("classes", [*known, *sorted(given - set(known))])
