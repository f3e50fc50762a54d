"""Draw smooth random fields, from which textures, stains and lighting are made."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.floating]  # (h, w), float32
Image = NDArray[np.floating]  # (h, w, 3), float32, RGB in [0, 1]


def blurred(white: Field, sigma: float) -> Field:
    """Blur white noise, which makes it correlated, and keep its variance.

    Args:
        white: Independent values, (h, w).
        sigma: Of the Gaussian, in pixels.
    """
    kernel = cv2.getGaussianKernel(2 * int(3 * sigma + 1) + 1, sigma)
    loss = np.float32((kernel**2).sum())
    return np.asarray(cv2.sepFilter2D(white, -1, kernel, kernel), np.float32) / loss


def noise(
    rng: np.random.Generator,
    size_hw: tuple[int, int],
    scale: float,
    *,
    stretch: float = 1.0,
    angle: float | None = None,
) -> Field:
    """Return an (h, w) field of about unit variance whose features are `scale` pixels across.

    The grid behind the field is rotated, so that no rows and columns show.

    Args:
        rng: The source of randomness.
        size_hw: Height and width in pixels.
        scale: Size of the features, in pixels.
        stretch: Features are that much longer along `angle`.
        angle: In radians; random where it is None.
    """
    height, width = size_hw
    if scale >= 24 and stretch == 1.0 and angle is None:
        # Coarse fields are drawn small and enlarged: faster, and free of interpolation steps.
        shrink = scale / 8
        small = (int(height / shrink) + 3, int(width / shrink) + 3)
        field = noise(rng, small, 8.0)
        return np.asarray(
            cv2.resize(field, (width, height), interpolation=cv2.INTER_CUBIC), np.float32
        )
    if scale < 1.5 and stretch == 1.0:
        field = rng.standard_normal(size_hw, dtype=np.float32)
        sigma = 0.45 * scale
        return blurred(field, sigma)
    if angle is None:
        angle = float(rng.uniform(0, np.pi))
    diagonal = float(np.hypot(height, width))
    columns, rows = int(diagonal / (scale * stretch)) + 6, int(diagonal / scale) + 6
    grid = rng.standard_normal((rows, columns), dtype=np.float32)
    cosine, sine = np.cos(angle), np.sin(angle)
    shift_x, shift_y = columns / 2 + rng.random(), rows / 2 + rng.random()
    across, down = np.array([cosine, sine]) / (scale * stretch), np.array([-sine, cosine]) / scale
    matrix = np.array(
        [
            [*across, shift_x - across @ (width / 2, height / 2)],
            [*down, shift_y - down @ (width / 2, height / 2)],
        ]
    )
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    field = cv2.warpAffine(grid, matrix, (width, height), flags=flags, borderMode=cv2.BORDER_WRAP)
    return field * np.float32(1.3)


def clouds(
    rng: np.random.Generator,
    size_hw: tuple[int, int],
    finest: float,
    coarsest: float,
    *,
    slope: float = 0.5,
) -> Field:
    """Return fractal noise: octaves from `finest` to `coarsest` pixels, amplitude ∝ scale^slope.

    Args:
        rng: The source of randomness.
        size_hw: Height and width in pixels.
        finest: Size of the smallest features, in pixels.
        coarsest: Size of the largest features, in pixels.
        slope: How much the amplitude grows with the size.

    Returns:
        A field (h, w) of about unit variance.
    """
    total, power, scale = np.zeros(size_hw, np.float32), 0.0, finest
    while scale <= max(coarsest, finest):
        weight = (scale / finest) ** slope
        total += np.float32(weight) * noise(rng, size_hw, scale)
        power += weight**2
        scale *= 2.1
    return total / np.float32(np.sqrt(power))


def relief(height_map: Field, light_angle: float) -> Field:
    """Return the slope of a height map towards the light: the shading of bumps.

    Args:
        height_map: Heights, (h, w).
        light_angle: Direction that the light comes from, in radians.

    Returns:
        The slope, (h, w).
    """
    down = cv2.Sobel(height_map, cv2.CV_32F, 0, 1, ksize=3, scale=0.125)
    across = cv2.Sobel(height_map, cv2.CV_32F, 1, 0, ksize=3, scale=0.125)
    return down * np.float32(np.sin(light_angle)) + across * np.float32(np.cos(light_angle))
