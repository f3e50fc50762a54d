"""Write image files whole or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fissura.errors import InputError
from fissura.files.atomic import replacing

LONGEST_JPEG = 65_500  # pixels of a side; the library that writes JPEG refuses more
OPTIONS = {".jpg": [cv2.IMWRITE_JPEG_QUALITY, 92], ".png": [cv2.IMWRITE_PNG_COMPRESSION, 3]}


def shrunk(image: NDArray[Any], longest: int) -> tuple[NDArray[Any], float]:
    """Shrink an image by area where a side of it is too long.

    Args:
        image: (h, w) or (h, w, 3).
        longest: The longer side that it may have, in pixels.

    Returns:
        The image, and its new size over the old: 1, or less where it had to shrink.
    """
    scale = longest / max(image.shape[:2])
    if scale >= 1:
        return image, 1.0
    height, width = (max(round(side * scale), 1) for side in image.shape[:2])
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), scale


def write_image(path: Path, image: NDArray[Any]) -> float:
    """Write an image file whole or not at all.

    A JPEG cannot have more than 65,500 pixels along a side. A larger image is shrunk by area.

    Args:
        path: The file, ending in .jpg or .png.
        image: uint8 (h, w, 3), blue first, or gray (h, w), for .png also uint16.

    Returns:
        The size of the written image over that of `image`: 1, or less where it had to shrink.

    Raises:
        InputError: The format cannot hold the image.
        OSError: The file cannot be written; the error names it.
    """
    scale = 1.0
    if path.suffix == ".jpg":
        image, scale = shrunk(image, LONGEST_JPEG)
    # OpenCV only encodes: it would not report a full disk.
    try:
        written, encoded = cv2.imencode(path.suffix, image, OPTIONS[path.suffix])
    except cv2.error as error:
        written, encoded, reason = False, np.empty(0, np.uint8), error
    else:
        reason = None
    if not written:
        height, width = image.shape[:2]
        raise InputError(
            f"{path}: cannot be written, the format does not hold {height}×{width} pixels."
        ) from reason
    with replacing(path) as temporary:
        temporary.write_bytes(encoded.data)
    return scale
