"""Read photos and label images of every common kind as plain 8-bit arrays.

Pillow reads the files, for it refuses a truncated file, where OpenCV fills up with gray.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fissura.errors import InputError

# Lower case; from the least to the most likely format of a mask.
SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".webp", ".jp2", ".tif", ".tiff"),
    *(".ppm", ".pnm", ".pgm", ".pbm", ".bmp", ".gif", ".png"),
)
ORIENTATION_TAG = 0x0112
BAND_PIXELS = 2**22

# Pillow's guard against 'decompression bombs' is for web servers; scans of whole panels pass it.
Image.MAX_IMAGE_PIXELS = None


def read_image(path: Path) -> NDArray[np.uint8]:
    """Read a photo as 8-bit RGB, upright as its EXIF orientation says.

    Gray and palette images become RGB. Transparency is dropped: the stored colors count, also
    under transparent pixels. Of 16-bit gray images the upper 8 of the used bits are kept: values
    up to 255 stay, up to 4095 are divided by 16, others by 256. Of several frames or pages the
    first is read.

    Returns shape (height, width, 3).

    Raises `InputError` where the file is missing, damaged, truncated or of an unknown format.
    """
    pixels, orientation = _read_stored(path)
    return np.ascontiguousarray(upright(_to_rgb(pixels), orientation))


def read_mask(path: Path) -> NDArray[np.uint8]:
    """Read a label image with its values as stored; `fissura.data.masks` gives them meaning.

    Returns shape (height, width) for everything without color: gray values as they are, 1-bit
    images as 0 and 255, 16-bit images as they are up to 255 and divided by 256 where any value is
    above, floats multiplied by 255 where none is above 1. Colored label images have shape
    (height, width, 3). Palette images are read by their colors (or by their indices where two
    indices in use have one color). Transparent pixels become black; in an image that is black all
    over but has varying transparency, opaque is 255.

    Raises `InputError` as `read_image` does.
    """
    pixels, orientation = _read_stored(path, mask=True)
    return np.ascontiguousarray(upright(pixels, orientation))


def read_pair(image: Path, mask: Path) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Read a photo and its label image, upright and of one size.

    A photo with an EXIF orientation is turned upright. Its mask is taken as it is where it fits
    the upright photo, and is turned along where it fits the photo only as stored.

    Raises `InputError` where either cannot be read, or where they fit in neither way.
    """
    pixels, orientation = _read_stored(image)
    labels, mask_orientation = _read_stored(mask, mask=True)
    photo = upright(_to_rgb(pixels), orientation)
    turned = upright(labels, mask_orientation)
    if turned.shape[:2] != photo.shape[:2] and labels.shape[:2] == pixels.shape[:2]:
        turned = upright(labels, orientation)
    if turned.shape[:2] != photo.shape[:2]:
        raise InputError(f"{mask}: {size_difference(photo.shape, turned.shape)}.")
    return np.ascontiguousarray(photo), np.ascontiguousarray(turned)


def size_difference(image_shape: tuple[int, ...], mask_shape: tuple[int, ...]) -> str:
    """Say in words that a mask has another size than its image."""
    (height, width), (mask_height, mask_width) = image_shape[:2], mask_shape[:2]
    return (
        f"the mask has {mask_width}×{mask_height} pixels (width × height), "
        f"but its image has {width}×{height}"
    )


def read_size(path: Path) -> tuple[tuple[int, int], tuple[int, int]]:
    """Read the size of an image from its header: as stored and upright, (height, width) each.

    Raises `InputError` where the header is damaged or the format is unknown.
    """
    try:
        with Image.open(path) as image:
            width, height = image.size
            orientation = _orientation(image)
    except Exception as error:
        pixels, orientation = _read_with_opencv(path, error)
        height, width = pixels.shape[:2]
    stored = (height, width)
    return stored, (width, height) if orientation >= 5 else stored


def upright(pixels: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
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


def _orientation(image: Image.Image) -> int:
    if image.format == "PNG" and not {"exif", "Raw profile type exif"} & image.info.keys():
        return 1  # or Pillow would decode the whole image, in search of EXIF behind its pixels
    value = image.getexif().get(ORIENTATION_TAG, 1)
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _read_stored(path: Path, mask: bool = False) -> tuple[NDArray[np.uint8], int]:
    """Pixels as stored, gray (H, W) or colored (H, W, 3), and the EXIF orientation."""
    try:
        with Image.open(path) as image:
            orientation = _orientation(image)
            return (_label_values(image) if mask else _photo_values(image)), orientation
    except Exception as error:
        pixels, orientation = _read_with_opencv(path, error)
        return (_gray_if_colorless(pixels) if mask else pixels), orientation


def _read_with_opencv(path: Path, error: Exception) -> tuple[NDArray[np.uint8], int]:
    """The second chance for TIFFs of a kind that Pillow does not know; `error` is Pillow's."""
    pixels = None
    if path.suffix.lower() in (".tif", ".tiff") and path.is_file():
        flags = cv2.IMREAD_UNCHANGED | cv2.IMREAD_IGNORE_ORIENTATION
        level = cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
        try:
            pixels = cv2.imdecode(np.fromfile(path, np.uint8), flags)
        except cv2.error:
            pixels = None
        finally:
            cv2.utils.logging.setLogLevel(level)
    if pixels is None or pixels.ndim not in (2, 3):
        raise InputError(f"{path}: cannot be read, {_reason(path, error)}.") from error
    if pixels.ndim == 3 and pixels.shape[2] >= 3:
        pixels = pixels[:, :, 2::-1]
    elif pixels.ndim == 3:
        pixels = pixels[:, :, 0]
    return _photo_bits(pixels), 1


def _reason(path: Path, error: Exception) -> str:
    if not path.exists():
        return "there is no such file"
    if path.stat().st_size == 0:
        return "the file is empty"
    if isinstance(error, PermissionError):
        return "permission denied"
    if "identify" in str(error):
        return "the file is damaged or of a format that Fissura does not know"
    return str(error).rstrip(".") or "the file is damaged"


def _photo_values(image: Image.Image) -> NDArray[np.uint8]:
    if image.mode.startswith(("I", "F")):
        return _photo_bits(np.asarray(image))
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


def _to_rgb(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.repeat(pixels[:, :, None], 3, axis=2) if pixels.ndim == 2 else pixels


def _photo_bits(pixels: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Eight bits of an image that has more."""
    if pixels.dtype == np.uint8:
        return pixels.astype(np.uint8, copy=False)
    values = np.nan_to_num(pixels.astype(np.float64))
    highest = values.max(initial=0)
    if np.issubdtype(pixels.dtype, np.floating) and highest <= 1:
        values = values * 255
    elif highest > 255:
        values = values / (16 if highest < 4096 else 256)
    return np.clip(values, 0, 255).astype(np.uint8)


def _label_values(image: Image.Image) -> NDArray[np.uint8]:
    if image.mode.startswith(("I", "F")):
        values = np.nan_to_num(np.asarray(image).astype(np.float64))
        highest = values.max(initial=0)
        if image.mode == "F" and highest <= 1:
            values = np.rint(values * 255)
        return np.clip(values // 256 if highest > 255 else values, 0, 255).astype(np.uint8)
    if image.mode in ("1", "L"):
        return np.asarray(image.convert("L"))
    if image.mode == "P" and "transparency" not in image.info:
        return _palette_values(image)
    rgba = np.asarray(image.convert("RGBA"))
    colors, alpha = rgba[:, :, :3], rgba[:, :, 3]
    if alpha.min(initial=255) == 255:
        return _gray_if_colorless(colors)
    if not colors.any():
        return alpha
    faded = colors.astype(np.uint16) * alpha[:, :, None] / 255
    return _gray_if_colorless(np.rint(faded).astype(np.uint8))


def _palette_values(image: Image.Image) -> NDArray[np.uint8]:
    indices = np.asarray(image)
    colors = np.asarray(image.convert("RGB"))
    used = np.unique(indices)
    seen = np.unique(colors.reshape(-1, 3), axis=0)
    return indices if len(seen) < len(used) else _gray_if_colorless(colors)


def _gray_if_colorless(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """One channel where the three are equal, but for the small differences that JPEG makes."""
    if pixels.ndim == 2:
        return pixels
    spread = pixels.max(axis=2).astype(np.int16) - pixels.min(axis=2)
    return pixels.max(axis=2) if spread.max(initial=0) <= 24 else pixels
