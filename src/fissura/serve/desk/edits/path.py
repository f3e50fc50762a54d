"""The way along a crack between two clicks: the cheapest path over the probability."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from fissura.errors import InputError, extra
from fissura.measurement.centerline import smoothed
from fissura.serve.desk.photos.pixels import Box

AROUND = 64  # pixels around the two clicks, and a quarter of their distance
MOST_PIXELS = 1_500_000  # of a window; a larger one is looked at coarser
DETOUR = 0.03  # cost of a pixel that is surely crack: a straight way through nothing costs 1 each
MIDDLE = 0.15  # further cost of a pixel at the edge of a crack, so that the way keeps to the middle
DARK_ENOUGH = 0.4  # of darkness, or of a probability, where a crack is taken to begin
PHOTO = 0.6  # how much darkness beside the surroundings counts, of a probability
DARK = 25.0  # gray values below the surroundings that count as wholly dark
LEAST_WIDTH, MOST_WIDTH, USUAL_WIDTH = 1.0, 60.0, 3.0
KEEP = 2.0  # points of the path that are kept lie about so many pixels apart


@dataclass(frozen=True)
class Way:
    """A way along a crack.

    Attributes:
        points: x and y, (0, 0) the corner of the first pixel.
        width: Width of the crack along it, in pixels, as far as the probability tells.
    """

    points: list[tuple[float, float]]
    width: float


def find_way(
    start: tuple[float, float],
    end: tuple[float, float],
    size_hw: tuple[int, int],
    probability: Callable[[Box], NDArray[np.float32]],
    photo: Callable[[Box], NDArray[np.uint8]],
    threshold: float,
) -> Way:
    """Find the way along a crack from one click to another.

    The cost of a pixel falls with the probability of crack and, since lines are drawn where the
    model saw nothing, with how much darker it is than its surroundings.

    Args:
        start: x and y of the first click.
        end: Those of the second.
        size_hw: Height and width of the photo.
        probability: Returns the probabilities (h, w) of a window.
        photo: Returns RGB (h, w, 3) of a window.
        threshold: Probability from which a pixel counts as crack.

    Raises:
        InputError: A click lies outside the photo, or scikit-image is not installed.
    """
    ends = [_pixel(point, size_hw) for point in (start, end)]
    box = _window(ends, size_hw)
    prob = probability(box)
    crackness = np.maximum(prob, PHOTO * _darkness(photo(box)))
    coarse = max(int(np.ceil((crackness.size / MOST_PIXELS) ** 0.5)), 1)
    shrunk = _shrunk(crackness, coarse)
    inner = _inner(shrunk >= min(threshold, DARK_ENOUGH))
    cost = DETOUR + (1.0 - shrunk) ** 2 + MIDDLE / np.maximum(inner, 1.0) ** 2
    with extra("serve", "Snapping a line to a crack"):
        from skimage.graph import route_through_array
    inside = [((row - box[0]) // coarse, (column - box[1]) // coarse) for row, column in ends]
    found, _ = route_through_array(cost, *inside, fully_connected=True, geometric=True)
    pixels = np.array(found, np.float64) * coarse + (coarse - 1) / 2
    line = smoothed(pixels)
    xy = line[:, ::-1] + (box[1] + 0.5, box[0] + 0.5)
    step = max(round(KEEP / coarse), 1)
    kept = [tuple(point) for point in xy[step:-step:step].round(2).tolist()]
    dark = prob if (prob >= threshold).any() else crackness
    return Way([start, *kept, end], _width(_inner(dark >= min(threshold, DARK_ENOUGH)), pixels))


def _pixel(point: tuple[float, float], size_hw: tuple[int, int]) -> tuple[int, int]:
    """Return row and column of the pixel that a point lies on."""
    x, y = point
    if not (0 <= x <= size_hw[1] and 0 <= y <= size_hw[0]):
        raise InputError("A point of the line lies outside the photo.")
    return min(int(y), size_hw[0] - 1), min(int(x), size_hw[1] - 1)


def _window(ends: list[tuple[int, int]], size_hw: tuple[int, int]) -> Box:
    """Return a window around two pixels."""
    (row, column), (other_row, other_column) = ends
    margin = AROUND + max(abs(row - other_row), abs(column - other_column)) // 4
    return (
        max(min(row, other_row) - margin, 0),
        max(min(column, other_column) - margin, 0),
        min(max(row, other_row) + margin + 1, size_hw[0]),
        min(max(column, other_column) + margin + 1, size_hw[1]),
    )


def _darkness(rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return how much darker each pixel is than its surroundings, 0 to 1."""
    gray = cv2.GaussianBlur(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY).astype(np.float32), (0, 0), 1.0)
    around = cv2.boxFilter(gray, -1, (31, 31))
    return np.clip((around - gray) / DARK, 0.0, 1.0).astype(np.float32)


def _shrunk(values: NDArray[np.float32], coarse: int) -> NDArray[np.float32]:
    """Return the greatest value of each square of so many pixels a side."""
    if coarse == 1:
        return values
    height, width = (-(-side // coarse) for side in values.shape)
    padded = np.zeros((height * coarse, width * coarse), np.float32)
    padded[: values.shape[0], : values.shape[1]] = values
    return padded.reshape(height, coarse, width, coarse).max((1, 3))


def _inner(mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return the distance of each pixel of a mask to the nearest one outside, 0 there."""
    padded = np.pad(mask.astype(np.uint8), 1)
    whole = cv2.distanceTransform(padded, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return whole[1:-1, 1:-1].astype(np.float32)


def _width(inner: NDArray[np.float32], pixels: NDArray[np.float64]) -> float:
    """Return the width of a crack along a way through its middle, or a usual one."""
    rows, columns = np.rint(pixels).astype(int).T
    on = inner[rows.clip(0, inner.shape[0] - 1), columns.clip(0, inner.shape[1] - 1)]
    on = on[on > 0]
    if not len(on):
        return USUAL_WIDTH
    return float(np.clip(2 * np.median(on) - 1, LEAST_WIDTH, MOST_WIDTH))
