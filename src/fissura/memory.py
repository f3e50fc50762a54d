"""Keep or give back the memory that the process frees; refuse images that would take it all."""

from __future__ import annotations

import ctypes
import os
import platform
from typing import Any

from fissura.errors import InputError

# From glibc's malloc.h.
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX, M_ARENA_MAX = -1, -2, -4, -8

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


def keep_freed_memory() -> bool:
    """Let this process keep the memory that it frees, for its next tensors.

    By default glibc gives a large block back to the system as soon as it is freed. Each tensor then
    comes as fresh pages, which the kernel has to zero and to map one by one as they are first
    touched. A network on a CPU makes hundreds of large tensors in a second, and spends a third of
    its time in that.

    It is a setting of the whole process, which the command line makes; a program that uses Fissura
    as a library may do so, too, at its start. The process then stays as large as it ever was.

    Returns:
        Whether the system has this setting: Linux with glibc.
    """
    if not _has_glibc():
        return False
    mallopt = ctypes.CDLL(None).mallopt
    # One arena: else each thread keeps what it freed for itself.
    settings = {M_ARENA_MAX: 1, M_MMAP_MAX: 0, M_TRIM_THRESHOLD: 2**31 - 1, M_TOP_PAD: 64 * 2**20}
    return all(mallopt(option, value) for option, value in settings.items())


def memory_of_machine() -> float:
    """Return the bytes of the machine's memory, without end where it doesn't tell."""
    try:
        return float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    except (AttributeError, OSError, ValueError):
        return float("inf")


def give_back_freed_memory() -> None:
    """Give the memory that is free now back to the system, also after `keep_freed_memory`.

    It is for the seams of large work: the memory that a step freed is scattered, and the next one
    may not be able to use it. Does nothing but on Linux with glibc.
    """
    if _has_glibc():
        ctypes.CDLL(None).malloc_trim(0)


def _has_glibc() -> bool:
    """Whether the C library is glibc."""
    return platform.libc_ver()[0] == "glibc"


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
