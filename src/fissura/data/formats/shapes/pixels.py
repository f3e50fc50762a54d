"""The pixels of an annotated image, in the frame that its shapes lie in."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fissura.data.formats.annotation import AnnotatedImage
from fissura.data.images import photo_pixels, upright
from fissura.errors import InputError
from fissura.memory import check_promise


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
        try:
            data = image.stored()
            with Image.open(io.BytesIO(data)) as opened:
                check_promise(f"{image.image}: {image.name}", opened, len(data))
                pixels, orientation = np.asarray(opened.convert("RGB")), 1
        except InputError:
            raise
        except Exception as error:  # Pillow raises of every kind where a file is damaged
            raise InputError(f"{image.image}: {image.name} cannot be read, {error}.") from error
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
