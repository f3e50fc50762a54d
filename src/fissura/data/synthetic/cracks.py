"""Grow cracks: branching random walks that bend and narrow at several scales."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from fissura.data.synthetic.habit import Habit
from fissura.data.synthetic.raster import covered_pixels

FINEST = 0.45  # px: width of the narrowest tip


@dataclass(frozen=True)
class Shoot:
    """A branch about to grow. Lengths in pixels, angles in radians.

    Attributes:
        start_rc: Row and column of its first point.
        heading: Its first direction; 0 lies along a row, π/2 points down.
        length: Its length.
        width: Its width at the start.
        generation: 0 for a main crack, 1 for its children and so on.
        curvature: Steady turn, in radians per pixel.
        taper: 0 keeps the width, 1 narrows to a tip.
    """

    start_rc: tuple[float, float]
    heading: float
    length: float
    width: float
    generation: int = 0
    curvature: float = 0.0
    taper: float = 1.0


def wave(rng: np.random.Generator, count: int, spacing: float) -> NDArray[np.float64]:
    """Return smooth noise along a line, of unit variance at its knots.

    Args:
        rng: The source of randomness.
        count: Number of points.
        spacing: Distance of the knots, in points.

    Returns:
        Values, (count,).
    """
    knots = rng.standard_normal(int(count / spacing) + 3)
    return np.interp(np.arange(count) / spacing + rng.random(), np.arange(len(knots)), knots)


def grow_cracks(
    rng: np.random.Generator, allowed: NDArray[np.bool_], target: int, habit: Habit
) -> tuple[list[NDArray[np.float64]], NDArray[np.bool_]]:
    """Grow branches until they cover `target` pixels, to about one per cent.

    Args:
        rng: The source of randomness.
        allowed: True where the panel is, (h, w); a branch ends where it leaves it.
        target: Number of crack pixels.
        habit: How cracks grow.

    Returns:
        The branches, arrays (k, 3) of row, column and width in pixels, whose points may lie up to
        two pixels outside the image; and the mask (h, w) of the pixels that they cover.
    """
    mask = np.zeros(allowed.shape, dtype=bool)
    barrier = np.zeros(allowed.shape, dtype=np.uint8)
    branches: list[NDArray[np.float64]] = []
    queue: deque[Shoot] = deque()
    missing, idle = target, 0
    while missing > max(1, 0.01 * target) and idle < 60:
        if not queue:
            like = habit
            if habit.style == "star" and branches and rng.random() < 0.6:
                like = replace(habit, style="meander")  # one blow, and what came of it later
            queue.extend(_new_crack(rng, allowed.shape, missing, like))
        shoot = queue.popleft()
        walked = _walk(rng, shoot, habit)
        stops = habit.stops and idle < 20 and rng.random() < 0.93
        branch = walked[: _free_length(walked, allowed, barrier if stops else None, habit.unit)]
        # Short cracks are narrow: none is wider than a fifteenth of its length.
        slim = min(1.0, max(len(branch), 1) / (15 * shoot.width))
        branch[:, 2] = np.maximum(branch[:, 2] * slim, FINEST)
        branch, pixels = _fit(branch, mask, missing)
        if not len(pixels):
            idle += 1
            continue
        idle = 0
        branches.append(branch)
        mask.reshape(-1)[pixels] = True
        missing -= len(pixels)
        points = np.rint(branch[:, 1::-1]).astype(np.int32).reshape(-1, 1, 2)
        cv2.polylines(barrier, [points], False, 1, 2)
        queue.extend(_children(rng, branch, shoot, habit))
    return branches, mask


def _fit(
    branch: NDArray[np.float64], mask: NDArray[np.bool_], missing: int
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Cut a branch where it has brought the missing pixels; return it and its new pixels."""
    if len(branch) < 4:
        return branch, np.empty(0, np.int64)
    pixel, segment = _new_pixels(branch, mask)
    if len(pixel) <= missing:
        return branch, pixel
    keep = int(np.sort(segment)[missing - 1]) + 2
    # The new tip narrows, and so loses about as much as the branch is let grow farther.
    tip = min(keep, int(5 * branch[keep - 1, 2]) + 2)
    keep = min(len(branch), keep + tip // 4)
    cut = branch[:keep].copy()
    cut[-tip:, 2] = np.maximum(cut[-tip:, 2] * np.linspace(1.0, 0.35, tip), FINEST)
    return cut, _new_pixels(cut, mask)[0]


def _new_pixels(
    branch: NDArray[np.float64], mask: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The pixels that a branch adds to a mask, and the segments that cover them first."""
    pixel, segment = covered_pixels(branch, mask.shape)
    new = ~mask.reshape(-1)[pixel]
    return pixel[new], segment[new]


def _walk(rng: np.random.Generator, shoot: Shoot, habit: Habit) -> NDArray[np.float64]:
    """Walk one branch: (k, 3), a point per pixel of length."""
    count = max(int(shoot.length), 4)
    unit = habit.unit
    heading = shoot.heading + shoot.curvature * np.arange(count)
    bends = 0.6 * wave(rng, count, 90 * unit) + 0.6 * wave(rng, count, 28 * unit)
    bends += 0.5 * wave(rng, count, 10 * unit)
    bends -= bends[0] * np.exp(-np.arange(count) / (12 * unit))
    kinks = np.cumsum(rng.random(count) < 1.0 / habit.jag_length)
    kink = rng.standard_normal(int(kinks[-1]) + 1)[kinks]
    shiver = wave(rng, count, 1.7)
    turned = habit.wander * bends + habit.jag * (kink + 0.5 * shiver)
    heading = heading + 1.2 * np.tanh(turned / 1.2)  # so that no walk turns back
    walked = np.empty((count, 3))
    walked[:, 0] = shoot.start_rc[0] + np.cumsum(np.sin(heading)) - np.sin(heading[0])
    walked[:, 1] = shoot.start_rc[1] + np.cumsum(np.cos(heading)) - np.cos(heading[0])
    progress = np.arange(count) / count
    taper = 1.0 - shoot.taper * (0.35 * progress + 0.6 * progress**5)
    swell = 0.8 * wave(rng, count, 30 * unit) + wave(rng, count, 7 * unit)
    swell = habit.roughness * (1.2 * swell + 0.9 * wave(rng, count, 1.6))
    widest = min(2.2 * shoot.width, 12.5) if shoot.width < 9 else 1.4 * shoot.width
    walked[:, 2] = np.clip(shoot.width * taper * np.exp(swell), FINEST, widest)
    return walked


def _free_length(
    walked: NDArray[np.float64],
    allowed: NDArray[np.bool_],
    barrier: NDArray[np.uint8] | None,
    unit: float,
) -> int:
    """Count the points before the walk leaves the panel or meets another crack."""
    height, width = allowed.shape
    rc = np.rint(walked[:, :2]).astype(np.int64)
    bad = (rc < -2).any(axis=1) | (rc[:, 0] > height + 1) | (rc[:, 1] > width + 1)
    rows, columns = np.clip(rc[:, 0], 0, height - 1), np.clip(rc[:, 1], 0, width - 1)
    bad |= ~allowed[rows, columns]
    if barrier is not None:
        met = barrier[rows, columns] > 0
        met[: int(6 + 4 * unit)] = False  # its own parent
        bad[2:] |= met[:-2]  # two steps on, so that the branch reaches the other's middle
    return int(bad.argmax()) if bad.any() else len(walked)


def _new_crack(
    rng: np.random.Generator, size_hw: tuple[int, int], missing: int, habit: Habit
) -> list[Shoot]:
    """Place a new crack: usually one shoot or two opposite ones; a star's arms and rings."""
    height, width = size_hw
    reach = missing / habit.width  # length that would bring the missing pixels
    if habit.style == "star" and reach > 70 * habit.unit:
        return _star(rng, size_hw, reach, habit)
    long = float(np.hypot(height, width))
    main = Shoot((0.0, 0.0), 0.0, long, habit.width * rng.uniform(0.75, 1.2), taper=0.3)
    if rng.random() < (0.3 if habit.style == "hairline" else 0.55):
        edge = int(rng.integers(4))
        at = rng.uniform(0.1, 0.9)
        row = (at * height, 0.0, at * height, height - 1.0)[edge]
        column = (0.0, at * width, width - 1.0, at * width)[edge]
        inward = (0.0, np.pi / 2, np.pi, -np.pi / 2)[edge] + rng.uniform(-0.7, 0.7)
        taper = rng.choice([0.3, 1.0])
        length = long if taper < 1 else min(long, rng.uniform(0.4, 1.1) * max(height, width))
        return [replace(main, start_rc=(row, column), heading=inward, length=length, taper=taper)]
    start = (rng.uniform(0.15, 0.85) * height, rng.uniform(0.15, 0.85) * width)
    heading = rng.uniform(0, 2 * np.pi)
    both = min(reach, rng.uniform(0.35, 1.4) * max(height, width)) * rng.uniform(0.3, 0.7)
    forth = replace(main, start_rc=start, heading=heading, length=both, taper=1.0)
    return [forth, replace(forth, heading=heading + np.pi + rng.uniform(-0.3, 0.3))]


def _star(
    rng: np.random.Generator, size_hw: tuple[int, int], reach: float, habit: Habit
) -> list[Shoot]:
    """Place the arms of an impact, some rings around it, and its crushed middle."""
    center = (rng.uniform(0.2, 0.8) * size_hw[0], rng.uniform(0.2, 0.8) * size_hw[1])
    arms = int(rng.integers(4, 11))
    length = min(reach / arms / 0.85, 0.8 * max(size_hw))
    angles = 2 * np.pi * (np.arange(arms) + rng.uniform(-0.33, 0.33, arms)) / arms + rng.random()
    shoots = []
    for angle in rng.permutation(angles):
        own = length * rng.uniform(0.45, 1.4)
        wide = habit.width * rng.uniform(0.6, 1.15)
        shoots.append(Shoot(center, float(angle), own, wide, curvature=rng.normal(0, 0.15) / own))
    for radius in length * np.sort(rng.uniform(0.12, 0.6, int(rng.integers(0, 3)))):
        for angle in angles[rng.random(arms) < 0.6]:
            start = (center[0] + radius * np.sin(angle), center[1] + radius * np.cos(angle))
            arc = radius * 2 * np.pi / arms * rng.uniform(0.6, 1.3)
            shoots.append(
                Shoot(start, angle + np.pi / 2 + 0.1, arc, 0.6 * habit.width, 1, 1 / radius, 0.3)
            )
    for _ in range(int(rng.integers(0, 4))):
        start = tuple(np.array(center) + rng.normal(0, 2.0 * habit.width, 2))
        spur = rng.uniform(3, 9) * habit.unit
        shoots.append(Shoot(start, rng.uniform(0, 6.3), spur, 0.7 * habit.width, 2))
    return shoots


def _children(
    rng: np.random.Generator, branch: NDArray[np.float64], parent: Shoot, habit: Habit
) -> list[Shoot]:
    """Let a grown branch fork: narrower, shorter branches to either side."""
    if parent.generation >= (5 if habit.style == "network" else 3) or len(branch) < 12:
        return []
    count = int(rng.poisson(habit.fork * len(branch)))
    forks = np.sort(rng.integers(4, len(branch) - 4, count))
    children = []
    for fork in forks:
        step = branch[fork + 3, :2] - branch[fork - 3, :2]
        side = rng.choice([-1.0, 1.0]) * rng.uniform(*habit.fork_angle)
        heading = float(np.arctan2(step[0], step[1]) + side)
        if habit.style == "network":
            length, narrower = len(branch) * rng.uniform(0.5, 1.5), rng.uniform(0.65, 0.95)
        else:
            length, narrower = len(branch) * rng.uniform(0.12, 0.6), rng.uniform(0.45, 0.85)
        own = max(branch[fork, 2] * narrower, 0.7)
        start = (float(branch[fork, 0]), float(branch[fork, 1]))
        children.append(Shoot(start, heading, max(length, 8.0), own, parent.generation + 1))
    return children
