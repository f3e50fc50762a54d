"""A page for each photo, and lists of them, where a report has too many photos for one page."""

from __future__ import annotations

import heapq
from pathlib import Path
from typing import Any
from urllib.parse import quote

from fissura.files import replacing
from fissura.html.pages import ENCODING, ERRORS, environment
from fissura.inspection.records.record import Record
from fissura.inspection.records.totals import totals
from fissura.inspection.report.tables import (
    UNITS,
    crack_heads,
    crack_rows,
    photo_heads,
    photo_row,
)
from fissura.inspection.report.viewer import photo_view
from fissura.inspection.rules.limits import Limits

FOLDER, LISTS = "report", "lists"  # of the pages, and of the lists below it
LIST = 1000  # photos of a list, and of the index
LONGEST = 1600  # pixels of the longer side of an image
LOCAL = "data: file: 'self'"  # where a page may have images from: the overlay beside it


class PhotoPages:
    """Pages of photos, written as the photos come; memory is needed for a list of them.

    report/photos/NAME.html is the page of a photo, with its overlay from the folder of results;
    report/lists/1.html the list of the first thousand photos.

    Args:
        out: Folder of the report.
        macros: Those of macros.html.
        limits: Rules that the photos were judged by.
        corrected: Whether each crack has a status.
        classed: Whether there are classes of severity.

    Attributes:
        lists: Words and addresses of the lists; none where the index has room for all photos.
        most: Number of photos that the index has at most.
    """

    def __init__(
        self, out: Path, macros: Any, limits: Limits | None, *, corrected: bool, classed: bool
    ) -> None:
        self.lists: list[tuple[str, str]] = []
        self.most = LIST
        self._out, self._macros = out, macros
        self._limits, self._corrected, self._classed = limits, corrected, classed
        self._pages = environment(Path(__file__).parent)
        self._rows: dict[str, list[str]] = {unit: [] for unit in UNITS}
        self._first: dict[str, list[str]] = {unit: [] for unit in UNITS}
        # The photos with the widest cracks: whether it fails, its width, its number, unit and row.
        self._widest: list[tuple[bool, float, int, str, str]] = []
        self._number = 0

    def add(self, record: Record, number: int) -> None:
        """Write the page of a photo, and remember its rows."""
        place = Path("photos", f"{record.name}.html")
        below = quote(place.as_posix(), errors="backslashreplace")
        self._write_page(record, place)
        judged = self._limits is not None
        row = photo_row(record, number, judged=judged, link=f"{FOLDER}/{below}")
        found, unit = totals(record).widest, record.unit
        width = 0.0 if found is None else found.width_max * (record.mm_per_pixel or 1.0)
        entry = bool(record.failures), width, -number, unit, str(self._macros.photo_row(row))
        if len(self._widest) < LIST:
            heapq.heappush(self._widest, entry)
        else:
            heapq.heappushpop(self._widest, entry)
        row = photo_row(record, number, judged=judged, link=f"../{below}")
        self._rows[unit].append(str(self._macros.photo_row(row)))
        self._number = number
        if number % LIST == 0:
            self._write_list()

    def finish(self) -> dict[str, list[Any]]:
        """Write the last list; return the rows that the index has, by unit."""
        from markupsafe import Markup

        if self.lists and any(self._rows.values()):
            self._write_list()
        if len(self.lists) == 1:
            self.lists.clear()
        # In their order where they are all.
        key = (lambda entry: entry[:3]) if self.lists else (lambda entry: entry[2])
        entries = sorted(self._widest, key=key, reverse=True)
        return {unit: [Markup(one[4]) for one in entries if one[3] == unit] for unit in UNITS}

    def _write_page(self, record: Record, place: Path) -> None:
        """Write the page of a photo."""
        path = self._out / FOLDER / place
        up = "../" * (1 + len(place.parent.parts))
        overlay = record.files.get("overlay", "")
        link = f"{up}{quote(overlay)}" if (self._out / overlay).is_file() else None
        view = photo_view(
            record,
            1,
            longest=LONGEST,
            overlay=None if link is None else (self._out / overlay, link),
        )
        rows = crack_rows(record, 1, self._limits)
        self._write(
            path,
            "photo.html",
            title=record.text_name,
            images=LOCAL,
            back=f"{up}report.html",
            sections={"photos": "Photo", "cracks": "Cracks"},
            photo=self._macros.photo_section(view),
            heads=crack_heads(record.unit, self._corrected, self._classed),
            rows=self._macros.crack_rows(rows, self._corrected, self._classed) if rows else "",
        )

    def _write_list(self) -> None:
        """Write a list of photos, and forget their rows."""
        from markupsafe import Markup

        index = len(self.lists) + 1
        words = f"photos {(index - 1) * LIST + 1:,} to {self._number:,}"
        shown = [unit for unit in UNITS if self._rows[unit]]
        judged = self._limits is not None
        tables = [
            (
                UNITS[unit] if len(shown) > 1 else "",
                photo_heads(unit, judged, self._classed),
                list(map(Markup, self._rows[unit])),
            )
            for unit in shown
        ]
        self._write(
            self._out / FOLDER / LISTS / f"{index}.html",
            "photo_list.html",
            title=words.capitalize(),
            back="../../report.html",
            sections={"verdicts": "Photos in one table"},
            tables=tables,
        )
        self.lists.append((words, f"{FOLDER}/{LISTS}/{index}.html"))
        for rows in self._rows.values():
            rows.clear()

    def _write(self, path: Path, template: str, **context: Any) -> None:
        """Write a page."""
        text = self._pages.get_template(template).render(
            about=[], open_table=self._macros.open_table, **context
        )
        with replacing(path, flush=False) as temporary:
            temporary.write_text(text, encoding=ENCODING, errors=ERRORS)
