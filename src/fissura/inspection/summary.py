"""The front of the report: how many, how long, how wide, and what is wrong."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from html import escape

from fissura.inspection.histogram import Widths, histogram_svg
from fissura.inspection.limits import RULES, Limits
from fissura.inspection.record import Record
from fissura.inspection.tables import totals, verdict
from fissura.inspection.viewer import number_text

NARROW = 2.0  # pixels; what is narrower has a width that is mostly the camera's blur
NAMED = 12  # failing photos and sources of scales that are named


@dataclass
class Sums:
    """Sums over photos; `length` and `widest` by unit, mm or px.

    widest: width, number of the crack, name of the photo.
    narrow: cracks whose greatest width is below 2 pixels.
    unmeasured: cracks without any width.
    failing: names of the first photos that fail.
    """

    photos: int = 0
    cracks: int = 0
    verdicts: Counter[str] = field(default_factory=Counter)
    units: Counter[str] = field(default_factory=Counter)
    length: Counter[str] = field(default_factory=Counter)
    widest: dict[str, tuple[float, int, str]] = field(default_factory=dict)
    scales: Counter[str] = field(default_factory=Counter)
    narrow: int = 0
    unmeasured: int = 0
    failing: list[str] = field(default_factory=list)

    def add(self, photo: Record) -> None:
        """Add a photo."""
        found, scale, unit = totals(photo), photo.mm_per_pixel or 1.0, photo.unit
        self.photos += 1
        self.cracks += len(photo.cracks)
        self.verdicts[verdict(photo)] += 1
        self.units[unit] += 1
        self.length[unit] += found.length * scale  # pyright: ignore[reportArgumentType]
        if found.widest is not None:
            widest = (found.widest.width_max * scale, found.widest.number, photo.name)
            self.widest[unit] = max(self.widest.get(unit, widest), widest)
        if photo.mm_per_pixel is not None:
            self.scales[photo.scale_source.rstrip(".")] += 1
        self.narrow += sum(crack.width_max < NARROW for crack in photo.cracks)
        self.unmeasured += sum(math.isnan(crack.width_max) for crack in photo.cracks)
        if photo.failures and len(self.failing) < NAMED:
            self.failing.append(photo.name)


def summary(sums: Sums, widths: Mapping[str, Widths], limits: Limits | None) -> str:
    """Return the HTML of the summary."""
    return "\n".join(
        [
            f'<dl class="tiles">{"".join(_tiles(sums, limits))}</dl>',
            _judgment(sums, limits),
            _scale(sums),
            _rules(limits),
            *_histograms(widths, limits),
        ]
    )


def cautions(sums: Sums) -> list[str]:
    """Return what a reader has to keep in mind, a few sentences each."""
    said = [
        "Cracks were found automatically. A model can miss hairlines and cracks unlike those that "
        "it was trained on, and take joints, scratches, wires, stains or shadows for cracks. No "
        "crack in this report does not mean that there is none. Look at the pictures before you "
        "rely on a verdict.",
        "A width has an uncertainty, given as ±. A crack about as wide as a limit may lie on "
        "either side of it.",
    ]
    if sums.narrow:
        said.append(
            f"{_of(sums.narrow, sums.cracks, 'crack')} nowhere wider than {NARROW:g} pixels. Of "
            "these the width is a rough estimate: blur alone makes a hairline look a pixel or two "
            "wide. Photograph from nearer to measure them."
        )
    if sums.unmeasured:
        said.append(
            f"{_of(sums.unmeasured, sums.cracks, 'crack')} without a width: too short, or cut off "
            "by the edge of the photo."
        )
    if sums.units["mm"]:
        said.append(
            "Millimeters hold for a flat surface, photographed squarely, at the distance that the "
            "scale is for. Where it is tilted, curved or farther away, lengths and widths are off "
            "in proportion."
        )
    return said


def _tiles(sums: Sums, limits: Limits | None) -> Iterator[str]:
    yield _tile("Photos", f"{sums.photos:,}")
    if limits is not None:
        yield _tile("Pass", f"{sums.verdicts['pass']:,}", kind="pass")
        yield _tile("Fail", f"{sums.verdicts['fail']:,}", kind="fail")
    yield _tile("Cracks", f"{sums.cracks:,}")
    for unit in ("mm", "px"):
        if not sums.units[unit]:
            continue
        length, name = float(sums.length[unit]), unit
        if unit == "mm" and length >= 10_000:
            length, name = length / 1000, "m"
        yield _tile("Total length", f"{number_text(length)} <small>{name}</small>")
        if unit in sums.widest:
            width, number, photo = sums.widest[unit]
            where = f"crack {number} of {escape(photo)}"
            yield _tile("Widest crack", f"{number_text(width)} <small>{unit}</small>", where)


def _tile(title: str, figure: str, note: str = "", kind: str = "") -> str:
    below = f'<dd class="where">{note}</dd>' if note else ""
    return f'<div class="tile {kind}"><dt>{title}</dt><dd>{figure}</dd>{below}</div>'


def _judgment(sums: Sums, limits: Limits | None) -> str:
    if limits is None:
        return (
            '<p class="banner">No limits were given, so that no photo was judged. '
            "<code>--limits limits.yaml</code> does that.</p>"
        )
    failing = sums.verdicts["fail"]
    if not failing:
        return f'<p class="banner pass">All of {_photos(sums.photos)} keep the limits.</p>'
    named = ", ".join(escape(name) for name in sums.failing)
    more = f" and {failing - len(sums.failing):,} more" if failing > len(sums.failing) else ""
    return (
        f'<p class="banner fail"><b>{failing:,} of {_photos(sums.photos)} fail the limits:</b> '
        f"{named}{more}. Each photo's part says why.</p>"
    )


def _scale(sums: Sums) -> str:
    """Say where the scale comes from, and loudly where there is none."""
    parts = []
    if unknown := sums.units["px"]:
        which = f"{unknown:,} of {_photos(sums.photos)}" if sums.units["mm"] else "these photos"
        parts.append(
            f'<p class="banner warn"><b>No scale is known for {which}.</b> Their lengths and '
            "widths are in pixels (px), and say nothing about millimeters. Give "
            "<code>--mm-per-pixel</code> to get them.</p>"
        )
    if sums.scales:
        named = sums.scales.most_common(NAMED)
        texts = [
            f"{text} ({_photos(count)})" if len(sums.scales) > 1 else text for text, count in named
        ]
        more = len(sums.scales) - len(named)
        tail = f"; and {more:,} other sources" if more else ""
        parts.append(f"<p>Scale: {escape('; '.join(texts))}{tail}.</p>")
    return "".join(parts)


def _rules(limits: Limits | None) -> str:
    if limits is None:
        return ""
    rows = "".join(
        f"<tr><td><code>{name}</code></td><td class='n'>{value:g}</td><td>{RULES[name]}</td></tr>"
        for name, value in limits.given().items()
    )
    return (
        '<h3>Limits</h3><table class="rules"><thead><tr><th scope="col">Rule</th>'
        '<th scope="col" class="n">Value</th><th scope="col">It demands that</th></tr></thead>'
        f"<tbody>{rows}</tbody></table>"
    )


def _histograms(widths: Mapping[str, Widths], limits: Limits | None) -> Iterator[str]:
    shown = [unit for unit in ("mm", "px") if widths[unit].counts]
    for unit in shown:
        limit = getattr(limits, f"max_width_{unit}") if limits else None
        kind = f", photos in {unit}" if len(shown) > 1 else ""
        yield (
            f"<figure><figcaption><h3>Widths along all cracks{kind}</h3>In percent of the places "
            "where a width was measured, so that a long crack counts more than a short one."
            f"</figcaption>{histogram_svg(widths[unit], unit, limit)}</figure>"
        )


def _photos(count: int) -> str:
    return f"{count:,} photo{'' if count == 1 else 's'}"


def _of(count: int, all_of_them: int, noun: str) -> str:
    verb = "is" if count == 1 else "are"
    return f"{count:,} of {all_of_them:,} {noun}{'' if all_of_them == 1 else 's'} {verb}"
