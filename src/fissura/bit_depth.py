"""How many bits of brightness a set of photos has: declared by the files, or seen in their values.

Sensors of 10 or 12 bits are stored in 16, and floats have no agreed white at all. A single extreme
value must not decide how bright a photo is: one hot pixel would make it black. So the depth is
what the files declare (PNG's sBIT, TIFF's MaxSampleValue, GDAL's NBITS), or else the smallest of
the usual depths that holds all but a thousandth of the values. One depth holds for a whole set of
photos, so that equally bright photos stay equally bright.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from fissura.pillow import check_promise

# Formats with 8 bits a color alone; their headers need not be looked at.
EIGHT_BITS = (".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".gif", ".bmp")
# The highest values of sensors of 8, 10, 12, 14 and 16 bits, and of reflectances.
USUAL = (255.0, 1023.0, 4095.0, 10000.0, 16383.0, 65535.0)
QUANTILE = 0.999
FLOAT_WHITE = 1.05  # floats that stay below are meant to run from 0 to 1
DARK = 1 / 16  # of white: where nearly no pixel is brighter, a photo is nearly black
WINDOWS = 32  # of a raster, whose values are looked at
MOST_VALUES = 2**18  # of one image, whose quantile is taken

_MAX_SAMPLE_VALUE, _BITS_PER_SAMPLE = 281, 258


@dataclass(frozen=True)
class Depth:
    """The value that is white, for images of more than 8 bits.

    Attributes:
        white: The highest value, such as 1023 for 10 bits or 1 for floats from 0 to 1.
        source: Where that comes from, in words.
        dark: Files of the set that are nearly black at this depth.
    """

    white: float
    source: str = "given"
    dark: tuple[Path, ...] = ()

    def __str__(self) -> str:
        bits = math.log2(self.white + 1)
        size = f"{bits:.0f} bits" if bits.is_integer() and bits > 1 else "brightness"
        words = f"{size}, white is {self.white:g} ({self.source})"
        for first in self.dark[:1]:
            others = f" and {len(self.dark) - 1} more" if len(self.dark) > 1 else ""
            words += f"; nearly black at that depth: {first}{others}"
        return words

    def to_8_bits(self, values: NDArray[Any]) -> NDArray[np.uint8]:
        """Convert values to 8 bits, rounding down; what is brighter than white becomes white.

        Args:
            values: Stored values of any shape and type; those without a value (NaN) become 0.

        Returns:
            An array of the same shape. Values of 8 bits are returned as they are.

        >>> Depth(1023).to_8_bits(np.array([0, 512, 1023], np.uint16))
        array([  0, 128, 255], dtype=uint8)
        """
        if values.dtype == np.uint8:
            return values
        exact = np.float32 if values.dtype.itemsize <= 2 else np.float64
        # Of whole bits the upper ones are kept.
        whole = self.white > 1 and math.log2(self.white + 1).is_integer()
        factor = 256 / (self.white + 1) if whole else 255 / self.white
        scaled = np.nan_to_num(values, nan=0.0).astype(exact) * exact(factor)
        return np.clip(scaled, 0, 255, out=scaled).astype(np.uint8)


def common_depth(paths: Iterable[Path]) -> Depth | None:
    """Find the one depth of a set of photos.

    Photos of 8 bits have no part in it. What a file declares is believed where its values fit in;
    of several depths the greatest counts.

    Args:
        paths: Image files; those that cannot be read are passed over, since reading tells why.

    Returns:
        The depth, or None where all photos have 8 bits.
    """
    seen: dict[Path, float] = {}
    whites: list[float] = []
    declared = True
    for path in paths:
        if path.suffix.lower() in EIGHT_BITS:
            continue
        try:
            kind, bits = _header(path)
            if not kind:
                continue
            seen[path] = quantile(stored_values(path))
        except Exception:  # Pillow raises of every kind where a file is damaged
            continue
        believed = bits is not None and seen[path] < 2**bits
        white = 2.0**bits - 1 if bits and believed else usual_white(seen[path], floats=kind == "f")
        whites.append(white)
        declared &= believed
    if not seen:
        return None
    white, highest = max(whites), max(seen.values())
    dark = tuple(path for path, value in seen.items() if value < DARK * white)
    files = "1 file" if len(seen) == 1 else f"{len(seen)} files"
    if declared:
        return Depth(white, f"declared by {files}", dark)
    return Depth(white, f"guessed from {files}: 99.9 % of values are at most {highest:.6g}", dark)


def depth_of_values(values: NDArray[Any], bits: int | None = None) -> Depth:
    """Find the depth of a single image.

    Args:
        values: Its stored values, or a sample of them.
        bits: How many bits the file declares, where it does; not believed if its values need more.
    """
    highest = quantile(values)
    if bits is not None and highest < 2**bits:
        return Depth(2.0**bits - 1, "declared by the file")
    white = usual_white(highest, floats=values.dtype.kind == "f")
    return Depth(white, f"guessed: 99.9 % of values are at most {highest:.6g}")


def usual_white(highest: float, *, floats: bool = False) -> float:
    """Return the smallest usual value of white that is not below `highest`.

    >>> usual_white(900), usual_white(9000), usual_white(0.9, floats=True)
    (1023.0, 10000.0, 1.0)
    """
    if floats and highest <= FLOAT_WHITE:
        return 1.0
    for white in USUAL:
        if highest <= white:
            return white
    return 2.0 ** math.ceil(math.log2(highest + 1)) - 1


def quantile(values: NDArray[Any]) -> float:
    """Return the value that all but a thousandth of the finite values don't exceed; at least 0."""
    flat = values.reshape(-1)
    flat = flat[:: max(flat.size // MOST_VALUES, 1)]
    if flat.dtype.kind == "f":
        flat = flat[np.isfinite(flat)]
    if not flat.size:
        return 0.0
    return max(float(np.quantile(flat, QUANTILE, method="lower")), 0.0)


def declared_bits(path: Path) -> int | None:
    """Return how many bits of brightness a file declares to use of the 16 that it stores, or None.

    A TIFF declares them by MaxSampleValue, or by BitsPerSample where that is no whole number of
    bytes; a PNG by its chunk sBIT.
    """
    if path.suffix.lower() == ".png":
        return _png_bits(path)
    tags = tiff_tags(path)
    highest, bits = tags.get(_MAX_SAMPLE_VALUE), tags.get(_BITS_PER_SAMPLE)
    if highest and 255 < max(highest) < 65535:
        return max(highest).bit_length()
    if bits and 8 < max(bits) < 16:
        return max(bits)
    return None


def tiff_tags(path: Path) -> dict[int, Any]:
    """Return the tags of a TIFF's first page, also of one that Pillow cannot decode; {} if none."""
    with path.open("rb") as file:
        header = file.read(8)
        if header[:4] not in (b"II*\0", b"MM\0*"):
            return {}
        if header[2:4] in (b"+\0", b"\0+"):
            header += file.read(8)
        try:
            directory = ImageFileDirectory_v2(header)
            file.seek(directory.next)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                directory.load(file)
                tags = {tag: directory[tag] for tag in directory}
        except Exception:  # a damaged directory; reading the pixels tells why
            return {}
    many = (_MAX_SAMPLE_VALUE, _BITS_PER_SAMPLE)
    return {
        tag: value if tag not in many or isinstance(value, tuple) else (value,)
        for tag, value in tags.items()
    }


def is_deep_color(image: Image.Image) -> bool:
    """Whether an opened file has colors of 16 bits, of which Pillow keeps only the upper 8."""
    return image.mode[0] not in "IF" and any(
        ";16" in str(tile[3]) for tile in getattr(image, "tile", ())
    )


def stored_values(path: Path) -> NDArray[Any]:
    """Read the values of an image as stored; of a large TIFF those of a sample of windows.

    Raises:
        OSError: Where neither Pillow nor OpenCV can read the file.
    """
    if path.suffix.lower() in (".tif", ".tiff", ".jp2") and find_spec("rasterio"):
        import rasterio
        import rasterio.errors

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
            try:
                with rasterio.open(path, sharing=False) as dataset:
                    return sampled_values(dataset)
            except Exception as error:  # of many kinds, some of them private ones of rasterio
                raise OSError(str(error)) from error
    try:
        with Image.open(path) as image:
            check_promise(path, image, path.stat().st_size)
            if not is_deep_color(image):
                return np.asarray(image)
    except Image.UnidentifiedImageError:
        pass  # such as a float TIFF with colors
    return decoded_by_opencv(path)


def sampled_values(dataset: Any, bands: tuple[int, ...] | None = None) -> NDArray[Any]:
    """Read values of a rasterio dataset from windows spread over it, without those of nodata.

    Args:
        dataset: An open dataset.
        bands: Numbers of the bands, from 1; all but alpha by default.
    """
    names = [color.name for color in dataset.colorinterp]
    bands = bands or tuple(band for band, name in enumerate(names, 1) if name != "alpha")
    samples = [np.zeros(0, dataset.dtypes[bands[0] - 1])]
    for window in _spread_windows(dataset):
        values = dataset.read(bands, window=window, masked=True)
        samples.append(values.compressed())
    return np.concatenate(samples)


def decoded_by_opencv(path: Path) -> NDArray[Any]:
    """Decode an image with OpenCV, with its full depth: red, green, blue, alpha; TIFFs upright.

    Raises:
        OSError: Where OpenCV cannot read it.
    """
    content = np.fromfile(path, np.uint8)
    _check_chunks(content.data)
    level = cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        pixels = cv2.imdecode(content, cv2.IMREAD_UNCHANGED)
    except cv2.error:
        pixels = None
    finally:
        cv2.utils.logging.setLogLevel(level)
    if pixels is None or pixels.ndim not in (2, 3):
        raise OSError("the file is damaged or of a format that Fissura does not know")
    if pixels.ndim == 3 and pixels.shape[2] >= 3:
        return pixels[:, :, [2, 1, 0, 3][: pixels.shape[2]]]
    return pixels[:, :, 0] if pixels.ndim == 3 else pixels


def _check_chunks(content: memoryview) -> None:
    """Refuse a PNG with a chunk longer than the file, for which OpenCV would take the memory."""
    if bytes(content[:8]) != b"\x89PNG\r\n\x1a\n":
        return
    at = 8
    while at < len(content):
        length = int.from_bytes(content[at : at + 4])
        kind = bytes(content[at + 4 : at + 8])
        at += 12 + length  # with length, kind and checksum
        if at > len(content):
            raise OSError("the file is damaged or cut off")
        if kind == b"IEND":
            return


def _header(path: Path) -> tuple[str, int | None]:
    """The kind of an image's values, "" for 8 bits, "u" or "f", and the bits that it declares."""
    try:
        with Image.open(path) as image:
            kind = "f" if image.mode == "F" else "u" if image.mode[0] == "I" else ""
            kind = "u" if is_deep_color(image) else kind
    except Image.UnidentifiedImageError:
        tags = tiff_tags(path)
        if not tags:
            return "", None
        kind = "f" if 3 in np.atleast_1d(tags.get(339, 1)) else "u"
        kind = "" if max(tags.get(_BITS_PER_SAMPLE, (8,))) <= 8 else kind
    return kind, declared_bits(path) if kind == "u" else None


def _png_bits(path: Path) -> int | None:
    """The significant bits that a PNG of 16 bits declares."""
    with path.open("rb") as file:
        file.seek(8)
        while len(head := file.read(8)) == 8:
            length, name = int.from_bytes(head[:4], "big"), head[4:]
            if name == b"sBIT":
                bits = max(file.read(length)[:3], default=0)
                return bits if 8 < bits < 16 else None
            if name == b"IDAT":
                return None
            file.seek(length + 4, 1)
    return None


def _spread_windows(dataset: Any) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    """Up to 32 blocks of a raster, spread over it; all of it where it is small."""
    height, width = dataset.shape
    if height * width <= MOST_VALUES:
        yield (0, height), (0, width)
        return
    rows, columns = dataset.block_shapes[0]
    rows, columns = min(max(rows, 16), 1024), min(columns, 2**14)
    down, across = math.ceil(height / rows), math.ceil(width / columns)
    count = min(WINDOWS, down * across)
    # Steps of the golden ratio spread over rows and columns alike.
    for index in range(count):
        row = int(down * (index + 0.5) / count)
        column = int(across * ((index * 0.6180339887) % 1))
        top, left = row * rows, column * columns
        yield (top, min(top + rows, height)), (left, min(left + columns, width))
