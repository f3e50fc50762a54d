"""What every annotation format is read into: shapes with labels on images, as plain values."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fissura.data.walk import Skipped

# Labels of what is no class at all, and of areas that nobody labeled; in lower case.
BACKGROUND_LABELS = {"background", "_background_", "__background__", "bg"}
IGNORED_LABELS = {"unlabeled", "unlabelled", "void", "ignore", "ignored", "__ignore__"}


@dataclass(frozen=True, eq=False)
class Polygon:
    """A filled outline.

    Attributes:
        outer: (n, 2) x and y in pixels, n ≥ 3. (0, 0) is the outer corner of the first pixel,
            whose center is (0.5, 0.5).
        holes: Outlines of what is left out, in the same coordinates.
    """

    outer: NDArray[np.float64]
    holes: tuple[NDArray[np.float64], ...] = ()


@dataclass(frozen=True, eq=False)
class Polyline:
    """A line without a width.

    Attributes:
        points: (n, 2) x and y as those of a `Polygon`, n ≥ 2.
    """

    points: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Bitmap:
    """Pixels of a box, decoded when they are needed.

    Attributes:
        read: Gives the pixels of the box, bool (h, w). Raises `InputError` where what is stored
            cannot be decoded.
        digest: Text that is the same for the same pixels, to find them in the cache.
        top: Row of the box's first pixel; the box may reach beyond the image.
        left: Its column.
    """

    read: Callable[[], NDArray[np.bool_]]
    digest: str
    top: int = 0
    left: int = 0


Geometry = Polygon | Polyline | Bitmap


@dataclass(frozen=True, eq=False)
class Shape:
    """A labeled area.

    Attributes:
        label: Name of its class.
        geometry: Where it is.
        ignored: Nobody says what the pixels in it are, as of crowds and unlabeled areas.
    """

    label: str
    geometry: Geometry
    ignored: bool = False


@dataclass(frozen=True, eq=False)
class AnnotatedImage:
    """An image and its shapes.

    Attributes:
        image: The file; where the image lies inside another file, that one.
        name: The image's path below the source, without suffix; unique.
        split: "train", "val", "test" or "".
        size_hw: Height and width of the frame that the shapes lie in. It is the size of the image,
            upright or as stored.
        shapes: What is marked, in the order in which it is painted.
        stored: Gives the bytes of an image that lies inside another file.
    """

    image: Path
    name: str
    split: str
    size_hw: tuple[int, int]
    shapes: tuple[Shape, ...]
    stored: Callable[[], bytes] | None = None


@dataclass(frozen=True, eq=False)
class AnnotatedSet:
    """All annotations of a source.

    Attributes:
        format: Name of the format in words, with where its files lie.
        root: The folder that holds everything.
        images: The annotated images.
        labels: The names of all classes, those that mark nothing included.
        skipped: Files that cannot be used, each with the reason.
        notes: What else was noticed, in sentences.
    """

    format: str
    root: Path
    images: tuple[AnnotatedImage, ...]
    labels: tuple[str, ...]
    skipped: tuple[Skipped, ...] = ()
    notes: tuple[str, ...] = ()


def digest_of(image: AnnotatedImage) -> str:
    """Return 32 hexadecimal digits that are the same for the same shapes on the same frame."""
    total = hashlib.sha256(str(image.size_hw).encode())
    for shape in image.shapes:
        total.update(f"\0{shape.label}\0{shape.ignored}\0".encode("utf-8", "surrogatepass"))
        match shape.geometry:
            case Polygon(outer, holes):
                for ring in (outer, *holes):
                    total.update(b"ring" + np.ascontiguousarray(ring).tobytes())
            case Polyline(points):
                total.update(b"line" + np.ascontiguousarray(points).tobytes())
            case Bitmap(_, digest, top, left):
                total.update(f"bitmap {top} {left} {digest}".encode())
    return total.hexdigest()[:32]
