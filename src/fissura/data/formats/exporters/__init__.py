"""Write annotated images in the formats of labeling tools; one function per format.

Each takes the folder to write into, the labels and the images, and returns what was lost in
sentences. Photos lie where the format wants them: `Ready.photo_in` copies them there.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from fissura.data.formats.annotation import AnnotatedImage, Bitmap, Polygon, Shape
from fissura.data.formats.shapes.outlines import components, inset, keyhole, outlines
from fissura.data.formats.shapes.rasterize import is_ignored, painted
from fissura.data.images import upright
from fissura.files import replacing


@dataclass(frozen=True, eq=False)
class Ready:
    """An image that is about to be written.

    Attributes:
        image: The image, upright.
        name: Its path in the folder of photos, with / between folders, without suffix.
        suffix: Of the photo.
        polygons: Outlines are wanted where the format has bitmaps, too.
        copied: Whether photos are copied.
    """

    image: AnnotatedImage
    name: str
    suffix: str
    polygons: bool = False
    copied: bool = True

    @property
    def file(self) -> str:
        """Its path in the folder of photos."""
        return f"{self.name}{self.suffix}"

    @property
    def split(self) -> str:
        """The image's split, or "default"."""
        return self.image.split or "default"

    def photo_in(self, folder: Path) -> None:
        """Copy the photo into the folder of photos, unless that is not wanted."""
        if not self.copied:
            return
        target = folder / self.file
        if self.image.stored is not None:
            data = self.image.stored()
            with replacing(target) as temporary:
                temporary.write_bytes(data)
            return
        with replacing(target) as temporary:
            shutil.copyfile(self.image.image, temporary)

    def objects(self) -> Iterator[tuple[str, NDArray[np.bool_], int, int]]:
        """Yield what is marked as pixels: label, pixels in a box, its first row and column.

        Bitmaps are divided into components. What is ignored is left out.
        """
        for shape in self.marked():
            for pixels, top, left in painted(shape, self.image):
                if isinstance(shape.geometry, Polygon):
                    found = [(pixels, 0, 0)] if pixels.any() else []
                else:
                    found = components(pixels)
                for part, row, column in found:
                    yield (shape.label, *_cropped(part, top + row, left + column))

    def rings(self) -> Iterator[tuple[str, NDArray[np.float64]]]:
        """Yield what is marked as outlines without holes: label, and x and y of the points.

        Polygons without holes keep their points, cut off at the edges of the image; others are
        painted and outlined along the edges of pixels, holes joined by `keyhole`.
        """
        height, width = self.image.size_hw
        for shape in self.marked():
            geometry = shape.geometry
            if isinstance(geometry, Polygon) and not geometry.holes:
                ring = geometry.outer
                if (ring >= 0).all() and (ring <= (width, height)).all():
                    yield shape.label, ring
                    continue
            for pixels, top, left in painted(shape, self.image):
                for polygon in outlines(pixels):
                    holes = tuple(map(inset, polygon.holes))
                    joined = keyhole(Polygon(inset(polygon.outer), holes))
                    yield shape.label, joined + np.array([left, top])

    def unlabeled(self) -> Iterator[tuple[NDArray[np.bool_], int, int]]:
        """Yield the pixels of areas that have no label: in a box, its first row and column."""
        for shape in self.image.shapes:
            if is_ignored(shape):
                for pixels, top, left in painted(shape, self.image):
                    if pixels.any():
                        yield _cropped(pixels, top, left)

    def marked(self) -> list[Shape]:
        """Return the shapes that belong to a class."""
        return [shape for shape in self.image.shapes if not is_ignored(shape)]


class Exporter(Protocol):
    """Writes images into a folder and returns what was lost, in sentences."""

    def __call__(self, folder: Path, labels: tuple[str, ...], images: Iterator[Ready]) -> list[str]:
        """Write the images."""
        ...


def settled(image: AnnotatedImage, line_width: float | None, orientation: int) -> AnnotatedImage:
    """Return an image, upright, with every shape that is no polygon as a bitmap, decoded once.

    Args:
        image: The image.
        line_width: Of lines, see `fissura.data.formats.shapes.rasterize`.
        orientation: The EXIF orientation that its shapes have still to be turned by; 1 for none.

    Raises:
        InputError: A bitmap cannot be decoded, or the image not be read beneath a line.
    """
    shapes = []
    for shape in image.shapes:
        if isinstance(shape.geometry, Polygon) and orientation == 1:
            shapes.append(shape)
            continue
        pixels, top, left = _in_one_box(list(painted(shape, image, line_width)))
        if orientation != 1:
            whole = np.zeros(image.size_hw, np.bool_)
            whole[top : top + pixels.shape[0], left : left + pixels.shape[1]] = pixels
            pixels, top, left = upright(whole, orientation), 0, 0
        shapes.append(replace(shape, geometry=bitmap(pixels, top, left)))
    height, width = image.size_hw
    size_hw = (width, height) if orientation >= 5 else (height, width)
    return replace(image, shapes=tuple(shapes), size_hw=size_hw)


def _in_one_box(
    boxes: list[tuple[NDArray[np.bool_], int, int]],
) -> tuple[NDArray[np.bool_], int, int]:
    """Join the boxes of a shape, as of the pieces of a line."""
    if len(boxes) == 1:
        return boxes[0]
    if not boxes:
        return np.zeros((0, 0), np.bool_), 0, 0
    top, left = min(box[1] for box in boxes), min(box[2] for box in boxes)
    bottom = max(row + pixels.shape[0] for pixels, row, _ in boxes)
    right = max(column + pixels.shape[1] for pixels, _, column in boxes)
    joined = np.zeros((bottom - top, right - left), np.bool_)
    for pixels, row, column in boxes:
        place = joined[row - top :, column - left :]
        place[: pixels.shape[0], : pixels.shape[1]] |= pixels
    return joined, top, left


def bitmap(pixels: NDArray[np.bool_], top: int = 0, left: int = 0) -> Bitmap:
    """Return pixels of a box as a bitmap, packed until they are needed."""
    packed, shape = np.packbits(pixels), pixels.shape

    def read() -> NDArray[np.bool_]:
        count = shape[0] * shape[1]
        return np.unpackbits(packed, count=count).reshape(shape).astype(np.bool_)

    digest = hashlib.sha256(packed.tobytes()).hexdigest()
    return Bitmap(read, f"{digest} {shape}", top, left)


def _cropped(pixels: NDArray[np.bool_], top: int, left: int) -> tuple[NDArray[np.bool_], int, int]:
    """Cut a box down to its pixels."""
    rows, columns = np.flatnonzero(pixels.any(axis=1)), np.flatnonzero(pixels.any(axis=0))
    cut = pixels[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return cut, top + int(rows[0]), left + int(columns[0])
