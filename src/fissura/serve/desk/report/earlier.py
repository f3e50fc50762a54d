"""Earlier inspections that the photos of a desk can be compared with, found where they lie."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

from fissura.comparison.folder import record_files
from fissura.data.walk import DESK
from fissura.inspection.records.store import SETTINGS

REPORTS = "report*"  # filed at a desk
MOST_FOLDERS = 500  # beside one another, that are looked into
ID_LETTERS = 12


@dataclass(frozen=True)
class EarlierInspection:
    """Results of an inspection.

    Attributes:
        id: What a page calls it by; the same as long as it lies where it is.
        folder: The results.
        name: Its path below the folder in which it was found.
        own: Whether it was filed at this desk.
        day: When it was made.
        photos: Number of photos.
    """

    id: str
    folder: Path
    name: str
    own: bool
    day: date
    photos: int


def find_earlier(home: Path, places: Sequence[Path]) -> list[EarlierInspection]:
    """Find reports that were filed at a desk, and inspections and other desks' reports elsewhere.

    In a place are found: results of `fissura inspect` there and in the folders right below it, and
    reports that were filed at desks of these folders.

    Args:
        home: The desk's own folder.
        places: Where to look.

    Returns:
        The latest first, the desk's own before all others.
    """
    found: dict[Path, EarlierInspection] = {}
    for place in [home, *places]:
        for folder in _inspections(place):
            known = folder.resolve()
            if known not in found and (one := _described(folder, place, home)) is not None:
                found[known] = one
    return sorted(found.values(), key=lambda one: (not one.own, -one.day.toordinal(), one.name))


def _inspections(place: Path) -> Iterator[Path]:
    """Yield the folders of a place that may hold results."""
    if place.name == DESK:
        yield from sorted(place.glob(REPORTS))
        return
    for folder in [place, *_folders(place)]:
        yield folder
        yield from sorted((folder / DESK).glob(REPORTS))


def _folders(place: Path) -> Iterable[Path]:
    """Return the folders right below a place; none where it may not be read."""
    try:
        names = sorted(one for one in place.iterdir() if not one.name.startswith("."))
    except OSError:
        return []
    return [one for one in names[:MOST_FOLDERS] if one.name != DESK and one.is_dir()]


def _described(folder: Path, place: Path, home: Path) -> EarlierInspection | None:
    """Describe the results in a folder; None where there are none."""
    try:
        made = (folder / SETTINGS).stat().st_mtime
        photos = len(record_files(folder))
    except OSError:
        return None
    if not photos:
        return None
    name, there = folder.relative_to(place).as_posix(), folder.resolve()
    return EarlierInspection(
        id=hashlib.sha256(str(there).encode()).hexdigest()[:ID_LETTERS],
        folder=folder,
        name=there.name if name == "." else name,
        own=there.parent == home.resolve(),
        day=datetime.fromtimestamp(made).astimezone().date(),
        photos=photos,
    )
