"""The legend under a drawing: a scale bar, the colors of widths, and the meaning of marks."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fissura.inspection.report.number_labels import letters

if TYPE_CHECKING:
    from PIL.ImageDraw import ImageDraw

PAPER, INK, FAINT = (250, 250, 250), (28, 30, 36), (110, 114, 122)
UNMEASURED = (205, 205, 205)
SUBSTANCE = 11  # widths of an entry, in heights of its letters


@dataclass(frozen=True, kw_only=True, eq=False)
class Legend:
    """The content of a legend.

    Attributes:
        font: Height of the letters in pixels.
        unit: Unit of lengths and widths: mm or px.
        per_pixel: Length of a pixel of the drawing, in `unit`.
        widest: Width at the end of the colors, in `unit`; None where no width was measured.
        colors: RGB (n, 3), from width 0 to `widest`.
        unmeasured: Whether lines without a measured width are in the drawing.
        numbered: Number of cracks that have their number in the drawing.
        cracks: Number of all cracks.
        slanted: Whether the bar of a length is that of the mean pixel.
        limit: Greatest width allowed, in `unit`; None for none.
        wider: Whether a crack is wider than the end of the colors.
    """

    font: int
    unit: str
    per_pixel: float
    widest: float | None
    colors: NDArray[np.uint8]
    unmeasured: bool
    numbered: int
    cracks: int
    slanted: bool = False
    limit: float | None = None
    wider: bool = False


def draw_legend(drawn: NDArray[np.uint8], legend: Legend) -> NDArray[np.uint8]:
    """Return a drawing, RGB (h, w, 3), with a legend under it.

    Its entries stand beside one another where there is room, else below.
    """
    from PIL import Image
    from PIL.ImageDraw import Draw

    entries = [_draw_length, *([_draw_widths] if legend.widest is not None else []), _draw_marks]
    width, margin = drawn.shape[1], legend.font
    columns = max(1, min(len(entries), (width - margin) // ((SUBSTANCE + 2) * legend.font)))
    rows = math.ceil(len(entries) / columns)
    high, wide = round(3.6 * legend.font), (width - margin) // columns
    image = Image.new("RGB", (width, rows * high + margin // 2), PAPER)
    draw = Draw(image)
    room = max(legend.font, min(wide - margin, 2 * SUBSTANCE * legend.font))
    for index, entry in enumerate(entries):
        left = margin + index % columns * wide
        top = margin // 2 + index // columns * high
        entry(draw, left, top, room, legend)
    return np.concatenate([drawn, np.asarray(image)])


def round_length(longest: float) -> float:
    """Return the greatest of 1, 2 and 5 times a power of ten that is not above `longest`.

    >>> round_length(0.7), round_length(43), round_length(200)
    (0.5, 20.0, 200.0)
    """
    power = 10.0 ** math.floor(math.log10(longest) + 1e-9)
    steps = [step * power for step in (5, 2, 1) if step * power <= longest * (1 + 1e-9)]
    return float(f"{steps[0]:.3g}")


def written_length(length: float, unit: str) -> str:
    """Write a length with the unit that suits it: µm, mm, cm or m; or px.

    >>> [written_length(mm, "mm") for mm in (0.2, 5, 50, 2000)], written_length(100, "px")
    (['200 µm', '5 mm', '5 cm', '2 m'], '100 px')
    """
    if unit == "px":
        return f"{length:g} px"
    for name, size in (("m", 1000.0), ("cm", 10.0), ("mm", 1.0)):
        if length >= size:
            return f"{length / size:g} {name}"
    return f"{length * 1000:g} µm"


def _draw_length(draw: ImageDraw, left: int, top: int, room: int, legend: Legend) -> None:
    """Draw a bar of a round length."""
    font = legend.font
    length = round_length(room * legend.per_pixel)
    pixels = round(length / legend.per_pixel)
    text = written_length(length, legend.unit)
    title = "Length, of the mean pixel" if legend.slanted else "Length"
    draw.text((left, top), title, font=letters(font), fill=FAINT)
    y, thick, tick = top + round(1.75 * font), max(2, font // 7), font // 3
    draw.rectangle((left, y - thick // 2, left + pixels, y - thick // 2 + thick - 1), fill=INK)
    for x in (left, left + pixels):
        draw.rectangle((x - thick // 2, y - tick, x - thick // 2 + thick - 1, y + tick), fill=INK)
    draw.text((left, top + round(2.1 * font)), text, font=letters(font), fill=INK)


def _draw_widths(draw: ImageDraw, left: int, top: int, room: int, legend: Legend) -> None:
    """Draw the colors of widths as a bar with numbers."""
    font, colors, widest = legend.font, legend.colors, legend.widest or 0.0
    draw.text((left, top), f"Crack width, {legend.unit}", font=letters(font), fill=FAINT)
    y, thick = top + round(1.4 * font), round(0.65 * font)
    for x in range(room):
        shade = tuple(colors[x * len(colors) // room].tolist())
        draw.line((left + x, y, left + x, y + thick), fill=shade)
    draw.rectangle((left, y, left + room, y + thick), outline=INK)
    step = round_length(widest / 2)
    decimals = max(0, -math.floor(math.log10(step)))
    end = f"{'≥ ' if legend.wider else ''}{widest:.{decimals + 1}f}"
    text_y, face = top + round(2.2 * font), letters(font)
    free = left + room - face.getlength(end) - 0.6 * font  # in front of the last number
    for count in range(int(widest / step) + 1):
        x = left + round(room * count * step / widest)
        text = f"{count * step:.{decimals}f}" if count else "0"
        if count == 0 or x + face.getlength(text) / 2 < free:
            draw.line((x, y + thick, x, y + thick + font // 5), fill=INK)
            draw.text((x, text_y), text, font=face, fill=INK, anchor="ma" if count else "la")
    draw.text((left + room, text_y), end, font=face, fill=INK, anchor="ra")
    if legend.limit is not None and legend.limit <= widest:
        x, half = left + round(room * legend.limit / widest), max(1, font // 10)
        draw.rectangle((x - half, y - font // 4, x + half, y + thick + font // 4), fill=INK)
        told = f"limit {legend.limit:g}"
        draw.text((left + room, top), told, font=face, fill=INK, anchor="ra")


def _draw_marks(draw: ImageDraw, left: int, top: int, room: int, legend: Legend) -> None:
    """Draw the marks that are in the drawing, with their meaning."""
    del room  # text is as long as it is
    font = legend.font
    face, x, radius = letters(font), left + round(1.2 * font), round(0.36 * font)
    if not legend.cracks:
        draw.text((left, top), "No crack was found", font=face, fill=INK)
        return
    if legend.widest is not None:
        middle = top + round(0.62 * font)
        box = (left, middle - radius, left + 2 * radius, middle + radius)
        draw.ellipse(box, outline=INK, width=max(1, font // 8))
        draw.text((x, top), "widest point of a crack", font=face, fill=FAINT)
        top += round(1.25 * font)
    if legend.unmeasured:
        middle = top + round(0.62 * font)
        box = (left, middle - font // 8, left + 2 * radius, middle + font // 8)
        draw.rectangle(box, fill=UNMEASURED, outline=INK)
        draw.text((x, top), "width not measured", font=face, fill=FAINT)
        top += round(1.25 * font)
    if legend.numbered < legend.cracks:
        text = f"{legend.numbered} of {legend.cracks:,} cracks are numbered"
        draw.text((left, top), text, font=face, fill=FAINT)
