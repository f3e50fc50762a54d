"""`working_scale`: the scale at which a photo still has all its detail, from the photo itself."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

KEPT = 0.1  # detail of less than this fraction of the strongest octave's is given up
OCTAVES = 5
SIDE = 384  # of the windows that are looked at, in pixels
GRID = 3  # of them along each side of a photo
SMALLEST = 256  # pixels that a photo's shorter side keeps at least

Read = Callable[[int, int, int, int], NDArray[np.uint8]]


def working_scale(image: NDArray[np.uint8]) -> float:
    """Return the scale at which a photo is to be predicted: 1, 1/2, 1/4 or 1/8.

    A photo that was enlarged, or is out of focus, has no detail as fine as its pixels: its cracks
    are many pixels wide and soft, as no crack is that a network was trained on. The rule: with
    e(k) the mean square of what is lost by halving the photo for the (k + 1)-th time, the photo is
    halved K times, K the first with

        e(K) ≥ 0.1 · max over k of e(k).

    So what is given up is less than a tenth of the strongest octave's, and a photo that is enlarged
    to the double is halved once more. The medians of nine windows of 384×384 pixels are taken. A
    side never becomes shorter than 256 pixels by it.

    Args:
        image: RGB, uint8 (h, w, 3).

    >>> rng = np.random.default_rng(0)
    >>> sharp = rng.integers(0, 255, (600, 600, 3), dtype=np.uint8)
    >>> enlarged = cv2.resize(sharp, (1200, 1200), interpolation=cv2.INTER_CUBIC)
    >>> working_scale(sharp), working_scale(enlarged)
    (1.0, 0.5)
    """

    return scale_by_windows(windows_of(image), (image.shape[0], image.shape[1]))


def windows_of(image: NDArray[np.uint8]) -> Read:
    """Return what reads windows of an image in memory."""
    return lambda top, left, bottom, right: image[top:bottom, left:right]


def scale_by_windows(read: Read, size_hw: tuple[int, int]) -> float:
    """Return the working scale of an image that is read by windows.

    Args:
        read: Gives the pixels of a window by its top, left, bottom and right: uint8 (h, w, 3).
        size_hw: Height and width of the image in pixels.
    """
    most = min(
        OCTAVES, int(np.log2(max(min(size_hw) / SMALLEST, 1))), int(np.log2(max(min(size_hw), 1)))
    )
    if most < 1:
        return 1.0
    spectra = [
        spectrum
        for top, bottom in spans(size_hw[0], SIDE)
        for left, right in spans(size_hw[1], SIDE)
        if (spectrum := _lost(read(top, left, bottom, right))).max() > 0
    ]
    if not spectra:
        return 1.0
    lost = np.median(np.stack(spectra), axis=0)
    halvings = int(np.argmax(lost >= KEPT * lost.max()))
    return 0.5 ** min(halvings, most, 3)


def in_words(scale: float) -> str:
    """Return a scale as people say it.

    >>> in_words(0.25), in_words(1.0), in_words(0.3)
    ('1/4', '1', '0.3')
    """
    whole = 1 / scale
    if scale < 1 and whole == int(whole):
        return f"1/{int(whole)}"
    return f"{scale:g}"


def chosen_scale(scale: float) -> str:
    """Say at which scale a photo was predicted that has chosen it.

    >>> chosen_scale(0.5)
    'predicted at scale 1/2, chosen by its detail and cracks.'
    """
    return f"predicted at scale {in_words(scale)}, chosen by its detail and cracks."


def spans(length: int, window: int) -> list[tuple[int, int]]:
    """Return begin and end of at most three windows along a side, spread from edge to edge.

    Args:
        length: Of the side.
        window: Side of a window.

    >>> spans(100, 40), spans(30, 40)
    ([(0, 40), (30, 70), (60, 100)], [(0, 30)])
    """
    if length <= window:
        return [(0, length)]
    count = min(GRID, -(-length // window))
    starts = [(length - window) * index // max(count - 1, 1) for index in range(count)]
    return [(start, start + window) for start in starts]


def _lost(window: NDArray[np.uint8]) -> NDArray[np.float64]:
    """What each halving loses, as a mean square in 8-bit units, (OCTAVES,); 0 where too small."""
    gray = np.asarray(cv2.cvtColor(window, cv2.COLOR_RGB2GRAY), np.float32)
    lost = np.zeros(OCTAVES)
    for octave in range(OCTAVES):
        height, width = (side // 2 * 2 for side in gray.shape)
        if min(height, width) < 16:
            break
        gray = gray[:height, :width]
        half = cv2.resize(gray, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
        back = cv2.resize(half, (width, height), interpolation=cv2.INTER_CUBIC)
        lost[octave] = float(np.mean((gray - back) ** 2))
        gray = np.asarray(half, np.float32)
    return lost
