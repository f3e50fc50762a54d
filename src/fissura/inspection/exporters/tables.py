"""Tables for a spreadsheet: a row per crack, a row per photo, a row per measured width.

Lengths and widths stand in pixels and, in columns of their own, in millimeters; the latter are
empty for a photo whose resolution is not known, so that photos with and without one share a table.
A width that could not be measured is empty as well. Numbers have five digits: that is far finer
than any measurement. The files begin with a byte order mark, by which Excel knows UTF-8.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from fissura.files.failures import printable
from fissura.files.spreadsheet import spreadsheet
from fissura.inspection.exporters import Add, Exporter
from fissura.inspection.records.corrections import ADDED, CORRECTED, FOUND, REJECTED, ModelCrack
from fissura.inspection.records.record import Record
from fissura.inspection.records.totals import totals, verdict
from fissura.measurement.crack import Crack, metric_names
from fissura.spread.stores import shown

CRACK_COLUMNS = [
    "photo",
    "crack",
    *metric_names("mm"),
    *metric_names("px"),
    "orientation_deg",
    "branches",
    "widest_row",
    "widest_column",
    "box_top",
    "box_left",
    "box_bottom",
    "box_right",
    "mm_per_pixel",
    "status",
    "type",
    "severity",
]
CORRECTION_COLUMNS = [
    "photo",
    "status",
    "crack",
    "model_crack",
    "length_mm",
    "length_px",
    "model_length_mm",
    "model_length_px",
    "width_max_mm",
    "width_max_px",
    "model_width_max_mm",
    "model_width_max_px",
    "box_top",
    "box_left",
    "box_bottom",
    "box_right",
    "mask",
]
FACT_COLUMNS = [
    "element",
    "note",
    "taken",
    "latitude",
    "longitude",
    "altitude_m",
    "camera",
    "focal_length_mm",
]
PHOTO_COLUMNS = [
    "photo",
    "file",
    "verdict",
    "reasons",
    "cracks",
    "total_length_mm",
    "total_length_px",
    "length_mm_per_m2",
    "width_max_mm",
    "width_max_px",
    "widest_crack",
    "area_percent",
    "height_px",
    "width_px",
    "area_m2",
    "mm_per_pixel",
    "resolution_source",
    *FACT_COLUMNS,
    "mask",
    *(FOUND, CORRECTED, ADDED, REJECTED),
    "unfamiliarity",
]
WIDTH_COLUMNS = [
    "photo",
    "crack",
    "row",
    "column",
    "width_mm",
    "width_error_mm",
    "width_px",
    "width_error_px",
]

CHUNK = 10_000  # widths that are turned into Python's numbers at a time


def cracks_table(path: Path) -> Exporter:
    """Write a row per crack of all photos; `CRACK_COLUMNS` are its columns.

    Rows and columns of pixels count from 0 at the center of the first pixel; box_bottom and
    box_right are one past the last pixel.
    """
    return _table(
        path,
        CRACK_COLUMNS,
        lambda record: (crack_row(record, crack) for crack in record.cracks),
    )


def photos_table(path: Path) -> Exporter:
    """Write a row per photo, with its totals and its verdict; `PHOTO_COLUMNS` are its columns."""
    return _table(path, PHOTO_COLUMNS, lambda record: [photo_row(record)])


def widths_table(path: Path) -> Exporter:
    """Write a row per measured width; `WIDTH_COLUMNS` are its columns."""
    return _table(
        path,
        WIDTH_COLUMNS,
        lambda record: (row for crack in record.cracks for row in _width_rows(record, crack)),
    )


def corrections_table(path: Path) -> Exporter:
    """Write a row per crack of photos whose mask was corrected, those that were rejected among
    them; `CORRECTION_COLUMNS` are its columns.

    A crack of the model is named beside the one that it became, or most of it.
    """
    return _table(path, CORRECTION_COLUMNS, correction_rows)


@contextmanager
def _table(
    path: Path,
    columns: Sequence[str],
    rows_of: Callable[[Record], Iterable[Mapping[str, Any]]],
) -> Iterator[Add]:
    """Write a CSV file with the rows that `rows_of` makes of each record."""
    with spreadsheet(path) as write:
        write(columns)

        def add(record: Record) -> None:
            for row in rows_of(record):
                write(_cells(columns, row))

        yield add


def _width_rows(record: Record, crack: Crack) -> Iterator[dict[str, Any]]:
    """Yield a row per width of a crack."""
    mm_per_pixel = record.mm_per_pixel
    for begin in range(0, len(crack.samples), CHUNK):
        some = slice(begin, begin + CHUNK)
        points, widths, errors = (
            values[some].tolist() for values in (crack.samples, crack.widths, crack.width_errors)
        )
        for (row, column), width, error in zip(points, widths, errors, strict=True):
            yield {
                "photo": record.text_name,
                "crack": crack.number,
                "row": row,
                "column": column,
                "width_px": width,
                "width_error_px": error,
                "width_mm": None if mm_per_pixel is None else width * mm_per_pixel,
                "width_error_mm": None if mm_per_pixel is None else error * mm_per_pixel,
            }


def crack_row(record: Record, crack: Crack) -> dict[str, Any]:
    """Return the row of a crack, by `CRACK_COLUMNS`; a width that was not measured is NaN."""
    top, left, bottom, right = crack.box
    measured = not math.isnan(crack.width_max)
    row, column = crack.widest_at if measured else (None, None)
    in_mm = replace(crack, mm_per_pixel=record.mm_per_pixel).metrics()
    return {
        "photo": record.text_name,
        "crack": crack.number,
        **replace(crack, mm_per_pixel=None).metrics(),
        **(in_mm if record.mm_per_pixel is not None else {}),
        "orientation_deg": crack.orientation,
        "branches": crack.branches,
        "widest_row": row,
        "widest_column": column,
        "box_top": top,
        "box_left": left,
        "box_bottom": bottom,
        "box_right": right,
        "mm_per_pixel": record.mm_per_pixel,
        "status": record.status(crack),
        "type": record.kind(crack),
        "severity": record.severity(crack),
    }


def correction_rows(record: Record) -> Iterator[dict[str, Any]]:
    """Yield the rows of a photo's corrections: of its cracks, then of those that are no more."""
    if record.correction is None:
        return
    became: dict[int, ModelCrack] = {}
    for old in record.correction.model_cracks:
        became.setdefault(old.became, old)  # the longest of several
    pairs = [(crack, became.get(crack.number)) for crack in record.cracks]
    for crack, old in [*pairs, *((None, old) for old in record.correction.rejected)]:
        row: dict[str, Any] = {
            "photo": record.text_name,
            "status": REJECTED if crack is None else record.status(crack),
            "mask": printable(record.correction.mask),
        }
        for one, prefix in ((crack, ""), (old, "model_")):
            if one is None:
                continue
            row |= {f"{prefix}crack": one.number}
            for name in ("length", "width_max"):
                value = getattr(one, name)
                row[f"{prefix}{name}_px"] = value
                if record.mm_per_pixel is not None:
                    row[f"{prefix}{name}_mm"] = value * record.mm_per_pixel
        shown = old if crack is None else crack
        assert shown is not None
        sides = ("box_top", "box_left", "box_bottom", "box_right")
        yield row | dict(zip(sides, shown.box, strict=True))


def photo_row(record: Record) -> dict[str, Any]:
    """Return the row of a photo, by `PHOTO_COLUMNS`; what is not known has no entry."""
    height, width = record.size_hw
    found, mm_per_pixel, area = totals(record), record.mm_per_pixel, record.area_m2
    row: dict[str, Any] = {
        "photo": record.text_name,
        "file": printable(shown(record.file)),
        "verdict": verdict(record),
        "reasons": " ".join(record.failures),
        "cracks": len(record.cracks),
        "total_length_px": found.length,
        "area_percent": found.percent,
        "height_px": height,
        "width_px": width,
        "mm_per_pixel": mm_per_pixel,
        "resolution_source": record.resolution_source,
        "unfamiliarity": record.unfamiliarity,
        **{name: _told(getattr(record.facts, name)) for name in FACT_COLUMNS},
        "mask": printable(record.correction.mask) if record.correction else "",
        **(record.correction.counts() if record.correction else {}),
    }
    if found.widest is not None:
        row |= {"width_max_px": found.widest.width_max, "widest_crack": found.widest.number}
    if mm_per_pixel is not None and area is not None:
        row |= {"total_length_mm": found.length * mm_per_pixel, "area_m2": area}
        row["length_mm_per_m2"] = found.length * mm_per_pixel / area
        if found.widest is not None:
            row["width_max_mm"] = found.widest.width_max * mm_per_pixel
    return row


def _told(value: Any) -> Any:
    """Return a fact with all its digits: seven of degrees are some meters."""
    return printable(f"{value:.10g}" if isinstance(value, float) else str(value or ""))


def _cells(columns: Sequence[str], row: Mapping[str, Any]) -> Iterator[str]:
    """Yield the text of each cell of a row."""
    for column in columns:
        value = row.get(column)
        if value is None or (isinstance(value, float) and math.isnan(value)):
            yield ""
        else:
            yield digits(column, value) if isinstance(value, float) else str(value)


def digits(column: str, value: float) -> str:
    """Write a number: points to a hundredth of a pixel, measurements with sensible digits."""
    if column in ("row", "column", "widest_row", "widest_column"):
        return f"{value:.2f}"
    return f"{value:.7g}" if column == "mm_per_pixel" else sensible(value)


def sensible(value: float) -> str:
    """Write a measurement with five digits, or all of its integer part, never with an exponent.

    >>> sensible(0.0421317), sensible(12345.678), sensible(287.436712), sensible(0.0)
    ('0.042132', '12346', '287.44', '0')
    """
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    decimals = max(0, 4 - math.floor(math.log10(abs(value))))
    text = f"{value:.{decimals}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
