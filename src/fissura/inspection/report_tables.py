"""The report's tables: a row per photo, a row per crack."""

from __future__ import annotations

import math
from dataclasses import replace
from html import escape

from fissura.inspection.limits import Limits, is_judged
from fissura.inspection.record import Record
from fissura.inspection.tables import totals, verdict
from fissura.inspection.viewer import badge, box_in_widths, number_text
from fissura.measurement.crack import FIGURES, Crack

TITLES = {
    "length": "Length",
    "longest_path": "Longest path",
    "width_mean": "Width, mean",
    "width_median": "Width, median",
    "width_p95": "Width, 95 %",
    "width_max": "Width, max",
    "width_error": "Width, ±",
    "area": "Area",
}
UNITS = ("mm", "px")
WORDS = ("Photo", "Verdict", "Reasons")  # headings of columns that don't hold figures
# How the tables of a unit are called where there are both.
KINDS = {"mm": "Photos with a scale, in millimeters", "px": "Photos without a scale, in pixels"}
REASON = 160  # letters of a reason in the table of photos; the photo's part has all


class Tables:
    """Rows of the tables, for photos with and without a scale apart: mm and px don't compare."""

    def __init__(self, limits: Limits | None) -> None:
        self.limits = limits
        self.photos: dict[str, list[str]] = {unit: [] for unit in UNITS}
        self.cracks: dict[str, list[str]] = {unit: [] for unit in UNITS}

    def add(self, photo: Record, number: int) -> None:
        """Take a photo, which stands at #photo-NUMBER, and its cracks."""
        self.photos[photo.unit].append(_photo_row(photo, number, self.limits is not None))
        self.cracks[photo.unit] += [
            _crack_row(photo, number, crack, self.limits) for crack in photo.cracks
        ]

    def photos_html(self) -> str:
        """Return the tables of photos."""
        parts = []
        for unit, rows in self.photos.items():
            heads = ["Photo", *(["Verdict"] if self.limits else []), "Cracks"]
            heads += [f"Total length, {unit}", f"Widest, {unit}", "Crack area, %", "mm per pixel"]
            heads += ["Reasons"] if self.limits else []
            if rows:
                parts.append(self._title(self.photos, unit) + _table(heads, rows, "Photos"))
        return "".join(parts) or "<p>There are no photos.</p>"

    def cracks_html(self) -> str:
        """Return the tables of cracks, with the fields that filter them."""
        tables = []
        for unit, rows in self.cracks.items():
            heads = ["Photo", "Crack"]
            heads += [
                f"{TITLES[name]}, {unit}{'²' if power == 2 else ''}"
                for name, power in FIGURES.items()
            ]
            heads += ["Direction, °", "Branches"]
            if rows:
                tables.append(self._title(self.cracks, unit) + _table(heads, rows, "Cracks"))
        if not tables:
            return "<p>No crack was found on any photo.</p>"
        units = " or ".join(unit for unit, rows in self.cracks.items() if rows)
        return FILTER.format(units=units) + "".join(tables)

    def _title(self, rows: dict[str, list[str]], unit: str) -> str:
        return f"<h3>{KINDS[unit]}</h3>" if all(rows.values()) else ""


FILTER = """<p class="needs-js note">Click a heading to sort, a row to see the crack.</p>
<form class="needs-js filter" role="search" aria-label="Filter the table of cracks">
<label>Photo contains <input type="search" name="text" autocomplete="off"></label>
<label>At least <input type="number" name="least-width" min="0" step="any"> {units} wide</label>
<label>At least <input type="number" name="least-length" min="0" step="any"> {units} long</label>
<output aria-live="polite"></output>
</form>
"""
ABOVE = '<b title="above the limit">▲<span class="unseen"> above the limit:</span></b>'


def _table(heads: list[str], rows: list[str], caption: str) -> str:
    cells = "".join(
        f'<th scope="col">{head}</th>'
        if head in WORDS
        else f'<th scope="col" class="n">{head}</th>'
        for head in heads
    )
    body = "\n".join(rows)
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{caption}">'
        f'<table class="sortable {caption.lower()}"><thead><tr>{cells}</tr></thead>'
        f"<tbody>\n{body}\n</tbody></table></div>"
    )


def _photo_row(photo: Record, number: int, judged: bool) -> str:
    found, scale = totals(photo), photo.mm_per_pixel
    widest = found.widest.width_max if found.widest else math.nan
    figures = [found.length * (scale or 1.0), widest * (scale or 1.0), found.percent]
    cells = "".join(_number_cell(value) for value in figures)
    told = "unknown" if scale is None else f"{scale:.4g}"
    cells = f'<td class="n">{len(photo.cracks)}</td>{cells}<td class="n">{told}</td>'
    if judged:
        cells = f"<td>{badge(photo)}</td>{cells}{_reason_cell(photo)}"
    link = f'<a href="#photo-{number}">{escape(photo.name)}</a>'
    return f'<tr><td class="name">{link}</td>{cells}</tr>'


def _reason_cell(photo: Record) -> str:
    if not photo.failures:
        return '<td class="reason"></td>'
    first, more = photo.failures[0], len(photo.failures) - 1
    text = first if len(first) <= REASON else f"{first[:REASON]}…"
    tail = f" <small>and {more:,} more</small>" if more else ""
    return f'<td class="reason">{escape(text)}{tail}</td>'


def _crack_row(photo: Record, number: int, crack: Crack, limits: Limits | None) -> str:
    figures = replace(crack, mm_per_pixel=photo.mm_per_pixel).figures()
    over = _over(crack, limits, photo.mm_per_pixel) if verdict(photo) == "fail" else set()
    cells = "".join(
        _number_cell(value, over=name in over)
        for name, value in zip(FIGURES, figures.values(), strict=True)
    )
    return (
        f'<tr data-photo="{number}" data-box="{box_in_widths(photo, crack.box)}">'
        f'<td class="name"><a href="#photo-{number}">{escape(photo.name)}</a></td>'
        f'<td class="n"><a href="#photo-{number}">{crack.number}</a></td>{cells}'
        f'<td class="n">{crack.orientation:.0f}</td><td class="n">{crack.branches}</td></tr>'
    )


def _number_cell(value: float, over: bool = False) -> str:
    exact = "" if math.isnan(value) else f' data-v="{value:.7g}"'
    if not over:
        return f'<td class="n"{exact}>{number_text(value)}</td>'
    return f'<td class="n over"{exact}>{ABOVE} {number_text(value)}</td>'


def _over(crack: Crack, limits: Limits | None, mm_per_pixel: float | None) -> set[str]:
    """Return which figures of a crack exceed a limit."""
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
        for name, most, scale in rules
        if most is not None and scale is not None and getattr(crack, name) * scale > most
    }
