"""The report of an inspection: one HTML page that opens anywhere, without network, and prints.

Photos are taken one after the other. What stands in front of them on the page, summary and tables,
is only known behind the last: so their part goes to a file of its own first.
"""

from __future__ import annotations

import math
import operator
import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from fissura.files import replacing
from fissura.inspection.histogram import Widths
from fissura.inspection.limits import Limits
from fissura.inspection.record import Record
from fissura.inspection.report_tables import Tables
from fissura.inspection.simple_markdown import to_html
from fissura.inspection.summary import Sums, cautions, summary
from fissura.inspection.viewer import photo_section

LONGEST, SHORTEST = 1600, 700  # bounds of the longer side of a picture, in pixels
MANY = 100  # photos from which on pictures are smaller, so that the page keeps its size

# Names of files need not be text in Unicode.
ENCODING, ERRORS = "utf-8", "backslashreplace"

CSP = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "base-uri 'none'; form-action 'none'"
)

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

METHOD = """\
<p>Each pixel has a probability of being crack, which a model gave it (in a mask it is 0 or 1);
connected pixels above the threshold are one crack. Its centerline is drawn through the middle
between its edges. The <b>length</b> is that of the centerline with all its branches, the
<b>longest path</b> the longest way along it between two of its ends.</p>
<p>The <b>width</b> is measured across the centerline at each of its points, from edge to edge, to
fractions of a pixel; not within junctions, nor where gaps were bridged. The table gives the mean,
the median, the 95th percentile (95 % of the places are no wider) and the maximum. <b>±</b> is the
typical uncertainty of a single width, one standard deviation, as it follows from how sharply the
model sees the edges; it does not hold errors of the scale or of the model. The <b>area</b> counts
the crack's pixels. The <b>direction</b> is in degrees: 0 lies, 90 stands, 45 rises to the right.
Places are given as row and column in pixels, from the photo's upper left corner.</p>"""


@dataclass
class _Gathered:
    """What is kept of all photos."""

    tables: Tables
    sums: Sums = field(default_factory=Sums)
    widths: dict[str, Widths] = field(default_factory=lambda: {"mm": Widths(), "px": Widths()})


def write_report(
    path: Path,
    inspected: Iterable[Record],
    *,
    settings: Mapping[str, Any],
    model_card: str | None,
    limits: Limits | None,
    versions: Mapping[str, str],
    created: str,
    overlay: Callable[[Record], NDArray[np.uint8]],
) -> None:
    """Write the report of an inspection as one HTML file that holds everything it shows.

    inspected:  gone through once, a photo in memory at a time. Pictures are at most 1600 pixels a
                side, and fewer where `inspected` has a length of more than 100.
    settings:   of the inspection, name to value, as they shall be read.
    model_card: Markdown, or None.
    limits:     that the photos were judged by, or None.
    versions:   of the software, name to version.
    created:    date and time, as it shall be read.
    overlay:    draws a photo's cracks on its preview, RGB; as wide as the preview (or enlarged),
                and taller where a legend stands below, as `draw_cracks` has it.

    Everything that a user may have named is escaped; a Content Security Policy forbids the page
    every request.
    """
    expected = operator.length_hint(inspected, 0)
    longest = max(SHORTEST, round(LONGEST * min(1.0, MANY / max(1, expected)) ** 0.5))
    gathered = _Gathered(Tables(limits))
    path.parent.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryFile("w+", dir=path.parent, encoding=ENCODING, errors=ERRORS) as photos,
        replacing(path) as temporary,
        temporary.open("w", encoding=ENCODING, errors=ERRORS) as file,
    ):
        for number, photo in enumerate(inspected, start=1):
            gathered.tables.add(photo, number)
            gathered.sums.add(photo)
            for crack in photo.cracks:
                gathered.widths[photo.unit].add(crack.widths * (photo.mm_per_pixel or 1.0))
            photos.write(photo_section(photo, number, overlay(photo), longest=longest))
        photos.seek(0)
        _write_front(file, gathered, limits, created, settings)
        shutil.copyfileobj(photos, file)
        _write_back(file, gathered, settings, model_card, versions)


def _write_front(
    file: IO[str],
    gathered: _Gathered,
    limits: Limits | None,
    created: str,
    settings: Mapping[str, Any],
) -> None:
    title = f"Crack inspection of {_counted(gathered.sums.photos, 'photo')}"
    about = " · ".join(
        [created, *(f"model {settings[key]}" for key in ("model",) if key in settings)]
    )
    links = "".join(f'<a href="#{key}">{text}</a>' for key, text in SECTIONS.items())
    file.write(
        f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{CSP}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{escape(title)}</title>
<style>
{_beside("report.css")}</style>
</head>
<body>
<header>
<h1>{escape(title)}</h1>
<p class="about">{escape(about)}</p>
<nav aria-label="Contents">{links}</nav>
</header>
<main>
{_heading("summary")}
{summary(gathered.sums, gathered.widths, limits)}
</section>
{_heading("verdicts")}
{gathered.tables.photos_html()}
</section>
{_heading("cracks")}
{gathered.tables.cracks_html()}
</section>
{_heading("photos")}
"""
    )


def _write_back(
    file: IO[str],
    gathered: _Gathered,
    settings: Mapping[str, Any],
    model_card: str | None,
    versions: Mapping[str, str],
) -> None:
    card = to_html(model_card) if model_card else "<p>The model came without a description.</p>"
    warned = "".join(f"<li>{escape(text)}</li>" for text in cautions(gathered.sums))
    file.write(
        f"""</section>
{_heading("method")}
{METHOD}
<h3>What to keep in mind</h3>
<ul>{warned}</ul>
</section>
{_heading("settings")}
{_listed(settings)}
</section>
{_heading("model")}
<div class="card">{card}</div>
</section>
{_heading("versions")}
{_listed(versions)}
</section>
</main>
<script>
{_beside("report.js")}</script>
</body>
</html>
"""
    )


def _heading(key: str) -> str:
    """Begin a section."""
    title = f'<h2 id="{key}-title">{SECTIONS[key]}</h2>'
    return f'<section id="{key}" aria-labeledby="{key}-title">{title}'


def _listed(values: Mapping[str, Any]) -> str:
    entries = "".join(
        f"<dt>{escape(str(key).replace('_', ' '))}</dt><dd>{escape(_written(value))}</dd>"
        for key, value in values.items()
    )
    return f"<dl>{entries}</dl>"


def _written(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {_written(entry)}" for key, entry in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(_written, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float) and math.isfinite(value):
        return f"{value:.6g}"
    return str(value)


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _beside(name: str) -> str:
    return files("fissura.inspection").joinpath(name).read_text(encoding="utf-8")
