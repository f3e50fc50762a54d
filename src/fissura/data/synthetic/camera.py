"""Light a panel and photograph it: shading, lamps, blur, noise, tone and JPEG."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from fissura.data.synthetic.noise import Field, Image, blurred, noise


def illumination(
    rng: np.random.Generator,
    size_hw: tuple[int, int],
    light_angle: float,
    gloss: float,
    grain: float | None,
) -> tuple[Field, Field]:
    """Return how much light falls on each pixel, and how much a glossy panel mirrors.

    The image is reflectance times the first plus the second. The first falls off away from
    the light, with a soft lamp spot, drifts, now and then a shadow's edge; the second has lamps
    and, across brushed metal, bright stripes.

    Args:
        rng: The source of randomness.
        size_hw: Height and width in pixels.
        light_angle: Direction that the light comes from, in radians.
        gloss: 0 for a dull panel to 1 for a mirror.
        grain: Direction of brushing, in radians, or None.

    Returns:
        Both fields, (h, w) each.
    """
    height, width = size_hw
    rows = (np.arange(height, dtype=np.float32)[:, None] / height - 0.5) * (height / max(size_hw))
    columns = (np.arange(width, dtype=np.float32) / width - 0.5) * (width / max(size_hw))
    along = columns * np.float32(np.cos(light_angle)) + rows * np.float32(np.sin(light_angle))
    falling = 1 + np.float32(rng.uniform(0.0, 0.6)) * along
    spot = np.array([np.sin(light_angle), np.cos(light_angle)]) * rng.uniform(0, 0.5)
    radius = rng.uniform(0.3, 0.9)
    squared = (rows - np.float32(spot[0])) ** 2 + (columns - np.float32(spot[1])) ** 2
    lamp = np.exp(-squared / np.float32(2 * radius**2))
    falling += np.float32(rng.uniform(-0.1, 0.45)) * lamp
    falling *= 1 + np.float32(rng.uniform(0, 0.07)) * noise(rng, size_hw, 0.5 * max(size_hw))
    if rng.random() < 0.13:
        turn = rng.uniform(0, 2 * np.pi)
        edge = columns * np.float32(np.cos(turn)) + rows * np.float32(np.sin(turn))
        edge = (edge - rng.uniform(-0.3, 0.3)) / rng.uniform(0.01, 0.08)
        falling *= 1 - np.float32(rng.uniform(0.12, 0.4)) / (1 + np.exp(-np.clip(edge, -30, 30)))
    mirrored = np.zeros(size_hw, np.float32)
    if gloss > 0.25 and rng.random() < 0.6:
        tight = np.exp(-squared / np.float32(2 * (rng.uniform(0.1, 0.4)) ** 2))
        mirrored += np.float32(rng.uniform(0.02, 0.28) * gloss) * tight
    if grain is not None and rng.random() < 0.7:
        across = rows * np.float32(np.cos(grain)) - columns * np.float32(np.sin(grain))
        for _ in range(int(rng.integers(1, 4))):
            stripe = (across - rng.uniform(-0.5, 0.5)) / rng.uniform(0.04, 0.2)
            falling += np.float32(rng.uniform(-0.12, 0.3)) * np.exp(-(stripe**2))
    elif gloss > 0.5 and rng.random() < 0.35:
        mirrored += _reflection(rng, rows, columns) * np.float32(rng.uniform(0.03, 0.16))
    return np.maximum(falling, 0.12, dtype=np.float32), mirrored


def _reflection(rng: np.random.Generator, rows: Field, columns: Field) -> Field:
    """The blurred reflection of a window or a tube lamp: a slanted bar."""
    turn = rng.uniform(-0.8, 0.8)
    across = columns * np.float32(np.cos(turn)) + rows * np.float32(np.sin(turn))
    soft = rng.uniform(0.008, 0.05)
    half = rng.uniform(0.05, 0.2)
    beside = np.abs(across - np.float32(rng.uniform(-0.4, 0.4))) - np.float32(half)
    return 1 / (1 + np.exp(np.clip(beside / np.float32(soft), -30, 30)))


def photograph(rng: np.random.Generator, scene: Image) -> NDArray[np.uint8]:
    """Take a photo of a scene.

    Exposure and white balance, defocus (evenly, or growing to one side), now and then motion,
    vignetting, a tone curve, noise that is correlated as after demosaicing, and JPEG.

    Args:
        rng: The source of randomness.
        scene: RGB in [0, 1], (h, w, 3).

    Returns:
        RGB, (h, w, 3) uint8.
    """
    size_hw = (scene.shape[0], scene.shape[1])
    middle = float(scene[::4, ::4].mean())
    # The automatic exposure of a camera: half-way towards a middle gray.
    exposure = (rng.uniform(0.42, 0.66) / max(middle, 0.03)) ** rng.uniform(0.2, 0.75)
    if rng.random() < 0.85:  # most cameras spare the highlights
        exposure = min(exposure, 0.97 / max(float(np.percentile(scene[::4, ::4], 96)), 0.05))
    balance = exposure * np.exp(rng.normal(0, 0.025, 3))
    scene = _defocus(rng, scene) * balance.astype(np.float32)
    vignette = _vignette(size_hw, rng.uniform(0.0, 0.28))
    scene *= vignette[..., None]
    scene = _tone(scene, rng.uniform(0.0, 0.5), rng.uniform(0.0, 0.05))
    scene += _sensor_noise(rng, scene)
    image = np.clip(np.rint(scene * 255), 0, 255).astype(np.uint8)
    if rng.random() < 0.75:
        image = _jpeg(image, int(rng.integers(72, 98)))
    return image


def _defocus(rng: np.random.Generator, scene: Image) -> Image:
    """Blur evenly, or more towards one side, or by motion."""
    sigma = float(rng.choice([rng.uniform(0.25, 0.5), rng.uniform(0.5, 0.95)], p=[0.55, 0.45]))
    sharp = cv2.GaussianBlur(scene, (0, 0), sigma)
    if rng.random() < 0.12:
        length = int(rng.choice([3, 5]))
        kernel = np.zeros((length, length), np.float32)
        end = length - 1
        cv2.line(kernel, (0, int(rng.integers(length))), (end, int(rng.integers(length))), 1.0)
        return np.asarray(cv2.filter2D(sharp, -1, kernel / kernel.sum()), np.float32)
    if rng.random() < 0.2:
        soft = cv2.GaussianBlur(sharp, (0, 0), rng.uniform(0.7, 1.4))
        turn = rng.uniform(0, 2 * np.pi)
        rows = np.linspace(-1, 1, scene.shape[0], dtype=np.float32)[:, None]
        columns = np.linspace(-1, 1, scene.shape[1], dtype=np.float32)
        side = np.clip(0.2 + 0.7 * (rows * np.sin(turn) + columns * np.cos(turn)), 0, 1)
        sharp += side.astype(np.float32)[..., None] * (soft - sharp)
    return np.asarray(sharp, np.float32)


def _vignette(size_hw: tuple[int, int], amount: float) -> Field:
    """The light that is left towards the corners."""
    rows = np.linspace(-1, 1, size_hw[0], dtype=np.float32)[:, None]
    columns = np.linspace(-1, 1, size_hw[1], dtype=np.float32)
    return 1 / (1 + np.float32(amount) * (rows**2 + columns**2) / 2) ** 2


def _tone(scene: Image, contrast: float, black: float) -> Image:
    """A gentle S-curve with a soft shoulder, on top of lifted blacks."""
    scene = np.clip(scene, 0, None)
    scene = np.where(scene > 0.8, 0.8 + 0.25 * np.tanh((scene - 0.8) / 0.25), scene)
    scene = np.clip(scene, 0, 1)
    curved = scene * scene * (3 - 2 * scene)
    scene += np.float32(contrast) * (curved - scene)
    return np.float32(black) + np.float32(1 - black) * scene


def _sensor_noise(rng: np.random.Generator, scene: Image) -> Image:
    """Shot and read noise, more of it in the light, coarser in color than in brightness."""
    height, width = scene.shape[:2]
    level = np.exp(rng.uniform(np.log(0.003), np.log(0.018)))
    grain = rng.standard_normal((height, width), dtype=np.float32)
    if rng.random() < 0.7:
        grain = blurred(grain, rng.uniform(0.4, 0.75))
    small = rng.standard_normal((height // 2 + 1, width // 2 + 1, 3), dtype=np.float32)
    color = cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)
    strength = np.float32(level) * np.sqrt(0.25 + scene)
    return strength * (grain[..., None] + np.float32(rng.uniform(0.1, 0.7)) * color)


def _jpeg(image: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    """Compress an image and decode it again."""
    _, data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    decoded = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)
    return np.ascontiguousarray(decoded[..., ::-1])
