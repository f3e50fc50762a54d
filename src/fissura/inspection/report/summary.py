"""The summary of the report: sums over all photos, in tiles and sentences."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from fissura.html.pages import counted
from fissura.inspection.records.record import Record
from fissura.inspection.records.totals import totals, verdict
from fissura.inspection.report.tables import number_text
from fissura.inspection.rules.limits import Limits

NARROW = 2.0  # pixels; the width of a narrower crack is mostly the camera's blur
NAMED = 12  # failing photos, files left out and sources of resolutions that are named


@dataclass
class Sums:
    """Sums over photos, by unit (mm or px) where they have one.

    Attributes:
        photos: Number of photos.
        cracks: Number of cracks.
        verdicts: Number of photos by verdict.
        units: Number of photos by unit.
        length: Total length by unit.
        widest: By unit the greatest width, the number of its crack, the name of its photo.
        resolutions: Number of photos by the source of their resolution.
        narrow: Number of cracks whose greatest width is below 2 pixels.
        unmeasured: Number of cracks without any width.
        failing: Names of the first photos that fail.
        corrected: Number of photos with a corrected mask.
        unfamiliar: Number of photos unlike those that the model was trained on.
        statuses: Number of cracks of these by status.
        kinds: Number and length in mm of cracks by type.
        classes: The same by class of severity, empty for those without one.
    """

    photos: int = 0
    cracks: int = 0
    verdicts: Counter[str] = field(default_factory=Counter)
    units: Counter[str] = field(default_factory=Counter)
    length: dict[str, float] = field(default_factory=dict)
    widest: dict[str, tuple[float, int, str]] = field(default_factory=dict)
    resolutions: Counter[str] = field(default_factory=Counter)
    narrow: int = 0
    unmeasured: int = 0
    failing: list[str] = field(default_factory=list)
    corrected: int = 0
    unfamiliar: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    kinds: dict[str, tuple[int, float]] = field(default_factory=dict)
    classes: dict[str, tuple[int, float]] = field(default_factory=dict)

    def add(self, record: Record) -> None:
        """Add a photo."""
        found, per_pixel, unit = totals(record), record.mm_per_pixel or 1.0, record.unit
        self.photos += 1
        self.cracks += len(record.cracks)
        self.verdicts[verdict(record)] += 1
        self.units[unit] += 1
        self.length[unit] = self.length.get(unit, 0.0) + found.length * per_pixel
        if found.widest is not None:
            widest = (found.widest.width_max * per_pixel, found.widest.number, record.text_name)
            self.widest[unit] = max(self.widest.get(unit, widest), widest)
        if record.mm_per_pixel is not None:
            self.resolutions[record.resolution_source.rstrip(".")] += 1
        self.narrow += sum(crack.width_max < NARROW for crack in record.cracks)
        self.unmeasured += sum(math.isnan(crack.width_max) for crack in record.cracks)
        self.unfamiliar += bool(record.domain_warning)
        if record.correction is not None:
            self.corrected += 1
            self.statuses.update(record.correction.counts())
        for crack in record.cracks:
            length = crack.length * (record.mm_per_pixel or 0.0)
            for sums, name in (
                (self.kinds, record.kind(crack)),
                (self.classes, record.severity(crack)),
            ):
                count, sofar = sums.get(name, (0, 0.0))
                sums[name] = count + 1, sofar + length
        if record.failures and len(self.failing) < NAMED:
            self.failing.append(record.text_name)


@dataclass(frozen=True)
class Tile:
    """A number of the summary.

    Attributes:
        title: Its title.
        value: The number as it is read.
        unit: Its unit, if any.
        note: A line below it, if any.
        kind: "pass" or "fail" for a color; empty for none.
    """

    title: str
    value: str
    unit: str = ""
    note: str = ""
    kind: str = ""


def tiles(sums: Sums, limits: Limits | None) -> Iterator[Tile]:
    """Yield the numbers of the summary."""
    yield Tile("Photos", f"{sums.photos:,}")
    if limits is not None:
        yield Tile("Pass", f"{sums.verdicts['pass']:,}", kind="pass")
        yield Tile("Fail", f"{sums.verdicts['fail']:,}", kind="fail")
    yield Tile("Cracks", f"{sums.cracks:,}")
    for unit in ("mm", "px"):
        if not sums.units[unit]:
            continue
        length, name = sums.length[unit], unit
        if unit == "mm" and length >= 10_000:
            length, name = length / 1000, "m"
        yield Tile("Total length", number_text(length), name)
        if unit in sums.widest:
            width, number, photo = sums.widest[unit]
            yield Tile("Widest crack", number_text(width), unit, f"crack {number} of {photo}")


def resolutions(sums: Sums) -> list[str]:
    """Return where the resolutions of the photos come from, the most frequent first."""
    named = sums.resolutions.most_common(NAMED)
    several = len(sums.resolutions) > 1
    texts = [f"{text} ({counted(count, 'photo')})" if several else text for text, count in named]
    more = len(sums.resolutions) - len(named)
    return texts + ([counted(more, "other source")] if more else [])


def cautions(sums: Sums) -> list[str]:
    """Return the limits of the method that matter for these photos, a few sentences each."""
    said = [
        f"{_by_hand(sums)}Cracks were found automatically. A model can miss hairlines and cracks "
        "unlike those that it was trained on, and take joints, scratches, wires, stains or shadows "
        "for cracks. No crack in this report does not mean that there is none. Look at the photos "
        "before you rely on a verdict.",
        "The ± of a width covers how sharply the model sees the crack's edges, and nothing else: "
        "not the resolution, which makes all lengths and widths of a photo wrong by the same "
        "fraction, not a model that draws cracks too wide or too narrow, not the lens. A crack "
        "about as wide as a limit may lie on either side of it.",
    ]
    if sums.narrow:
        said.append(
            f"{_of(sums.narrow, sums.cracks)} nowhere wider than {NARROW:g} pixels. Of these the "
            "width is a rough estimate: blur alone makes a hairline look a pixel or two wide. "
            "Photograph from nearer to measure them."
        )
    if sums.unmeasured:
        said.append(
            f"{_of(sums.unmeasured, sums.cracks)} without a width: too short, or cut off by the "
            "edge of the photo."
        )
    if sums.units["mm"]:
        said.append(
            "Millimeters hold for a flat surface, photographed squarely, or with a perspective "
            "that is known, at the distance that the resolution is for. Where it is tilted "
            "otherwise, curved or farther away, lengths and widths are off in proportion."
        )
    return said


def _by_hand(sums: Sums) -> str:
    """Say on how many photos a person corrected what the model found."""
    if not sums.corrected:
        return ""
    return f"The masks of {sums.corrected:,} of {counted(sums.photos, 'photo')} were corrected. "


def _of(count: int, total: int) -> str:
    """Begin a sentence about some of the cracks."""
    return f"{count:,} of {counted(total, 'crack')} {'is' if count == 1 else 'are'}"
