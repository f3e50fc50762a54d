"""Mask files whose values or colors are told by a list beside them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fissura.data.formats.annotation import Bitmap, Shape
from fissura.data.images import decode
from fissura.errors import InputError

Color = tuple[int, int, int]


def read_indices(path: Path) -> NDArray[np.int64]:
    """Read the values (h, w) of a mask; of palette images the indices.

    Raises:
        InputError: It cannot be read, or has colors.
    """
    values, _ = decode(
        path, lambda image: np.asarray(image if image.mode != "1" else image.convert("L"))
    )
    if values.ndim == 3 and (values == values[:, :, :1]).all():
        values = values[:, :, 0]
    if values.ndim != 2 or values.dtype.kind not in "ui":
        raise InputError(f"{path}: has colors, where a mask of whole numbers is expected")
    return values.astype(np.int64)


def read_colors(path: Path) -> NDArray[np.int64]:
    """Read the colors of a mask as numbers (h, w), see `packed`."""
    values, _ = decode(path, lambda image: np.asarray(image.convert("RGB")))
    red, green, blue = np.moveaxis(values[:, :, :3].astype(np.int64), 2, 0)
    return red << 16 | green << 8 | blue


def packed(color: Color) -> int:
    """Return a color as one number.

    >>> packed((0, 1, 2))
    258
    """
    return color[0] << 16 | color[1] << 8 | color[2]


def mask_shapes(
    path: Path,
    meaning: Mapping[int, str],
    *,
    colored: bool = False,
    ignored: frozenset[int] = frozenset(),
) -> tuple[list[Shape], tuple[int, int]]:
    """Return the shapes of a mask file, one for each value.

    Args:
        path: The file.
        meaning: Label of each value; "" for background.
        colored: The values are colors, see `packed`.
        ignored: Values of pixels that have no label.

    Returns:
        The shapes, and height and width of the mask.

    Raises:
        InputError: The file cannot be read, or has a value without meaning.
    """
    read = read_colors if colored else read_indices
    values = read(path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    shapes = []
    for value in np.unique(values).tolist():
        if value not in meaning and value not in ignored:
            told = (
                f"the color {value >> 16, value >> 8 & 255, value & 255}"
                if colored
                else f"the value {value}"
            )
            raise InputError(f"{path}: has {told}, which is not listed")
        label = meaning.get(value, "unlabeled")
        if label:

            def pixels(value: int = value) -> NDArray[np.bool_]:
                return read(path) == value

            shapes.append(
                Shape(label, Bitmap(pixels, f"{digest} {value} {colored}"), value in ignored)
            )
    height, width = values.shape
    return shapes, (height, width)
