"""The desk: a folder of photos, found by the model, corrected by a person, filed in the end."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO, Protocol, runtime_checkable

from fissura.checkpoint import config_of
from fissura.data.folder import find_images
from fissura.data.images import read_image
from fissura.data.walk import DESK
from fissura.errors import InputError
from fissura.files import OutputOptions, claim, output_names
from fissura.files.failures import failure
from fissura.inference.prediction import Prediction
from fissura.inference.raster import raster_of
from fissura.inspection.limits import Limits, read_limits
from fissura.inspection.photo_table import Known, known_photos
from fissura.inspection.photos.photo import Inspector
from fissura.inspection.photos.recorder import InspectorOptions
from fissura.inspection.steps import photo_digest, record_file
from fissura.inspection.store import SETTINGS, save_record
from fissura.measurement.options import MeasureOptions, ResolutionOptions
from fissura.serve.desk.answers import shown_cracks, shown_photo, summary
from fissura.serve.desk.edits import Done, apply, redone, undone
from fissura.serve.desk.entry import pack
from fissura.serve.desk.events import Events
from fissura.serve.desk.finish import Filed, Finished, FinishOptions, finish
from fissura.serve.desk.path import find_way
from fissura.serve.desk.photos import (
    OpenPhoto,
    OpenPhotos,
    TileFiles,
    found_folder,
    resolution_of,
    save_probability,
)
from fissura.serve.desk.remeasure import first_entries
from fissura.serve.desk.store import PhotoRow, Store
from fissura.serve.desk.tiles import Tiles
from fissura.serve.uploads import keep_upload

HOME = DESK
AT_ONCE = 2  # photos that wait for the model or its results, so that few are in memory
SMOOTH = 0.7  # of the earlier estimate of seconds per photo in the next one


@runtime_checkable
class Worker(Protocol):
    """What the desk needs of the worker."""

    name: str
    model: Path

    def submit(
        self, path: Path, *, on_stage: Callable[[str], None] | None = None
    ) -> Future[Prediction]:
        """Predict a photo when its turn comes."""
        ...


@runtime_checkable
class DeskOptions(Protocol):
    """What the desk needs of its options."""

    @property
    def limits(self) -> Path | None:
        """A limits.yaml."""
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


class Desk:
    """A folder of photos with all that is known of them; any thread may call.

    What is kept lies in the folder `fissura-desk` below that of the photos, which are never written
    to.

    Args:
        folder: The photos.
        options: Limits, and how photos are measured.
        worker: Predicts the photos.

    Raises:
        InputError: There is no such folder, or what it holds cannot be used.
    """

    def __init__(self, folder: Path, options: DeskOptions, worker: Worker) -> None:
        if not folder.is_dir():
            raise InputError(f"{folder} is no folder. Give the folder that holds the photos.")
        self.folder, self.options, self.worker = folder, options, worker
        self.home = folder / HOME
        self.limits: Limits | None = read_limits(options.limits) if options.limits else None
        self.store = Store(self.home / "desk.sqlite")
        self.events = Events()
        self.open = OpenPhotos()
        self.tiles = TileFiles(self.home)
        self._known: dict[Path, Known] = {}
        self._adding = threading.Lock()
        self._filing, self._receiving = threading.Lock(), threading.Lock()
        self._closed = threading.Event()
        self._waiting: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._seconds: float | None = None
        self._stale_settings()
        self._find_photos()
        self._thread = threading.Thread(target=self._find_cracks, name="fissura-desk", daemon=True)
        self._thread.start()

    def end_streams(self) -> None:
        """End the pages' streams of events, so that the server can end."""
        self.events.close()

    def close(self) -> None:
        """End the desk's thread and close the store."""
        self._closed.set()
        self._waiting.put(None)
        self.events.close()
        self._thread.join()
        self.tiles.close()
        with self._filing:
            self.store.close()

    # The photos, and the model's turn.

    def add(self, files: Iterable[Path]) -> list[PhotoRow]:
        """Take photos that lie in the folder onto the desk.

        Args:
            files: The photos.

        Returns:
            What is stored of them.
        """
        rows, files = [], list(files)
        with self._adding:
            self._known |= known_photos(files, [self.folder], None).of_photo
            known = self.store.photos()
            by_file, taken = (
                {row.file: row for row in known},
                {row.name.casefold() for row in known},
            )
            for file in files:
                below = file.relative_to(self.folder).as_posix()
                if below in by_file:
                    rows.append(by_file[below])
                    continue
                (name,) = output_names([file], [self.folder])
                if name.casefold() in taken:
                    name += f"_{file.suffix[1:]}"
                while name.casefold() in taken:
                    name += "_"
                taken.add(name.casefold())
                rows.append(self.store.add_photo(below, name))
                self._waiting.put(rows[-1].id)
        for row in rows:
            self.events.tell("photo", shown_photo(row))
        self._tell_progress()
        return rows

    def receive(self, content: BinaryIO, name: str | None) -> PhotoRow:
        """Keep an uploaded photo in the folder, and take it onto the desk.

        Args:
            content: The file.
            name: As the client gave it.

        Raises:
            HttpError: It is no photo that is taken here.
        """
        with self._receiving:
            taken = {file.stem.lower() for file in self.folder.iterdir()}
            kept = keep_upload(content, name, self.folder, taken, self.options.max_megapixels)
        (row,) = self.add([kept.file])
        return row

    def file_of(self, row: PhotoRow) -> Path:
        """Return the file of a photo."""
        return self.folder / row.file

    def progress(self) -> dict[str, Any]:
        """Return how many photos are done, failed, and there at all, and the time left."""
        states = [row.state for row in self.store.photos()]
        done, failed = states.count("done"), states.count("failed")
        left = len(states) - done - failed
        seconds = None if self._seconds is None else round(self._seconds * left, 1)
        return {
            "done": done,
            "failed": failed,
            "total": len(states),
            "seconds_left": seconds if left else 0,
        }

    def about(self) -> dict[str, Any]:
        """Return what the page shows of the desk itself."""
        rows = self.store.photos()
        try:
            terms = config_of(self.worker.model).training.get("terms", "")
        except InputError:
            terms = ""
        return {
            "name": self.folder.resolve().name,
            "model": self.worker.name,
            "terms": terms,
            "classes": self.store.about("classes") or [],
            "unit": "mm" if any(row.summary.get("mm_per_pixel") for row in rows) else "px",
            "revision": sum(row.revision for row in rows),
            "progress": self.progress(),
            "finished": self.store.about("finished"),
        }

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
                self._waiting.put(row.id)
        self.add(files)

    def _stale_settings(self) -> None:
        """Write down how the model's cracks are measured, or find it written."""
        found = found_folder(self.home)
        settings: dict[str, Any] = {"measuring": self.options.measuring.settings()}
        try:
            claim(found / SETTINGS, settings, OutputOptions(resume=True))
        except InputError as error:
            raise InputError(
                f"The photos in {self.folder} were measured with other options before. Use the "
                f"same, or move {self.home} away to begin anew. ({error})"
            ) from error

    def _find_cracks(self) -> None:
        """Let the model find the cracks of the photos that wait, a few ahead."""
        running: queue.SimpleQueue[tuple[str, Future[Prediction], float]] = queue.SimpleQueue()
        count = 0
        while not self._closed.is_set():
            while count < AT_ONCE:
                try:
                    photo = self._waiting.get(block=count == 0)
                except queue.Empty:
                    break
                if photo is None:
                    return
                row = self.store.photo(photo)

                def tell(stage: str, photo: str = photo) -> None:
                    with contextlib.suppress(Exception):  # the store may be closed meanwhile
                        self._change(photo, state="running", message=stage)

                future = self.worker.submit(self.file_of(row), on_stage=tell)
                running.put((photo, future, time.monotonic()))
                count += 1
            photo, future, began = running.get()
            count -= 1
            if not self._finished_waiting(future):
                return
            self._take(photo, future)
            spent = time.monotonic() - began
            before = self._seconds
            self._seconds = spent if before is None else SMOOTH * before + (1 - SMOOTH) * spent
            self._tell_progress()

    def _finished_waiting(self, future: Future[Prediction]) -> bool:
        """Wait for a prediction; return whether the desk is still open."""
        while not self._closed.is_set():
            try:
                future.exception(timeout=0.2)
                return True
            except TimeoutError:
                continue
            except BaseException:  # cancelled
                return False
        return False

    def _take(self, photo: str, future: Future[Prediction]) -> None:
        """Measure what the model found on a photo, and store it."""
        row = self.store.photo(photo)
        file = self.file_of(row)
        try:
            self._change(photo, state="running", message="measuring")
            self._measure(row, file, future.result())
        except Exception as error:
            self._change(photo, state="failed", message=failure(file, error).reason)

    def _measure(self, row: PhotoRow, file: Path, prediction: Prediction) -> None:
        """Write record, mask, probabilities and tiles of a photo, then its cracks."""
        image = read_image(file)
        if image.shape[:2] != prediction.mask.shape:
            raise InputError(f"{file}: was changed while its cracks were looked for. Drop it anew.")
        options = InspectorOptions(
            resolution=self.options.resolution,
            measuring=self.options.measuring,
            kind="photo",
            known=self._known,
            overlays=False,  # the page draws its own, and the report has those of the end
        )
        found = found_folder(self.home)
        predictor = getattr(self.worker, "predictor", None)
        inspector = Inspector(predictor, self.worker.model, found, options)
        record = inspector.measured(file, row.name, image, prediction)
        record = replace(record, photo_digest=photo_digest(file))
        save_record(record_file(found, row.name), record)
        save_probability(self.home, row.name, prediction)
        self.tiles.get(row.name, file, image)
        facts = {
            "mm_per_pixel": record.mm_per_pixel,
            "resolution_source": record.resolution_source,
            "perspective": None if record.perspective is None else record.perspective.fields(),
            "threshold": prediction.threshold,
            "digest": record.photo_digest,
        }
        facts |= _of_raster(file, record.mm_per_pixel)
        height, width = record.size_hw
        row = replace(row, height=height, width=width, facts=facts)
        cracks = [replace(crack, mm_per_pixel=None) for crack in record.cracks]
        entries = {entry.id: entry for entry in first_entries(cracks)}
        with self.store.transaction():
            self.store.put_cracks(row.id, {name: pack([one]) for name, one in entries.items()})
            self.store.change_photo(
                row.id,
                height=height,
                width=width,
                facts=facts,
                next_label=len(cracks) + 1,
                state="done",
                message="",
                summary=self._summary(row, entries),
            )
        self.events.tell("photo", shown_photo(self.store.photo(row.id)))

    def _change(self, photo: str, **columns: Any) -> None:
        """Change columns of a photo, and tell the page."""
        self.store.change_photo(photo, **columns)
        self.events.tell("photo", shown_photo(self.store.photo(photo)))

    def _tell_progress(self) -> None:
        """Tell the page how far the model is."""
        self.events.tell("progress", self.progress())

    def _summary(self, row: PhotoRow, entries: Mapping[str, Any]) -> dict[str, Any]:
        """Return what the list shows of a photo's cracks."""
        assert row.height is not None
        assert row.width is not None
        return summary(
            entries,
            (row.height, row.width),
            resolution_of(row, self.file_of(row)),
            self.limits,
            self.options.measuring.min_length,
        )

    # One photo, and what a person does to it.

    def opened(self, photo: str) -> OpenPhoto:
        """Return a photo with its mask and cracks in memory.

        Raises:
            KeyError: There is no such photo.
            InputError: Its cracks have not been found.
        """
        row = self.store.photo(photo)
        found = self.open.get(photo)
        if found is not None:
            return found
        if row.state != "done":
            raise InputError(f"{row.file} has no cracks yet: it is {row.state}. {row.message}")
        # Loaded under the lock, so that no edit is stored between its reading and its keeping.
        with self._adding:
            found = self.open.get(photo)
            if found is not None:
                return found
            measuring = self.options.measuring
            file = self.file_of(row)
            opened = OpenPhoto(self.store.photo(photo), self.store, self.home, file, measuring)
            return self.open.put(photo, opened)

    def opened_tiles(self, photo: str) -> Tiles:
        """Return the tiles of a photo, without its mask where it is not open.

        Raises:
            KeyError: There is no such photo.
            InputError: It cannot be read.
        """
        row = self.store.photo(photo)
        return self.tiles.get(row.name, self.file_of(row))

    def photo(self, photo: str) -> dict[str, Any]:
        """Return a photo with its cracks, as the page has it."""
        row = self.store.photo(photo)
        shown: dict[str, Any] = shown_photo(row) | {"revision": row.revision, "tile": 256}
        if row.state != "done":
            return shown | {"cracks": [], "levels": [], "can_undo": False, "can_redo": False}
        opened = self.opened(photo)
        with opened.lock:
            row = self.store.photo(photo)
            cracks = self._shown(row, opened.entries.values())
        levels = [
            {"width": width, "height": height} for height, width in self.opened_tiles(photo).sizes
        ]
        return shown | {
            "revision": row.revision,
            "cracks": cracks,
            "levels": levels,
            "scale": row.scale,
            **self._ways(row),
        }

    def edit(self, photo: str, kind: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Do an edit; what is returned is on disk.

        Args:
            photo: Id of the photo.
            kind: One of `fissura.serve.desk.edits.KINDS`.
            body: What the kind needs, and `base_revision`.

        Raises:
            KeyError: There is no such photo.
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
                self.store.add_edit(row, kind, kept, done.delta, before, after)

            return self._put(row, opened, done, store, turned=True)

    def undo(self, photo: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Take the last edit back; as `edit`."""
        opened = self.opened(photo)
        with opened.lock:
            row = self._current(photo, body)
            if row.head is None:
                raise InputError("There is nothing to take back.")
            edit = self.store.edit(row.head)
            return self._put(
                row,
                opened,
                undone(edit),
                lambda row: self.store.log(row, "undo", edit.number, head=edit.previous),
            )

    def redo(self, photo: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Do the edit again that was taken back; as `edit`."""
        opened = self.opened(photo)
        with opened.lock:
            row = self._current(photo, body)
            edit = self.store.next_edit(row)
            if edit is None:
                raise InputError("There is nothing to do again.")
            return self._put(
                row,
                opened,
                redone(edit),
                lambda row: self.store.log(row, "redo", edit.number, head=edit.number),
            )

    def way(self, photo: str, start: Any, end: Any) -> dict[str, Any]:
        """Return the way along a crack between two points, and its width."""
        row, opened = self.store.photo(photo), self.opened(photo)
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
            lambda box: self.opened_tiles(photo).window(*box),
            row.facts.get("threshold", 0.5),
        )
        return {"points": found.points, "width": round(found.width, 2)}

    def _current(self, photo: str, body: Mapping[str, Any]) -> PhotoRow:
        """Return what is stored of a photo, where the edit was made on its present revision."""
        row = self.store.photo(photo)
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
        entries = dict(opened.entries)
        for name in done.removed:
            entries.pop(name, None)
        entries |= {entry.id: entry for entry in done.after}
        columns = {name: after for name, (_, after) in done.fields.items()}
        try:
            changed = replace(row, **columns)
            packed = dict.fromkeys(done.removed) | {entry.id: pack([entry]) for entry in done.after}
            with self.store.transaction():
                store(row)
                self.store.put_cracks(row.id, packed)
                self.store.change_photo(row.id, **columns, summary=self._summary(changed, entries))
        except BaseException:
            if turned and done.turned is not None:
                done.turned.turn(opened.mask)
            raise
        if done.turned is not None:
            if not turned:
                done.turned.turn(opened.mask)
            opened.levels.update(done.turned.box)
        opened.entries = entries
        row = self.store.photo(row.id)
        self._remember_classes(done)
        self.events.tell("photo", shown_photo(row) | {"revision": row.revision})
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
        least = self.options.measuring.min_length
        return [entry.id for entry in done.after if entry.is_live and entry.crack.length < least]

    def _shown(self, row: PhotoRow, entries: Iterable[Any]) -> list[dict[str, Any]]:
        """Return cracks as the page has them."""
        resolution = resolution_of(row, self.file_of(row))
        return shown_cracks(entries, resolution, self.options.measuring.min_length)

    def _ways(self, row: PhotoRow) -> dict[str, bool]:
        """Return whether an edit can be taken back, and done again."""
        return {
            "can_undo": row.head is not None,
            "can_redo": self.store.next_edit(row) is not None,
        }

    def _remember_classes(self, done: Done) -> None:
        """Keep the classes that cracks were given, to be offered again."""
        given = {entry.label for entry in done.after if entry.label}
        known = self.store.about("classes") or []
        if given - set(known):
            self.store.tell("classes", [*known, *sorted(given - set(known))])

    # Filing.

    def finish(self, body: Mapping[str, Any]) -> None:
        """Begin to write report, corrected masks and training folder; an event tells the end.

        Args:
            body: `pdf` and `training`, and lines of the report's heading.

        Raises:
            InputError: Photos still wait for the model, or it is being finished already.
        """
        waiting = sum(row.state in ("queued", "running") for row in self.store.photos())
        if waiting:
            one = waiting == 1
            raise InputError(
                f"{waiting} {'photo has' if one else 'photos have'} not been looked at by the "
                "model yet. Wait for the end."
            )
        if not self._filing.acquire(blocking=False):
            raise InputError("The report is being written already.")
        threading.Thread(target=self._file, args=(dict(body),), daemon=True).start()

    def _file(self, body: dict[str, Any]) -> None:
        """Write everything, and tell how it went."""
        try:
            finished = self._told(self.file_report(body))
        except Exception as error:
            finished = {"error": failure(self.folder, error).reason}
        try:
            self.store.tell("finished", finished)
            self.events.tell("finished", finished)
        finally:
            self._filing.release()

    def file_report(self, body: Mapping[str, Any]) -> Filed:
        """Write report, corrected masks and training folder.

        Args:
            body: As of `finish`.

        Raises:
            InputError: The report cannot be made.
        """
        rows = [row for row in self.store.photos() if row.state == "done"]
        heading = {
            name: value
            for name, value in body.items()
            if name not in ("pdf", "training") and value is not None
        }
        options = FinishOptions(
            home=self.home,
            previous=found_folder(self.home),
            model=self.worker.model,
            limits=self.options.limits,
            measuring=self.options.measuring,
            resolution=self.options.resolution,
            heading=heading,
            pdf=bool(body.get("pdf")),
            training=bool(body.get("training")),
        )

        def give(row: PhotoRow) -> Callable[[], Finished]:
            def opened() -> Finished:
                photo = self.opened(row.id)
                with photo.lock:
                    now = self.store.photo(row.id)
                    entries = list(photo.entries.values())
                    return Finished(now, photo.file, photo.mask.copy(), entries)

            return opened

        files = [self.file_of(row) for row in rows]
        return finish([give(row) for row in rows], files, self._known, options)

    def _told(self, filed: Filed) -> dict[str, Any]:
        """Return what the page is told of a filed report."""
        pdf = filed.out / "report.pdf"
        return {
            "folder": str(filed.out),
            "report": "report.html",
            "pdf": "report.pdf" if pdf.is_file() else None,
            "training": None if filed.training is None else str(filed.training),
            "trained": filed.trained,
            "said": filed.said,
            "photos": filed.inspection.photos,
            "cracks": filed.inspection.cracks,
            "statuses": dict(filed.inspection.statuses),
        }

    def result(self, name: str) -> Path | None:
        """Return a file of the last report; None where there is none."""
        finished = self.store.about("finished") or {}
        if not finished.get("folder"):
            return None
        folder = Path(finished["folder"]).resolve()
        file = (folder / name).resolve()
        return file if file.is_relative_to(folder) and file.is_file() else None


def _of_raster(file: Path, found: float | None) -> dict[str, Any]:
    """Return the resolution that a georeferenced image has of itself."""
    with raster_of(file) as raster:
        if raster is None or found is not None:
            return {}
        return {"mm_per_pixel": raster.mm_per_pixel, "resolution_source": raster.scale_source}
