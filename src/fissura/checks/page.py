"""The page of a check: findings, advice, distributions and samples, in one file of HTML."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fissura.checks.advice import Advice
from fissura.checks.classes import amounts, overlaps
from fissura.checks.finding import Finding
from fissura.checks.lines import lines_of, unmarked_lines, working_copy
from fissura.checks.survey import Reader, Survey
from fissura.data.folder import natural_order
from fissura.errors import InputError
from fissura.evaluation.figures import encode, shrink
from fissura.html.pages import counted, data_address, environment
from fissura.overlay import SKY_BLUE, VERMILION, outline_of, overlay

SECTIONS = {
    "findings": "Findings",
    "advice": "How to train on it",
    "cracks": "Cracks",
    "samples": "Samples",
    "split": "Split",
    "files": "Files",
}
SAMPLES = 12
EACH = 3  # examples of a finding
SIDE = 480  # pixels of the longest side of an image
LEVELS = ((2.0, "fail", "serious"), (1.0, "warn", "look at it"), (-1.0, "", "remark"))


def page(
    title: str,
    found: Survey,
    findings: Sequence[Finding],
    advice: Sequence[Advice],
    command: str,
    reader: Reader,
) -> str:
    """Return the HTML of a check.

    Args:
        title: Name of the folder.
        found: What a look at every photo and mask told.
        findings: What the owner should know.
        advice: Options of a training.
        command: The command that follows from them.
        reader: Reader of the photos that are shown.
    """
    template = environment(Path(__file__).parent).get_template("check.html")
    parts = {part: found.planned.count(part) for part in ("train", "val", "test")}
    return template.render(
        title=f"Check of {title}",
        about=[counted(len(found.looks), "photo"), found.folder.described(), found.mask_rule],
        sections=SECTIONS,
        tiles=_tiles(found),
        findings=[
            {"finding": finding, **_level(finding), "examples": list(_examples(finding, reader))}
            for finding in findings
        ],
        advice=advice,
        command=command,
        classes=amounts(found.looks, found.planned, found.labels),
        overlaps=overlaps(found.looks, found.labels),
        histograms=_histograms(found),
        samples=list(_samples(found, reader)),
        parts=parts,
        plan=found.plan,
        modes=found.modes,
        skipped=[(str(bad.file), bad.reason) for bad in found.skipped],
        colors={"mask": VERMILION, "line": SKY_BLUE},
    )


def level(finding: Finding) -> str:
    """Return how weighty a finding is, in words.

    Args:
        finding: The finding.
    """
    return str(_level(finding)["level"])


def _level(finding: Finding) -> dict[str, str]:
    """How weighty a finding is: a class of the stylesheet, and words."""
    style, words = next((style, words) for least, style, words in LEVELS if finding.weight >= least)
    return {"style": style, "level": words}


def _tiles(found: Survey) -> list[tuple[str, str]]:
    """The most important figures of a set."""
    looks = found.looks
    pixels = sum(look.valid for look in looks)
    thick = [look.thickness[1] for look in looks if look.thickness is not None]
    sizes = {look.size_hw for look in looks}
    height, width = sorted(sizes)[len(sizes) // 2]
    tiles = [
        ("photos with a mask", f"{len(looks):,}"),
        ("size in pixels", f"{width}×{height}" if len(sizes) == 1 else f"{len(sizes)} sizes"),
        (
            f"{'marked' if found.labels.classes else 'crack'} pixels",
            f"{sum(look.crack for look in looks) / max(pixels, 1):.2%}",
        ),
        (
            f"photos without {'a class' if found.labels.classes else 'crack'}",
            f"{sum(not look.crack for look in looks):,}",
        ),
    ]
    if thick:
        tiles.append(("typical thickness", f"{np.median(thick):.0f} px"))
    ignored = 1 - pixels / sum(look.size_hw[0] * look.size_hw[1] for look in looks)
    if ignored > 0:
        tiles.append(("pixels without label", f"{ignored:.2%}"))
    return tiles


def _histograms(found: Survey) -> list[dict[str, Any]]:
    """Bars of the crack fraction and of the thickness, by photo."""
    fractions = [100 * look.fraction for look in found.looks if look.crack]
    thick = [look.thickness[1] for look in found.looks if look.thickness is not None]
    return [
        _bars(
            "crack pixels of a photo, percent",
            fractions,
            [0, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100],
        ),
        _bars(
            "thickness of a photo's cracks, median, pixels",
            thick,
            [0, 1.5, 2.5, 4, 6, 10, 16, 24, 40, 80, 1e9],
        ),
    ]


def _bars(title: str, values: list[float], edges: list[float]) -> dict[str, Any]:
    """The bars of a histogram, with the percentage of the highest one for the height of each."""
    counts, _ = np.histogram(values, edges)
    top = max(int(counts.max(initial=0)), 1)
    labels = [
        f"{low:g} to {high:g}" if high < 1e6 else f"over {low:g}" for low, high in pairwise(edges)
    ]
    bars = [
        {"label": label, "count": int(count), "height": 100 * int(count) / top}
        for label, count in zip(labels, counts, strict=True)
    ]
    return {"title": title, "bars": bars}


def _samples(found: Survey, reader: Reader) -> Iterator[dict[str, Any]]:
    """Photos from the fewest crack pixels to the most, evenly."""
    order = sorted(found.looks, key=lambda look: (look.fraction, natural_order(look.name)))
    places = np.unique(np.linspace(0, len(order) - 1, min(SAMPLES, len(order))).round().astype(int))
    for place in places:
        look = order[int(place)]
        if (drawn := _drawn(look.name, reader, lines=False)) is not None:
            yield {"source": drawn, "name": look.name, "note": f"{look.fraction:.2%} crack"}


def _examples(finding: Finding, reader: Reader) -> Iterator[dict[str, Any]]:
    """Images of the clearest cases of a finding."""
    if finding.weight < 0.3:
        return
    lines = finding.kind == "weak labels"
    for file in finding.files[:EACH]:
        pair, _, how = file.partition(" (")
        names = [name for name in pair.split(" ~ ") if name in reader.pairs]
        sources = [_drawn(name, reader, lines=lines) for name in names]
        if sources and all(sources):
            note = how.removesuffix(")")
            yield {"images": list(zip(names, sources, strict=True)), "note": note}


def _drawn(name: str, reader: Reader, *, lines: bool) -> str | None:
    """A photo with its mask, and with the lines off it, as an address that holds it."""
    try:
        image, mask, _ = reader.read(name)
    except InputError:
        return None
    if lines:
        return _with_lines(image, mask)
    small, marked = shrink(image, mask, longest=SIDE)
    return data_address(*encode(overlay(small, marked)))


def _with_lines(image: NDArray[np.uint8], mask: NDArray[np.bool_]) -> str | None:
    """A photo with its mask and the lines off it."""
    gray, soft, scale = working_copy(image, mask)
    marked = soft > 0.5
    if not marked.any():
        return None
    _, response, _ = lines_of(gray, soft, 2.0, scale)
    lines = unmarked_lines(response, marked, 2.0) > 0
    import cv2

    small = image
    if scale < 1:
        small = cv2.resize(image, gray.shape[::-1], interpolation=cv2.INTER_AREA).astype(np.uint8)
    drawn = overlay(small, marked)
    return data_address(*encode(overlay(drawn, lines, SKY_BLUE, outline=outline_of(lines.shape))))
