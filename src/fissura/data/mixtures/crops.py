"""Random crops of photos at random scale and angle, and what cameras do to them.

Where `fissura.data.augmentation.policy` is the paper's policy, these crops are for models that meet
photos of any magnification, light and quality. They are drawn on the CPU, one by one, from uint8
arrays.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from fissura.data.synthetic.noise import Image

SCALES = (0.25, 4.0)
SPREAD = 0.8  # standard deviation of log2 of the scale
FOCUS = 0.75  # chance that a crop of a cracked photo is drawn around a crack pixel
MIRRORED = 1.4  # a crop may show so many times the shorter side of its photo
# Crack fraction of a pixel from which it is crack: a shrunken hairline is less than a pixel wide.
SHRUNKEN, ENLARGED = 0.3, 0.45


@dataclass(frozen=True)
class Place:
    """A crop of a photo.

    Attributes:
        center: Row and column of its middle in the photo.
        scale: Its pixels per pixel of the photo.
        angle: Turn, in radians.
        mirrored: Whether left and right are exchanged.
    """

    center: tuple[float, float]
    scale: float
    angle: float
    mirrored: bool


def draw_place(rng: np.random.Generator, mask: NDArray[np.bool_] | None, size_hw: tuple[int, int],
               side: int, *, tilt: float = 0.5, spread: float = SPREAD) -> Place:  # fmt: skip
    """Draw a crop of a photo.

    The scale is log-normal around 1, within 0.25 to 4, and not so small that more than a photo
    would be seen. Half of the crops are turned by a multiple of 90° alone, the others by any angle.

    Args:
        rng: The source of randomness.
        mask: Its crack pixels, or None where there are none.
        size_hw: Height and width of the photo.
        side: Of the crop, in pixels.
        tilt: Chance of an angle that is no multiple of 90°.
        spread: Standard deviation of log2 of the scale; 0 takes all photos as they are.
    """
    least = max(SCALES[0], side / (MIRRORED * min(size_hw)))
    wanted = 2.0 ** float(np.clip(spread * rng.standard_normal(), -2, 2))
    scale = float(np.clip(wanted, least, max(SCALES[1], least)))
    reach = side / scale
    center = [
        float(rng.uniform(min(reach, size) / 2, size - min(reach, size) / 2)) for size in size_hw
    ]
    if mask is not None and rng.random() < FOCUS:
        pixels = np.flatnonzero(mask)
        if len(pixels):
            chosen = np.unravel_index(int(pixels[rng.integers(len(pixels))]), size_hw)
            center = [float(at) + rng.uniform(-0.35, 0.35) * reach for at in chosen]
            center = [
                float(np.clip(at, min(reach, size) / 2, size - min(reach, size) / 2))
                for at, size in zip(center, size_hw, strict=True)
            ]
    angle = float(rng.integers(4)) * np.pi / 2
    if rng.random() < tilt:
        angle = float(rng.uniform(0, 2 * np.pi))
    return Place((center[0], center[1]), scale, angle, bool(rng.random() < 0.5))


def cut(
    image: NDArray[np.uint8], mask: NDArray[np.bool_] | None, place: Place, side: int
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Cut a crop out of a photo and its mask.

    Shrinking is by areas. Beyond the photo's edge it is continued by its mirror image.

    Args:
        image: RGB, (h, w, 3).
        mask: True where there is crack, (h, w), or None for no crack.
        place: Which crop.
        side: Of the crop, in pixels.

    Returns:
        The crop, (side, side, 3), and its mask, (side, side).
    """
    part = None if mask is None else mask.astype(np.float32)
    least = SHRUNKEN if place.scale < 1 else ENLARGED
    if place.scale < 1:
        image, part, place = _shrunken(image, part, place, side)
    cosine, sine = np.cos(place.angle) / place.scale, np.sin(place.angle) / place.scale
    flip = -1.0 if place.mirrored else 1.0
    middle = (side - 1) / 2
    row, column = place.center
    matrix = np.array(
        [
            [flip * cosine, -sine, column - middle * (flip * cosine - sine)],
            [flip * sine, cosine, row - middle * (flip * sine + cosine)],
        ]
    )
    flags = cv2.WARP_INVERSE_MAP | (cv2.INTER_CUBIC if place.scale > 1.5 else cv2.INTER_LINEAR)
    crop = cv2.warpAffine(image, matrix, (side, side), flags=flags, borderMode=cv2.BORDER_REFLECT)
    crop = np.asarray(crop, np.uint8)
    if part is None:
        return crop, np.zeros((side, side), bool)
    flags = cv2.WARP_INVERSE_MAP | cv2.INTER_LINEAR
    part = cv2.warpAffine(part, matrix, (side, side), flags=flags, borderMode=cv2.BORDER_REFLECT)
    return crop, np.asarray(part) >= least


def _shrunken(
    image: NDArray[np.uint8], part: Image | None, place: Place, side: int
) -> tuple[NDArray[np.uint8], Image | None, Place]:
    """Shrink the surroundings of a crop by areas, and place it there; `part` is crack, 0 to 1."""
    reach = 0.75 * side / place.scale
    height, width = image.shape[:2]
    top, left = (max(0, int(at - reach)) for at in place.center)
    bottom, right = (
        min(height, int(place.center[0] + reach)),
        min(width, int(place.center[1] + reach)),
    )
    new = (max(1, round((right - left) * place.scale)), max(1, round((bottom - top) * place.scale)))
    window = np.s_[top:bottom, left:right]
    small = np.asarray(cv2.resize(image[window], new, interpolation=cv2.INTER_AREA), np.uint8)
    if part is not None:
        part = np.asarray(cv2.resize(part[window], new, interpolation=cv2.INTER_AREA), np.float32)
    center = (
        (place.center[0] - top + 0.5) * new[1] / (bottom - top) - 0.5,
        (place.center[1] - left + 0.5) * new[0] / (right - left) - 0.5,
    )
    return small, part, Place(center, 1.0, place.angle, place.mirrored)


def photograph(rng: np.random.Generator, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Vary a crop as light, lens, sensor and files do.

    In this order, each by its chance: a shadow or a fall of light, exposure, contrast and gamma,
    white balance, saturation or gray, defocus or motion, sharpening, noise, JPEG.

    Args:
        rng: The source of randomness.
        image: RGB, (h, w, 3).

    Returns:
        RGB, (h, w, 3).
    """
    x = image.astype(np.float32) / 255
    if rng.random() < 0.25:
        x *= _light(rng, x.shape[:2])[..., None]
    if rng.random() < 0.8:
        x = _tones(rng, x)
    if rng.random() < 0.15:
        gray = x @ np.array([[0.299], [0.587], [0.114]], np.float32)
        x = np.repeat(gray, 3, axis=2)
    elif rng.random() < 0.4:
        gray = x.mean(axis=2, keepdims=True)
        x = gray + np.float32(rng.uniform(0.2, 1.6)) * (x - gray)
    x = _lens(rng, x)
    if rng.random() < 0.5:
        x += _grain(rng, x.shape)
    result = np.clip(np.rint(x * 255), 0, 255).astype(np.uint8)
    if rng.random() < 0.5:
        result = _compressed(result, int(rng.integers(25, 96)))
    return result


def _light(rng: np.random.Generator, size_hw: tuple[int, ...]) -> Image:
    """A fall of light across the crop, or the edge of a shadow, sharp or soft; (h, w)."""
    turn, shift = rng.uniform(0, 2 * np.pi), rng.uniform(-0.35, 0.35)
    rows = np.linspace(-0.5, 0.5, size_hw[0], dtype=np.float32)[:, None]
    columns = np.linspace(-0.5, 0.5, size_hw[1], dtype=np.float32)
    across = columns * np.float32(np.cos(turn)) + rows * np.float32(np.sin(turn))
    if rng.random() < 0.5:
        return np.maximum(1 + np.float32(rng.uniform(-0.8, 0.8)) * across, 0.1)
    soft = np.exp(rng.uniform(np.log(0.004), np.log(0.15)))
    bend = rng.uniform(-0.6, 0.6) * (rows * np.cos(turn) - columns * np.sin(turn)) ** 2
    edge = np.clip((across + bend - shift) / soft, -30, 30)
    return (1 - rng.uniform(0.2, 0.65) / (1 + np.exp(edge))).astype(np.float32)


def _tones(rng: np.random.Generator, x: Image) -> Image:
    """Exposure, contrast around the mean, gamma, white balance."""
    gains = np.exp(rng.normal(0, 0.25) + rng.normal(0, 0.08, 3) * (rng.random() < 0.6))
    x = x * gains.astype(np.float32)
    middle = np.float32(x.mean())
    x = middle + np.float32(np.exp(rng.normal(0, 0.3))) * (x - middle)
    # Very dark or bright crops are brought back, as a camera's exposure would.
    x += np.float32(np.clip(x.mean(), 0.15, 0.85) - x.mean())
    return np.clip(x, 0, 1) ** np.float32(np.exp(rng.normal(0, 0.2)))


def _lens(rng: np.random.Generator, x: Image) -> Image:
    """Defocus, motion, the halos of sharpening, or none of them."""
    kind = rng.random()
    if kind < 0.3:
        x = np.asarray(cv2.GaussianBlur(x, (0, 0), rng.uniform(0.4, 1.8)), np.float32)
    elif kind < 0.4:
        length = int(rng.choice([3, 5, 7]))
        kernel = np.zeros((length, length), np.float32)
        end = length - 1
        start = (0, int(rng.integers(length)))
        cv2.line(kernel, start, (end, end - start[1]), 1.0)
        kernel = kernel.T if rng.random() < 0.5 else kernel
        x = np.asarray(cv2.filter2D(x, -1, kernel / kernel.sum()), np.float32)
    elif kind < 0.55:
        soft = cv2.GaussianBlur(x, (0, 0), rng.uniform(0.7, 2.0))
        x = x + np.float32(rng.uniform(0.3, 1.2)) * (x - soft)
    return x


def _grain(rng: np.random.Generator, shape: tuple[int, ...]) -> Image:
    """Sensor noise, part of it gray, part of it colored."""
    level = np.exp(rng.uniform(np.log(0.004), np.log(0.06)))
    gray = rng.standard_normal((*shape[:2], 1), dtype=np.float32)
    if rng.random() < 0.4:
        return np.float32(level) * (gray + 0.6 * rng.standard_normal(shape, dtype=np.float32))
    return np.repeat(np.float32(level) * gray, 3, axis=2)


def _compressed(image: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    """Compress by JPEG and decode again."""
    _, data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)[..., ::-1]
