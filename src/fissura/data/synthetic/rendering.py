"""Paint cracks into a panel: dark cores, lit lips, dirt, and shards that have tilted."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from fissura.data.synthetic.cracks import wave
from fissura.data.synthetic.noise import Field, Image, noise
from fissura.data.synthetic.raster import coverage, near_pixels


@dataclass(frozen=True)
class Near:
    """The pixels in and beside cracks; all arrays are (n,).

    Attributes:
        pixel: Flat index into the image.
        distance: To the nearest crack's centerline, in pixels.
        width: Of that crack there, in pixels.
        depth: Its depth there, 0 to 1.
        facing: Cosine between the light and the way from the crack to the pixel.
    """

    pixel: NDArray[np.int64]
    distance: NDArray[np.float32]
    width: NDArray[np.float32]
    depth: NDArray[np.float32]
    facing: NDArray[np.float32]


def _near(
    rng: np.random.Generator,
    branches: list[NDArray[np.float64]],
    size_hw: tuple[int, int],
    reach: float,
    light_angle: float,
) -> Near:
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
            np.maximum.at(best, pairs.pixel[take], inward[take])
            take = take[inward[take] == best[pairs.pixel[take]]]  # of equal ones the last stays
            pixel, segment, along = pairs.pixel[take], pairs.segment[take], pairs.along[take]
            depth = depths[segment] * (1 - along) + depths[segment + 1] * along
            facing = (pairs.down[take] * light[0] + pairs.right[take] * light[1]) / np.maximum(
                pairs.distance[take], 0.3
            )
            values[:, pixel] = (pairs.distance[take], pairs.width[take], depth, facing)
    found = np.flatnonzero(best > -np.inf)
    return Near(found, *values[:, found])


def paint_cracks(
    rng: np.random.Generator,
    color: Image,
    branches: list[NDArray[np.float64]],
    light_angle: float,
    *,
    brittle: float,
) -> None:
    """Paint cracks into a panel, in place.

    The core is darker than the panel by a contrast that varies from image to image (faint
    to nearly black) and with the depth along each branch; on dark or glassy panels the
    fracture scatters light instead and is brighter. The edge towards the light may shine, the
    one away from it lies in shade; dirt may have crept in beside the crack. The contrast never
    drops so low that the panel's own texture would hide the crack from a person.

    Args:
        rng: The source of randomness.
        color: The panel, (h, w, 3); it is painted on.
        branches: Row, column and width in pixels of the points of each branch, (k, 3).
        light_angle: Direction that the light comes from, in radians.
        brittle: 0 for tough, grainy matter to 1 for glass.
    """
    size_hw = (color.shape[0], color.shape[1])
    unit = (min(size_hw) / 128) ** 0.35
    lip_width = rng.uniform(0.9, 1.6) * unit**0.7
    near = _near(rng, branches, size_hw, 3.0 * lip_width + 1.0, light_angle)
    flat = color.reshape(-1, 3)
    skin = flat[near.pixel]
    if not len(skin):
        return
    tone = float(skin.mean())
    alpha = coverage(near.distance, near.width)
    strength = rng.beta(1.5, 1.3)
    contrast = _contrast(near, skin, strength, unit)
    bright = 0.92 if tone < 0.16 else 0.6 if tone < 0.3 and brittle > 0.9 else 0.04
    scatters = rng.random() < bright
    if scatters:
        skin = _scattering_core(rng, skin, near, alpha, contrast, strength, unit)
    else:
        floor = rng.uniform(0.6, 0.95)
        middle = np.clip(1.25 - 2 * near.distance / np.maximum(near.width, 1.5), 0, 1)
        darkness = (alpha * contrast * (floor + (1 - floor) * middle))[:, None]
        tint = np.ones(3) - rng.uniform(0, 0.12) * np.array([0.6, 0.1, -0.5])
        skin = skin * (1 - np.minimum(darkness * tint, 0.98))
    outward = near.distance - np.maximum(near.width, 0.8) / 2
    if rng.random() < 0.55:
        lit = rng.uniform(0.08, 0.55) * (0.5 + 0.5 * strength) * max(tone, 0.25)
        beside = np.clip(1 - np.abs(outward - 0.6 * lip_width) / lip_width, 0, 1) * (1 - alpha)
        shine = lit * beside * near.depth * np.minimum(near.width / 1.5, 1.2)
        skin = skin + (shine * np.where(near.facing > 0, 1.0, 0.5) * near.facing)[:, None]
    if rng.random() < 0.3 and not scatters:
        creep = np.exp(-np.maximum(outward, 0) / (1.2 * lip_width)) * (1 - alpha)
        dirt = rng.uniform(0.05, 0.22) * creep[:, None] * np.array([0.8, 1.0, 1.15])
        skin = skin * (1 - dirt)
    flat[near.pixel] = skin


def _contrast(near: Near, skin: Field, strength: float, unit: float) -> Field:
    """How much of the light each pixel of the cracks swallows, (n,): never less than one can see.

    skin: (n, 3), the panel's color there. strength: 0 for the faintest cracks, 1 for black ones.
    """
    rough = float(np.std(skin.mean(axis=1)) / max(float(skin.mean()), 0.02))
    fineness = 0.35 / max(float(np.median(near.width)), 0.6)  # the lens will take from fine lines
    least = min(0.85, 0.2 + 1.7 * rough + fineness)
    contrast = least + (0.96 - least) * strength
    # A gap that is wide for its image is dark, however faint the fine ones are.
    wide = np.clip((near.width - 1.8 * unit) / (4 * unit), 0, 0.75)
    return (contrast + (0.95 - contrast) * wide) * near.depth


def _scattering_core(
    rng: np.random.Generator,
    skin: Field,
    near: Near,
    alpha: Field,
    contrast: Field,
    strength: float,
    unit: float,
) -> Field:
    """Paint cracks that glint; where they gape, only their two edges do. All fields (n,)."""
    tone = float(skin.mean())
    white = rng.uniform(0.5, 0.85) * np.array([0.95, 1.0, 1.02]) + rng.normal(0, 0.03, 3)
    core = tone + (0.35 + 0.6 * contrast[:, None]) * (white - tone)
    glint = 0.15 + 0.85 * np.clip(1.25 * near.depth**2, 0, 1)
    gap = np.clip(1.3 - 2.6 * near.distance / np.maximum(near.width, 1.5), 0, 1)
    gap *= np.clip((near.width - 1.6 * unit) / (1.5 * unit), 0, 0.8)
    weight = alpha * glint * (1 - gap) * (0.5 + 0.5 * strength)
    skin = skin * (1 - alpha * gap)[:, None]
    return skin + weight[:, None] * (core - skin)


def tilt_shards(
    rng: np.random.Generator, color: Image, mask: NDArray[np.bool_], amount: float
) -> None:
    """Make each shard that cracks have cut out mirror a little more or less light, in place.

    Args:
        rng: The source of randomness.
        color: The panel, (h, w, 3); it is changed.
        mask: The pixels of the cracks, (h, w).
        amount: Standard deviation of the change, as a fraction of the light.
    """
    whole = cv2.dilate(mask.astype(np.uint8), np.ones((3, 3), np.uint8)) == 0
    count, shards = cv2.connectedComponents(whole.astype(np.uint8), connectivity=4)
    if count < 3:
        return
    shifts = rng.normal(0, amount, count).astype(np.float32)
    shifts[0] = 0.0
    shift = cv2.GaussianBlur(shifts[shards], (0, 0), 0.8)
    color *= np.maximum(1 + shift * (1 + 0.2 * noise(rng, mask.shape, 40)), 0.2)[..., None]
