"""Lines of a photo: their response, where a mask fits them best, and those without a mask."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import scipy.fft
from numpy.typing import NDArray

# A working copy of a photo has at most so many pixels on its longer side.
SIDE = 768
REACH = 32  # pixels of the working copy by which a mask may be off and still be found
FAR = 3.0  # least such distance that is told
# How much better a mask must fit elsewhere, in standard deviations of the response; see
# benchmarks/check.py for what they find, and how often they are wrong.
SHIFT_GAIN, TURN_GAIN, LEAST_FIT = 0.4, 0.3, 0.8
LIGHT_GAIN = 0.4  # the same, on light lines instead of dark ones
TURNS = {
    "turned by 180°": lambda a: a[::-1, ::-1],
    "mirrored left to right": lambda a: a[:, ::-1],
    "mirrored top to bottom": lambda a: a[::-1],
    "turned by 90°": lambda a: np.rot90(a),
    "turned by 270°": lambda a: np.rot90(a, 3),
    "transposed": lambda a: a.T,
}


@dataclass(frozen=True)
class Fit:
    """How a mask lies on the lines of its photo, dark ones or light ones.

    Attributes:
        here: Mean response under the mask, in standard deviations of the response.
        best: The same where the mask fits best.
        shift: How far that is, (down, right) in pixels of the photo.
        far: Whether that is so far and so much better that the mask seems to be off.
        turn: The turn of `TURNS` in which the mask fits better than as it is, or "".
    """

    here: float
    best: float
    shift: tuple[float, float]
    far: bool
    turn: str


def working_copy(
    image: NDArray[np.uint8], mask: NDArray[np.bool_]
) -> tuple[NDArray[np.float32], NDArray[np.float32], float]:
    """Return photo and mask as small as the checks of lines need them.

    Args:
        image: RGB (h, w, 3).
        mask: Bool (h, w).

    Returns:
        Gray, 0 to 255, the mask, 0 to 1, and their size over that of the photo.
    """
    gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    soft = mask.astype(np.float32)
    scale = SIDE / max(mask.shape)
    if scale >= 1:
        return gray, soft, 1.0
    height, width = (max(round(side * scale), 1) for side in mask.shape)
    return (
        cv2.resize(gray, (width, height), interpolation=cv2.INTER_AREA).astype(np.float32),
        cv2.resize(soft, (width, height), interpolation=cv2.INTER_AREA).astype(np.float32),
        scale,
    )


def lines_of(
    gray: NDArray[np.float32], soft: NDArray[np.float32], width: float, scale: float = 1.0
) -> tuple[NDArray[np.float32], NDArray[np.float32], Fit]:
    """Return the photo with dark cracks, the response of its lines, and how the mask fits them.

    Cracks are darker than what is beside them, or lighter, as on backlit or dark panels: where the
    mask does not fit the dark lines as it lies, and fits light ones better by `LIGHT_GAIN`, moved
    or not, they are light, and the photo is inverted.

    Args:
        gray: The photo, 0 to 255, float32 (h, w).
        soft: The mask, 0 to 1, of the same shape, with some crack.
        width: Width of the crack in pixels.
        scale: Size of both over that of the photo.
    """
    response = dark_lines(gray, width)
    dark = fit(response, soft, width, scale)
    if dark.here >= LEAST_FIT:
        return gray, response, dark
    inverted = 255 - gray
    light_response = dark_lines(inverted, width)
    light = fit(light_response, soft, width, scale)
    if light.best > dark.best + LIGHT_GAIN:
        return inverted, light_response, light
    return gray, response, dark


def dark_lines(gray: NDArray[np.float32], width: float) -> NDArray[np.float32]:
    """Return the response of dark lines of about a width, in units of its own strength nearby.

    It is the greater eigenvalue of the Hessian of the smoothed photo where that is positive,
    divided by its root mean square nearby, and at most 4, so that shadows and a few strong edges
    don't outweigh the rest.

    Args:
        gray: The photo, float32 (h, w).
        width: Width of the lines in pixels.

    Source: Frangi, Niessen, Vincken, Viergever, 'Multiscale vessel enhancement filtering', MICCAI
    1998, of which this is the eigenvalue alone.
    """
    sigma = max(1.2, (width + 1) / 3)
    smooth = cv2.GaussianBlur(gray, (0, 0), sigma)
    down = cv2.Sobel(smooth, cv2.CV_32F, 0, 2, ksize=3)
    across = cv2.Sobel(smooth, cv2.CV_32F, 2, 0, ksize=3)
    both = cv2.Sobel(smooth, cv2.CV_32F, 1, 1, ksize=3)
    response = np.maximum(down + across + np.sqrt((down - across) ** 2 + 4 * both**2), 0) / 8
    strength = np.sqrt(cv2.GaussianBlur(response**2, (0, 0), 24 + 4 * sigma)) + 1e-6
    response = response / (strength + 0.5 * strength.mean())
    return np.minimum(response, 4).astype(np.float32)


def fit(
    response: NDArray[np.float32],
    soft: NDArray[np.float32],
    width: float,
    scale: float = 1.0,
    *,
    turns: bool = True,
) -> Fit:
    """Find where a mask fits the dark lines of its photo best, shifted or turned.

    Args:
        response: From `dark_lines`.
        soft: The mask, 0 to 1, of the same shape, with some crack.
        width: Width of the crack in pixels.
        scale: Size of both over that of the photo.
        turns: Whether to try turns too.
    """
    centered = response - response.mean()
    size = [scipy.fft.next_fast_len(side + REACH, real=True) for side in soft.shape]
    transformed = np.asarray(scipy.fft.rfft2(centered, size))
    unit = float(soft.sum()) * (float(centered.std()) + 1e-6)

    def by_shift(mask: NDArray[np.float32]) -> NDArray[np.float32]:
        product = transformed * np.conj(np.asarray(scipy.fft.rfft2(mask, size)))
        there = np.asarray(scipy.fft.irfft2(product, size))
        there = np.roll(there, (REACH, REACH), (0, 1))
        return (there[: 2 * REACH + 1, : 2 * REACH + 1] / unit).astype(np.float32)

    own = by_shift(soft)
    row, column = np.unravel_index(int(own.argmax()), own.shape)
    here, best = float(own[REACH, REACH]), float(own.max())
    down, right = int(row) - REACH, int(column) - REACH
    turned = {}
    for name, turn in TURNS.items() if turns else ():
        mask = np.ascontiguousarray(turn(soft))
        if mask.shape == soft.shape:
            turned[name] = float(by_shift(mask).max())
    other = max(turned, key=lambda name: turned[name], default="")
    as_turned = turned.get(other, -np.inf)
    far = (
        np.hypot(down, right) >= max(FAR, width / 2)
        and best - here > SHIFT_GAIN
        and best > LEAST_FIT
        and here < best / 2
        and as_turned < best
    )
    return Fit(
        here,
        best,
        (down / scale, right / scale),
        bool(far),
        other if as_turned > best + TURN_GAIN and as_turned > LEAST_FIT else "",
    )


def unmarked_lines(
    response: NDArray[np.float32], marked: NDArray[np.bool_], width: float
) -> NDArray[np.int32]:
    """Find lines as strong as those under the mask, and long, that lie off the mask.

    Args:
        response: From `dark_lines`.
        marked: The mask, bool of the same shape, with some crack.
        width: Width of the crack in pixels.

    Returns:
        int32 (h, w): 0, and the number of the line.
    """
    strong = response >= max(float(np.median(response[marked])), 0.5)
    reach = int(4 + width / 2)
    near = cv2.dilate(marked.astype(np.uint8), np.ones((3, 3), np.uint8), iterations=reach) > 0
    _, labels, stats, _ = cv2.connectedComponentsWithStats(
        (strong & ~near).astype(np.uint8), connectivity=8
    )
    long = np.hypot(stats[:, 2], stats[:, 3]) >= max(40, 8 * width)
    long[0] = False
    labels = np.asarray(labels, np.int32)
    return labels * long[labels]
