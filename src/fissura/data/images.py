"""Read photos of every common kind as plain 8-bit arrays, upright; and pairs of photo and mask.

Pillow reads the files, for it refuses a truncated file, where OpenCV fills up with gray.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, features

from fissura.bit_depth import (
    Depth,
    declared_bits,
    decoded_by_opencv,
    depth_of_values,
    is_deep_color,
    tiff_tags,
)
from fissura.errors import InputError
from fissura.pillow import check_promise

HEIF = (".heic", ".heif", ".hif")
# Lower case; from the least to the most likely format of a mask.
SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", *HEIF, ".avif", ".webp", ".jp2", ".tif", ".tiff"),
    *(".ppm", ".pnm", ".pgm", ".pbm", ".bmp", ".gif", ".png"),
)
# Photos that cameras write before any processing, which must be developed first.
RAW = (
    *(".dng", ".nef", ".nrw", ".cr2", ".cr3", ".crw", ".arw", ".srf", ".sr2", ".raf", ".rw2"),
    *(".orf", ".pef", ".srw", ".x3f", ".3fr", ".fff", ".iiq", ".raw", ".rwl", ".gpr"),
)
ORIENTATION_TAG = 0x0112
BAND_PIXELS = 2**22

# Pillow's guard against 'decompression bombs' is for web servers; scans of whole panels pass it.
Image.MAX_IMAGE_PIXELS = None


def unreadable_format(path: Path) -> str | None:
    """Say in words why files of a photo's format cannot be read here; None where they can.

    >>> unreadable_format(Path("a.dng"))
    'raw photos of cameras are not read; develop them to TIFF or JPEG'
    """
    suffix = path.suffix.lower()
    if suffix in RAW:
        return "raw photos of cameras are not read; develop them to TIFF or JPEG"
    if suffix in HEIF and not _has_heif():
        return "HEIC photos need another package: pip install 'fissura[heic]'"
    if suffix == ".avif" and not features.check("avif"):
        return "AVIF photos need a newer Pillow: pip install 'pillow>=11.3'"
    return None


def read_image(path: Path, *, depth: Depth | None = None) -> NDArray[np.uint8]:
    """Read a photo as 8-bit RGB, upright as its EXIF orientation says.

    Gray and palette images become RGB. Transparency is dropped: the stored colors count, also
    under transparent pixels. Of several frames or pages the first is read.

    Args:
        path: The file.
        depth: The depth of the set, from `fissura.bit_depth.common_depth`, for files of more than
            8 bits; by default that of this file alone.

    Returns:
        Shape (height, width, 3).

    Raises:
        InputError: Where the file is missing, damaged, truncated or of an unknown format, or has
            pixels without a value (NaN).
    """
    return np.ascontiguousarray(upright(*photo_pixels(path, depth)))


def size_difference(image_shape: tuple[int, ...], mask_shape: tuple[int, ...]) -> str:
    """Say in words that a mask has another size than its image."""
    (height, width), (mask_height, mask_width) = image_shape[:2], mask_shape[:2]
    is_turned = (mask_width, mask_height) == (height, width)
    turned = ", as if one of them were turned by 90°" if is_turned else ""
    return (
        f"the mask has {mask_width}×{mask_height} pixels (width × height), "
        f"but its image has {width}×{height}{turned}"
    )


def read_size(path: Path) -> tuple[tuple[int, int], tuple[int, int]]:
    """Read the size of an image from its header.

    Returns:
        The size as stored and the size upright, (height, width) each.

    Raises:
        InputError: Where the header is damaged or the format is unknown.
    """
    _prepare_for(path)
    try:
        with Image.open(path) as image:
            width, height = image.size
            orientation = _orientation(image)
            if image.format == "TIFF":  # newer versions of Pillow give the upright size
                tags: Any = image.getexif()
                width, height = tags.get(256, width), tags.get(257, height)
    except Exception as error:
        pixels, orientation = _second_chance(path, error)
        height, width = pixels.shape[:2]
    stored = (height, width)
    return stored, (width, height) if orientation >= 5 else stored


def count_pixels(path: Path) -> int:
    """Count the pixels of an image by its header; 0 where that is damaged, which reading tells."""
    try:
        (height, width), _ = read_size(path)
    except Exception:
        return 0
    return height * width


def upright(pixels: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Undo an EXIF orientation (1 to 8; others count as 1).

    >>> upright(np.array([[1, 2]], np.uint8), 6)
    array([[1],
           [2]], dtype=uint8)
    """
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return pixels


def decode(path: Path, take: Callable[[Image.Image], NDArray[Any]]) -> tuple[NDArray[Any], int]:
    """Read an image as stored, with the full depth of its values.

    Args:
        path: The file.
        take: Gives the pixels of an image that Pillow has opened. It is not asked for colors of
            more than 8 bits, which OpenCV reads.

    Returns:
        The pixels (h, w), (h, w, 3) or, with transparency, (h, w, 4), and the EXIF orientation
        that turns them upright.

    Raises:
        InputError: Where the file is missing, damaged, truncated or of an unknown format.
    """
    _prepare_for(path)
    try:
        # By the open file, since Pillow maps TIFFs into memory that it opens by name, and mangles
        # those with an orientation from 5 on.
        with path.open("rb") as file, Image.open(file) as image:
            orientation = _orientation(image)
            deep = is_deep_color(image)
            check_promise(path, image, path.stat().st_size)
            size = image.size
            image.load()  # also of deep colors, since Pillow refuses truncated files
            if image.size != size and image.format in ("HEIF", "AVIF"):
                raise InputError(f"{path}: cannot be read, its header tells of another size.")
            # Pillow turns TIFFs while it loads them, and takes their orientation away.
            turned = _orientation(image) != orientation and image.format == "TIFF"
            if not deep:
                pixels = take(image)
                return (_as_stored(pixels, orientation) if turned else pixels), orientation
        return _by_opencv(path, orientation), orientation
    except InputError:
        raise
    except Exception as error:
        return _second_chance(path, error)


def _by_opencv(path: Path, orientation: int) -> NDArray[Any]:
    """Decode an image as stored; OpenCV turns TIFFs, whatever it is told."""
    pixels = decoded_by_opencv(path)
    return _as_stored(pixels, orientation) if path.suffix.lower() in (".tif", ".tiff") else pixels


def _as_stored(pixels: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Turn upright pixels back; 6 and 8 undo each other, the others themselves."""
    return upright(pixels, {6: 8, 8: 6}.get(orientation, orientation))


def exif_of(image: Image.Image) -> Image.Exif:
    """Return the EXIF data of an open image, without decoding its pixels.

    In a PNG that has none before its pixels Pillow would look behind them, and decode them all, as
    many as its header promises.

    Args:
        image: As Pillow opened it.
    """
    if image.format == "PNG" and not {"exif", "Raw profile type exif"} & image.info.keys():
        return Image.Exif()
    return image.getexif()


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 where there is none."""
    if image.format in ("HEIF", "AVIF"):
        return 1  # these are decoded upright, whatever their EXIF still says
    return _known_orientation(exif_of(image).get(ORIENTATION_TAG))


def _known_orientation(value: object) -> int:
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _second_chance(path: Path, error: Exception) -> tuple[NDArray[Any], int]:
    """Pixels and orientation of TIFFs of a kind that Pillow does not know; `error` is Pillow's."""
    if path.suffix.lower() in (".tif", ".tiff") and path.is_file():
        try:
            orientation = _known_orientation(tiff_tags(path).get(ORIENTATION_TAG))
            return _by_opencv(path, orientation), orientation
        except OSError:
            pass
    raise InputError(f"{path}: cannot be read, {_reason(path, error)}.") from error


def _reason(path: Path, error: Exception) -> str:
    """Why a file cannot be read, in words."""
    if not path.exists():
        return "there is no such file"
    if path.stat().st_size == 0:
        return "the file is empty"
    if isinstance(error, PermissionError) or path.is_dir():
        return "permission denied"
    if reason := unreadable_format(path):
        return reason
    if "identify" in str(error):
        return "the file is damaged or of a format that Fissura does not know"
    return str(error).rstrip(".") or "the file is damaged"


def _has_heif() -> bool:
    return find_spec("pillow_heif") is not None


def _prepare_for(path: Path) -> None:
    """Teach Pillow to read HEIC where its plugin is installed, and refuse formats we don't read.

    Of raw photos Pillow would read the thumbnail.
    """
    if path.exists() and (reason := unreadable_format(path)):
        raise InputError(f"{path}: cannot be read, {reason}.")
    if path.suffix.lower() in HEIF and _has_heif():
        register_heif()


def register_heif() -> None:
    """Teach Pillow to read HEIC; its plugin must be installed."""
    from pillow_heif import register_heif_opener  # pyright: ignore[reportMissingImports]

    register_heif_opener()


def _photo_values(image: Image.Image) -> NDArray[Any]:
    """Gray values (h, w) of any depth, or colors (h, w, 3) of 8 bits."""
    if image.mode.startswith(("I", "F")):
        return np.asarray(image)
    if image.mode in ("1", "L"):
        return np.asarray(image.convert("L"))
    if image.mode in ("P", "PA"):  # by way of RGBA, since Pillow warns of lost transparency
        image = image.convert("RGBA")
    # Even where nothing changes, `convert` copies the image, 4 bytes a pixel.
    return _copied(image if image.mode == "RGB" else image.convert("RGB"))


def _copied(image: Image.Image) -> NDArray[np.uint8]:
    """Copy the pixels of an RGB image, a band at a time: Pillow's own way makes two copies."""
    width, height = image.size
    rows = max(BAND_PIXELS // width, 1)
    if height <= rows:
        return np.array(image)
    pixels = np.empty((height, width, 3), np.uint8)
    for top in range(0, height, rows):
        bottom = min(top + rows, height)
        pixels[top:bottom] = np.asarray(image.crop((0, top, width, bottom)))
    return pixels


def photo_pixels(path: Path, depth: Depth | None) -> tuple[NDArray[np.uint8], int]:
    """Read a photo as 8-bit RGB as it is stored, and its orientation; see `read_image`."""
    pixels, orientation = decode(path, _photo_values)
    if pixels.dtype != np.uint8:
        if pixels.dtype.kind == "f" and not np.isfinite(pixels).all():
            raise InputError(
                f"{path}: cannot be read, {1 - np.isfinite(pixels).mean():.1%} of its values are "
                "no numbers (NaN). Cut these areas off, or give a GeoTIFF where they are nodata."
            )
        bits = declared_bits(path) if pixels.dtype.kind in "ui" else None
        pixels = (depth or depth_of_values(pixels, bits)).to_8_bits(pixels)
    if pixels.ndim == 2:
        return np.repeat(pixels[:, :, None], 3, axis=2), orientation
    return pixels[:, :, :3], orientation
