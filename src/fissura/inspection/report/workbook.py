"""A workbook of Excel: photos, cracks with their images, classes; units in the headings."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fissura.errors import extra
from fissura.files import replacing
from fissura.inspection.exporters import Add
from fissura.inspection.exporters.tables import (
    CORRECTION_COLUMNS,
    CRACK_COLUMNS,
    PHOTO_COLUMNS,
    correction_rows,
    crack_row,
    digits,
    photo_row,
)
from fissura.inspection.records.record import Record
from fissura.inspection.report.page import About
from fissura.inspection.report.thumbnails import close_up, drawing_of
from fissura.inspection.rules.kinds import KINDS
from fissura.inspection.rules.limits import RULES, Limits
from fissura.inspection.rules.severity import WIDTH_WORDS, Classes

PICTURED = 400  # cracks that have an image; the first of each photo, so that all photos have some
OF_PHOTO = 30  # of one photo
IMAGE = 72  # pixels of an image's height
POINTS = 0.75  # of a pixel, in which Excel counts the height of a row
ROWS = 1_048_576  # of a sheet
UNITS = {
    "mm": "mm", "px": "pixels", "mm2": "mm²", "px2": "pixels²", "m2": "m²", "deg": "°",
    "percent": "%", "m": "m",
}  # fmt: skip
IMAGE_COLUMN = "image"


def heading(column: str) -> str:
    """Return a column's name as a heading with its unit.

    >>> heading("width_max_mm"), heading("area_px2"), heading("length_mm_per_m2"), heading("photo")
    ('Width max [mm]', 'Area [pixels²]', 'Length [mm per m²]', 'Photo')
    >>> heading("orientation_deg"), heading("mm_per_pixel"), heading("box_top")
    ('Orientation [°]', 'Resolution [mm per pixel]', 'Box top [pixels]')
    """
    if column == "mm_per_pixel":
        return "Resolution [mm per pixel]"
    name, unit = column, ""
    if column.endswith("_mm_per_m2"):
        name, unit = column.removesuffix("_mm_per_m2"), "mm per m²"
    elif column.startswith("box_") or column in ("widest_row", "widest_column"):
        unit = "pixels"
    elif column in ("latitude", "longitude"):
        unit = "° WGS84"
    elif column.rpartition("_")[2] in UNITS and "_" in column:
        name, _, unit = column.rpartition("_")
        unit = UNITS[unit]
    words = name.replace("_", " ").capitalize()
    return f"{words} [{unit}]" if unit else words


@contextmanager
def workbook(
    path: Path, limits: Limits | None, classes: Classes, about: About | None = None
) -> Iterator[Add]:
    """Write a workbook with the sheets Photos, Cracks, Corrections and About.

    Each has one row of headings with units, kept in view, and a filter. The sheet of cracks has an
    image of each, up to 30 of a photo and 400 in all.

    Args:
        path: The file.
        limits: Rules that the photos were judged by.
        classes: How cracks are told apart.
        about: Words beside the photos.

    Raises:
        InputError: openpyxl is not installed.
    """
    with extra("xlsx", "Writing a workbook of Excel"):
        from openpyxl import Workbook
    book = Workbook(write_only=True)
    photos = _Sheet(book, "Photos", PHOTO_COLUMNS)
    cracks = _Sheet(book, "Cracks", [*CRACK_COLUMNS[:2], IMAGE_COLUMN, *CRACK_COLUMNS[2:]])
    corrections: _Sheet | None = None
    left = PICTURED

    def add(record: Record) -> None:
        nonlocal left, corrections
        photos.add(photo_row(record))
        pictured = min(left, OF_PHOTO, len(record.cracks))
        left -= pictured
        drawing = drawing_of(record) if pictured else None
        for index, crack in enumerate(record.cracks):
            image = None
            if drawing is not None and index < pictured:
                image = close_up(drawing, record, crack, IMAGE)
            cracks.add(crack_row(record, crack), image)
        for row in correction_rows(record):
            if corrections is None:
                corrections = _Sheet(book, "Corrections", CORRECTION_COLUMNS)
            corrections.add(row)

    yield add
    for sheet in (photos, cracks, corrections):
        if sheet is not None:
            sheet.close()
    _about(book, limits, classes, about, cracks.left_out)
    with replacing(path) as temporary:
        book.save(temporary)


class _Sheet:
    """A sheet that is written row by row."""

    def __init__(self, book: Any, title: str, columns: list[str]) -> None:
        from openpyxl.cell import WriteOnlyCell
        from openpyxl.styles import Alignment, Font, PatternFill

        self.sheet, self.columns = book.create_sheet(title), columns
        self.rows, self.left_out = 1, 0
        self.sheet.freeze_panes = "C2" if title == "Cracks" else "B2"
        for index, column in enumerate(columns, start=1):
            letter = _letter(index)
            wide = 30 if column in ("reasons", "note", "resolution_source", "file") else 13
            self.sheet.column_dimensions[letter].width = wide
        heads = []
        for column in columns:
            cell = WriteOnlyCell(self.sheet, heading(column))
            cell.font, cell.fill = Font(bold=True), PatternFill("solid", fgColor="E8ECF1")
            cell.alignment = Alignment(wrap_text=True, vertical="top")
            heads.append(cell)
        self.sheet.append(heads)

    def add(self, row: dict[str, Any], image: NDArray[np.uint8] | None = None) -> None:
        """Append a row, with an image in its column."""
        if self.rows >= ROWS:
            self.left_out += 1
            return
        self.rows += 1
        if image is not None:
            self._picture(image)
        self.sheet.append([_value(column, row.get(column)) for column in self.columns])

    def _picture(self, pixels: NDArray[np.uint8]) -> None:
        """Lay an image on its cell, and make the row as high."""
        from openpyxl.drawing.image import Image
        from PIL.Image import fromarray

        buffer = io.BytesIO()
        fromarray(pixels).save(buffer, "jpeg", quality=80)
        image = Image(buffer)
        letter = _letter(self.columns.index(IMAGE_COLUMN) + 1)
        self.sheet.add_image(image, f"{letter}{self.rows}")
        self.sheet.row_dimensions[self.rows].height = (IMAGE + 4) * POINTS
        wide = self.sheet.column_dimensions[letter]
        wide.width = max(wide.width, pixels.shape[1] / 7 + 1)

    def close(self) -> None:
        """Put a filter on the headings."""
        self.sheet.auto_filter.ref = f"A1:{_letter(len(self.columns))}{self.rows}"


def _letter(number: int) -> str:
    """Return the letters of a column from 1."""
    from openpyxl.utils import get_column_letter

    return get_column_letter(number)


def _value(column: str, value: Any) -> Any:
    """Return a value as a cell holds it: a number with sensible digits, or text."""
    from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE

    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, float):
        return float(digits(column, value))
    if isinstance(value, int):
        return value
    text = ILLEGAL_CHARACTERS_RE.sub("", str(value))
    # A cell that begins so would be a formula.
    return f"'{text}" if text[:1] in ("=", "+", "@") else text


def _about(
    book: Any, limits: Limits | None, classes: Classes, about: About | None, left_out: int
) -> None:
    """Write the sheet that says how the numbers came about."""
    sheet = book.create_sheet("About")
    sheet.column_dimensions["A"].width, sheet.column_dimensions["B"].width = 34, 110
    rows: list[tuple[str, str]] = []
    if about is not None:
        rows += list(about.heading.lines.items())
        rows += [("made", about.created), ("model", about.model)]
        rows += [(name.replace("_", " "), str(value)) for name, value in about.settings.items()]
    for name, value in (limits.given() if limits else {}).items():
        rows.append((f"limit {name} = {value:g}", RULES[name]))
    rows += [(f"type {name}", rule) for name, rule in KINDS.items()]
    rows.append(("axis", f"{classes.axis:g}°; 90° is upright on the photo"))
    if classes.profile is not None:
        profile = classes.profile
        rows.append(("severity", f"{profile.title}, by the {WIDTH_WORDS[profile.width]}"))
        rows += [(f"severity {name}", text) for name, text in profile.bounds().items()]
        rows += [("source", profile.source), ("caution", profile.caution)]
    rows.append(("±", PLUS_MINUS))
    if left_out:
        rows.append(("left out", f"{left_out} cracks beyond Excel's last row; cracks.csv has them"))
    for name, text in rows:
        sheet.append([_value("", name), _value("", text)])


PLUS_MINUS = (
    "Width error is one standard deviation of a single width, by how sharply the model sees the "
    "crack's edges. It covers neither the resolution nor a model that is wrong."
)
