"""Rows of the report's tables: a row per photo, a row per crack."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from fissura.inspection.records.record import Record
from fissura.inspection.records.totals import totals, verdict
from fissura.inspection.rules.limits import Limits, is_judged
from fissura.measurement.crack import METRICS, Crack

TITLES = {
    "length": "Length",
    "longest_path": "Longest path",
    "width_mean": "Width, mean",
    "width_median": "Width, median",
    "width_p95": "Width, 95 %",
    "width_max": "Width, max",
    "width_error": "± of a width",
    "area": "Area",
}
WORDS = (
    "Photo",
    "Verdict",
    "Reasons",
    "Status",
    "Type",
    "Class",
    "Worst class",
)  # headings of columns that don't hold numbers
# Titles of the tables of a unit where there are both: millimeters and pixels don't compare.
UNITS = {
    "mm": "Photos with a resolution, in millimeters",
    "px": "Photos without a resolution, in pixels",
}
NBSP = "\u00a0"  # keeps a unit on the line of its heading's last word
REASON = 160  # letters of a reason in the table of photos; all of it is beside the photo


@dataclass(frozen=True)
class Head:
    """Heading of a column."""

    text: str

    @property
    def numeric(self) -> bool:
        """Whether the column holds numbers."""
        return self.text not in WORDS


@dataclass(frozen=True)
class Cell:
    """A number of a table.

    Attributes:
        text: The number as it is read.
        exact: The number for sorting; empty where it is not known.
        over: Whether it exceeds a limit.
    """

    text: str
    exact: str
    over: bool = False


@dataclass(frozen=True)
class PhotoRow:
    """A row of the table of photos.

    Attributes:
        number: Number of the photo in the report, from 1.
        name: Its name.
        judged: Whether there were limits.
        verdict: "pass", "fail" or "not judged".
        cracks: Number of its cracks.
        cells: Total length, greatest width, percentage of crack.
        resolution: Millimeters per pixel, or "unknown".
        reason: The first reason to fail, cut where it is long.
        more: Number of further reasons.
        classed: Whether there are classes of severity.
        severity: The most severe class of its cracks; empty where none is known.
        link: Address of its section or page.
        doubted: Whether the photo is unlike those that the model was trained on.
    """

    number: int
    name: str
    judged: bool
    verdict: str
    cracks: int
    cells: list[Cell]
    resolution: str
    reason: str
    more: int
    link: str
    classed: bool = False
    severity: str = ""
    doubted: bool = False


@dataclass(frozen=True)
class CrackRow:
    """A row of the table of cracks.

    Attributes:
        photo: Number of its photo in the report.
        name: Name of the photo.
        number: Number of the crack on it.
        box: Its box, as `box_in_widths` returns it.
        cells: Its measurements, in the order of `METRICS`.
        orientation: Its direction in degrees.
        branches: Number of its branches.
        status: Whether it was found, corrected or added.
        kind: Its type.
        severity: Its class; empty where none is known.
    """

    photo: int
    name: str
    number: int
    box: str
    cells: list[Cell]
    orientation: str
    branches: int
    status: str
    kind: str
    severity: str


def photo_heads(unit: str, judged: bool, classed: bool = False) -> list[Head]:
    """Return the headings of the table of photos."""
    heads = ["Photo", *(["Verdict"] if judged else []), "Cracks"]
    heads += [
        f"Total length,{NBSP}{unit}",
        f"Widest,{NBSP}{unit}",
        f"Crack area,{NBSP}%",
        *(["Worst class"] if classed else []),
        "mm per pixel",
    ]
    return [Head(text) for text in [*heads, *(["Reasons"] if judged else [])]]


def crack_heads(unit: str, corrected: bool, classed: bool = False) -> list[Head]:
    """Return the headings of the table of cracks.

    Args:
        unit: mm or px.
        corrected: Whether masks were corrected, so that each crack has a status.
        classed: Whether there are classes of severity.
    """
    metrics = [
        f"{TITLES[name]}, {unit}{'²' if power == 2 else ''}" for name, power in METRICS.items()
    ]
    heads = ["Photo", "Crack", "Type", *(["Class"] if classed else []), *metrics]
    heads += [f"Direction,{NBSP}°", "Branches"]
    return [Head(text) for text in [*heads, *(["Status"] if corrected else [])]]


def photo_row(record: Record, number: int, *, judged: bool, link: str = "") -> PhotoRow:
    """Return the row of a photo, which stands at #photo-NUMBER unless it has another address."""
    found, mm_per_pixel = totals(record), record.mm_per_pixel
    widest = found.widest.width_max if found.widest else math.nan
    per_pixel = mm_per_pixel or 1.0
    numbers = [found.length * per_pixel, widest * per_pixel, found.percent]
    first = record.failures[0] if record.failures else ""
    return PhotoRow(
        number=number,
        name=record.text_name,
        judged=judged,
        verdict=verdict(record),
        cracks=len(record.cracks),
        cells=[_cell(value) for value in numbers],
        resolution="unknown" if mm_per_pixel is None else f"{mm_per_pixel:.4g}",
        reason=first if len(first) <= REASON else f"{first[:REASON]}…",
        more=max(0, len(record.failures) - 1),
        classed=record.classes.profile is not None,
        severity=worst_class(record),
        link=link or f"#photo-{number}",
        doubted=bool(record.domain_warning),
    )


def crack_rows(record: Record, number: int, limits: Limits | None) -> list[CrackRow]:
    """Return the rows of a photo's cracks."""
    failed = verdict(record) == "fail"
    rows = []
    for crack in record.cracks:
        metrics = replace(crack, mm_per_pixel=record.mm_per_pixel).metrics()
        over = _over(crack, limits, record.mm_per_pixel) if failed else set()
        rows.append(
            CrackRow(
                photo=number,
                name=record.text_name,
                number=crack.number,
                box=box_in_widths(record, crack.box),
                cells=[
                    _cell(value, over=name in over)
                    for name, value in zip(METRICS, metrics.values(), strict=True)
                ],
                orientation=f"{crack.orientation:.0f}",
                branches=crack.branches,
                status=record.status(crack),
                kind=record.kind(crack),
                severity=record.severity(crack) or "–",
            )
        )
    return rows


def worst_class(record: Record) -> str:
    """Return the most severe class of a photo's cracks; empty where none is known."""
    profile = record.classes.profile
    if profile is None:
        return ""
    order = list(profile.classes)
    found = {record.severity(crack) for crack in record.cracks} - {""}
    return max(found, key=order.index, default="")


def number_text(value: float) -> str:
    """Return a number with three digits, or all of its integer part; a dash where it is NaN.

    >>> number_text(0.04213), number_text(12345.6), number_text(0.0), number_text(float("nan"))
    ('0.0421', '12,346', '0', '–')
    """
    if math.isnan(value):
        return "–"
    if value == 0:
        return "0"
    decimals = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:,.{decimals}f}"


def box_in_widths(record: Record, box: tuple[int, int, int, int]) -> str:
    """Return left, top, right and bottom of a crack's box, in widths of the photo."""
    top, left, bottom, right = box
    width = record.size_hw[1]
    return " ".join(f"{edge / width:.4f}" for edge in (left, top, right, bottom))


def _cell(value: float, *, over: bool = False) -> Cell:
    """Return a number of a table."""
    return Cell(number_text(value), "" if math.isnan(value) else f"{value:.7g}", over)


def _over(crack: Crack, limits: Limits | None, mm_per_pixel: float | None) -> set[str]:
    """Return the names of a crack's metrics that exceed a limit."""
    if limits is None or not is_judged(limits, crack, mm_per_pixel):
        return set()
    rules = [
        ("width_max", limits.max_width_px, 1.0),
        ("length", limits.max_length_px, 1.0),
        ("width_max", limits.max_width_mm, mm_per_pixel),
        ("length", limits.max_length_mm, mm_per_pixel),
    ]
    return {
        name
        for name, most, per_pixel in rules
        if most is not None and per_pixel is not None and getattr(crack, name) * per_pixel > most
    }
