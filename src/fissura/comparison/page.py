"""The page of a comparison: both photos under a slider, the changes drawn, and tables."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fissura.comparison.changes import VERDICTS, Change
from fissura.comparison.comparison import Comparison, Pair
from fissura.comparison.folder import Inspected
from fissura.comparison.limits import RULES, GrowthLimits
from fissura.comparison.options import CompareOptions
from fissura.files import replacing
from fissura.files.failures import printable
from fissura.html.pages import ENCODING, ERRORS, data_address, environment
from fissura.inspection.records.record import Record
from fissura.version import __version__

LONGEST, SHORTEST, MANY = 1600, 700, 60  # pixels of an image; pairs from which on it is smaller
QUALITY = 85
OUTSIDE = 90  # gray where the new photo does not reach
SECTIONS = {
    "summary": "Summary",
    "changes": "Changes",
    "photos": "Photos",
    "method": "How this was compared",
    "settings": "Settings",
}


class Page:
    """The page, written when all pairs have been added.

    Args:
        path: The file.
        expected: Number of pairs, from which the size of images follows.
    """

    def __init__(self, path: Path, expected: int) -> None:
        self.path = path
        self.longest = max(SHORTEST, round(LONGEST * min(1.0, MANY / max(1, expected)) ** 0.5))
        self.views: list[dict[str, Any]] = []

    def add(self, pair: Pair, old: Record, new: Record) -> None:
        """Add a pair of photos; its records are not kept."""
        self.views.append(_view(pair, old, new, len(self.views) + 1, self.longest))

    def write(
        self,
        found: Comparison,
        inspections: Sequence[Inspected],
        limits: GrowthLimits | None,
        options: CompareOptions,
        cautions: Sequence[str],
    ) -> None:
        """Write the page."""
        template = environment(Path(__file__).parent).get_template("page.html")
        now = datetime.now().astimezone()
        old, new = (printable(inspected.folder) for inspected in inspections)
        text = template.generate(
            title="What has changed",
            about=[f"{old} → {new}", f"{now.day} {now:%B %Y, %H:%M %Z}", f"Fissura {__version__}"],
            sections=SECTIONS,
            found=found,
            views=self.views,
            verdicts=VERDICTS,
            limits=limits,
            rules=RULES,
            cautions=[*cautions, *found.edited],
            refused=[one.reason for one in found.refused],
            settings={"old": old, "new": new, **_told(options)},
        )
        with (
            replacing(self.path) as temporary,
            temporary.open("w", encoding=ENCODING, errors=ERRORS) as file,
        ):
            for part in text:
                file.write(part)


def _told(options: CompareOptions) -> dict[str, Any]:
    """Return the options that were given or have a default, by name."""
    told = asdict(options)
    return {key: value for key, value in told.items() if value is not None and key != "overwrite"}


def _view(pair: Pair, old: Record, new: Record, number: int, longest: int) -> dict[str, Any]:
    """Return what the section of a pair shows."""
    height, width = old.size_hw
    scale = min(1.0, longest / max(height, width), old.preview_scale)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    before = cv2.resize(old.preview, size, interpolation=cv2.INTER_AREA)
    registration = pair.registration
    return {
        "number": number,
        "pair": pair,
        "same_name": pair.old == pair.new,
        "ratio": f"{width / height:.4f}",
        "size_hw": (height, width),
        "shown_hw": (size[1], size[0]),
        "old_image": _address(np.asarray(before, np.uint8)),
        "new_image": _address(_warped(registration.matrix, new, scale, size)),
        "rows": [_row(pair, change, number) for change in pair.changes],
        "lines": list(_lines(pair.changes)),
        "labels": list(_labels(pair.changes)),
        "facts": _facts(pair),
    }


def _warped(
    matrix: NDArray[np.float64], new: Record, scale: float, size: tuple[int, int]
) -> NDArray[np.uint8]:
    """Return the new photo as it would look from where the old one was taken."""
    # Pixel centers are at whole numbers on each of the four images.
    whole = _scaling(1 / new.preview_scale)
    shown = _scaling(scale)
    moved = cv2.warpPerspective(
        new.preview,
        shown @ matrix @ whole,
        size,
        flags=cv2.INTER_AREA if scale < 0.5 else cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=(OUTSIDE, OUTSIDE, OUTSIDE),
    )
    return np.asarray(moved, np.uint8)


def _scaling(factor: float) -> NDArray[np.float64]:
    """Return the homography that resamples an image by a factor."""
    shift = (factor - 1) / 2
    return np.array([[factor, 0, shift], [0, factor, shift], [0, 0, 1]])


def _address(image: NDArray[np.uint8]) -> str:
    """Return an image as an address that holds it."""
    quality = [cv2.IMWRITE_JPEG_QUALITY, QUALITY]
    _, encoded = cv2.imencode(".jpg", np.ascontiguousarray(image[..., ::-1]), quality)
    return data_address("image/jpeg", io.BytesIO(encoded.tobytes()).getvalue())


def _facts(pair: Pair) -> list[str]:
    """Return what is known of a pair and its registration, in sentences."""
    registration, known = pair.registration, pair.mm_per_pixel

    def both(pixels: float) -> str:
        return f"{pixels:.2f} px" + ("" if known is None else f" ({pixels * known:.2g} mm)")

    days = [str(day) if day else "day unknown" for day in (pair.old_day, pair.new_day)]
    years = "" if pair.years is None else f", {pair.years:.2f} years"
    resolution = (
        "no resolution is known: lengths are in pixels of the old photo"
        if known is None
        else f"{known:.4g} mm per pixel of the old photo ({pair.resolution_source})"
    )
    return [
        f"Paired by {pair.by}; {days[0]} → {days[1]}{years}; {resolution}.",
        f"Registered by {registration.inliers:,} of {registration.matches:,} features that look "
        f"alike; reprojection error {both(registration.residual)}, uncertainty of a position "
        f"{both(registration.error)}; the new photo shows {registration.overlap:.0%} of the old "
        "one.",
    ]


def _row(pair: Pair, change: Change, number: int) -> dict[str, Any]:
    """Return a change as the table shows it."""
    factor = pair.per_pixel
    wide = pair.registration.old_hw[1]
    top, left, bottom, right = change.box
    cells = [
        _plain(change.old_length * factor),
        _plain(change.new_length * factor),
        _signed(change.length * factor, change.length_error * factor),
        _plain(change.old_width * factor),
        _plain(change.new_width * factor),
        _signed(change.width * factor, change.width_error * factor),
    ]
    if pair.years:
        cells.append(_signed(pair.rate(change.length), pair.rate(change.length_error)))
        cells.append(_signed(pair.rate(change.width), pair.rate(change.width_error)))
    return {
        "photo": number,
        "change": change,
        "box": ",".join(f"{value / wide:.5f}" for value in (left, top, right, bottom)),
        "cells": cells,
    }


def _plain(value: float) -> tuple[str, str]:
    """Return a number as it is read, and as it is sorted."""
    return ("–", "") if math.isnan(value) else (_digits(value), f"{value:.6g}")


def _signed(value: float, error: float) -> tuple[str, str]:
    """Return a growth with its uncertainty, and as it is sorted.

    >>> _signed(3.14159, 0.27), _signed(-0.012, 0.05), _signed(float("nan"), float("nan"))
    (('+3.14 ± 0.27', '3.14159'), ('-0.01 ± 0.05', '-0.012'), ('–', ''))
    """
    if math.isnan(value):
        return "–", ""
    decimals = 2 if not error or error < 1 else 1
    return f"{value:+.{decimals}f} ± {error:.{decimals}f}", f"{value:.6g}"


def _digits(value: float) -> str:
    """Return a length with three digits, or to the whole number."""
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:.0f}"


def _lines(changes: Sequence[Change]) -> Iterator[dict[str, Any]]:
    """Yield the centerlines to draw: path data of SVG, and their class."""
    for change in changes:
        for kind, lines in change.lines.items():
            path = "".join(_path(line) for line in lines if len(line) > 1)
            if path:
                yield {"kind": kind, "verdict": change.verdict.replace(" ", "-"), "path": path}


def _path(line: NDArray[np.float64]) -> str:
    """Return a line (n, 2) as path data of SVG, every third point of it."""
    kept = np.unique(np.append(np.arange(0, len(line), 3), len(line) - 1))
    points = " ".join(f"{column + 0.5:.1f} {row + 0.5:.1f}" for row, column in line[kept].tolist())
    return f"M{points}"


def _labels(changes: Sequence[Change]) -> Iterator[dict[str, Any]]:
    """Yield the numbers to draw beside what has changed."""
    for change in changes:
        if change.verdict not in ("new", "grown", "reduced", "closed"):
            continue
        lines = change.lines["come"] or change.lines["gone"] or change.lines["both"]
        if lines:
            line = max(lines, key=len)
            row, column = line[len(line) // 2].tolist()
            yield {"number": change.number, "x": round(column, 1), "y": round(row, 1)}
