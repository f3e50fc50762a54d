"""What the page is told of photos and cracks, as JSON."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from fissura.inspection.rules.kinds import crack_kind
from fissura.inspection.rules.limits import Limits, judge
from fissura.measurement import Crack
from fissura.measurement.flatten import flatten
from fissura.measurement.resolution import Resolution
from fissura.serve.desk.photos.open_photos import live
from fissura.serve.desk.photos.scale import HALF
from fissura.serve.desk.storage.entry import Entry
from fissura.serve.desk.storage.store import PhotoRow

OPEN = "found"  # status of a crack that nobody has judged yet
DIGITS = 2  # of coordinates, in pixels


def shown_cracks(
    entries: Iterable[Entry], resolution: Resolution | None, least: float
) -> list[dict[str, Any]]:
    """Return cracks as the page has them; short ones are left out.

    Args:
        entries: The cracks.
        resolution: That of their photo.
        least: Length from which on a crack counts, in pixels.
    """
    kept = [entry for entry in entries if not entry.is_live or entry.crack.length >= least]
    measured = on_surface([entry.crack for entry in kept], resolution)
    return [_crack(entry, crack) for entry, crack in zip(kept, measured, strict=True)]


def on_surface(cracks: list[Crack], resolution: Resolution | None) -> list[Crack]:
    """Return cracks with the resolution of their photo, flattened where the surface is slanted."""
    if resolution is None:
        return [replace(crack, mm_per_pixel=None) for crack in cracks]
    if resolution.perspective is not None:
        return flatten(cracks, resolution.perspective, resolution.mm_per_pixel)
    return [replace(crack, mm_per_pixel=resolution.mm_per_pixel) for crack in cracks]


def _crack(entry: Entry, crack: Crack) -> dict[str, Any]:
    """Return one crack; a figure that is not known is None."""
    metrics = crack.metrics()
    top, left, bottom, right = crack.box
    return {
        "id": entry.id,
        "label": entry.id,
        "status": entry.shown_status,
        "class": entry.label,
        "note": entry.note,
        "length": _known(metrics[f"length_{crack.unit}"]),
        "mean_width": _known(metrics[f"width_mean_{crack.unit}"]),
        "max_width": _known(metrics[f"width_max_{crack.unit}"]),
        "unit": crack.unit,
        "box": [left, top, right, bottom],
        "lines": [np.round(line[:, ::-1] + HALF, DIGITS).tolist() for line in crack.lines],
        "angle": round(crack.orientation, 1),
        "kind": crack_kind(crack),
    }


def _known(value: float) -> float | None:
    """Return a number, None for NaN, which JSON cannot hold."""
    return None if math.isnan(value) else value


def summary(
    entries: Mapping[str, Entry],
    size_hw: tuple[int, int],
    resolution: Resolution | None,
    limits: Limits | None,
    least: float,
) -> dict[str, Any]:
    """Return what the list of photos shows of a photo's cracks: verdict, reasons, numbers.

    Args:
        entries: Its cracks by id.
        size_hw: Its height and width.
        resolution: Its resolution.
        limits: The rules, or None.
        least: Length from which on a crack counts, in pixels.
    """
    counted = live(entries.values(), least)
    reasons: list[str] = []
    if limits is not None:
        reasons = judge(
            limits,
            on_surface([entry.crack for entry in counted], resolution),
            size_hw=size_hw,
            mm_per_pixel=None if resolution is None else resolution.mm_per_pixel,
            perspective=None if resolution is None else resolution.perspective,
        )
    verdict = "none" if limits is None else "failed" if reasons else "ok"
    return {
        "verdict": verdict,
        "reasons": reasons,
        "cracks": len(counted),
        "open": sum(entry.shown_status == OPEN for entry in counted),
        "mm_per_pixel": None if resolution is None else resolution.mm_per_pixel,
    }


def shown_photo(row: PhotoRow) -> dict[str, Any]:
    """Return a photo as the list has it."""
    unknown = {"verdict": "none", "reasons": [], "cracks": 0, "open": 0, "mm_per_pixel": None}
    return {
        "id": row.id,
        "revision": row.revision,
        "name": row.file,
        "width": row.width,
        "height": row.height,
        "state": row.state,
        "message": row.message,
        "note": row.note,
        "unfamiliar": row.facts.get("unfamiliar", False),
        **(row.summary or unknown),
    }
