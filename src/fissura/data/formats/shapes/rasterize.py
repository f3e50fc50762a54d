"""Paint shapes as masks: a pixel belongs to an outline where its center lies inside."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from fissura.data.formats.annotation import (
    IGNORED_LABELS,
    AnnotatedImage,
    Bitmap,
    Polygon,
    Polyline,
    Shape,
)
from fissura.data.formats.shapes.line_width import Stroke, measured_strokes

IGNORED = 255
# Of a pixel, as lines see it: of two pixels that lie as far from a line on both sides, one counts.
CENTER = 0.5 + 1e-6
MOST_CROSSINGS = 2**22  # of edges and rows that are held at once


def rasterize(
    image: AnnotatedImage,
    classes: Sequence[str] | Mapping[str, int],
    line_width: float | None = None,
) -> NDArray[np.uint8]:
    """Paint the shapes of an image.

    Shapes are painted in their order, so that later ones lie on top; labels that are not in
    `classes` are not painted and hide nothing. Areas without labels lie below all classes. What
    reaches beyond the image is cut off.

    Args:
        image: The image and its shapes.
        classes: Labels of the classes 1, 2 and so on; or the number of each, 1 to 254.
        line_width: Width of polylines in pixels; None measures them in the image, see
            `fissura.data.formats.shapes.line_width`.

    Returns:
        (h, w): 0 background, 1 and up the classes, 255 ignored.

    Raises:
        InputError: A bitmap cannot be decoded; or the image cannot be read, which needs to be
            only where polylines are measured.
    """
    if not isinstance(classes, Mapping):
        classes = {label: number for number, label in enumerate(classes, start=1)}
    mask = np.zeros(image.size_hw, np.uint8)
    for shape in sorted(image.shapes, key=lambda shape: not is_ignored(shape)):
        value = IGNORED if is_ignored(shape) else classes.get(shape.label, 0)
        if value:
            for pixels, top, left in painted(shape, image, line_width):
                mask[top : top + pixels.shape[0], left : left + pixels.shape[1]][pixels] = value
    return mask


def is_ignored(shape: Shape) -> bool:
    """Whether nobody says what a shape's pixels are."""
    return shape.ignored or shape.label.casefold() in IGNORED_LABELS


def painted(
    shape: Shape, image: AnnotatedImage, line_width: float | None = None
) -> Iterator[tuple[NDArray[np.bool_], int, int]]:
    """Yield the pixels of a shape in boxes that lie within the image: pixels, top and left.

    Args:
        shape: One of the image's shapes.
        image: The image.
        line_width: As in `rasterize`.
    """
    match shape.geometry:
        case Polygon(outer, holes):
            pixels, top, left = fill(outer, image.size_hw)
            for hole in holes:
                cut, row, column = fill(hole, image.size_hw)
                other = np.zeros(image.size_hw, np.bool_)
                other[row : row + cut.shape[0], column : column + cut.shape[1]] = cut
                pixels &= ~other[top : top + pixels.shape[0], left : left + pixels.shape[1]]
            yield pixels, top, left
        case Polyline(points):
            if line_width is not None:
                strokes = [Stroke(points, np.full(len(points), float(line_width)))]
            else:
                strokes = measured_strokes(_gray(image), points)
            for stroke in strokes:
                yield from _draw(stroke, image.size_hw)
        case Bitmap(read, _, top, left):
            yield _within(read(), top, left, image.size_hw)


def fill(ring: NDArray[np.float64], size_hw: tuple[int, int]) -> tuple[NDArray[np.bool_], int, int]:
    """Fill an outline by the even-odd rule.

    Args:
        ring: (n, 2) x and y; the last point is joined with the first.
        size_hw: Height and width of the image.

    Returns:
        The pixels whose centers lie inside, in the box around them that lies within the image; its
        first row and column.

    >>> fill(np.array([[1, 0], [3, 0], [3, 1], [1, 1]], float), (2, 4))
    (array([[ True,  True]]), 0, 1)
    """
    height, width = size_hw
    columns, rows = _centers(ring[:, 0], width), _centers(ring[:, 1], height)
    left, right, top, bottom = columns.min(), columns.max(), rows.min(), rows.max()
    parity = np.zeros((bottom - top, right - left + 1), np.uint8)
    start, end = ring, np.roll(ring, -1, axis=0)
    first = np.minimum(rows, np.roll(rows, -1))
    count = np.abs(rows - np.roll(rows, -1))
    for edges in _shares(count):
        edge = np.repeat(edges, count[edges])
        offset = np.arange(len(edge)) - np.repeat(
            np.cumsum(count[edges]) - count[edges], count[edges]
        )
        row = first[edge] + offset
        fraction = (row + 0.5 - start[edge, 1]) / (end[edge, 1] - start[edge, 1])
        x = start[edge, 0] + fraction * (end[edge, 0] - start[edge, 0])
        np.add.at(parity, (row - top, np.clip(_centers(x, width), left, right) - left), 1)
    # Sums may overflow: whether they are odd is all that counts.
    inside = np.add.accumulate(parity, axis=1, dtype=np.uint8)[:, :-1] % 2 == 1
    return inside, int(top), int(left)


def _centers(values: NDArray[np.float64], size: int) -> NDArray[np.int64]:
    """Index of the first pixel whose center is not before a coordinate, from 0 to `size`."""
    return np.clip(np.ceil(values - 0.5), 0, size).astype(np.int64)


def _shares(count: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """Divide edges so that a share crosses not too many rows."""
    crossing = np.flatnonzero(count)
    share = np.cumsum(count[crossing]) // MOST_CROSSINGS
    for number in np.unique(share):
        yield crossing[share == number]


def _within(
    pixels: NDArray[np.bool_], top: int, left: int, size_hw: tuple[int, int]
) -> tuple[NDArray[np.bool_], int, int]:
    """Cut a box off at the edges of the image."""
    height, width = size_hw
    cut = pixels[max(-top, 0) : max(height - top, 0), max(-left, 0) : max(width - left, 0)]
    return cut, min(max(top, 0), height), min(max(left, 0), width)


def _draw(stroke: Stroke, size_hw: tuple[int, int]) -> Iterator[tuple[NDArray[np.bool_], int, int]]:
    """Yield the pixels within half the width of each piece of a stroke, which is a tapered one."""
    height, width = size_hw
    for (start, end), widths in zip(stroke.pieces(), stroke.piece_widths(), strict=True):
        reach = max(widths) / 2
        low, high = np.minimum(start, end) - reach, np.maximum(start, end) + reach
        left, right = (int(np.clip(v, 0, width)) for v in (math.floor(low[0]), math.ceil(high[0])))
        top, bottom = (int(np.clip(v, 0, height)) for v in (math.floor(low[1]), math.ceil(high[1])))
        if left >= right or top >= bottom:
            continue
        x = np.arange(left, right)[None, :] + CENTER - start[0]
        y = np.arange(top, bottom)[:, None] + CENTER - start[1]
        along = end - start
        length2 = float(along @ along)
        at = np.clip((x * along[0] + y * along[1]) / length2, 0, 1) if length2 else 0 * x * y
        distance2 = (x - at * along[0]) ** 2 + (y - at * along[1]) ** 2
        half = (widths[0] + at * (widths[1] - widths[0])) / 2
        yield distance2 <= half**2, top, left


def _gray(image: AnnotatedImage) -> NDArray[np.float32]:
    """Brightness of an image's pixels in the frame of its shapes."""
    from fissura.data.formats.shapes.pixels import read_pixels

    return read_pixels(image).mean(axis=2, dtype=np.float32)
