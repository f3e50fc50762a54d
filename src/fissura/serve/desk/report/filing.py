"""Filing: the report, written in a thread of its own, and compared with an earlier one if asked."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fissura.comparison.options import CompareOptions
from fissura.comparison.pipeline import compare
from fissura.data.walk import natural_order
from fissura.errors import InputError
from fissura.files.failures import failure
from fissura.serve.desk.folder import DeskFolder
from fissura.serve.desk.photos.open_photos import OpenPhoto, found_folder
from fissura.serve.desk.report.earlier import EarlierInspection, find_earlier
from fissura.serve.desk.report.finish import Filed, Finished, FinishOptions, finish
from fissura.serve.desk.storage.store import PhotoRow

COMPARISON = "comparison"  # folder below that of the report
APART = ("pdf", "training", "earlier", "old_date", "new_date")  # no lines of the heading


@dataclass(frozen=True)
class _Compared:
    """The comparison that was asked for with a report.

    Attributes:
        earlier: The earlier inspection.
        options: How they are compared.
    """

    earlier: EarlierInspection
    options: CompareOptions


class Filing:
    """Writes the reports of a desk, one at a time.

    Args:
        folder: The desk's folder.
        model: Folder of the model.
        opened: Gives a photo with its mask and cracks, by its id.
    """

    def __init__(self, folder: DeskFolder, model: Path, opened: Callable[[str], OpenPhoto]) -> None:
        self._folder, self._model, self._opened = folder, model, opened
        self._busy = threading.Lock()

    def wait(self) -> None:
        """Return when nothing is being written; nothing is written from then on."""
        self._busy.acquire()

    def earlier(self) -> list[EarlierInspection]:
        """Return the earlier inspections that the photos can be compared with."""
        return find_earlier(self._folder.home, self._folder.options.earlier)

    def begin(self, body: Mapping[str, Any]) -> None:
        """Begin to write report, corrected masks and training folder; an event tells the end.

        Args:
            body: `pdf` and `training`; `earlier`, the id of an inspection to compare with, and
                `old_date` and `new_date`; and lines of the report's heading.

        Raises:
            InputError: Photos still wait for the model, or it is being finished already, or there
                is no such inspection or day.
        """
        waiting = sum(row.state in ("queued", "running") for row in self._folder.store.photos())
        if waiting:
            one = waiting == 1
            raise InputError(
                f"{waiting} {'photo has' if one else 'photos have'} not been looked at by the "
                "model yet. Wait for the end."
            )
        compared = self._asked(body)
        if not self._busy.acquire(blocking=False):
            raise InputError("The report is being written already.")
        threading.Thread(target=self._file, args=(dict(body), compared), daemon=True).start()

    def file_report(self, body: Mapping[str, Any]) -> Filed:
        """Write report, corrected masks and training folder.

        Args:
            body: As of `begin`.

        Raises:
            InputError: The report cannot be made.
        """
        folder = self._folder
        done = [row for row in folder.store.photos() if row.state == "done"]
        # Photos come to the desk in the order in which they were received.
        rows = sorted(done, key=lambda row: natural_order(row.file))
        heading = {
            name: value for name, value in body.items() if name not in APART and value is not None
        }
        options = FinishOptions(
            home=folder.home,
            previous=found_folder(folder.home),
            model=self._model,
            limits=folder.options.limits,
            predicting=folder.options.predicting,
            measuring=folder.options.measuring,
            resolution=folder.options.resolution,
            heading=heading,
            pdf=bool(body.get("pdf")),
            training=bool(body.get("training")),
        )
        files = [folder.file_of(row) for row in rows]
        return finish([self._photo(row) for row in rows], files, folder.known, options)

    def result(self, name: str) -> Path | None:
        """Return a file of the last report; None where there is none.

        Args:
            name: Its path below the report's folder.
        """
        finished = self._folder.store.about("finished") or {}
        if not finished.get("folder"):
            return None
        folder = Path(finished["folder"]).resolve()
        file = (folder / name).resolve()
        return file if file.is_relative_to(folder) and file.is_file() else None

    def _photo(self, row: PhotoRow) -> Callable[[], Finished]:
        """Return what gives a photo when its turn comes."""

        def opened() -> Finished:
            photo = self._opened(row.id)
            with photo.lock:
                now = self._folder.store.photo(row.id)
                entries = list(photo.entries.values())
                return Finished(now, photo.file, photo.mask.copy(), entries)

        return opened

    def _asked(self, body: Mapping[str, Any]) -> _Compared | None:
        """Return the comparison that is asked for, or say why there can be none."""
        known = body.get("earlier")
        if not known:
            return None
        for name in ("old_date", "new_date"):
            if not isinstance(body.get(name) or "", str):
                raise InputError(f"{name} must be a day, such as 2025-03-31.")
        options = CompareOptions(
            old_date=body.get("old_date") or None, new_date=body.get("new_date") or None
        )
        for one in self.earlier():
            if one.id == known:
                return _Compared(one, options)
        raise InputError(
            "The inspection that was chosen for the comparison is not there any more. Open this "
            "dialog anew, and choose another one."
        )

    def _file(self, body: dict[str, Any], compared: _Compared | None) -> None:
        """Write everything, and tell how it went."""
        folder = self._folder
        try:
            filed = self.file_report(body)
            finished = _told(filed) | self._compare(filed, compared)
        except Exception as error:
            finished = {"error": failure(folder.photos, error).reason}
        try:
            folder.store.tell("finished", finished)
            folder.events.tell("finished", finished)
        finally:
            self._busy.release()

    def _compare(self, filed: Filed, asked: _Compared | None) -> dict[str, Any]:
        """Compare a filed report with an earlier one; the report stays where that is refused."""
        if asked is None:
            return {"comparison": None, "compared": []}
        earlier = asked.earlier
        try:
            found = compare(
                earlier.folder,
                filed.out,
                filed.out / COMPARISON,
                limits=self._folder.options.growth,
                options=asked.options,
            )
        except Exception as error:
            why = failure(earlier.folder, error).reason
            return {"comparison": None, "compared": [f"Not compared with {earlier.name}: {why}"]}
        return {
            "comparison": found.page.relative_to(filed.out).as_posix(),
            "compared": [f"Compared with {earlier.name}: {found.summary()}.", *found.sentences()],
        }


def _told(filed: Filed) -> dict[str, Any]:
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
