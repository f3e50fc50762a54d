"""A photo's section of the report: its facts, its reasons, and the photo to zoom into."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fissura.files.failures import printable
from fissura.files.images import shrunk
from fissura.html.pages import counted, data_address
from fissura.inspection.records.record import Record
from fissura.inspection.records.totals import totals, verdict
from fissura.inspection.report.tables import number_text
from fissura.inspection.report.thumbnails import drawing_of, locator_and_close_up

QUALITY = 85
LOSSLESS = 256  # pixels of the longer side up to which an image is a PNG
SHOWN_REASONS = 5
NAMED_REJECTED = 10
THUMBNAIL, LEAST_THUMBNAIL = 13, 72  # of a photo's longer side; pixels of a height
TOOLS = (
    ("in", "+", "Zoom in"),
    ("out", "−", "Zoom out"),
    ("fit", "Whole photo", "Show the whole photo"),
)


@dataclass(frozen=True)
class Image:
    """An image of the page: its size in pixels, and its content as an address."""

    width: int
    height: int
    source: str


@dataclass(frozen=True)
class Reason:
    """Why a photo fails: in words, and the crack that is meant, small, or None."""

    text: str
    image: Image | None


@dataclass(frozen=True)
class PhotoView:
    """A photo as its section shows it.

    Attributes:
        number: Number of the photo in the report, from 1; its anchor is #photo-NUMBER.
        name: Name of the photo.
        verdict: "pass", "fail" or "not judged".
        facts: What was found, in a line.
        reasons: Why it fails the limits.
        plain: The photo.
        drawn: The photo with its cracks drawn; as wide, and taller by a legend.
        pixels: Whether it is so small that its pixels are shown as squares.
        ratio: Width over height of the drawing.
        files: Files written for it.
        corrected: What a corrected mask changed, in a line; empty where there is none.
        rejected: Cracks of the model that were erased.
        told: When, where and with what it was taken, and of what, in a line.
        domain: A warning where it is unlike the model's training photos; else empty.
    """

    number: int
    name: str
    verdict: str
    facts: str
    reasons: list[Reason]
    plain: Image
    drawn: Image
    pixels: bool
    ratio: str
    files: str
    corrected: str
    rejected: list[str]
    told: str
    domain: str


def photo_view(
    record: Record, number: int, *, longest: int, overlay: tuple[Path, str] | None = None
) -> PhotoView:
    """Return a photo as its section shows it.

    Args:
        record: Its record.
        number: Its number in the report, from 1.
        longest: Pixels of the longer side that images are shrunk to.
        overlay: File of its drawing, and the address by which the page links to it; by default the
            preview is drawn anew, and lies in the page.
    """
    drawing = drawing_of(record) if overlay is None else None
    thumbnail = max(LEAST_THUMBNAIL, longest // THUMBNAIL)
    plain = shrunk(record.preview, longest)[0]
    if drawing is not None:
        drawn = _image(shrunk(drawing, longest)[0])
    else:
        assert overlay is not None
        drawn = _linked(*overlay)
    listed = (f"{kind}: {path}" for kind, path in record.files.items())
    return PhotoView(
        number=number,
        name=record.text_name,
        verdict=verdict(record),
        facts=facts(record),
        reasons=list(_reasons(record, drawing, thumbnail)),
        plain=_image(plain),
        drawn=drawn,
        pixels=max(plain.shape) <= LOSSLESS,
        ratio=f"{drawn.width / drawn.height:.4f}",
        files=printable(" · ".join(listed)),
        corrected=printable(_sentence(record.correction.words())) if record.correction else "",
        rejected=list(_rejected(record)),
        domain=record.domain_warning,
        told=printable(" · ".join(record.facts.words())),
    )


def _reasons(record: Record, drawing: NDArray[np.uint8] | None, side: int) -> Iterator[Reason]:
    """Yield the reasons; the first ones with an image of their crack, where there is a drawing."""
    pictured: set[int] = set()
    over = [*record.over, *[0] * (len(record.failures) - len(record.over))]
    for index, (text, number) in enumerate(zip(record.failures, over, strict=True)):
        image = None
        if drawing is not None and index < SHOWN_REASONS and number and number not in pictured:
            pictured.add(number)
            crack = record.cracks[number - 1]
            image = _image(locator_and_close_up(drawing, record, crack, side))
        yield Reason(text, image)


def _linked(file: Path, address: str) -> Image:
    """Return an image file that a page links to."""
    from PIL.Image import open as open_image

    with open_image(file) as image:
        return Image(image.width, image.height, address)


def _sentence(words: str) -> str:
    """Begin words as a sentence begins."""
    return words[:1].upper() + words[1:]


def _rejected(record: Record) -> Iterator[str]:
    """Yield the cracks of the model that were erased, with their numbers of then."""
    per_pixel, unit = record.mm_per_pixel or 1.0, record.unit
    for crack in record.correction.rejected[:NAMED_REJECTED] if record.correction else ():
        yield (
            f"crack {crack.number} of the model, {number_text(crack.length * per_pixel)} {unit} "
            f"long, {number_text(crack.width_max * per_pixel)} {unit} wide"
        )
    more = len(record.correction.rejected) - NAMED_REJECTED if record.correction else 0
    if more > 0:
        yield f"and {more} more, which corrections.csv has"


def facts(record: Record) -> str:
    """Return what was found on a photo, in a line of plain text."""
    height, width = record.size_hw
    found, per_pixel, unit = totals(record), record.mm_per_pixel or 1.0, record.unit
    said = [f"{width:,} × {height:,} pixels"]
    if record.mm_per_pixel is None:
        said.append("resolution unknown: lengths and widths in pixels")
    else:
        resolution, source = (
            f"{record.mm_per_pixel:.4g} mm per pixel",
            record.resolution_source.rstrip("."),
        )
        said.append(source if resolution in source else f"{resolution} ({source})")
    if not record.cracks:
        return " · ".join([*said, "no crack found"])
    said.append(counted(len(record.cracks), "crack"))
    said.append(f"{number_text(found.length * per_pixel)} {unit} long in all")
    if found.widest is not None:
        widest = number_text(found.widest.width_max * per_pixel)
        said.append(f"widest {widest} {unit} (crack {found.widest.number})")
    said.append(f"{number_text(found.percent)} % of the area")
    return " · ".join(said)


def _image(pixels: NDArray[np.uint8]) -> Image:
    """Return an image of the page."""
    from PIL.Image import fromarray

    buffer, kind = io.BytesIO(), "png" if max(pixels.shape) <= LOSSLESS else "jpeg"
    options = {"quality": QUALITY} if kind == "jpeg" else {}
    fromarray(pixels).save(buffer, kind, **options)
    source = data_address(f"image/{kind}", buffer.getvalue())
    return Image(pixels.shape[1], pixels.shape[0], source)
