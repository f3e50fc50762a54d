"""Fake photos with fake cracks, as an inspection would find them, without a model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fissura.data.synthetic import draw_panel
from fissura.inspection.records.record import Record
from fissura.measurement.crack import Crack


def fake_crack(line, number: int = 1, mm_per_pixel: float | None = None, **changes: Any) -> Crack:
    """A crack of one branch. line: (k, 3) row, column, width; widths may be NaN."""
    line = np.asarray(line, float)
    places, widths = line[:, :2], line[:, 2]
    measured = np.isfinite(widths)
    length = float(np.hypot(*np.diff(places, axis=0).T).sum())
    known = widths[measured] if measured.any() else np.array([np.nan])
    half = np.nan_to_num(widths, nan=1.0).max() / 2
    top, left = np.floor(places.min(axis=0) - half).astype(int).tolist()
    bottom, right = np.ceil(places.max(axis=0) + half + 1).astype(int).tolist()
    widest = places[np.nanargmax(widths)] if measured.any() else places[0]
    figures: dict[str, Any] = {
        "number": number,
        "length": length,
        "longest_path": length,
        "width_mean": float(known.mean()),
        "width_median": float(np.median(known)),
        "width_p95": float(np.quantile(known, 0.95)),
        "width_max": float(known.max()),
        "widest_at": (float(widest[0]), float(widest[1])),
        "width_error": 0.2 if measured.any() else float("nan"),
        "area": float(np.nansum(widths[:-1] * np.hypot(*np.diff(places, axis=0).T))) or 1.0,
        "orientation": 12.5,
        "branches": 1,
        "box": (max(0, top), max(0, left), bottom, right),
        "lines": [places],
        "samples": places[measured],
        "widths": widths[measured],
        "width_errors": np.full(int(measured.sum()), 0.2),
        "mm_per_pixel": mm_per_pixel,
    }
    return Crack(**(figures | changes))


def straight(row: float, width: float, length: float = 40.0, column: float = 4.0, **given):
    """A level crack of one width."""
    columns = np.linspace(column, column + length, 9)
    line = np.stack([np.full(9, row), columns, np.full(9, width)], axis=1)
    return fake_crack(line, **given)


def fake_photo(
    name: str = "bridge/pier 1",
    cracks: list[Crack] | None = None,
    size_hw: tuple[int, int] = (60, 80),
    mm_per_pixel: float | None = None,
    **changes: Any,
) -> Record:
    """A gray photo with the given cracks, or with two."""
    if cracks is None:
        cracks = [
            straight(10, 3.0, mm_per_pixel=mm_per_pixel),
            straight(40, 1.5, 20.0, number=2, mm_per_pixel=mm_per_pixel),
        ]
    known: dict[str, Any] = {
        "file": Path(f"/photos/{name}.jpg"),
        "name": name,
        "size_hw": size_hw,
        "cracks": cracks,
        "mm_per_pixel": mm_per_pixel,
        "resolution_source": "unknown" if mm_per_pixel is None else "--mm-per-pixel",
        "preview": np.full((*size_hw, 3), 150, np.uint8),
        "preview_scale": 1.0,
    }
    return Record(**(known | changes))


def panel_photo(
    seed: int, size_hw: tuple[int, int] = (240, 320), mm_per_pixel: float | None = None, **changes
) -> Record:
    """A drawn panel, each of whose branches is a crack."""
    panel = draw_panel(seed, 1, size_hw=size_hw)
    lines = sorted(panel.centerline, key=len, reverse=True)
    cracks = [
        fake_crack(line, number=number, mm_per_pixel=mm_per_pixel)
        for number, line in enumerate((line for line in lines if len(line) > 2), start=1)
    ]
    return fake_photo(
        f"panel {seed}", cracks, size_hw, mm_per_pixel, preview=panel.image, **changes
    )


def write(exporter, records):
    """Hand records to an exporter, one after the other."""
    with exporter as add:
        for record in records:
            add(record)


@pytest.fixture(name="write", scope="session")
def write_fixture():
    return write


@pytest.fixture(name="fake_crack", scope="session")
def fake_crack_fixture():
    return fake_crack


@pytest.fixture(name="straight", scope="session")
def straight_fixture():
    return straight


@pytest.fixture(name="fake_photo", scope="session")
def fake_photo_fixture():
    return fake_photo


@pytest.fixture(name="panel_photo", scope="session")
def panel_photo_fixture():
    return panel_photo
