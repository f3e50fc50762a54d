"""One pass over the records: each is read once and handed to every exporter."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

from fissura.errors import InputError
from fissura.files.failures import Failure, failure
from fissura.inspection.exporters import Exporter
from fissura.inspection.exporters.coco import coco
from fissura.inspection.exporters.geojson import geojson
from fissura.inspection.exporters.geopackage import geopackage, has_geopackage
from fissura.inspection.exporters.systems import coordinate_systems
from fissura.inspection.exporters.tables import cracks_table, photos_table, widths_table
from fissura.inspection.limits import Limits, judge
from fissura.inspection.record import Outline, Record
from fissura.inspection.report.page import About, report
from fissura.inspection.store import load_outline, load_record


@dataclass
class Exported:
    """What a pass went over.

    Attributes:
        photos: Number of photos.
        cracks: Number of cracks on them.
        failing: Names of the photos that exceed the limits.
    """

    photos: int = 0
    cracks: int = 0
    failing: list[str] = field(default_factory=list)

    def add(self, record: Record) -> None:
        """Count a photo."""
        self.photos += 1
        self.cracks += len(record.cracks)
        self.failing += [record.name] if record.failures else []


def export(
    out: Path,
    stored: dict[Path, Path],
    failures: list[Failure],
    *,
    limits: Limits | None = None,
    about: About | None = None,
) -> Exported:
    """Write tables and vectors of all records, and with `about` coco.json and the report.

    A record that cannot be read or written is left out and added to `failures`. Where an exporter
    had it in part already, all files are written again without it.

    Args:
        out: Folder for the files.
        stored: File of the record of each photo.
        failures: Photos left out so far; the report names them.
        limits: Rules to judge the photos by.
        about: Words for the report; None for no report.
    """
    outlines: dict[Path, Outline] = {}
    for photo, file in stored.items():
        try:
            outlines[photo], _ = load_outline(file)
        except InputError as error:
            failures.append(failure(photo, error))
    while True:
        exported, broken = Exported(), []
        try:
            with ExitStack() as stack:
                adds = [
                    stack.enter_context(exporter)
                    for exporter in _exporters(out, list(outlines.values()), limits, about)
                ]
                adds.append(exported.add)
                for photo in list(outlines):
                    try:
                        record = _judged(load_record(stored[photo]), limits)
                    except Exception as error:
                        failures.append(failure(photo, error))
                        del outlines[photo]
                        continue
                    try:
                        for add in adds:
                            add(record)
                    except Exception as error:
                        failures.append(failure(photo, error))
                        broken.append(photo)
                if broken:
                    raise _OnceMoreError
        except _OnceMoreError:
            for photo in broken:
                del outlines[photo]
            continue
        return exported


class _OnceMoreError(Exception):
    """Files that hold a photo in part are thrown away."""


def _exporters(
    out: Path, outlines: list[Outline], limits: Limits | None, about: About | None
) -> Iterator[Exporter]:
    """Yield the exporters of an inspection."""
    systems = coordinate_systems(outlines)
    yield cracks_table(out / "cracks.csv")
    yield photos_table(out / "photos.csv")
    yield widths_table(out / "widths.csv")
    yield geojson(out, systems)
    if has_geopackage():
        yield geopackage(out / "cracks.gpkg", systems)
    if about is not None:
        yield coco(out / "coco.json")
        yield report(out / "report.html", about, limits=limits, expected=len(outlines))


def _judged(record: Record, limits: Limits | None) -> Record:
    """Return a record with the verdict on it."""
    if limits is None:
        return record
    failures = judge(
        limits, record.cracks, size_hw=record.size_hw, mm_per_pixel=record.mm_per_pixel
    )
    return replace(record, failures=failures, judged=True)
