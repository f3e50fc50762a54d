"""CSV files that spreadsheets open as they are."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from fissura.files.atomic import replacing


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
        yield csv.writer(file).writerow
