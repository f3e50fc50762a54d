"""Walls drawn with cracks of known growth, photographed twice, and folders of their inspections."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest

from fissura.data.synthetic import draw_panel
from fissura.data.synthetic.raster import covered_pixels
from fissura.inspection.records.record import Record
from fissura.inspection.records.store import save_record
from fissura.measurement import measure

SIZE = (420, 560)


@dataclass
class View:
    """A photo and the exact mask of its cracks; `matrix` turns x and y of the wall into its own."""

    image: np.ndarray
    mask: np.ndarray
    matrix: np.ndarray


def wall(seed, size_hw=SIZE):
    """A surface without cracks."""
    return draw_panel(seed, 0, size_hw=size_hw, crack_fraction=0.0).image


def line(start, end, width, seed=0, count=400):
    """A crack (k, 3) from one point to another, row and column, that winds a little."""
    along = np.linspace(0, 1, count)
    rng = np.random.default_rng(seed)
    sway = sum(
        rng.normal() * 6 / wave * np.sin(2 * np.pi * wave * along + rng.uniform(0, 6))
        for wave in (1, 2, 3)
    )
    start, end = np.asarray(start, float), np.asarray(end, float)
    across = np.array([-(end - start)[1], (end - start)[0]]) / np.hypot(*(end - start))
    points = start + along[:, None] * (end - start) + (sway - sway[0])[:, None] * across
    return np.column_stack([points, np.full(count, width)])


def length(crack):
    return float(np.hypot(*np.diff(crack[:, :2], axis=0).T).sum())


def tilt(seed, size_hw=SIZE, strength=0.03):
    """A homography from the wall to a photo of it, from a little aside."""
    rng = np.random.default_rng(seed)
    height, width = size_hw
    turned = np.vstack(
        [
            cv2.getRotationMatrix2D(
                (width / 2, height / 2), rng.uniform(-6, 6), rng.uniform(0.9, 1.12)
            ),
            [0, 0, 1],
        ]
    )
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    moved = corners + rng.uniform(-strength, strength, (4, 2)) * [width, height]
    return cv2.getPerspectiveTransform(corners, moved.astype(np.float32)) @ turned


def photograph(surface, cracks, matrix=None, *, seed=0, light=True):
    """Photograph a wall with cracks: drawn on a finer wall, seen by a homography, relit, noisy."""
    matrix = np.eye(3) if matrix is None else matrix
    height, width = surface.shape[:2]
    rng = np.random.default_rng(seed)
    seen = cv2.warpPerspective(
        surface, matrix, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT
    ).astype(np.float64)
    mask = np.zeros((height, width), bool)
    for crack in cracks:
        mapped = project(matrix, crack[:, 1::-1])[:, ::-1]
        beside = project(matrix, crack[:, 1::-1] + [[0.6, 0.8]])[:, ::-1]
        scale = np.hypot(*(beside - mapped).T)
        branch = np.column_stack([mapped, crack[:, 2] * scale])
        mask.reshape(-1)[covered_pixels(branch, (height, width))[0]] = True
    depth = cv2.GaussianBlur(mask.astype(np.float64), (0, 0), 0.6)
    seen *= 1 - 0.65 * depth[..., None]
    if light:
        seen = 255 * (seen / 255) ** rng.uniform(0.8, 1.2)
        seen *= np.linspace(*rng.uniform(0.75, 1.1, 2), width)[None, :, None]
    seen += rng.normal(0, 4, seen.shape)
    return View(np.clip(seen, 0, 255).astype(np.uint8), mask, matrix)


def project(matrix, points):
    mapped = np.column_stack([points, np.ones(len(points))]) @ matrix.T
    return mapped[:, :2] / mapped[:, 2:]


def write_inspection(folder: Path, views, mm_per_pixel=0.2, perspective=None, **settings):
    """Write what `fissura inspect` leaves of photos by name, its masks being exact."""
    folder.mkdir(parents=True)
    found = {"format": 2, "model": "a", "measuring": {"min_length": 10.0}, **settings}
    (folder / "inspection.json").write_text(json.dumps(found))
    (folder / "masks").mkdir()
    for name, view in views.items():
        mask = folder / "masks" / f"{name.replace('/', '-')}.png"
        cv2.imwrite(str(mask), view.mask.astype(np.uint8) * 255)
        from fissura.inspection.photos.masks import sha256

        record = Record(
            file=folder / f"{name}.jpg",
            name=name,
            size_hw=view.mask.shape,
            cracks=measure(view.mask, mm_per_pixel=mm_per_pixel),
            mm_per_pixel=mm_per_pixel,
            perspective=perspective,
            resolution_source="unknown" if mm_per_pixel is None else "--mm-per-pixel",
            preview=view.image,
            preview_scale=1.0,
            mask_sha256=sha256(mask),
            files={"mask": f"masks/{mask.name}"},
        )
        (folder / "measured" / name).parent.mkdir(parents=True, exist_ok=True)
        save_record(folder / "measured" / f"{name}.npz", record)
    return folder


def save(path, view):
    """Write a photograph as a camera does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), view.image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])


@dataclass
class Kit:
    """The functions above, for tests, which cannot import this file."""

    wall = staticmethod(wall)
    line = staticmethod(line)
    length = staticmethod(length)
    tilt = staticmethod(tilt)
    photograph = staticmethod(photograph)
    project = staticmethod(project)
    write_inspection = staticmethod(write_inspection)
    save = staticmethod(save)


@pytest.fixture(scope="session")
def kit():
    return Kit
