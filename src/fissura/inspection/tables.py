"""Write what an inspection found as tables for a spreadsheet: a row per crack, a row per photo.

Figures stand in pixels and, in columns of their own, in millimeters; the latter are empty for a
photo whose scale is not known, so that photos with and without a scale share one table. A width
that could not be measured is empty, too.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

from fissura.files import replacing
from fissura.inspection.record import Record
from fissura.measurement.crack import Crack, figure_names

CRACK_COLUMNS = [
    "photo",
    "crack",
    *figure_names("mm"),
    *figure_names("px"),
    "orientation_deg",
    "branches",
    "widest_row",
    "widest_column",
    "box_top",
    "box_left",
    "box_bottom",
    "box_right",
    "mm_per_pixel",
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
    "scale_source",
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


AT_ONCE = 10_000  # places that are Python's numbers at a time


@dataclass(frozen=True)
class Totals:
    """All cracks of a photo together, in pixels.

    length:  sum of the lengths.
    widest:  the crack that is widest, or None where no width was measured.
    percent: share of the photo's pixels that are crack.
    """

    length: float
    widest: Crack | None
    percent: float


def totals(inspected: Record) -> Totals:
    """Sum up the cracks of a photo."""
    measured = [crack for crack in inspected.cracks if not math.isnan(crack.width_max)]
    height, width = inspected.size_hw
    return Totals(
        length=math.fsum(crack.length for crack in inspected.cracks),
        widest=max(measured, key=lambda crack: crack.width_max, default=None),
        percent=100 * math.fsum(crack.area for crack in inspected.cracks) / (height * width),
    )


def verdict(inspected: Record) -> str:
    """Return "pass" or "fail", or "not judged" where there were no limits."""
    if not inspected.judged:
        return "not judged"
    return "fail" if inspected.failures else "pass"


def write_cracks_csv(path: Path, inspected: Iterable[Record]) -> None:
    """Write a row per crack of all photos; `CRACK_COLUMNS` are its columns.

    Rows and columns of pictures count from 0 at the center of the first pixel; box_bottom and
    box_right are one past the last pixel.
    """
    rows = (_crack_row(photo, crack) for photo in inspected for crack in photo.cracks)
    _write(path, CRACK_COLUMNS, rows)


def write_photos_csv(path: Path, inspected: Iterable[Record]) -> None:
    """Write a row per photo, with its totals and its verdict; `PHOTO_COLUMNS` are its columns."""
    _write(path, PHOTO_COLUMNS, map(_photo_row, inspected))


def write_widths_csv(path: Path, inspected: Iterable[Record]) -> None:
    """Write a row per place where a width was measured; `WIDTH_COLUMNS` are its columns."""
    rows = (row for photo in inspected for crack in photo.cracks for row in _widths(photo, crack))
    _write(path, WIDTH_COLUMNS, rows)


def _widths(photo: Record, crack: Crack) -> Iterator[dict[str, Any]]:
    scale = photo.mm_per_pixel
    for begin in range(0, len(crack.places), AT_ONCE):
        some = slice(begin, begin + AT_ONCE)
        places, widths, errors = (
            values[some].tolist() for values in (crack.places, crack.widths, crack.width_errors)
        )
        for (row, column), width, error in zip(places, widths, errors, strict=True):
            yield {
                "photo": photo.name,
                "crack": crack.number,
                "row": row,
                "column": column,
                "width_px": width,
                "width_error_px": error,
                "width_mm": None if scale is None else width * scale,
                "width_error_mm": None if scale is None else error * scale,
            }


def _crack_row(photo: Record, crack: Crack) -> dict[str, Any]:
    top, left, bottom, right = crack.box
    measured = not math.isnan(crack.width_max)
    row, column = crack.widest_at if measured else (None, None)
    in_mm = replace(crack, mm_per_pixel=photo.mm_per_pixel).figures()
    return {
        "photo": photo.name,
        "crack": crack.number,
        **replace(crack, mm_per_pixel=None).figures(),
        **(in_mm if photo.mm_per_pixel is not None else {}),
        "orientation_deg": crack.orientation,
        "branches": crack.branches,
        "widest_row": row,
        "widest_column": column,
        "box_top": top,
        "box_left": left,
        "box_bottom": bottom,
        "box_right": right,
        "mm_per_pixel": photo.mm_per_pixel,
    }


def _photo_row(photo: Record) -> dict[str, Any]:
    height, width = photo.size_hw
    found, scale, area = totals(photo), photo.mm_per_pixel, photo.area_m2
    row: dict[str, Any] = {
        "photo": photo.name,
        "file": photo.file,
        "verdict": verdict(photo),
        "reasons": " ".join(photo.failures),
        "cracks": len(photo.cracks),
        "total_length_px": found.length,
        "area_percent": found.percent,
        "height_px": height,
        "width_px": width,
        "mm_per_pixel": scale,
        "scale_source": photo.scale_source,
    }
    if found.widest is not None:
        row |= {"width_max_px": found.widest.width_max, "widest_crack": found.widest.number}
    if scale is not None and area is not None:
        row |= {"total_length_mm": found.length * scale, "area_m2": area}
        row["length_mm_per_m2"] = found.length * scale / area
        if found.widest is not None:
            row["width_max_mm"] = found.widest.width_max * scale
    return row


def _write(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    with replacing(path) as temporary, _open(temporary) as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(_cells(columns, row) for row in rows)


def _open(path: Path) -> IO[str]:
    """Open a table. Names of files need not be text in Unicode."""
    return path.open("w", newline="", encoding="utf-8", errors="backslashreplace")


def _cells(columns: Sequence[str], row: Mapping[str, Any]) -> Iterator[str]:
    for column in columns:
        value = row.get(column)
        if value is None or (isinstance(value, float) and math.isnan(value)):
            yield ""
        else:
            yield f"{value:.7g}" if isinstance(value, float) else str(value)
