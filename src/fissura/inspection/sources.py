"""What a file is: a photo, a mask, or probabilities; and the cracks' probabilities in it."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fissura.data.masks import read_mask
from fissura.errors import InputError

Kind = Literal["auto", "photo", "mask", "probability"]
LEVELS = 65535  # of the probabilities that `fissura predict --probabilities` writes
LOOKED_AT = 2**24  # pixels of a gray image whose values tell whether it is a mask


def kind_of(file: Path) -> Kind:
    """Tell by its pixels what an image file is.

    16-bit gray is a probability map, as `fissura predict --probabilities` writes it. One bit a
    pixel, or 8-bit gray (or a palette) with black and at most one other value, is a mask.
    Everything else is a photo, and so is what can't be read: reading it will say why.
    """
    try:
        with Image.open(file) as image:
            if image.mode.startswith("I;16"):
                return "probability"
            if image.mode == "1":
                return "mask"
            if image.mode not in ("L", "P") or image.width * image.height > LOOKED_AT:
                return "photo"
            values = np.flatnonzero(image.histogram())
    except (OSError, ValueError, SyntaxError):
        return "photo"
    return "mask" if values[0] == 0 and len(values) <= 2 else "photo"


def read_probability(file: Path, kind: Kind) -> tuple[NDArray[np.float32], float]:
    """Read a mask or probabilities as float32 (h, w), 0 to 1, and the threshold they imply.

    A mask is crack where it is brighter than the middle between 0 and its brightest value.

    Raises `InputError` where the file cannot be read or has colors.
    """
    if kind == "probability":
        try:
            with Image.open(file) as image:
                stored = np.asarray(image)
        except (OSError, ValueError, SyntaxError) as error:
            raise InputError(f"{file}: cannot be read ({error}).") from error
        if stored.ndim != 2:
            raise InputError(f"{file}: has colors; probabilities are gray.")
        highest = LEVELS if stored.dtype.itemsize > 1 else 255
        return stored.astype(np.float32) / np.float32(highest), 0.5
    values = read_mask(file)
    if values.ndim != 2:
        raise InputError(
            f"{file}: has colors, and it is not known which of them is crack. Give a mask that is "
            "black, and white where there is crack."
        )
    return (values > values.max() / 2).astype(np.float32), 0.5
