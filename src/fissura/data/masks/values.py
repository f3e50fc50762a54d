"""Read the values of masks of every common kind; `fissura.data.masks` gives them meaning."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fissura.bit_depth import Depth
from fissura.data.images import decode, photo_pixels, size_difference, upright
from fissura.errors import InputError

# Differences between red, green and blue that JPEG makes of gray.
COLORLESS = 24


def is_jpeg(path: Path) -> bool:
    """Return whether a file is a JPEG, by its name; its values are inexact."""
    return path.suffix.lower() in (".jpg", ".jpeg", ".jpe", ".jfif")


def read_mask(path: Path, *, indices: bool = False) -> NDArray[Any]:
    """Read a mask with its values as stored, upright.

    Args:
        path: The file.
        indices: Whether palette images are read by their indices, as index masks of classes are.

    Returns:
        Shape (height, width), uint8 or uint16, for everything without color: 8-bit and 16-bit
        values as they are, 1-bit images as 0 and 255, floats from 0 to 1 multiplied by 255.
        Colored masks have shape (height, width, 3), uint8. Palette images are read by their colors
        (or by their indices where two indices in use have one color). Where transparency varies
        and everything that is not transparent has one color, such as strokes on a transparent
        layer, the opacity is the mask, 255 at its highest; transparent pixels of others are black.

    Raises:
        InputError: As `fissura.data.images.read_image`, and where floats are no such values.
    """
    values, orientation = _stored_mask(path, indices=indices)
    return np.ascontiguousarray(upright(values, orientation))


def read_pair(
    image: Path, mask: Path, *, depth: Depth | None = None
) -> tuple[NDArray[np.uint8], NDArray[Any]]:
    """Read a photo and the values of its mask, upright and of one size.

    A photo with an EXIF orientation is turned upright. Its mask is taken as it is where it fits
    the upright photo, and is turned along where it fits the photo only as stored.

    Args:
        image: The photo.
        mask: The mask, see `read_mask`.
        depth: The depth of the set of photos, see `fissura.data.images.read_image`.

    Raises:
        InputError: Where either cannot be read, or where they fit in neither way.
    """
    photo, (values,) = read_with_masks(image, [mask], depth=depth)
    return photo, values


def read_with_masks(
    image: Path, masks: Sequence[Path], *, depth: Depth | None = None, indices: bool = False
) -> tuple[NDArray[np.uint8], list[NDArray[Any]]]:
    """Read a photo and the values of several masks of it, as `read_pair` does of one.

    Args:
        image: The photo.
        masks: The masks, see `read_mask`.
        depth: As for `read_pair`.
        indices: As for `read_mask`.

    Raises:
        InputError: Where one cannot be read, or where they fit in neither way.
    """
    pixels, orientation = photo_pixels(image, depth)
    photo = upright(pixels, orientation)
    read = []
    for mask in masks:
        values, mask_orientation = _stored_mask(mask, indices=indices)
        turned = upright(values, mask_orientation)
        if turned.shape[:2] != photo.shape[:2] and values.shape[:2] == pixels.shape[:2]:
            turned = upright(values, orientation)
        if turned.shape[:2] != photo.shape[:2]:
            raise InputError(f"{mask}: {size_difference(photo.shape, turned.shape)}.")
        read.append(np.ascontiguousarray(turned))
    return np.ascontiguousarray(photo), read


def _stored_mask(path: Path, *, indices: bool = False) -> tuple[NDArray[Any], int]:
    """Values as stored, and the orientation."""
    pixels, orientation = decode(path, _pillow_indices if indices else _pillow_values)
    pixels = _whole_numbers(path, pixels)
    if pixels.ndim == 3 and pixels.shape[2] == 4:
        pixels = _without_alpha(pixels)
    return _gray_if_colorless(pixels), orientation


def _pillow_values(image: Image.Image) -> NDArray[Any]:
    """Gray (h, w), colors (h, w, 3) or colors with alpha (h, w, 4)."""
    if image.mode.startswith(("I", "F")):
        return np.asarray(image)
    if image.mode in ("1", "L"):
        return np.asarray(image.convert("L"))
    if image.mode == "P" and "transparency" not in image.info:
        return _palette_values(image)
    if image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info:
        return np.asarray(image.convert("RGBA"))
    return np.asarray(image.convert("RGB"))


def _pillow_indices(image: Image.Image) -> NDArray[Any]:
    """As `_pillow_values`, but of palette images the indices."""
    return np.asarray(image) if image.mode == "P" else _pillow_values(image)


def _palette_values(image: Image.Image) -> NDArray[np.uint8]:
    """Colors, or indices where the palette does not tell them apart."""
    indices = np.asarray(image)
    colors = np.asarray(image.convert("RGB"))
    used = np.unique(indices)
    seen = np.unique(colors.reshape(-1, 3), axis=0)
    return indices if len(seen) < len(used) else colors


def _whole_numbers(path: Path, pixels: NDArray[Any]) -> NDArray[Any]:
    """The values as uint8 or uint16."""
    if pixels.dtype in (np.uint8, np.uint16):
        return pixels
    if pixels.dtype.kind == "f":
        if not np.isfinite(pixels).all():
            raise InputError(
                f"{path}: cannot be understood as a mask: {1 - np.isfinite(pixels).mean():.1%} of "
                "its values are no numbers (NaN). Save 255 for crack and 0 for everything else."
            )
        pixels = np.rint(pixels * 255.0 if pixels.max(initial=0) <= 1 else pixels)
    lowest, highest = pixels.min(initial=0), pixels.max(initial=0)
    if lowest < 0 or highest > 65535:
        raise InputError(
            f"{path}: cannot be understood as a mask: its values run from {lowest:g} to "
            f"{highest:g}. Save 255 for crack and 0 for everything else."
        )
    return pixels.astype(np.uint8 if highest <= 255 else np.uint16)


def _without_alpha(pixels: NDArray[Any]) -> NDArray[Any]:
    """The opacity where it is the mask, otherwise the colors, black where transparent."""
    colors, alpha = pixels[:, :, :3], pixels[:, :, 3]
    highest = int(alpha.max(initial=0))
    if not highest:  # a layer on which nothing was drawn
        return np.zeros(alpha.shape, np.uint8)
    if alpha.min() == highest:
        return colors
    opacity = np.rint(alpha.astype(np.float64) * (255 / highest))
    drawn = colors[opacity > 127]
    if drawn.size and np.ptp(drawn, axis=0).max() <= COLORLESS:
        return opacity.astype(np.uint8)
    return np.rint(colors * (opacity / 255)[:, :, None]).astype(colors.dtype)


def _gray_if_colorless(pixels: NDArray[Any]) -> NDArray[Any]:
    """One channel where the three are equal, but for the small differences that JPEG makes."""
    if pixels.ndim == 2:
        return pixels
    spread = pixels.max(axis=2).astype(np.int32) - pixels.min(axis=2)
    if spread.max(initial=0) <= COLORLESS:
        return pixels.max(axis=2)
    return pixels if pixels.dtype == np.uint8 else (pixels >> 8).astype(np.uint8)
