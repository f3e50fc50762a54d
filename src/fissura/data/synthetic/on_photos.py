"""Draw cracks on photographed surfaces: a photo without cracks in, a photo and exact mask out."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from fissura.data.synthetic.aggregate import draw_aggregate
from fissura.data.synthetic.cracks import FINEST, grow_cracks
from fissura.data.synthetic.habit import Habit, choose_habit
from fissura.data.synthetic.marks import UNDER, lay_marks
from fissura.data.synthetic.objects import lay_objects
from fissura.data.synthetic.raster import covered_pixels
from fissura.data.synthetic.rendering import paint_cracks
from fissura.data.synthetic.worn import draw_worn

CRACK_FREE, WORN = 0.2, 0.25  # of the images
AGGREGATE = 0.3  # of the images: drawn surfaces in place of photographed ones
WORN_AGGREGATE = 0.5  # of those
_MARKS = {name: UNDER[name] for name in ("stain", "water mark", "scuff", "scratches")}


def draw_on_photo(
    rng: np.random.Generator, photo: NDArray[np.uint8], side: int
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Draw cracks, and things that are none, on part of a photo of a surface.

    One in five is left without cracks. Otherwise they cover 0.2 to 6 % of the pixels: hairlines,
    wandering, branching, star and map cracks (`fissura.data.synthetic.habit`), and stepped ones as
    in masonry. They are darker than the surface, with depth and lit lips, and blurred with it.
    One in four has worn ones instead, wide and crumbled (`fissura.data.synthetic.worn`), which
    cover up to 20 %. Three in ten of the surfaces are no photos but drawn stones in a binder
    (`fissura.data.synthetic.aggregate`), as photos of coarse asphalt without cracks are rare; of
    these every other one has worn cracks.

    Args:
        rng: The source of randomness.
        photo: RGB, (h, w, 3), without cracks.
        side: Of the result, in pixels.

    Returns:
        RGB, (side, side, 3), and the exact mask, (side, side).
    """
    image, mask, _ = _draw(rng, photo, side, worn=WORN)
    return image, mask


def draw_with_widths(
    rng: np.random.Generator, photo: NDArray[np.uint8], side: int
) -> tuple[NDArray[np.uint8], NDArray[np.bool_], list[NDArray[np.float64]]]:
    """Draw as `draw_on_photo` does, without worn cracks, and tell how wide the cracks are, too.

    Args:
        rng: The source of randomness.
        photo: RGB, (h, w, 3), without cracks.
        side: Of the result, in pixels.

    Returns:
        What `draw_on_photo` returns, and row, column and width in pixels of the points of each
        branch, (k, 3).
    """
    return _draw(rng, photo, side, worn=0.0)


def _draw(
    rng: np.random.Generator, photo: NDArray[np.uint8], side: int, *, worn: float
) -> tuple[NDArray[np.uint8], NDArray[np.bool_], list[NDArray[np.float64]]]:
    """Draw as `draw_with_widths` does; worn cracks, which have no branches, with a probability."""
    light, stones = float(rng.uniform(0, 2 * np.pi)), None
    if rng.random() < AGGREGATE:
        color, stones = draw_aggregate(rng, side, light)
        worn = WORN_AGGREGATE if worn else 0.0
    else:
        color = _background(rng, photo, side)
    allowed = np.ones((side, side), bool)
    if rng.random() < 0.5:
        lay_marks(rng, color, allowed, _MARKS)
    before = rng.random() < 0.7
    if before:
        lay_objects(rng, color)
    mask = np.zeros((side, side), bool)
    branches: list[NDArray[np.float64]] = []
    kind = rng.random()
    if kind >= 1 - worn:
        mask = draw_worn(rng, color, light, stones)
    elif kind >= CRACK_FREE:
        branches, mask = _cracks(rng, side)
        paint_cracks(rng, color, branches, light, brittle=0.1)
    if not before and not mask.any():
        lay_objects(rng, color, mean=1.5)
    if rng.random() < 0.7:
        sigma = rng.uniform(0.3, 0.9)
        color = np.asarray(cv2.GaussianBlur(color, (0, 0), sigma), np.float32)
    return np.clip(np.rint(color * 255), 0, 255).astype(np.uint8), mask, branches


def _background(
    rng: np.random.Generator, photo: NDArray[np.uint8], side: int
) -> NDArray[np.float32]:
    """A part of the photo, resampled a little and turned, in float."""
    height, width = photo.shape[:2]
    least = side / min(height, width)
    scale = least * float(np.exp(rng.uniform(0, np.log(1.8))))
    reach = min(int(side / scale), height, width)
    top, left = int(rng.integers(height - reach + 1)), int(rng.integers(width - reach + 1))
    window = photo[top : top + reach, left : left + reach]
    way = cv2.INTER_AREA if reach > side else cv2.INTER_CUBIC
    part = np.asarray(cv2.resize(window, (side, side), interpolation=way), np.float32) / 255
    part = np.rot90(part, int(rng.integers(4))) if rng.random() < 0.5 else part
    return np.ascontiguousarray(part[:, ::-1] if rng.random() < 0.5 else part, dtype=np.float32)


def _cracks(
    rng: np.random.Generator, side: int
) -> tuple[list[NDArray[np.float64]], NDArray[np.bool_]]:
    """Grow cracks: their branches and pixels."""
    target = round(float(np.exp(rng.uniform(np.log(0.002), np.log(0.06)))) * side * side)
    if rng.random() < 0.12:
        return _stepped(rng, side)
    habit = choose_habit(rng, (side, side), target, brittle=0.1)
    if rng.random() < 0.3:  # finer than the generator's panels have them
        habit = _finer(rng, habit)
        target = max(round(target * 0.35), 60)
    return grow_cracks(rng, np.ones((side, side), bool), target, habit)


def _finer(rng: np.random.Generator, habit: Habit) -> Habit:
    return replace(habit, width=max(FINEST, habit.width * rng.uniform(0.3, 0.7)))


def _stepped(
    rng: np.random.Generator, side: int
) -> tuple[list[NDArray[np.float64]], NDArray[np.bool_]]:
    """A crack that climbs along joints: level, upright, level, upright."""
    long, high = rng.uniform(0.06, 0.2) * side, rng.uniform(0.03, 0.12) * side
    across, up = rng.choice([-1.0, 1.0], 2)
    at = np.array([rng.uniform(0.2, 0.8) * side, rng.uniform(0.2, 0.8) * side])
    corners = [at]
    for step in range(int(rng.integers(4, 16))):
        move = np.array([0.0, across * long * rng.choice([0.5, 1.0, 1.0])])
        if step % 2:
            move = np.array([up * high, 0.0])
        corners.append(corners[-1] + move + rng.normal(0, 0.02 * side, 2) * (step % 2))
    points = np.array(corners)
    length = np.concatenate([[0], np.cumsum(np.hypot(*np.diff(points, axis=0).T))])
    along = np.arange(0, length[-1], 1.0)
    rows, columns = (np.interp(along, length, points[:, axis]) for axis in (0, 1))
    width = rng.uniform(0.8, 4)
    wobble = np.convolve(rng.normal(0, 1.2, len(along) + 8), np.ones(9) / 9, "valid")
    widths = np.maximum(width * np.exp(0.5 * wobble), FINEST)
    branch = np.stack([rows + 1.5 * wobble, columns + 1.5 * np.roll(wobble, 7), widths], axis=1)
    inside = ((branch[:, :2] >= -2) & (branch[:, :2] <= side + 1)).all(axis=1)
    end = int(np.argmin(inside)) if not inside.all() else len(branch)
    branch = branch[:end]
    mask = np.zeros((side, side), bool)
    if len(branch) < 4:
        return [], mask
    mask.reshape(-1)[covered_pixels(branch, mask.shape)[0]] = True
    return [branch], mask
