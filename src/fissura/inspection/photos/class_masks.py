"""One class of masks that hold several: index masks, and the maps that `fissura predict` wrote."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fissura.data.masks import is_jpeg, read_mask
from fissura.errors import InputError

# Fraction of pixels that have the value of all their neighbors: at least 0.6 of 2000 masks, saved
# as JPEG and resampled ones among them, at most 0.43 of 1500 photos.
FLAT = 0.5
FEW_VALUES = 32  # of an index mask that is not flat, as that of a poor model


@dataclass(frozen=True)
class OneClass:
    """A class of index masks.

    Attributes:
        name: Its name.
        value: Its value in the masks.
    """

    name: str
    value: int

    def __str__(self) -> str:
        return f"{self.name} is {self.value}"


def given_class(of_class: str | None) -> OneClass | None:
    """Return the class that was typed with its value, such as `rust=3`; None without a value.

    Args:
        of_class: What was typed, or None.

    Raises:
        InputError: The value is none that a mask may hold.

    >>> given_class("rust=3"), given_class("rust")
    (OneClass(name='rust', value=3), None)
    """
    if of_class is None or "=" not in of_class:
        return None
    name, _, value = (word.strip() for word in of_class.partition("="))
    if not name or not re.fullmatch(r"\d+", value) or not 1 <= int(value) <= 65535:
        raise InputError(
            f"--of-class {of_class}: a class of index masks is written as rust=3, its name and its "
            "value in the masks, 1 to 65535."
        )
    return OneClass(name, int(value))


def class_of_map(file: Path, told: dict[str, Any], of_class: str | None) -> OneClass | None:
    """Return the class of a map that Fissura wrote; None of a mask of crack or not.

    Args:
        file: The map.
        told: The settings of the results that it belongs to.
        of_class: The class that was asked for, or None.

    Raises:
        InputError: The map tells several classes apart and none of them was asked for.
    """
    classes = told.get("classes")
    if not isinstance(classes, list) or classes[:1] != ["background"]:
        return None
    names = [str(name) for name in classes]
    if of_class not in names[1:]:
        which = "" if of_class is None else f", and no {of_class}"
        raise InputError(
            f"{file}: is a map of the classes {', '.join(names[1:])}{which}. Say with --of-class "
            "which of them is to be measured."
        )
    return OneClass(of_class, names.index(of_class))


def read_class(file: Path, one: OneClass) -> tuple[NDArray[np.bool_], str]:
    """Read the pixels of one class.

    Args:
        file: An index mask: gray, or a palette image, whose indices count.
        one: The class.

    Returns:
        Bool (h, w), upright; and in words how the values were understood.

    Raises:
        InputError: The file cannot be read, has colors, changes values as JPEG does, or is a photo.
    """
    values = read_mask(file, indices=True)
    if values.ndim != 2:
        raise InputError(
            f"{file}: has colors. An index mask is gray or a palette image, whose values are "
            "classes."
        )
    if is_jpeg(file):
        raise InputError(f"{file}: is a JPEG, which changes values. Index masks must be PNGs.")
    if flatness(values) < FLAT and np.count_nonzero(np.bincount(values.ravel())) > FEW_VALUES:
        raise InputError(
            f"{file}: is no index mask, for its pixels differ from their neighbors as those of a "
            "photo do."
        )
    mask = values == one.value
    lacking = "" if mask.any() else f"; the value {one.value} is not in it"
    return mask, f"an index mask ({one}{lacking})"


def flatness(values: NDArray[Any]) -> float:
    """Return the fraction of pixels that have the value of all their neighbors, 0 to 1.

    Args:
        values: Gray (h, w) or RGB (h, w, 3).
    """
    square = np.ones((3, 3), np.uint8)
    same = cv2.dilate(values, square) == cv2.erode(values, square)
    return float((same if values.ndim == 2 else same.all(2)).mean())
