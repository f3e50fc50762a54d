"""Draw cracks that have worn: wide gaps with crumbled edges and rubble in them, as in asphalt."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from fissura.data.synthetic.aggregate import standing_stones
from fissura.data.synthetic.cracks import grow_cracks
from fissura.data.synthetic.habit import choose_habit
from fissura.data.synthetic.noise import Field, Image, noise, relief

NARROWEST, WIDEST = 0.012, 0.07  # of the image's side


def draw_worn(
    rng: np.random.Generator,
    color: Image,
    light_angle: float,
    stones: NDArray[np.int32] | None = None,
) -> NDArray[np.bool_]:
    """Draw worn cracks on a surface, in place.

    A gap's outline is the crack's, moved outwards and inwards by noise as coarse as the crumbs that
    have broken off. It falls off from its edges to a floor of rubble, which is darker than the
    surface, and both are lit from the side. What has fallen in belongs to the crack, and so do
    stones of the surface that still stand in it.

    Args:
        rng: The source of randomness.
        color: The surface, (h, w, 3); it is painted on.
        light_angle: Direction that the light comes from, in radians.
        stones: Number of the stone at each pixel, 0 where there is none, as of `draw_aggregate`;
            up to half of those in a gap are left standing, dirty, above its floor.

    Returns:
        The mask of the cracks, (h, w).
    """
    size_hw = (color.shape[0], color.shape[1])
    area, side = size_hw[0] * size_hw[1], min(size_hw)
    width = side * float(np.exp(rng.uniform(np.log(NARROWEST), np.log(WIDEST))))
    # As much as one crack across the image at least, and a net of them at most.
    target = round(min(width * side * float(np.exp(rng.uniform(0, np.log(4)))), 0.2 * area))
    habit = choose_habit(rng, size_hw, target, brittle=0.0)
    habit = replace(habit, width=width, fork=0.5 * habit.fork)
    _, whole = grow_cracks(rng, np.ones(size_hw, bool), target, habit)
    inward = _crumbled(rng, _inward(whole), width)
    gap = cv2.morphologyEx(
        (inward > 0).astype(np.uint8), cv2.MORPH_CLOSE, _disk(max(1, round(0.2 * width)))
    )
    _, parts, found, _ = cv2.connectedComponentsWithStats(gap, connectivity=8)
    large = found[:, cv2.CC_STAT_AREA] >= 0.5 * width**2  # smaller ones are crumbs beside it
    large[0] = False
    mask = large[parts]
    standing = np.zeros(size_hw, np.float32)
    if stones is not None:
        standing = rng.uniform(0.4, 0.9) * standing_stones(rng, stones, rng.uniform(0, 0.5))
    inward = np.where(mask, np.maximum(inward, 0.3), -1)
    _paint(rng, color, inward, standing, width, light_angle)
    return mask


def _inward(mask: NDArray[np.bool_]) -> Field:
    """The distance of each pixel from the outline, in pixels; negative outside."""
    inside = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, 5)
    outside = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, 5)
    return np.asarray(inside - outside, np.float32)


def _crumbled(rng: np.random.Generator, inward: Field, width: float) -> Field:
    """Move the outline by crumbs of two sizes, less where a crack is narrower."""
    size_hw = (inward.shape[0], inward.shape[1])
    nearby = cv2.dilate(inward, _disk(max(1, round(0.6 * width))))  # half the width of the crack
    rough = np.clip(nearby, 0, width / 2) * rng.uniform(0.1, 0.4)
    coarse = noise(rng, size_hw, max(2.0, width * rng.uniform(0.3, 1.2)))
    fine = noise(rng, size_hw, max(1.5, width * rng.uniform(0.08, 0.25)))
    return np.asarray(inward + rough * np.clip(coarse + 0.5 * fine, -2, 2), np.float32)


def _disk(radius: int) -> NDArray[np.uint8]:
    size = 2 * radius + 1
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size)), np.uint8)


def _paint(
    rng: np.random.Generator,
    color: Image,
    inward: Field,
    standing: Field,
    width: float,
    light_angle: float,
) -> None:
    """Darken the gap towards its floor, strew rubble, and light edges and rubble from the side.

    Where something is standing, its fraction of the darkening is left out.
    """
    size_hw = (inward.shape[0], inward.shape[1])
    slope = max(1.0, width * rng.uniform(0.08, 0.35))  # from the edge down to the floor
    depth = np.clip(inward / slope, 0, 1)
    here = depth > 0
    if not here.any():
        return
    gray = color.mean(axis=2)
    texture = float(gray[here].std()) / max(float(gray[here].mean()), 0.05)
    # Never so faint that the surface's own texture hides it.
    contrast = rng.uniform(min(0.75, 0.22 + 0.8 * texture), 0.92)
    rubble = noise(rng, size_hw, max(1.2, width * rng.uniform(0.06, 0.3)))
    stones = rng.uniform(0, 0.35) * rubble
    tint = rng.uniform(0, 0.2) * np.array([0.5, 0.0, -0.6])  # earth is warmer than stone
    dark = 1 - contrast * depth * (1 - 0.6 * stones) * (1 - standing)
    floor = dark[..., None] * (1 + tint * depth[..., None])
    lit = relief(np.asarray(-depth * slope + 0.6 * stones * depth, np.float32), light_angle)
    shine = rng.uniform(0, 0.12) * np.clip(lit, -2, 2)
    color *= np.clip(floor, 0.02, 1.3).astype(np.float32)
    color += (shine * (0.3 + 0.7 * gray))[..., None].astype(np.float32)
