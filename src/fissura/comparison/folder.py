"""A folder of results of `fissura inspect`, as a comparison reads it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

from fissura.errors import InputError
from fissura.files.documents import read_json
from fissura.inspection.photos.masks import edited_masks
from fissura.inspection.records.facts import read_exif
from fissura.inspection.records.record import Record
from fissura.inspection.records.store import MEASURED, SETTINGS, load_record

LEAST_LENGTH = 10.0  # of `fissura inspect`, where its settings do not say it


@dataclass(frozen=True)
class Inspected:
    """An inspection to compare.

    Attributes:
        folder: Its folder.
        settings: Choices that it was made with.
        files: File of the record of each photo, by name.
    """

    folder: Path
    settings: dict[str, Any]
    files: dict[str, Path]

    @property
    def least_length(self) -> float:
        """Length in pixels from which on it has cracks."""
        measuring = self.settings.get("measuring")
        value = measuring.get("min_length") if isinstance(measuring, dict) else None
        return float(value) if isinstance(value, int | float) else LEAST_LENGTH

    def record(self, name: str) -> Record:
        """Read the record of a photo.

        Raises:
            InputError: It is damaged, or another version of Fissura wrote it.
        """
        return load_record(self.files[name])

    def edited(self) -> list[str]:
        """Return a sentence for each mask that was changed after it had been measured."""
        return edited_masks(self.folder, self.files.values())


def open_inspection(folder: Path) -> Inspected:
    """Find the records of an inspection.

    Raises:
        InputError: The folder holds none.
    """
    file = folder / SETTINGS
    if not folder.is_dir() or not file.is_file():
        raise InputError(
            f"{folder} is no folder of results of `fissura inspect`: there is no {SETTINGS} in it. "
            "Inspect the photos first, and give the folder behind --out."
        )
    try:
        settings = read_json(file)
    except (OSError, ValueError) as error:
        raise InputError(f"{file} is damaged ({error}). Inspect the photos anew.") from error
    files = record_files(folder)
    if not files:
        raise InputError(f"{folder} holds no measured photos. Inspect them to the end first.")
    return Inspected(folder, settings if isinstance(settings, dict) else {}, files)


def record_files(folder: Path) -> dict[str, Path]:
    """Return the file of the record of each photo of an inspection, by name, in their order.

    Args:
        folder: Folder of the results.
    """
    below = folder / MEASURED
    return {
        path.relative_to(below).with_suffix("").as_posix(): path
        for path in sorted(below.rglob("*.npz"))
        if not path.name.startswith(".")  # what a crash left unfinished
    }


def day_of(record: Record) -> date | None:
    """Return the day a photo was taken, as its record or its EXIF data tell; None where unknown."""
    taken = record.facts.taken or read_exif(record.file).taken
    try:
        return datetime.fromisoformat(taken).date()
    except ValueError:
        return None
