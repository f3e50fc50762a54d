"""Open images with Pillow: one error for all that is wrong, and none that would take all memory."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image

from fissura.errors import InputError
from fissura.memory import memory_of_machine

# How many pixels a byte of a file can hold at most, by the compression; a pixel has at least a bit.
# Deflate makes 1032 bytes of one; LZW 4096 of a code of 12 bits; JPEG 64 pixels of a bit, in blocks
# whose colors may have a fourth of the pixels on each side.
MOST_PIXELS = {
    "raw": 8,
    "packbits": 8 * 64,
    "jpeg": 1024,
    "zip": 8 * 1032,
    "tiff_deflate": 8 * 1032,
    "tiff_adobe_deflate": 8 * 1032,
    "tiff_lzw": 8 * 4096,
    "gif": 4096,
}


@contextmanager
def opened_image(
    source: Path | bytes, what: object = None, formats: tuple[str, ...] | None = None
) -> Iterator[Image.Image]:
    """Open an image, whose pixels are decoded when they are first asked for (`check_promise`).

    Pillow raises errors of every kind where a file is damaged, some of them only when pixels or
    EXIF data are read. Whatever is raised within this context is therefore one kind of error.

    Args:
        source: The file, or what is in it.
        what: Words for the message; the file by default.
        formats: Names of the formats that Pillow may try; all by default.

    Yields:
        The image as Pillow opened it.

    Raises:
        InputError: It cannot be read.
    """
    what = source if what is None and isinstance(source, Path) else what
    file = io.BytesIO(source) if isinstance(source, bytes) else source
    try:
        with Image.open(file, formats=formats) as image:
            yield image
    except InputError:
        raise
    except Exception as error:
        raise InputError(f"{what}: cannot be read ({error}).") from error


def check_promise(what: object, image: Any, size: int) -> None:
    """Refuse an image of which a header promises more than its file or any memory can hold.

    Args:
        what: The file, or other words for the message.
        image: As Pillow opened it; nothing is decoded yet.
        size: Bytes of the file.

    Raises:
        InputError: It promises too much.
    """
    width, height = image.size
    tiles = getattr(image, "tile", ())
    codecs = {tile[0] for tile in tiles}
    if codecs == {"libtiff"}:
        codecs = {image.info.get("compression")}
    # Pillow holds colors, and all that is deeper than 8 bits, in 4 bytes.
    most = memory_of_machine() / (1 if image.mode in ("1", "L", "P") else 4)
    holder = "memory of this machine"
    if codecs and codecs <= MOST_PIXELS.keys():
        most, holder = min((most, holder), (max(MOST_PIXELS[one] for one in codecs) * size, "file"))
    if width * height > most:
        raise InputError(
            f"{what}: cannot be read, its header promises {width}×{height} pixels, more than the "
            f"{holder} can hold."
        )
    # Of a TIFF that lacks strips Pillow would leave the lower rows black.
    stored = sum((right - left) * (bottom - top) for _, (left, top, right, bottom), *_ in tiles)
    if image.format == "TIFF" and "libtiff" not in codecs and stored % (width * height):
        raise InputError(f"{what}: cannot be read, its lower rows are missing.")
