"""The pixels of an annotated image, in the frame that its shapes lie in."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fissura.data.formats.annotation import AnnotatedImage
from fissura.data.images import photo_pixels, upright
from fissura.errors import InputError
from fissura.pillow import check_promise, opened_image


def read_pixels(image: AnnotatedImage) -> NDArray[np.uint8]:
    """Read an image as 8-bit RGB, turned as its shapes are.

    Args:
        image: The image.

    Returns:
        (h, w, 3) of the size `image.size_hw`.

    Raises:
        InputError: The image cannot be read, or has another size.
    """
    if image.stored is not None:
        data, what = image.stored(), f"{image.image}: {image.name}"
        with opened_image(data, what) as opened:
            check_promise(what, opened, len(data))
            pixels, orientation = np.asarray(opened.convert("RGB")), 1
    else:
        pixels, orientation = photo_pixels(image.image, None)
    turned = upright(pixels, orientation)
    for candidate in (turned, pixels):
        if candidate.shape[:2] == image.size_hw:
            return np.ascontiguousarray(candidate)
    height, width = image.size_hw
    raise InputError(
        f"{image.image}: has {turned.shape[1]}×{turned.shape[0]} pixels (width × height), but is "
        f"annotated as {width}×{height}."
    )
