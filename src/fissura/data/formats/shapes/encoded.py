"""Bitmaps that are stored as text: base64 of a PNG, compressed or not."""

from __future__ import annotations

import base64
import binascii
import hashlib
import io
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fissura.data.formats.annotation import Bitmap
from fissura.errors import InputError
from fissura.pillow import opened_image

MOST_BYTES = 2**28  # that text may unpack to


def decode_base64(text: Any, what: str) -> bytes:
    """Decode base64.

    Raises:
        InputError: It is none.
    """
    try:
        return base64.b64decode(text, validate=True)
    except (TypeError, ValueError, binascii.Error) as error:
        raise InputError(f"{what} has a bitmap that is no base64") from error


def unpack(data: bytes, what: str) -> bytes:
    """Unpack what zlib packed, up to `MOST_BYTES`.

    Raises:
        InputError: It is damaged, or unpacks to more.
    """
    unpacker = zlib.decompressobj()
    try:
        found = unpacker.decompress(data, MOST_BYTES)
    except zlib.error as error:
        raise InputError(f"{what} has a damaged bitmap") from error
    if unpacker.unconsumed_tail or not unpacker.eof:
        raise InputError(f"{what} has a bitmap that is cut off or too large")
    return found


def png_bitmap(
    data: bytes,
    size_hw: tuple[int, int],
    what: str,
    *,
    top: int,
    left: int,
) -> Bitmap:
    """Return the bitmap of a PNG, whose pixels are set where they are not 0 or, of several
    channels, where the last one (the opacity) is not.

    Args:
        data: The PNG.
        size_hw: Height and width of the image; the bitmap must not be larger.
        what: Of what, for the error.
        top: Row of its first pixel.
        left: Column of its first pixel.

    Raises:
        InputError: It is no PNG, or larger than the image.
    """
    told = f"{what}: the bitmap"
    with opened_image(data, told, ("PNG",)) as image:
        width, height = image.size
    if height > size_hw[0] + 1 or width > size_hw[1] + 1:
        raise InputError(
            f"{what} has a bitmap of {width}×{height} pixels (width × height), and the image has "
            f"{size_hw[1]}×{size_hw[0]}"
        )

    def read() -> NDArray[np.bool_]:
        with opened_image(data, told, ("PNG",)) as image:
            return _values(image) > 0

    return Bitmap(read, hashlib.sha256(data).hexdigest(), top, left)


def png_bytes(pixels: NDArray[np.bool_]) -> bytes:
    """Return pixels as a PNG of one bit."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _values(image: Image.Image) -> NDArray[Any]:
    """Opacity where there is one, else the brightest channel; a palette by its colors."""
    if "transparency" in image.info or image.mode in ("LA", "PA", "RGBA"):
        return np.asarray(image.convert("RGBA"))[:, :, 3]
    if image.mode == "P":
        return np.asarray(image.convert("RGB")).max(axis=2)
    if image.mode == "1":
        return np.asarray(image.convert("L"))
    values = np.asarray(image)
    return values if values.ndim == 2 else values.max(axis=2)
