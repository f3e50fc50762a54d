"""Paint cracks into a panel: dark cores, lit lips, dirt, and pieces that have tilted."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from fissura.data.synthetic.cracks import wave
from fissura.data.synthetic.noise import Field, Picture, noise
from fissura.data.synthetic.raster import coverage, near_pixels


@dataclass(frozen=True)
class Band:
    """The pixels in and beside cracks; all arrays are (n,).

    pixel:    flat index.
    distance: to the nearest crack's centerline, px.
    width:    of that crack there, px.
    depth:    its depth there, 0 to 1.
    facing:   cosine between the light and the way from the crack to the pixel.
    """

    pixel: NDArray[np.int64]
    distance: NDArray[np.float32]
    width: NDArray[np.float32]
    depth: NDArray[np.float32]
    facing: NDArray[np.float32]


def _band(
    rng: np.random.Generator,
    branches: list[NDArray[np.float64]],
    size_hw: tuple[int, int],
    reach: float,
    light_angle: float,
) -> Band:
    """Find for each pixel near a crack the branch that it lies deepest in."""
    area = size_hw[0] * size_hw[1]
    best = np.full(area, -np.inf, np.float32)
    values = np.zeros((4, area), np.float32)
    light = np.array([np.sin(light_angle), np.cos(light_angle)])
    for branch in branches:
        spacing = float(rng.uniform(8, 30))
        depths = 0.8 + 0.2 * wave(rng, len(branch), spacing) + 0.1 * wave(rng, len(branch), 2.5)
        depths = np.clip(depths, 0.3, 1.0)
        for pairs in near_pixels(branch, size_hw, reach):
            inward = (pairs.width / 2 - pairs.distance).astype(np.float32)
            take = np.flatnonzero((inward > best[pairs.pixel]) & (inward > -reach))
            take = take[np.argsort(inward[take], kind="stable")]  # the last, deepest one stays
            pixel, segment, along = pairs.pixel[take], pairs.segment[take], pairs.along[take]
            best[pixel] = inward[take]
            depth = depths[segment] * (1 - along) + depths[segment + 1] * along
            facing = (pairs.down[take] * light[0] + pairs.right[take] * light[1]) / np.maximum(
                pairs.distance[take], 0.3
            )
            values[:, pixel] = (pairs.distance[take], pairs.width[take], depth, facing)
    found = np.flatnonzero(best > -np.inf)
    return Band(found, *values[:, found])


def paint_cracks(
    rng: np.random.Generator,
    color: Picture,
    branches: list[NDArray[np.float64]],
    light_angle: float,
    *,
    brittle: float,
) -> None:
    """Paint branches, (k, 3) row, column, width_px, into `color` (h, w, 3), in place.

    The core is darker than the panel by a contrast that varies from picture to picture (faint
    to nearly black) and with the depth along each branch; on dark or glassy panels the
    fracture scatters light instead and is brighter. The rim towards the light may shine, the
    one away from it lies in shade; dirt may have crept in beside the crack. The contrast never
    drops under what the panel's own texture would hide from a person.
    """
    size_hw = (color.shape[0], color.shape[1])
    unit = (min(size_hw) / 128) ** 0.35
    lip_width = rng.uniform(0.9, 1.6) * unit**0.7
    band = _band(rng, branches, size_hw, 3.0 * lip_width + 1.0, light_angle)
    flat = color.reshape(-1, 3)
    skin = flat[band.pixel]
    if not len(skin):
        return
    tone = float(skin.mean())
    alpha = coverage(band.distance, band.width)
    strength = rng.beta(1.5, 1.3)
    contrast = _contrast(band, skin, strength, unit)
    bright = 0.92 if tone < 0.16 else 0.6 if tone < 0.3 and brittle > 0.9 else 0.04
    scatters = rng.random() < bright
    if scatters:
        skin = _scattering_core(rng, skin, band, alpha, contrast, strength, unit)
    else:
        floor = rng.uniform(0.6, 0.95)
        middle = np.clip(1.25 - 2 * band.distance / np.maximum(band.width, 1.5), 0, 1)
        darkness = (alpha * contrast * (floor + (1 - floor) * middle))[:, None]
        tint = np.ones(3) - rng.uniform(0, 0.12) * np.array([0.6, 0.1, -0.5])
        skin = skin * (1 - np.minimum(darkness * tint, 0.98))
    outward = band.distance - np.maximum(band.width, 0.8) / 2
    if rng.random() < 0.55:
        lit = rng.uniform(0.08, 0.55) * (0.5 + 0.5 * strength) * max(tone, 0.25)
        beside = np.clip(1 - np.abs(outward - 0.6 * lip_width) / lip_width, 0, 1) * (1 - alpha)
        shine = lit * beside * band.depth * np.minimum(band.width / 1.5, 1.2)
        skin = skin + (shine * np.where(band.facing > 0, 1.0, 0.5) * band.facing)[:, None]
    if rng.random() < 0.3 and not scatters:
        creep = np.exp(-np.maximum(outward, 0) / (1.2 * lip_width)) * (1 - alpha)
        dirt = rng.uniform(0.05, 0.22) * creep[:, None] * np.array([0.8, 1.0, 1.15])
        skin = skin * (1 - dirt)
    flat[band.pixel] = skin


def _contrast(band: Band, skin: Field, strength: float, unit: float) -> Field:
    """How much of the light each place of the cracks swallows, (n,): never less than one can see.

    skin: (n, 3), the panel's color there. strength: 0 for the faintest cracks, 1 for black ones.
    """
    rough = float(np.std(skin.mean(axis=1)) / max(float(skin.mean()), 0.02))
    fineness = 0.35 / max(float(np.median(band.width)), 0.6)  # the lens will take from fine lines
    least = min(0.85, 0.2 + 1.7 * rough + fineness)
    contrast = least + (0.96 - least) * strength
    # A gap that is wide for its picture is dark, however faint the fine ones are.
    wide = np.clip((band.width - 1.8 * unit) / (4 * unit), 0, 0.75)
    return (contrast + (0.95 - contrast) * wide) * band.depth


def _scattering_core(
    rng: np.random.Generator,
    skin: Field,
    band: Band,
    alpha: Field,
    contrast: Field,
    strength: float,
    unit: float,
) -> Field:
    """Paint cracks that glint; where they gape, only their two edges do. All fields (n,)."""
    tone = float(skin.mean())
    white = rng.uniform(0.5, 0.85) * np.array([0.95, 1.0, 1.02]) + rng.normal(0, 0.03, 3)
    core = tone + (0.35 + 0.6 * contrast[:, None]) * (white - tone)
    glint = 0.15 + 0.85 * np.clip(1.25 * band.depth**2, 0, 1)
    gap = np.clip(1.3 - 2.6 * band.distance / np.maximum(band.width, 1.5), 0, 1)
    gap *= np.clip((band.width - 1.6 * unit) / (1.5 * unit), 0, 0.8)
    weight = alpha * glint * (1 - gap) * (0.5 + 0.5 * strength)
    skin = skin * (1 - alpha * gap)[:, None]
    return skin + weight[:, None] * (core - skin)


def tilt_pieces(
    rng: np.random.Generator, color: Picture, mask: NDArray[np.bool_], amount: float
) -> None:
    """Make each piece that cracks have cut out mirror a little more or less light, in place."""
    whole = cv2.dilate(mask.astype(np.uint8), np.ones((3, 3), np.uint8)) == 0
    count, pieces = cv2.connectedComponents(whole.astype(np.uint8), connectivity=4)
    if count < 3:
        return
    levels = rng.normal(0, amount, count).astype(np.float32)
    levels[0] = 0.0
    shift = cv2.GaussianBlur(levels[pieces], (0, 0), 0.8)
    color *= np.maximum(1 + shift * (1 + 0.2 * noise(rng, mask.shape, 40)), 0.2)[..., None]
