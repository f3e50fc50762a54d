"""CSV files that spreadsheets open as they are."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from fissura.files.atomic import replacing

FORMULA = "=+-@\t\r"  # with one of these a spreadsheet begins a formula


@contextmanager
def spreadsheet(path: Path) -> Iterator[Callable[[Iterable[object]], object]]:
    """Write a CSV file with a byte order mark, by which Excel knows UTF-8; whole or not at all.

    Args:
        path: The file.

    Yields:
        The function that writes a row.
    """
    with (
        replacing(path) as temporary,
        temporary.open("w", newline="", encoding="utf-8-sig", errors="backslashreplace") as file,
    ):
        writer = csv.writer(file)
        yield lambda row: writer.writerow([plain(cell) for cell in row])


def plain(cell: object) -> object:
    """Return a cell that no spreadsheet takes for a formula.

    A name of a photo may begin so, and what it asks for would run on the machine of whoever opens
    the table. Such text gets an apostrophe in front, by which spreadsheets know text.

    Args:
        cell: A number stays as it is, as text too.

    >>> plain("=1+1.png"), plain("-0.5"), plain("-"), plain(-3)
    ("'=1+1.png", '-0.5', '-', -3)
    """
    if not isinstance(cell, str) or len(cell) < 2 or cell[0] not in FORMULA:
        return cell
    try:
        float(cell)
    except ValueError:
        return f"'{cell}"
    return cell
