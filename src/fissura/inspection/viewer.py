"""A photo's part of the report: what was found on it, and its picture to zoom into."""

from __future__ import annotations

import base64
import io
import math
from html import escape

import cv2
import numpy as np
from numpy.typing import NDArray

from fissura.inspection.record import Record
from fissura.inspection.tables import totals, verdict

QUALITY = 85
LOSSLESS = 256  # pixels of the longer side up to which a picture is a PNG
SHOWN_REASONS = 5
TOOLS = (
    ("in", "+", "Zoom in"),
    ("out", "−", "Zoom out"),
    ("fit", "Whole photo", "Show the whole photo"),
)


def photo_section(photo: Record, number: int, overlay: NDArray[np.uint8], *, longest: int) -> str:
    """Return the HTML of one photo: heading, facts, reasons, and the picture with its drawing.

    number:  of the photo in the report, from 1; its anchor is #photo-NUMBER.
    overlay: RGB, the photo with its cracks drawn; as wide as the photo, maybe taller (a legend).
    longest: side that pictures are shrunk to, in pixels.
    """
    name = escape(photo.name)
    return f"""<section class="photo" id="photo-{number}" aria-labeledby="name-{number}">
<h3 id="name-{number}">{name} {badge(photo)}</h3>
<p class="facts">{escape(facts(photo))}</p>
{reasons(photo)}
<div class="viewer">
<input type="checkbox" class="toggle" id="drawn-{number}" checked>
<div class="tools"><label for="drawn-{number}">Show the drawing</label>
{_buttons()}</div>
{_stage(photo, overlay, longest)}
</div>
{_files(photo)}
</section>
"""


def number_text(value: float) -> str:
    """Write a figure with three digits, or all of its integer part; a dash where it is NaN.

    >>> number_text(0.04213), number_text(12345.6), number_text(0.0), number_text(float("nan"))
    ('0.0421', '12,346', '0', '–')
    """
    if math.isnan(value):
        return "–"
    if value == 0:
        return "0"
    decimals = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:,.{decimals}f}"


def badge(photo: Record) -> str:
    """Return the verdict as a small label."""
    text = verdict(photo)
    return f'<span class="badge {text.split()[-1]}">{text}</span>'


def facts(photo: Record) -> str:
    """Return what was found on a photo, in a line of plain text."""
    height, width = photo.size_hw
    found, scale, unit = totals(photo), photo.mm_per_pixel or 1.0, photo.unit
    parts = [f"{width:,} × {height:,} pixels"]
    if photo.mm_per_pixel is None:
        parts.append("scale unknown: all figures in pixels")
    else:
        parts.append(f"{photo.mm_per_pixel:.4g} mm per pixel ({photo.scale_source.rstrip('.')})")
    if not photo.cracks:
        return " · ".join([*parts, "no crack found"])
    count = len(photo.cracks)
    parts.append(f"{count:,} crack{'' if count == 1 else 's'}")
    parts.append(f"{number_text(found.length * scale)} {unit} long in all")
    if found.widest is not None:
        widest = number_text(found.widest.width_max * scale)
        parts.append(f"widest {widest} {unit} (crack {found.widest.number})")
    parts.append(f"{number_text(found.percent)} % of the area")
    return " · ".join(parts)


def reasons(photo: Record, shown: int = SHOWN_REASONS) -> str:
    """Return why a photo fails, as a list; what exceeds `shown` is folded."""
    if not photo.failures:
        return ""
    items = [f"<li>{escape(text)}</li>" for text in photo.failures]
    html = f'<ul class="reasons">{"".join(items[:shown])}</ul>'
    if len(items) > shown:
        more = len(items) - shown
        noun = "reason" if more == 1 else "reasons"
        html += (
            f'<details class="reasons"><summary>{more} more {noun}</summary>'
            f"<ul>{''.join(items[shown:])}</ul></details>"
        )
    return html


def box_in_widths(photo: Record, box: tuple[int, int, int, int]) -> str:
    """Return left, top, right and bottom of a crack's box, in widths of the photo."""
    top, left, bottom, right = box
    width = photo.size_hw[1]
    return " ".join(f"{edge / width:.4f}" for edge in (left, top, right, bottom))


def _stage(photo: Record, overlay: NDArray[np.uint8], longest: int) -> str:
    drawn, plain = _shrunk(overlay, longest), _shrunk(photo.preview, longest)
    height, width = drawn.shape[:2]
    name = escape(photo.name)
    told = escape(f"{photo.name} with its cracks drawn: {facts(photo)}")
    pixels = " pixels" if max(plain.shape) <= LOSSLESS else ""
    return f"""<div class="stage" style="--ratio: {width / height:.4f}" tabindex="-1" role="group"
 aria-label="Picture of {name}"><div class="pictures"><img class="plain{pixels}" alt="Photo {name}"
 width="{plain.shape[1]}" height="{plain.shape[0]}" src="{_data(plain)}"><img
 class="drawn" alt="{told}" width="{width}" height="{height}"
 src="{_data(drawn)}"><div class="spot" hidden></div></div></div>"""


def _buttons() -> str:
    buttons = "".join(
        f'<button type="button" data-zoom="{action}" aria-label="{title}" title="{title}">'
        f"{text}</button>"
        for action, text, title in TOOLS
    )
    return (
        f'<span class="needs-js">{buttons}<span class="hint">Drag to move; click, then use the '
        f'wheel to zoom; or pinch. <a href="#cracks">Table of cracks</a></span></span>'
    )


def _files(photo: Record) -> str:
    if not photo.files:
        return ""
    listed = " · ".join(f"{kind}: {path}" for kind, path in photo.files.items())
    return f'<p class="facts">Files: {escape(listed)}</p>'


def _shrunk(picture: NDArray[np.uint8], longest: int) -> NDArray[np.uint8]:
    height, width = picture.shape[:2]
    scale = longest / max(height, width)
    if scale >= 1:
        return picture
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)


def _data(picture: NDArray[np.uint8]) -> str:
    """Return a picture as a data: address."""
    from PIL import Image

    buffer, kind = io.BytesIO(), "png" if max(picture.shape) <= LOSSLESS else "jpeg"
    options = {"quality": QUALITY} if kind == "jpeg" else {}
    Image.fromarray(picture).save(buffer, kind, **options)
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"
