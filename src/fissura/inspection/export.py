"""One pass over the records: each is read once and handed to every exporter."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from fissura.errors import InputError
from fissura.files.failures import Failure, failure
from fissura.inspection.exporters import Exporter
from fissura.inspection.exporters.coco import coco
from fissura.inspection.exporters.geojson import geojson
from fissura.inspection.exporters.geopackage import geopackage, has_geopackage
from fissura.inspection.exporters.photo_points import photo_points
from fissura.inspection.exporters.side_by_side import side_by_side, world_files
from fissura.inspection.exporters.systems import coordinate_systems
from fissura.inspection.exporters.tables import (
    corrections_table,
    cracks_table,
    photos_table,
    widths_table,
)
from fissura.inspection.records.facts import PhotoFacts, known_of, read_exif
from fissura.inspection.records.record import PIXEL_SYSTEM, Outline, Record, flattened
from fissura.inspection.records.store import load_outline, load_record, load_widest
from fissura.inspection.report.page import About, report
from fissura.inspection.report.workbook import workbook
from fissura.inspection.rules.limits import Limits, find_failures
from fissura.inspection.rules.severity import Classes


@dataclass
class Exported:
    """What a pass went over.

    Attributes:
        photos: Number of photos.
        cracks: Number of cracks on them.
        failing: Names of the photos that exceed the limits.
        statuses: Number of cracks by status, on photos with a corrected mask.
    """

    photos: int = 0
    cracks: int = 0
    failing: list[str] = field(default_factory=list)
    statuses: Counter[str] = field(default_factory=Counter)

    def add(self, record: Record) -> None:
        """Count a photo."""
        self.photos += 1
        self.cracks += len(record.cracks)
        self.failing += [record.name] if record.failures else []
        self.statuses.update(record.correction.counts() if record.correction else {})


def export(
    out: Path,
    stored: dict[Path, Path],
    failures: list[Failure],
    *,
    limits: Limits | None = None,
    about: About | None = None,
    told: Mapping[Path, PhotoFacts] | None = None,
    classes: Classes | None = None,
    xlsx: bool = False,
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
        told: What was told of photos, which comes before their EXIF data.
        classes: How cracks are told apart beside their measurements.
        xlsx: Whether report.xlsx is written, too.
    """
    seen = _survey(stored, failures, told or {})
    look = _Look(classes or Classes(), limits, _widest([stored[photo] for photo in seen.outlines]))
    places = side_by_side(seen.plain)

    def read(photo: Path) -> Record:
        record = flattened(load_record(stored[photo]))
        place = places.get(photo, record.transform)
        return look.of(replace(record, facts=seen.facts[photo], transform=place))

    while True:
        try:
            return _hand_over(_Wanted(out, seen, look, about, xlsx), read, failures)
        except _OnceMoreError as once_more:
            for photo in once_more.broken:
                del seen.outlines[photo]


@dataclass
class _Survey:
    """What is known of all photos before their records are read: those that go into the files."""

    outlines: dict[Path, Outline] = field(default_factory=dict)
    plain: dict[Path, tuple[int, int]] = field(default_factory=dict)
    facts: dict[Path, PhotoFacts] = field(default_factory=dict)
    corrected: bool = False

    @property
    def located(self) -> bool:
        """Whether it is known of some photo where it was taken."""
        return any(one.point is not None for one in self.facts.values())


def _survey(
    stored: Mapping[Path, Path], failures: list[Failure], told: Mapping[Path, PhotoFacts]
) -> _Survey:
    """Look at the heads of all records; damaged ones join the failures."""
    seen = _Survey()
    for photo, file in stored.items():
        try:
            seen.outlines[photo], fields = load_outline(file)
            seen.facts[photo] = _facts(photo, fields, told.get(photo, PhotoFacts()))
            if seen.outlines[photo].key == PIXEL_SYSTEM:
                seen.plain[photo] = tuple(fields["size_hw"])
            seen.corrected |= fields.get("correction") is not None
        except InputError as error:
            failures.append(failure(photo, error))
    return seen


def _hand_over(
    wanted: _Wanted, read: Callable[[Path], Record], failures: list[Failure]
) -> Exported:
    """Hand each record to every exporter, and count what there is."""
    exported, broken = Exported(), []
    outlines = wanted.seen.outlines
    with ExitStack() as stack:
        adds = [stack.enter_context(exporter) for exporter in _exporters(wanted)]
        adds.append(exported.add)
        for photo in list(outlines):
            try:
                record = read(photo)
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
            raise _OnceMoreError(broken)
    return exported


def counted(stored: Mapping[Path, Path], failures: list[Failure]) -> Exported:
    """Count photos and cracks without writing anything.

    Args:
        stored: File of the record of each photo.
        failures: Photos left out so far; those whose record cannot be read join.
    """
    exported = Exported()
    for photo, file in stored.items():
        try:
            exported.add(load_record(file))
        except InputError as error:
            failures.append(failure(photo, error))
    return exported


def _facts(photo: Path, fields: Mapping[str, Any], told: PhotoFacts) -> PhotoFacts:
    """Return what is known of a photo; its record has what its EXIF data held, since 0.3."""
    exif = fields.get("exif")
    return known_of(told, read_exif(photo) if exif is None else PhotoFacts(**exif))


class _OnceMoreError(Exception):
    """Files that hold photos in part are thrown away."""

    def __init__(self, broken: list[Path]) -> None:
        self.broken = broken


def judged(record: Record, limits: Limits | None) -> Record:
    """Return a record with its verdict; the same record where there are no limits."""
    if limits is None:
        return record
    found = find_failures(
        limits,
        record.cracks,
        size_hw=record.size_hw,
        mm_per_pixel=record.mm_per_pixel,
        perspective=record.perspective,
    )
    reasons, over = [reason for reason, _ in found], [number for _, number in found]
    return replace(record, failures=reasons, over=over, judged=True)


@dataclass(frozen=True)
class _Look:
    """How all photos are judged and shown: classes, limits, and widest crack by unit."""

    classes: Classes
    limits: Limits | None
    widest: Mapping[str, float]

    def of(self, record: Record) -> Record:
        """Return a record with its verdict, and with the scale of colors of all photos.

        Colors end at twice the greatest width allowed, so that it lies in the middle of them; or
        else at the widest crack of all photos.
        """
        limit: float | None = getattr(self.limits, f"max_width_{record.unit}", None)
        record = replace(
            record,
            classes=self.classes,
            widest_shown=2 * limit if limit else self.widest.get(record.unit),
            limit_shown=limit or None,
        )
        return judged(record, self.limits)


@dataclass(frozen=True)
class _Wanted:
    """What is exported, and how."""

    out: Path
    seen: _Survey
    look: _Look
    about: About | None
    xlsx: bool


def _widest(files: list[Path]) -> dict[str, float]:
    """Return the widest crack of all photos by unit; damaged records are named where they count."""
    found: dict[str, float] = {}
    for file in files:
        try:
            _, fields = load_outline(file)
            resolution = fields.get("mm_per_pixel")
            if fields.get("perspective"):
                cracks = flattened(load_record(file)).cracks
                width = max((crack.width_max for crack in cracks), default=0.0)
            else:
                width = load_widest(file)
        except InputError:
            continue
        unit = "px" if resolution is None else "mm"
        found[unit] = max(found.get(unit, 0.0), width * (resolution or 1.0))
    return {unit: width for unit, width in found.items() if width > 0}


def _exporters(wanted: _Wanted) -> Iterator[Exporter]:
    """Yield the exporters of an inspection."""
    out, about, limits, seen = wanted.out, wanted.about, wanted.look.limits, wanted.seen
    systems = coordinate_systems([*seen.outlines.values()])
    yield cracks_table(out / "cracks.csv")
    yield photos_table(out / "photos.csv")
    yield widths_table(out / "widths.csv")
    if seen.corrected or (out / "corrections.csv").is_file():
        yield corrections_table(out / "corrections.csv")
    if seen.located or (out / "photos.geojson").is_file():
        yield photo_points(out / "photos.geojson")
    yield world_files(out)
    yield geojson(out, systems)
    if has_geopackage():
        yield geopackage(out / "cracks.gpkg", systems)
    if about is not None:
        yield coco(out / "coco.json")
        yield report(
            out / "report.html",
            about,
            limits=limits,
            expected=len(seen.outlines),
            corrected=seen.corrected,
            classes=wanted.look.classes,
        )
    if wanted.xlsx:
        yield workbook(out / "report.xlsx", limits, wanted.look.classes, about)
