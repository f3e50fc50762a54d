"""The strokes of a mask: their thickness, and whether they are as wide as what is dark below."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray


def thickness(mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return the thickness of the cracks of a mask, in pixels, one value per place along them.

    It is 2·d − 1 where the distance d to the background has a local maximum.

    Args:
        mask: Bool (h, w).

    >>> mask = np.zeros((20, 20), bool); mask[8:13] = True
    >>> float(np.median(thickness(mask)))
    5.0
    """
    if not mask.any():
        return np.zeros(0, np.float32)
    padded = np.pad(mask.astype(np.uint8), 1, mode="edge")
    distance = cv2.distanceTransform(padded, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    top = (distance > 0) & (distance >= cv2.dilate(distance, np.ones((3, 3), np.uint8)))
    return np.maximum(2 * distance[1:-1, 1:-1][top[1:-1, 1:-1]] - 1, 1).astype(np.float32)


def too_wide(gray: NDArray[np.float32], marked: NDArray[np.bool_], width: float) -> float | None:
    """Return by how many pixels a mask's edge lies outside the edge of what is dark.

    The photo's mean brightness by the distance to the mask's edge goes from the crack's to that of
    the surroundings; its edge is where it has come halfway.

    Args:
        gray: The photo, float32 (h, w).
        marked: The mask, bool (h, w).
        width: Width of the crack in pixels.

    Returns:
        Pixels on each side: positive where the mask is too wide, negative where too narrow; None
        where the crack is hardly darker than what is beside it.
    """
    flat = gray - cv2.GaussianBlur(gray, (0, 0), 20 + 2 * width)
    inner = cv2.distanceTransform(marked.astype(np.uint8), cv2.DIST_L2, 5)
    outer = cv2.distanceTransform((~marked).astype(np.uint8), cv2.DIST_L2, 5)
    reach = int(min(24, 6 + 2 * width))
    layers = np.rint(np.where(marked, 0.5 - inner, outer - 0.5)).astype(np.int64) + reach
    near = (layers >= 0) & (layers <= 2 * reach)
    pixels = np.bincount(layers[near], minlength=2 * reach + 1)
    profile = np.bincount(layers[near], flat[near], 2 * reach + 1) / np.maximum(pixels, 1)
    enough = pixels >= max(20, 0.02 * np.count_nonzero(marked))
    if not enough[: reach + 1].any() or not enough[-4:].all():
        return None
    beside = float(profile[-4:].mean())
    noise = float(flat[near & (layers >= 2 * reach - 3)].std())
    darkest = int(np.argmin(np.where(enough, profile, np.inf)))
    half = (float(profile[darkest]) + beside) / 2
    if beside - float(profile[darkest]) < noise or profile[darkest] >= beside:
        return None
    above = np.flatnonzero(profile[darkest:] >= half) + darkest
    last = int(above[0]) - 1
    rise = float(profile[last + 1] - profile[last])
    return reach - (last + (half - float(profile[last])) / max(rise, 1e-6))
