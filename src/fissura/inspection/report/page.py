"""The report of an inspection: one HTML page that opens anywhere, without network, and prints.

Photos come one after the other. The summary and the tables stand in front of them on the page, and
are only known behind the last: so the sections of photos wait in a file of their own.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fissura.files import replacing
from fissura.files.failures import Failure, printable
from fissura.html.pages import ENCODING, ERRORS, counted, environment
from fissura.inspection.exporters import Add
from fissura.inspection.records.corrections import STATUSES
from fissura.inspection.records.record import Record
from fissura.inspection.report.heading import Heading
from fissura.inspection.report.histogram import Widths, histogram_svg
from fissura.inspection.report.photo_pages import PhotoPages
from fissura.inspection.report.summary import NAMED, Sums, cautions, resolutions, tiles
from fissura.inspection.report.tables import (
    UNITS,
    Head,
    crack_heads,
    crack_rows,
    number_text,
    photo_heads,
    photo_row,
)
from fissura.inspection.report.viewer import SHOWN_REASONS, TOOLS, photo_view
from fissura.inspection.rules.kinds import KINDS
from fissura.inspection.rules.limits import RULES, Limits
from fissura.inspection.rules.severity import WIDTH_WORDS, Classes, Profile

LONGEST, SHORTEST = 1600, 700  # bounds of the longer side of an image, in pixels
ON_ONE_PAGE = 500  # photos, beyond which each has a page of its own
MANY = 100  # photos from which on images are smaller, so that the page keeps its size
CHUNK = 2**20  # letters that are copied at a time
SPOOLED = 2**20  # bytes that wait in memory, before they wait in a file

SECTIONS = {
    "summary": "Summary",
    "verdicts": "Photos in one table",
    "cracks": "Cracks",
    "photos": "Photos",
    "method": "How this was measured",
    "settings": "Settings",
    "model": "Model",
    "versions": "Versions",
}


@dataclass(frozen=True)
class About:
    """Everything that the report tells beside the photos.

    Attributes:
        model: Name of the model.
        settings: Options by name.
        model_card: Markdown that describes the model, or None.
        versions: Versions of the software.
        created: Local date and time.
        failures: Files that were left out; those that still join are named as well.
        edited: Sentences on masks that are missing now.
        heading: What heads the report: object, inspector, client.
    """

    model: str
    settings: Mapping[str, Any]
    model_card: str | None
    versions: Mapping[str, str]
    created: str
    failures: list[Failure] = field(default_factory=list)
    edited: list[str] = field(default_factory=list)
    heading: Heading = field(default_factory=Heading)


@contextmanager
def report(
    path: Path,
    about: About,
    *,
    limits: Limits | None,
    expected: int,
    corrected: bool = False,
    classes: Classes | None = None,
) -> Iterator[Add]:
    """Write the report of an inspection; an exporter.

    A Content Security Policy forbids the page every request. Of more than 500 photos each has a
    page of its own, below the folder `report` beside the page, which is their index then.

    Args:
        path: The page.
        about: Words beside the photos.
        limits: Rules that the photos were judged by, or None.
        expected: Number of photos, from which the size of images follows.
        corrected: Whether masks were corrected, so that each crack has a status.
        classes: How cracks are told apart beside their measurements.
    """
    classes = classes or Classes()
    profile = classes.profile
    longest = max(SHORTEST, round(LONGEST * min(1.0, MANY / max(1, expected)) ** 0.5))
    path.parent.mkdir(parents=True, exist_ok=True)
    with (
        ExitStack() as stack,
        replacing(path) as temporary,
        temporary.open("w", encoding=ENCODING, errors=ERRORS) as file,
    ):
        gathered = _Gathered(stack, path.parent)
        pages = environment(Path(__file__).parent)
        macros: Any = pages.get_template(
            "macros.html", globals={"shown": SHOWN_REASONS, "tools": TOOLS}
        ).module
        own = None
        if expected > ON_ONE_PAGE:
            classed = profile is not None
            own = PhotoPages(path.parent, macros, limits, corrected=corrected, classed=classed)

        def add(record: Record) -> None:
            gathered.sums.add(record)
            number, unit = gathered.sums.photos, record.unit
            for crack in record.cracks:
                gathered.widths[unit].add(crack.widths * (record.mm_per_pixel or 1.0))
            if own is not None:
                own.add(record, number)
                return
            row = photo_row(record, number, judged=limits is not None)
            gathered.photo_rows[unit].write(macros.photo_row(row))
            rows = crack_rows(record, number, limits)
            gathered.crack_rows[unit].write(macros.crack_rows(rows, corrected, profile is not None))
            gathered.photos.write(macros.photo_section(photo_view(record, number, longest=longest)))

        yield add
        if own is not None:
            for unit, rows in own.finish().items():
                for row in rows:
                    gathered.photo_rows[unit].write(row)
        page = pages.get_template("report.html")
        context = _context(gathered, about, limits, corrected, classes)
        if own is not None:
            context["sections"] = {key: SECTIONS[key] for key in SECTIONS if key != "photos"}
        for text in page.generate(
            context,
            open_table=macros.open_table,
            own_pages=own,
        ):
            file.write(text)


class _Spool:
    """Text that waits until it is read once: in memory, or in a file where it is long."""

    def __init__(self, stack: ExitStack, folder: Path) -> None:
        self.file = tempfile.SpooledTemporaryFile(  # noqa: SIM115
            SPOOLED, "w+", dir=str(folder), encoding=ENCODING, errors=ERRORS, newline=""
        )
        stack.callback(self.file.close)
        self.empty = True

    def write(self, text: str) -> None:
        """Append HTML."""
        self.file.write(text)
        self.empty = self.empty and not text

    def __iter__(self) -> Iterator[Any]:
        from markupsafe import Markup

        self.file.seek(0)
        while text := self.file.read(CHUNK):
            yield Markup(text)


class _Gathered:
    """Sums over all photos, and their rows and sections as HTML."""

    def __init__(self, stack: ExitStack, folder: Path) -> None:
        self.sums = Sums()
        self.widths = {unit: Widths() for unit in UNITS}
        self.photo_rows = {unit: _Spool(stack, folder) for unit in UNITS}
        self.crack_rows = {unit: _Spool(stack, folder) for unit in UNITS}
        self.photos = _Spool(stack, folder)


@dataclass(frozen=True)
class _Table:
    """A table of the page: its title where there are two, its headings, its rows as HTML."""

    title: str
    heads: list[Head]
    rows: _Spool


def _context(
    gathered: _Gathered,
    about: About,
    limits: Limits | None,
    corrected: bool,
    classes: Classes,
) -> dict[str, Any]:
    """Return the variables of the template."""
    from markupsafe import Markup

    sums, profile = gathered.sums, classes.profile
    crack_units = [unit for unit, rows in gathered.crack_rows.items() if not rows.empty]
    return {
        "heading": about.heading,
        "title": about.heading.title or f"Crack inspection of {counted(sums.photos, 'photo')}",
        "about": [about.created, f"model {about.model}"],
        "sections": SECTIONS,
        "sums": sums,
        "tiles": list(tiles(sums, limits)),
        "limits": limits,
        "rules": RULES,
        "left_out": [printable(failure.reason) for failure in about.failures],
        "edited": [printable(sentence) for sentence in about.edited],
        "named": NAMED,
        "statuses": list(sums.statuses.items()),
        "meanings": STATUSES,
        "resolutions": resolutions(sums),
        "profile": profile,
        "axis": classes.axis,
        "width_words": WIDTH_WORDS,
        "class_rows": _class_rows(sums, profile),
        "kind_rows": _kind_rows(sums),
        "histograms": [
            {"title": title, "svg": Markup(svg)}
            for title, svg in _histograms(gathered.widths, limits)
        ],
        "photo_tables": _tables(
            gathered.photo_rows,
            {unit: photo_heads(unit, limits is not None, profile is not None) for unit in UNITS},
        ),
        "crack_tables": _tables(
            gathered.crack_rows,
            {unit: crack_heads(unit, corrected, profile is not None) for unit in UNITS},
        ),
        "crack_units": " or ".join(crack_units),
        "photos": gathered.photos,
        "cautions": cautions(sums),
        "settings": about.settings,
        "model_card": about.model_card,
        "versions": about.versions,
    }


def _class_rows(sums: Sums, profile: Profile | None) -> list[tuple[str, str, int, str]]:
    """Return the rows of the table of classes: name, bounds, number, length; worst first."""
    if profile is None:
        return []
    rows = [
        (name, bounds, count, number_text(length))
        for name, bounds in reversed(profile.bounds().items())
        for count, length in [sums.classes.get(name, (0, 0.0))]
    ]
    unknown, _ = sums.classes.get("", (0, 0.0))
    if unknown:
        rows.append(("no class", "no width in millimeters is known", unknown, "–"))
    return rows


def _kind_rows(sums: Sums) -> list[tuple[str, str, int, str]]:
    """Return the rows of the table of types: name, rule, number, length in mm."""
    return [
        (name, rule, count, number_text(length) if length else "–")
        for name, rule in KINDS.items()
        for count, length in [sums.kinds.get(name, (0, 0.0))]
        if count
    ]


def _tables(rows: dict[str, _Spool], heads: dict[str, list[Head]]) -> list[_Table]:
    """Return the tables that have rows; where there are both units, with titles."""
    shown = [unit for unit in UNITS if not rows[unit].empty]
    return [
        _Table(UNITS[unit] if len(shown) > 1 else "", heads[unit], rows[unit]) for unit in shown
    ]


def _histograms(widths: Mapping[str, Widths], limits: Limits | None) -> Iterator[tuple[str, str]]:
    """Yield title and SVG of the widths in each unit."""
    shown = [unit for unit in UNITS if widths[unit].counts]
    for unit in shown:
        limit = getattr(limits, f"max_width_{unit}") if limits else None
        kind = f", photos in {unit}" if len(shown) > 1 else ""
        yield f"Widths along all cracks{kind}", histogram_svg(widths[unit], unit, limit)
