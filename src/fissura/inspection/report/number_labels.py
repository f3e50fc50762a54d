"""Numbers of cracks, put beside them: off the lines and off one another."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont

COARSE = 800  # pixels on the longer side of the map of what is taken
DIRECTIONS = [
    (np.cos(angle), np.sin(angle)) for angle in np.pi / 4 * np.array([7, 1, 5, 3, 0, 4, 6, 2])
]
FARTHER = (0.0, 0.6, 1.6, 3.0)  # further distances to try, in heights of a box
BOX, EDGE, TEXT = (24, 26, 32), (240, 240, 240), (255, 255, 255)

Box = tuple[int, int, int, int]  # left, top, right, bottom


def draw_numbers(
    drawn: NDArray[np.uint8],
    numbers: Sequence[tuple[int, NDArray[np.float64]]],
    lines: Sequence[NDArray[np.float64]],
    rings: Sequence[tuple[float, float, int]],
    *,
    font: int,
    clearance: int,
) -> list[Box]:
    """Draw each number in a box near one of its anchors.

    The position is taken that covers least: of other numbers first, then of lines, and among
    equals the nearest. A number that stands off gets a line to its anchor.

    Args:
        drawn: RGB (h, w, 3), drawn upon.
        numbers: Number and anchors, (k, 2) x and y, the preferred first.
        lines: Centerlines to keep off, (k, 2) x and y.
        rings: Marks to keep off: x, y and radius.
        font: Height of the letters in pixels.
        clearance: Width of the lines as they are drawn, in pixels.

    Returns:
        The boxes, in the order of `numbers`.
    """
    taken = _Taken(drawn.shape[0], drawn.shape[1], lines, rings, clearance)
    boxes: list[Box] = []
    for number, anchors in numbers:
        width, height = _box_size(str(number), font)
        box, anchor, off = _best(taken, anchors, (width, height), clearance + font // 4)
        boxes.append(box)
        taken.add(box)
        if off:
            _leader(drawn, box, anchor, max(1, font // 10))
    for (number, _), box in zip(numbers, boxes, strict=True):  # upon all the leaders
        _draw_box(drawn, box, str(number), font)
    return boxes


@cache
def letters(size: int) -> FreeTypeFont:
    """Return DejaVu Sans, which comes with matplotlib, in a size in pixels."""
    import matplotlib
    from PIL import ImageFont

    file = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
    return ImageFont.truetype(str(file), size)


class _Taken:
    """Pixels taken by lines and rings, as a coarse integral image; and boxes of numbers."""

    def __init__(
        self,
        height: int,
        width: int,
        lines: Sequence[NDArray[np.float64]],
        rings: Sequence[tuple[float, float, int]],
        clearance: int,
    ) -> None:
        self.shape = (height, width)
        self.step = max(1.0, max(height, width) / COARSE)
        size = (int(height / self.step) + 1, int(width / self.step) + 1)
        taken = np.zeros(size, np.uint8)
        points = [np.rint(line / self.step).astype(np.int32) for line in lines]
        cv2.polylines(taken, points, False, 1, max(1, round(clearance / self.step)))
        for x, y, radius in rings:
            center = (round(x / self.step), round(y / self.step))
            cv2.circle(taken, center, max(1, round(radius / self.step)), 1, -1)
        self.sums = cv2.integral(taken)
        self.boxes = np.empty((0, 4), np.int64)

    def add(self, box: Box) -> None:
        """Take a box, and a little air around it."""
        air = (box[3] - box[1]) // 8
        wider = (box[0] - air, box[1] - air, box[2] + air, box[3] + air)
        self.boxes = np.vstack([self.boxes, np.array([wider], np.int64)])

    def covered(self, box: Box) -> float:
        """Return the sum of the fractions of the box that each other box covers."""
        left, top, right, bottom = self.boxes.T
        wide = np.minimum(box[2], right) - np.maximum(box[0], left)
        high = np.minimum(box[3], bottom) - np.maximum(box[1], top)
        common = (wide * high)[(wide > 0) & (high > 0)].tolist()
        return sum(pixels / ((box[2] - box[0]) * (box[3] - box[1])) for pixels in common)

    def fraction(self, box: Box) -> float:
        """Return the fraction of the box that lines and rings take."""
        height, width = self.sums.shape
        left, right = (_within(int(at / self.step), width - 2) for at in (box[0], box[2]))
        top, bottom = (_within(int(at / self.step), height - 2) for at in (box[1], box[3]))
        right, bottom = right + 1, bottom + 1
        sums = self.sums
        inside = sums[bottom, right] - sums[top, right] - sums[bottom, left] + sums[top, left]
        return float(inside) / ((right - left) * (bottom - top))


def _best(
    taken: _Taken,
    anchors: NDArray[np.float64],
    size: tuple[int, int],
    gap: int,
) -> tuple[Box, tuple[float, float], bool]:
    """Return the best box, its anchor, and whether it stands far enough off for a line to it."""
    best: tuple[float, Box, tuple[float, float], bool] | None = None
    width, height = size
    for farther in FARTHER:
        for rank, (x, y) in enumerate(anchors.tolist()):
            for towards_x, towards_y in DIRECTIONS:
                away = gap + farther * height
                middle_x = x + towards_x * (away + width / 2)
                middle_y = y + towards_y * (away + height / 2)
                box = _inside(taken.shape, middle_x, middle_y, size)
                moved = abs((box[0] + box[2]) / 2 - middle_x) + abs(
                    (box[1] + box[3]) / 2 - middle_y
                )
                cost = 100.0 * taken.covered(box)
                cost += 10.0 * taken.fraction(box) + 0.3 * farther + 0.02 * rank + moved / height
                if best is None or cost < best[0]:
                    best = (cost, box, (x, y), farther > 0.6)
        if best is not None and best[0] < 0.5 + 0.3 * farther:
            break
    assert best is not None  # there are anchors
    return best[1:]


def _inside(shape: tuple[int, int], x: float, y: float, size: tuple[int, int]) -> Box:
    """Return the box around a middle, moved into the image."""
    (height, width), (wide, high) = shape, size
    left = _within(round(x - wide / 2), max(0, width - wide))
    top = _within(round(y - high / 2), max(0, height - high))
    return left, top, left + wide, top + high


def _within(value: int, most: int) -> int:
    """Return a value, moved to 0 to `most`."""
    return min(max(value, 0), most)


def _box_size(text: str, font: int) -> tuple[int, int]:
    """Return width and height of the box of a number."""
    height = round(1.35 * font)
    return max(height, round(letters(font).getlength(text)) + round(0.7 * font)), height


def _leader(
    drawn: NDArray[np.uint8], box: Box, anchor: tuple[float, float], thickness: int
) -> None:
    """Draw a line from a box to its anchor, with a dot at the end."""
    start = (round((box[0] + box[2]) / 2), round((box[1] + box[3]) / 2))
    end = (round(anchor[0]), round(anchor[1]))
    cv2.line(drawn, start, end, BOX, 3 * thickness, cv2.LINE_AA)
    cv2.circle(drawn, end, 3 * thickness, BOX, -1, cv2.LINE_AA)
    cv2.line(drawn, start, end, EDGE, thickness, cv2.LINE_AA)
    cv2.circle(drawn, end, 2 * thickness, EDGE, -1, cv2.LINE_AA)


def _draw_box(drawn: NDArray[np.uint8], box: Box, text: str, font: int) -> None:
    """Draw a number in its box."""
    from PIL import Image, ImageDraw

    left, top, right, bottom = box
    covered = drawn[max(0, top) : bottom, max(0, left) : right]
    patch = Image.fromarray(np.ascontiguousarray(covered))
    draw = ImageDraw.Draw(patch)
    edge = max(1, font // 14)
    # Drawn as large as the box, which a smaller image cuts off.
    shape = (0, 0, right - left - 1, bottom - top - 1)
    draw.rounded_rectangle(shape, radius=font // 4, fill=BOX, outline=EDGE, width=edge)
    middle = ((right - left - 1) / 2, (bottom - top - 1) / 2)
    draw.text(middle, text, font=letters(font), fill=TEXT, anchor="mm")
    covered[:] = np.asarray(patch)
