"""Pixels that an edit turns over: strokes of a brush, and how they are packed."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fissura.errors import InputError

Box = tuple[int, int, int, int]  # top, left, bottom, right; the last two are one past the last
MOST_POINTS, LARGEST_RADIUS = 20_000, 500.0
MOST_PIXELS = 200_000_000  # looked at for one stroke


@dataclass(frozen=True, eq=False)
class Pixels:
    """Some pixels of a photo.

    Attributes:
        box: The window that holds them.
        inside: Bool (h, w) of the window.
    """

    box: Box
    inside: NDArray[np.bool_]

    @property
    def window(self) -> tuple[slice, slice]:
        """The window as an index of an image."""
        top, left, bottom, right = self.box
        return slice(top, bottom), slice(left, right)

    def turn(self, mask: NDArray[np.bool_]) -> None:
        """Turn these pixels of a mask (h, w) over, in place; twice is as before."""
        mask[self.window] ^= self.inside

    def within(self, box: Box) -> NDArray[np.bool_]:
        """Return the pixels as bool (h, w) of another window, which holds this one."""
        whole = np.zeros((box[2] - box[0], box[3] - box[1]), bool)
        top, left, bottom, right = self.box
        whole[top - box[0] : bottom - box[0], left - box[1] : right - box[1]] = self.inside
        return whole


def trimmed(pixels: Pixels) -> Pixels | None:
    """Return pixels with the smallest window; None where there are none."""
    rows = np.flatnonzero(pixels.inside.any(1))
    if not len(rows):
        return None
    columns = np.flatnonzero(pixels.inside.any(0))
    top, left = int(rows[0]), int(columns[0])
    bottom, right = int(rows[-1]) + 1, int(columns[-1]) + 1
    row, column = pixels.box[:2]
    box = (row + top, column + left, row + bottom, column + right)
    return Pixels(box, np.ascontiguousarray(pixels.inside[top:bottom, left:right]))


def joined(several: Sequence[Pixels]) -> Pixels | None:
    """Return the pixels of any of several; None where there are none."""
    if not several:
        return None
    box = union([each.box for each in several])
    inside = np.zeros((box[2] - box[0], box[3] - box[1]), bool)
    for each in several:
        inside |= each.within(box)
    return trimmed(Pixels(box, inside))


def union(boxes: Sequence[Box]) -> Box:
    """Return the box around boxes."""
    tops, lefts, bottoms, rights = zip(*boxes, strict=True)
    return min(tops), min(lefts), max(bottoms), max(rights)


def meets(one: Box, other: Box) -> bool:
    """Whether two boxes share a pixel."""
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def pack_pixels(pixels: Pixels) -> bytes:
    """Return pixels as compressed bytes: a bit per pixel of their window."""
    bits = np.packbits(pixels.inside)
    return struct.pack("<4i", *pixels.box) + zlib.compress(bits.tobytes(), 6)


def unpack_pixels(packed: bytes) -> Pixels:
    """Return what `pack_pixels` was given.

    Raises:
        ValueError, struct.error, zlib.error: It is damaged.
    """
    top, left, bottom, right = struct.unpack_from("<4i", packed)
    height, width = bottom - top, right - left
    bits = np.frombuffer(zlib.decompress(packed[16:]), np.uint8)
    if not (0 <= top <= bottom and 0 <= left <= right and len(bits) == -(-height * width // 8)):
        raise ValueError("the pixels of an edit lie in no window")
    inside = np.unpackbits(bits, count=height * width).astype(bool).reshape(height, width)
    return Pixels((top, left, bottom, right), inside)


def stroke(points: Any, radius: float, size_hw: tuple[int, int]) -> Pixels | None:
    """Return the pixels whose center a round brush passes over.

    Args:
        points: The way of the brush's middle, x and y each; (0, 0) is the corner of the first
            pixel. They come from outside, and are looked at before they are used.
        radius: That of the brush, in pixels.
        size_hw: Height and width of the photo.

    Returns:
        The pixels; None where the brush stays outside.

    Raises:
        InputError: There are no points, or too many; a number is out of range.
    """
    way = _checked(points, radius)
    steps = np.stack([way, np.concatenate([way[1:], way[-1:]])], 1)[: max(len(way) - 1, 1)]
    boxes = [_reached(step, radius, size_hw) for step in steps]
    if sum(max(b - t, 0) * max(r - w, 0) for t, w, b, r in boxes) > MOST_PIXELS:
        raise InputError("The stroke is too long for its width. Draw it in several.")
    several = [box for box in boxes if box[0] < box[2] and box[1] < box[3]]
    if not several:
        return None
    whole = union(several)
    inside = np.zeros((whole[2] - whole[0], whole[3] - whole[1]), bool)
    for step, box in zip(steps, boxes, strict=True):
        if box[0] < box[2] and box[1] < box[3]:
            top, left, bottom, right = box
            rows = slice(top - whole[0], bottom - whole[0])
            columns = slice(left - whole[1], right - whole[1])
            inside[rows, columns] |= _within(step, radius, box)
    return trimmed(Pixels(whole, inside))


def _checked(points: Any, radius: float) -> NDArray[np.float64]:
    """Return points (n, 2) as an array, or say what is wrong with them."""
    try:
        way = np.asarray(points, np.float64)
    except (TypeError, ValueError):
        way = np.empty((0, 2))
    if way.shape[1:] != (2,) or not len(way) or not np.isfinite(way).all():
        raise InputError("A stroke needs points, each an x and a y in pixels of the photo.")
    if len(way) > MOST_POINTS:
        raise InputError(f"A stroke has at most {MOST_POINTS} points. Draw it in several.")
    if np.abs(way).max() > 1e7:
        raise InputError("A point of the stroke lies far outside the photo.")
    if not 0 < radius <= LARGEST_RADIUS:
        raise InputError(
            f"A brush of {2 * radius:g} pixels cannot be used; it must be above 0 and at most "
            f"{2 * LARGEST_RADIUS:g} pixels wide."
        )
    return way


def _reached(step: NDArray[np.float64], radius: float, size_hw: tuple[int, int]) -> Box:
    """Return the window of the photo that a step of the brush reaches; it may be empty."""
    low, high = step.min(0) - radius, step.max(0) + radius
    left, top = np.maximum(np.floor(low).astype(int), 0).tolist()
    right, bottom = np.minimum(np.ceil(high).astype(int) + 1, size_hw[::-1]).tolist()
    return top, left, bottom, right


def _within(step: NDArray[np.float64], radius: float, box: Box) -> NDArray[np.bool_]:
    """Whether the center of each pixel of a window is within the radius of a straight step."""
    top, left, bottom, right = box
    (x0, y0), (x1, y1) = step
    x = np.arange(left, right) + 0.5 - x0
    y = (np.arange(top, bottom) + 0.5 - y0)[:, None]
    ahead_x, ahead_y = x1 - x0, y1 - y0
    square = ahead_x**2 + ahead_y**2
    along = np.clip((x * ahead_x + y * ahead_y) / square, 0, 1) if square else 0.0
    return (x - along * ahead_x) ** 2 + (y - along * ahead_y) ** 2 <= radius**2
