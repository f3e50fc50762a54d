"""Draw surfaces of stones in a binder: worn asphalt and washed concrete, seen from near by."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from fissura.data.synthetic.noise import Field, Image, clouds, noise, relief

SMALLEST, LARGEST = 0.012, 0.085  # spacing of the largest stones, of the image's side


def draw_aggregate(
    rng: np.random.Generator, side: int, light_angle: float
) -> tuple[Image, NDArray[np.int32]]:
    """Draw a surface of stones.

    Stones are the cells of random points (Voronoi cells), rounded and apart from one another; what
    lies between them holds smaller stones, and between these is the binder, which is darker, the
    more the younger the surface is.

    Args:
        rng: The source of randomness.
        side: Of the result, in pixels.
        light_angle: Direction that the light comes from, in radians.

    Returns:
        RGB, (side, side, 3), and the number of the stone at each pixel, 0 where there is none.
    """
    spacing = side * float(np.exp(rng.uniform(np.log(SMALLEST), np.log(LARGEST))))
    level = rng.uniform(0.3, 0.7)
    varied = rng.uniform(0.05, 0.3)  # from stone to stone
    binder = level * rng.uniform(0.35, 0.95)
    gray = binder * (1 + 0.1 * noise(rng, (side, side), max(1.5, spacing / 8)))
    height = np.zeros((side, side), np.float32)
    stones = np.zeros((side, side), np.int32)
    tints = np.zeros((side, side), np.float32)
    for size, left_out in ((spacing / 3, 0.3), (spacing, rng.uniform(0.05, 0.5))):
        if size < 2.5:  # pixels; finer ones are the grain of the binder
            continue
        cells, inward = _cells(rng, side, size)
        there = rng.random(cells.max() + 1) >= left_out
        rim = size * rng.uniform(0.02, 0.14)
        here = there[cells] & (inward > rim)
        levels = level * np.exp(varied * rng.standard_normal(len(there)))
        gray[here] = levels[cells][here]
        tints[here] = rng.standard_normal(len(there))[cells][here]
        dome = np.sqrt(np.clip((inward - rim) / (0.3 * size), 0, 1))
        height[here] = (0.35 * size * dome)[here]
        stones[here] = cells[here] + 1 + stones.max()
    gray *= 1 + rng.uniform(0.03, 0.15) * noise(rng, (side, side), 1.5)
    gray *= 1 + rng.uniform(0.02, 0.12) * clouds(rng, (side, side), 8, side, slope=0.6)
    gray += rng.uniform(0.02, 0.35) * gray * np.clip(relief(height, light_angle), -2, 2)
    warm = np.array([1.0, 0.1, -1.0], np.float32)
    hue = rng.normal(0.02, 0.04) + rng.uniform(0, 0.03) * tints
    color = gray[..., None] * (1 + hue[..., None] * warm)
    return np.asarray(np.clip(color, 0.01, 1), np.float32), stones


def standing_stones(rng: np.random.Generator, stones: NDArray[np.int32], share: float) -> Field:
    """Choose stones that still stand where a crack has worn, 1 there and 0 elsewhere.

    Args:
        rng: The source of randomness.
        stones: Number of the stone at each pixel, 0 where there is none.
        share: Of the stones that stand.
    """
    stands = rng.random(stones.max() + 1) < share
    stands[0] = False
    return np.asarray(stands[stones], np.float32)


def _cells(rng: np.random.Generator, side: int, spacing: float) -> tuple[NDArray[np.int32], Field]:
    """Cells of points about `spacing` apart: their numbers, and how far inside a pixel lies."""
    count = int(side / spacing) + 3
    grid = np.stack(np.meshgrid(np.arange(count), np.arange(count), indexing="ij"), axis=-1)
    points = (grid.reshape(-1, 2) - 1 + rng.uniform(0.02, 0.98, (count * count, 2))) * spacing
    pixels = np.rint(points).astype(np.int64)
    pixels = pixels[((pixels >= 0) & (pixels < side)).all(axis=1)]
    empty = np.ones((side, side), np.uint8)
    empty[pixels[:, 0], pixels[:, 1]] = 0
    _, cells = cv2.distanceTransformWithLabels(
        empty, cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    cells = np.asarray(cells, np.int32)
    inside = np.ones((side, side), np.uint8)
    inside[:, 1:][cells[:, 1:] != cells[:, :-1]] = 0
    inside[1:][cells[1:] != cells[:-1]] = 0
    return cells, np.asarray(cv2.distanceTransform(inside, cv2.DIST_L2, 5), np.float32)
