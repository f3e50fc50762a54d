"""What an inspector knows of each photo: a table of photos, and a `scale.yaml` in their folders."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from fissura.errors import InputError, extra
from fissura.files.documents import read_yaml
from fissura.files.spreadsheet import FORMULA
from fissura.inspection.exporters.tables import PHOTO_COLUMNS
from fissura.inspection.records.facts import PhotoFacts
from fissura.measurement.options import ResolutionOptions
from fissura.measurement.resolution import Rectangle

SCALE_FILE = "scale.yaml"
NUMBERS = tuple(entry.name for entry in fields(ResolutionOptions))
ALIASES = {
    "photo": "file", "image": "file", "name": "file", "distance": "distance_mm",
    "focal_length": "focal_length_mm", "sensor_width": "sensor_width_mm", "marker": "marker_mm",
    "notes": "note", "remark": "note", "date": "taken",
}  # fmt: skip
TEXTS = ("element", "note", "taken")
CORNERS = "corners"
SIDES = ("rectangle_width_mm", "rectangle_height_mm")
RECTANGLE = (CORNERS, *SIDES)
NAMED = 5


@dataclass(frozen=True)
class Known:
    """What is known of a photo beside its pixels.

    Attributes:
        resolution: How its resolution is found; None for the way of all photos.
        rectangle: A rectangle on the surface, which tells resolution and perspective; or None.
        source: The file that says so.
        facts: Element, note and further columns; `taken` where it is given.
    """

    resolution: ResolutionOptions | None = None
    rectangle: Rectangle | None = None
    source: Path | None = None
    facts: PhotoFacts = field(default_factory=PhotoFacts)

    @property
    def asked(self) -> str:
        """What the resolution follows from, to notice that it is another one now."""
        told = self.resolution or self.rectangle
        return "" if told is None else f"{told}"


@dataclass
class KnownPhotos:
    """What is known of photos, and what was noticed on the way, in sentences."""

    of_photo: dict[Path, Known] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)


def known_photos(files: list[Path], inputs: list[Path], table: Path | None) -> KnownPhotos:
    """Gather what a table and the folders' `scale.yaml` say of photos; the table comes first.

    Args:
        files: The photos.
        inputs: The files and folders in which they were found.
        table: A table with a row per photo (.csv or .xlsx), or None.

    Raises:
        InputError: A file cannot be read, holds a value out of range, or names a photo twice.
    """
    known = KnownPhotos()
    _from_folders(known, files, inputs)
    if table is not None:
        _from_table(known, files, table)
    return known


def _from_folders(known: KnownPhotos, files: list[Path], inputs: list[Path]) -> None:
    """Take what the nearest `scale.yaml` above each photo says."""
    roots = {path.absolute() for path in inputs if path.is_dir()}
    read: dict[Path, Known | None] = {}
    counts: dict[Path, int] = {}
    for file in files:
        for folder in file.absolute().parents:
            path = folder / SCALE_FILE
            if path not in read:
                read[path] = _scale_file(path) if path.is_file() else None
            found = read[path]
            if found is not None:
                known.of_photo[file] = found
                counts[path] = counts.get(path, 0) + 1
                break
            if folder in roots or not roots:
                break
    for path, count in counts.items():
        known.said.append(f"{path} is used for {count} {'photo' if count == 1 else 'photos'}.")


def _scale_file(path: Path) -> Known:
    """Read a `scale.yaml`."""
    try:
        values = read_yaml(path)
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read ({error}).") from error
    if not isinstance(values, dict):
        raise InputError(f"{path} holds no lines such as 'mm_per_pixel: 0.2'.")
    cells = {_column(str(name)): _cell(value) for name, value in values.items()}
    unknown = cells.keys() - {*NUMBERS, *TEXTS, *RECTANGLE, "distance_m"}
    if unknown:
        raise InputError(
            f"{path} holds {', '.join(sorted(unknown))}, which Fissura does not know. It knows "
            f"{', '.join((*NUMBERS, *RECTANGLE, *TEXTS))}."
        )
    return _known(cells, path, f"{path}")


def _from_table(known: KnownPhotos, files: list[Path], table: Path) -> None:
    """Take what the rows of a table say; cells that are empty leave what a folder says."""
    rows = list(_rows(table))
    if not rows:
        raise InputError(f"{table} holds no rows. Write a row per photo, below a row of headings.")
    if "file" not in rows[0][1]:
        raise InputError(
            f"{table} has no column 'file'; its first row holds {', '.join(rows[0][1])}. Write "
            "headings such as file, mm_per_pixel, element, note."
        )
    names = _Names(files)
    taken: dict[Path, int] = {}
    unmatched = []
    for number, cells in rows:
        name = cells.pop("file")
        if not name:
            continue
        photo = names.find(name, f"{table}, row {number}")
        if photo is None:
            unmatched.append(name)
            continue
        if photo in taken:
            raise InputError(
                f"{table} names {name} twice, in rows {taken[photo]} and {number}. Keep one."
            )
        taken[photo] = number
        row = _known(cells, table, f"{table}, row {number}")
        before = known.of_photo.get(photo, Known())
        known.of_photo[photo] = _joined(before, row)
    for listed, what in (
        (unmatched, f"of {table} fit no photo"),
        ([file.name for file in files if file not in taken], f"have no row in {table}"),
    ):
        if listed:
            more = f" and {len(listed) - NAMED} more" if len(listed) > NAMED else ""
            known.said.append(f"{', '.join(listed[:NAMED])}{more}: {len(listed)} {what}.")


def _joined(before: Known, row: Known) -> Known:
    """Lay a row upon what the folder says."""
    changes = {name: value for name, value in vars(row.facts).items() if value}
    facts = replace(before.facts, **changes)
    if row.source is None:
        return replace(before, facts=facts)
    return replace(row, facts=facts)


class _Names:
    """Photos by their paths' ends, with and without suffix."""

    def __init__(self, files: Iterable[Path]) -> None:
        self.by_last: dict[str, list[Path]] = {}
        for file in files:
            for last in {file.name.casefold(), file.stem.casefold()}:
                self.by_last.setdefault(last, []).append(file)

    def find(self, name: str, where: str) -> Path | None:
        """Return the photo that a cell names; None where there is none."""
        parts = [part.casefold() for part in re.split(r"[/\\]", name) if part not in ("", ".")]
        if not parts:
            return None
        fits = []
        for file in self.by_last.get(parts[-1], []):
            own = [part.casefold() for part in file.absolute().parts][:-1]
            if own[len(own) - len(parts) + 1 :] == parts[:-1]:
                fits.append(file)
        if len(fits) > 1:
            raise InputError(
                f"{where}: {name} may be {fits[0]} or {fits[1]}. Write the folder before the name."
            )
        return fits[0] if fits else None


def _known(cells: Mapping[str, str], path: Path, where: str) -> Known:
    """Return what the cells of a photo or a folder say."""
    numbers: dict[str, Any] = {}
    for name in (*NUMBERS, "distance_m"):
        if text := cells.get(name, ""):
            value = _number(text, f"{where}: {name}")
            numbers["distance_mm" if name == "distance_m" else name] = (
                value * 1000 if name == "distance_m" else value
            )
    try:
        resolution = ResolutionOptions(**numbers) if numbers else None
    except InputError as error:
        raise InputError(f"{where}: {str(error).replace('--', '').replace('-', '_')}") from error
    rectangle = _rectangle(cells, where)
    if rectangle is not None and resolution is not None:
        raise InputError(
            f"{where}: a rectangle and {next(iter(numbers))} both tell the resolution. Give one of "
            "them."
        )
    apart = {*NUMBERS, *TEXTS, *RECTANGLE, *PHOTO_COLUMNS, "distance_m", "file"}
    others = {name: text for name, text in cells.items() if text and name not in apart}
    facts = PhotoFacts(
        others=others,
        element=cells.get("element", ""),
        note=cells.get("note", ""),
        taken=cells.get("taken", ""),
    )
    return Known(resolution, rectangle, path if resolution or rectangle else None, facts)


def _rectangle(cells: Mapping[str, str], where: str) -> Rectangle | None:
    """Return the rectangle that the cells tell, its corners being eight numbers."""
    given = [name for name in RECTANGLE if cells.get(name)]
    if not given:
        return None
    missing = [name for name in RECTANGLE if name not in given]
    if missing:
        raise InputError(
            f"{where} has {' and '.join(given)}, but not {' and '.join(missing)}. A rectangle is "
            "known by all three."
        )
    numbers = [float(text) for text in re.findall(r"-?\d+(?:\.\d+)?", cells[CORNERS])]
    if len(numbers) != 8:
        raise InputError(
            f"{where}: {CORNERS} is {cells[CORNERS]!r}; it must be eight numbers with spaces "
            "between, x and y of each corner in pixels, around the rectangle, with decimal points."
        )
    corners = tuple(zip(numbers[::2], numbers[1::2], strict=True))
    width, height = (_number(cells[name], f"{where}: {name}") for name in SIDES)
    return Rectangle(corners, width, height)


def _number(text: str, where: str) -> float:
    """Read a number with a decimal point or a decimal comma."""
    if re.fullmatch(r"[1-9]\d{0,2},\d{3}", text):
        plain, decimal = text.replace(",", ""), text.replace(",", ".")
        raise InputError(f"{where} is {text}, which may be {plain} or {decimal}. Write which.")
    try:
        value = float(text.replace(",", "."))
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise InputError(f"{where} is {text!r}; it must be a number above 0, without its unit.")
    return value


def _rows(table: Path) -> Iterable[tuple[int, dict[str, str]]]:
    """Yield the number of each row of a table, and its cells by column."""
    suffix = table.suffix.lower()
    lines = _sheet(table) if suffix == ".xlsx" else _text_table(table)
    heads: list[str] = []
    for number, cells in lines:
        if not any(cells):
            continue
        if not heads:
            heads = [_column(cell) for cell in cells]
            if double := next((head for head in heads if head and heads.count(head) > 1), None):
                raise InputError(f"{table} has two columns for {double}. Keep one.")
            continue
        yield number, {head: cell for head, cell in zip(heads, cells, strict=False) if head}


def _text_table(table: Path) -> Iterable[tuple[int, list[str]]]:
    """Yield the lines of a table of text, whatever spreadsheet wrote it."""
    try:
        content = table.read_bytes()
    except OSError as error:
        raise InputError(f"{table} cannot be read ({error.strerror}).") from error
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("cp1252", "replace")  # of Excel where UTF-8 is not chosen
    first = text.split("\n", 1)[0]
    delimiter = max((",", ";", "\t"), key=first.count)
    try:
        for number, cells in enumerate(csv.reader(io.StringIO(text), delimiter=delimiter), start=1):
            yield number, [_unquoted(cell.strip()) for cell in cells]
    except csv.Error as error:
        raise InputError(f"{table} is no table that can be read ({error}).") from error


def _unquoted(cell: str) -> str:
    """Return a cell without the apostrophe that keeps it from being a formula."""
    return cell[1:] if cell[:1] == "'" and cell[1:2] in tuple(FORMULA) else cell


def _sheet(table: Path) -> Iterable[tuple[int, list[str]]]:
    """Yield the rows of the first sheet of a workbook."""
    with extra("xlsx", "Reading a table of Excel"):
        from openpyxl import load_workbook
    try:
        book = load_workbook(table, read_only=True, data_only=True)
        rows = list(book.worksheets[0].iter_rows(values_only=True))
        book.close()
    except Exception as error:  # openpyxl raises of every kind where a file is damaged
        raise InputError(f"{table} cannot be read as a workbook ({error}).") from error
    for number, cells in enumerate(rows, start=1):
        yield number, [_cell(cell) for cell in cells]


def _cell(value: Any) -> str:
    """Return the text of a cell or of a value in YAML."""
    if value is None:
        return ""
    return f"{value:.10g}" if isinstance(value, float) else str(value).strip()


def _column(head: str) -> str:
    """Return a heading as the name of a column: 'mm per pixel' is mm_per_pixel."""
    name = re.sub(r"\W+", "_", head.strip().casefold()).strip("_")
    return ALIASES.get(name, name)
