"""The model's turn: photos that wait are predicted and measured, and what was found is stored."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from fissura.errors import InputError
from fissura.files import OutputOptions, claim
from fissura.files.failures import failure
from fissura.inference.prediction import Prediction
from fissura.inference.rasters.opening import raster_of
from fissura.inspection.photos.photo import Inspector
from fissura.inspection.photos.recorder import InspectorOptions
from fissura.inspection.records.record import Record
from fissura.inspection.records.store import SETTINGS, save_record
from fissura.inspection.steps import photo_digest, record_file
from fissura.serve.desk.answers import shown_photo
from fissura.serve.desk.edits.remeasure import first_entries
from fissura.serve.desk.folder import DeskFolder
from fissura.serve.desk.photos.open_photos import found_folder, save_probability
from fissura.serve.desk.storage.entry import pack
from fissura.serve.desk.storage.store import PhotoRow

AT_ONCE = 2  # photos that wait for the model or its results, so that few are in memory
FOUND_BY = ("threshold", "of_class", "scale", "tta", "keep_unsure")  # options that cracks depend on
SMOOTH = 0.7  # of the earlier estimate of seconds per photo in the next one

Seen = tuple[NDArray[np.uint8], Prediction]  # a photo as it was read, and what was found on it


@runtime_checkable
class Worker(Protocol):
    """What the desk needs of the worker."""

    name: str
    model: Path

    def submit(self, path: Path, *, on_stage: Callable[[str], None] | None = None) -> Future[Seen]:
        """Read a photo and predict it when its turn comes."""
        ...


class ModelTurn:
    """A thread that lets the model find the cracks of the photos that wait, a few ahead.

    Args:
        folder: The desk's folder.
        worker: Predicts the photos.

    Raises:
        InputError: The photos there were looked at with other options before.
    """

    def __init__(self, folder: DeskFolder, worker: Worker) -> None:
        self._folder, self._worker = folder, worker
        self._closed = threading.Event()
        self._waiting: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._seconds: float | None = None
        self._claim()
        self._thread = threading.Thread(target=self._find_cracks, name="fissura-desk", daemon=True)

    def start(self) -> None:
        """Begin with the photos that wait."""
        self._thread.start()

    def close(self) -> None:
        """End after the photo that is being measured."""
        self._closed.set()
        self._waiting.put(None)
        self._thread.join()

    def take(self, photo: str) -> None:
        """Let a photo wait for its turn."""
        self._waiting.put(photo)

    def progress(self) -> dict[str, Any]:
        """Return how many photos are done, failed, and there at all, and the time left."""
        states = [row.state for row in self._folder.store.photos()]
        done, failed = states.count("done"), states.count("failed")
        left = len(states) - done - failed
        seconds = None if self._seconds is None else round(self._seconds * left, 1)
        return {
            "done": done,
            "failed": failed,
            "total": len(states),
            "seconds_left": seconds if left else 0,
        }

    def tell_progress(self) -> None:
        """Tell the pages how far the model is."""
        self._folder.events.tell("progress", self.progress())

    def _claim(self) -> None:
        """Write down how cracks are found and measured, or find it written."""
        folder = self._folder
        found = found_folder(folder.home)
        settings: dict[str, Any] = {
            "model": self._worker.name,
            **{name: getattr(folder.options.predicting, name) for name in FOUND_BY},
            "measuring": folder.options.measuring.settings(),
        }
        try:
            claim(found / SETTINGS, settings, OutputOptions(resume=True))
        except InputError as error:
            raise InputError(
                f"The photos in {folder.photos} were looked at with other options before. Use the "
                f"same, or move {folder.home} away to begin anew. ({error})"
            ) from error

    def _find_cracks(self) -> None:
        """Hand the photos that wait to the worker, and take what it gives back."""
        running: queue.SimpleQueue[tuple[str, Future[Seen], float]] = queue.SimpleQueue()
        count = 0
        while not self._closed.is_set():
            while count < AT_ONCE:
                try:
                    photo = self._waiting.get(block=count == 0)
                except queue.Empty:
                    break
                if photo is None:
                    return
                running.put((photo, self._begin(photo), time.monotonic()))
                count += 1
            photo, future, began = running.get()
            count -= 1
            if not self._finished_waiting(future):
                return
            self._take(photo, future)
            del future  # with photo and prediction
            spent = time.monotonic() - began
            before = self._seconds
            self._seconds = spent if before is None else SMOOTH * before + (1 - SMOOTH) * spent
            self.tell_progress()

    def _begin(self, photo: str) -> Future[Seen]:
        """Hand a photo to the worker."""

        def tell(stage: str) -> None:
            with contextlib.suppress(Exception):  # the store may be closed meanwhile
                self._folder.change(photo, state="running", message=stage)

        row = self._folder.store.photo(photo)
        return self._worker.submit(self._folder.file_of(row), on_stage=tell)

    def _finished_waiting(self, future: Future[Seen]) -> bool:
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

    def _take(self, photo: str, future: Future[Seen]) -> None:
        """Measure what the model found on a photo, and store it."""
        folder = self._folder
        row = folder.store.photo(photo)
        file = folder.file_of(row)
        try:
            folder.change(photo, state="running", message="measuring")
            image, prediction = future.result()
            record = self._measured(row, file, image, prediction)
            self._store(row, file, record, prediction.threshold)
        except Exception as error:
            folder.change(photo, state="failed", message=failure(file, error).reason)

    def _measured(
        self, row: PhotoRow, file: Path, image: NDArray[np.uint8], prediction: Prediction
    ) -> Record:
        """Write record, mask, probabilities and tiles; return the record."""
        folder, options = self._folder, self._folder.options
        inspector = Inspector(
            getattr(self._worker, "predictor", None),
            self._worker.model,
            found_folder(folder.home),
            InspectorOptions(
                resolution=options.resolution,
                measuring=options.measuring,
                kind="photo",
                known=folder.known,
                overlays=False,  # the page draws its own, and the report has those of the end
            ),
        )
        with ThreadPoolExecutor(1, "fissura-tiles") as beside:  # encoding takes another core
            written = [
                beside.submit(folder.tiles.get, row.name, file, image),
                beside.submit(save_probability, folder.home, row.name, prediction),
            ]
            record = inspector.measured(file, row.name, image, prediction)
            record = replace(record, photo_digest=photo_digest(file))
            save_record(record_file(found_folder(folder.home), row.name), record)
            for one in written:
                one.result()
        return record

    def _store(self, row: PhotoRow, file: Path, record: Record, threshold: float) -> None:
        """Store a photo's facts and cracks, and tell the pages."""
        store = self._folder.store
        facts = {
            "mm_per_pixel": record.mm_per_pixel,
            "resolution_source": record.resolution_source,
            "perspective": None if record.perspective is None else record.perspective.fields(),
            "threshold": threshold,
            "digest": record.photo_digest,
            "unfamiliar": bool(record.domain_warning),
        }
        facts |= _of_raster(file, record.mm_per_pixel)
        height, width = record.size_hw
        cracks = [replace(crack, mm_per_pixel=None) for crack in record.cracks]
        entries = {entry.id: entry for entry in first_entries(cracks)}
        known = replace(row, height=height, width=width, facts=facts)
        with store.transaction():
            store.put_cracks(row.id, {name: pack([one]) for name, one in entries.items()})
            store.change_photo(
                row.id,
                height=height,
                width=width,
                facts=facts,
                next_label=len(cracks) + 1,
                state="done",
                message="",
                summary=self._folder.summary(known, entries),
            )
        self._folder.events.tell("photo", shown_photo(store.photo(row.id)))


def _of_raster(file: Path, found: float | None) -> dict[str, Any]:
    """Return the resolution that a georeferenced image has of itself."""
    with raster_of(file) as raster:
        if raster is None or found is not None:
            return {}
        return {"mm_per_pixel": raster.mm_per_pixel, "resolution_source": raster.scale_source}
