"""Images too large for the memory, and georeferenced ones: read by windows.

GDAL reads them, by way of rasterio (`pip install 'fissura[geo]'`): TIFF, BigTIFF, GeoTIFF, COG,
JPEG 2000 and whatever else it knows. EXIF orientation is ignored here: a raster's rows and columns
are what its georeference counts, and cameras don't write images of this size.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fissura.errors import InputError
from fissura.ground import Transform, pixel_scale

CACHE = 2**27  # bytes of decoded blocks in GDAL; rasterio does not take megabytes
STRIP_BYTES = 2**25  # of stored values that are converted at once
LARGEST_BLOCK = 2**29  # bytes that GDAL would have to decode at once
# A patch of the nodata value counts as empty where a square of this side fits in: a crack may be
# as black as the empty margin of an orthophoto, but isn't that wide and all black.
PATCH = 15


def has_raster() -> bool:
    """Whether rasterio is installed."""
    return find_spec("rasterio") is not None


def threshold_level(threshold: float) -> int:
    """Return the lowest of the levels 0 to 255 that counts as crack: level / 255 ≥ threshold.

    Level 0, which also marks pixels without an image, never counts.

    >>> threshold_level(0.5), threshold_level(0.6), threshold_level(0)
    (128, 153, 1)
    """
    return max(math.ceil(255 * threshold - 1e-9), 1)


@contextmanager
def open_raster(path: Path) -> Iterator[Raster]:
    """Open an image for reading by windows.

    Raises `InputError` where rasterio is not installed, the file is missing, damaged or of an
    unknown format, has bands other than gray or RGB (and alpha), or is stored in blocks that are
    too large to be read by parts.
    """
    rasterio = _rasterio()
    if not path.is_file():
        raise InputError(f"{path}: cannot be read, there is no such file.")
    with limited_cache():
        try:
            dataset = open_dataset(path)
        except rasterio.errors.RasterioError as error:
            reason = "the file is damaged or of a format that GDAL does not know"
            if path.stat().st_size == 0:
                reason = "the file is empty"
            raise InputError(f"{path}: cannot be read, {reason}. ({error})") from error
        with dataset:
            yield Raster(path, dataset)


def preview(raster: Raster, longest: int = 1600) -> tuple[NDArray[np.uint8], float]:
    """Return a raster as RGB (h, w, 3), shrunk by area so that its longer side is `longest`.

    The second value is the preview's size over the raster's, at most 1. Overviews are used where
    the file has them; memory is needed for the preview and for GDAL's cache alone.
    """
    height, width = raster.size_hw
    scale = min(longest / max(height, width), 1.0)
    if scale == 1:
        return raster.read(0, 0, height, width), 1.0
    return raster.read_shrunk(max(round(height * scale), 1), max(round(width * scale), 1)), scale


class Raster:
    """An open image; from `open_raster`.

    path:          of the file.
    size_hw:       height and width in pixels.
    crs:           the coordinate system, such as "EPSG:32633", or as WKT where it has no code;
                   None where it is not known.
    transform:     (a, b, c, d, e, f) from pixels to coordinates, x = a·column + b·row + c and
                   y = d·column + e·row + f, (0, 0) the corner of the first pixel; None where the
                   image is not georeferenced.
    mm_per_pixel:  how much ground a pixel shows, the geometric mean of its sides; None where that
                   is not known. In a projected system that is the side in the system's unit, or,
                   where the projection stretches by more than 0.5 % (Web Mercator), on the ground
                   at the image's center; in degrees it is that on the ground, too.
    scale_source:  where `mm_per_pixel` comes from, in words; "unknown".
    remark:        a sentence where the pixels' sides differ by more than 2 %, else None.
    in_rows:       whether the file has blocks as wide as the image: narrow windows are slow then.
    georeference:  what rasterio needs to give another file the same place.
    """

    def __init__(self, path: Path, dataset: Any) -> None:
        self.path = path
        self.size_hw: tuple[int, int] = dataset.shape
        self.in_rows: bool = dataset.block_shapes[0][1] >= dataset.width
        self._dataset = dataset
        self._bands = _color_bands(path, dataset)
        _check_values(path, dataset)
        flags = [flag.name for band in self._bands for flag in dataset.mask_flag_enums[band - 1]]
        self._all_valid, self._by_value = set(flags) == {"all_valid"}, "nodata" in flags
        placed = not dataset.transform.is_identity
        self.georeference: dict[str, Any] = {"crs": dataset.crs}
        self.georeference |= {"transform": dataset.transform} if placed else {}
        self.transform: Transform | None = tuple(dataset.transform)[:6] if placed else None
        self.crs = _name(dataset.crs) if dataset.crs else None
        self.mm_per_pixel, self.scale_source, self.remark = None, "unknown", None
        if self.crs and self.transform:
            scale = pixel_scale(dataset.crs, self.crs, self.transform, self.size_hw)
            self.mm_per_pixel, self.scale_source, remark = scale
            self.remark = f"{path}: {remark}" if remark else None

    def read(self, top: int, left: int, bottom: int, right: int) -> NDArray[np.uint8]:
        """Return a window as RGB (bottom − top, right − left, 3).

        Values of more than 8 bits are shortened as `fissura.data.images.read_image` does, by the
        highest value of the whole file, so that all windows agree: values up to 255 stay, up to
        4095 are divided by 16, others by 256; floats up to 1 are multiplied by 255. The first
        window of such a file needs a look through it, up to the first value above 4095.

        Raises `InputError` where the file is damaged.
        """
        self._check_window(top, left, bottom, right)
        pixels = np.empty((bottom - top, right - left, 3), np.uint8)
        for first, last in self._strips(top, bottom, right - left):
            values = self._values(first, left, last, right)
            pixels[first - top : last - top] = np.moveaxis(self._photo_bits(values), 0, -1)
        return pixels

    def stored(self, top: int, left: int, bottom: int, right: int) -> NDArray[Any]:
        """Return the values of a window as stored, (1 or 3, bottom − top, right − left)."""
        self._check_window(top, left, bottom, right)
        return self._values(top, left, bottom, right)

    def read_shrunk(self, height: int, width: int) -> NDArray[np.uint8]:
        """Return the whole image as RGB (height, width, 3), averaged over what each pixel shows."""
        from rasterio.enums import Resampling

        # Averages of palette indices mean nothing.
        how = Resampling.nearest if self._palette is not None else Resampling.average
        pixels = np.empty((height, width, 3), np.uint8)
        taller = self.size_hw[0] / height
        # GDAL reads band by band, and so decodes thrice what its cache cannot hold.
        step = max(int(CACHE / 8 / self._row_bytes(self.size_hw[1]) / taller), 1)
        for top in range(0, height, step):
            rows = min(step, height - top)
            window = ((top * taller, (top + rows) * taller), (0, self.size_hw[1]))
            shape = (len(self._bands), rows, width)
            with self._readable():
                values = self._dataset.read(
                    self._bands, window=window, out_shape=shape, resampling=how
                )
            pixels[top : top + rows] = np.moveaxis(self._photo_bits(values), 0, -1)
        return pixels

    def valid(self, top: int, left: int, bottom: int, right: int) -> NDArray[np.bool_] | None:
        """Return where a window shows something, bool (h, w), or None where it does all over.

        Empty is what the alpha band or the file's mask says, whatever is stored there; and patches
        of the nodata value into which a square of 15 pixels fits.
        """
        self._check_window(top, left, bottom, right)
        if self._all_valid:
            return None
        shown = np.empty((bottom - top, right - left), np.bool_)
        for first, last in self._strips(top, bottom, right - left):
            empty = self._empty_patches if self._by_value else self._empty
            shown[first - top : last - top] = ~empty(first, left, last, right)
        return None if shown.all() else shown

    def _check_window(self, top: int, left: int, bottom: int, right: int) -> None:
        height, width = self.size_hw
        if not (0 <= top < bottom <= height and 0 <= left < right <= width):
            window = f"rows {top} to {bottom}, columns {left} to {right}"
            raise ValueError(f"{window} are not within the {height}×{width} pixels of {self.path}.")

    def _strips(self, top: int, bottom: int, width: int) -> Iterator[tuple[int, int]]:
        """Cut rows so that not too many values are converted at once."""
        step = max(STRIP_BYTES // self._row_bytes(width), 1)
        for first in range(top, bottom, step):
            yield first, min(first + step, bottom)

    def _row_bytes(self, width: int) -> int:
        return len(self._bands) * width * np.dtype(self._dataset.dtypes[0]).itemsize

    def _values(self, top: int, left: int, bottom: int, right: int) -> NDArray[Any]:
        """Stored values (bands, h, w)."""
        with self._readable():
            return self._dataset.read(self._bands, window=((top, bottom), (left, right)))

    def _empty(self, top: int, left: int, bottom: int, right: int) -> NDArray[np.bool_]:
        with self._readable():
            return self._dataset.dataset_mask(window=((top, bottom), (left, right))) == 0

    def _empty_patches(self, top: int, left: int, bottom: int, right: int) -> NDArray[np.bool_]:
        """Where a whole square of nodata lies over a pixel; it may reach past the image's end."""
        height, width = self.size_hw
        reach = PATCH - 1
        seen = max(top - reach, 0), max(left - reach, 0)
        end = min(bottom + reach, height), min(right + reach, width)
        empty = self._empty(*seen, *end).astype(np.uint8)
        beside = (
            (reach - (top - seen[0]), reach - (end[0] - bottom)),
            (reach - (left - seen[1]), reach - (end[1] - right)),
        )
        empty = np.pad(empty, beside, constant_values=1)
        opened = cv2.morphologyEx(empty, cv2.MORPH_OPEN, np.ones((PATCH, PATCH), np.uint8))
        return opened[reach : reach + bottom - top, reach : reach + right - left] > 0

    @contextmanager
    def _readable(self) -> Iterator[None]:
        from rasterio.errors import RasterioError

        try:
            yield
        except RasterioError as error:
            reason = error.__cause__ or error
            raise InputError(
                f"{self.path}: cannot be read to its end, the file is damaged or cut off. "
                f"({reason}) Copy it anew from where it came."
            ) from error

    @cached_property
    def _palette(self) -> NDArray[np.uint8] | None:
        """RGB of each index (256, 3), of an image with a palette."""
        if self._dataset.colorinterp[self._bands[0] - 1].name != "palette":
            return None
        colors = np.zeros((256, 3), np.uint8)
        for index, color in self._dataset.colormap(self._bands[0]).items():
            colors[index] = color[:3]
        return colors

    @cached_property
    def _factor(self) -> float:
        """What stored values are multiplied by; decided by the highest of the whole file."""
        height, width = self.size_hw
        floats = np.issubdtype(np.dtype(self._dataset.dtypes[0]), np.floating)
        highest = 0.0
        for first, last in self._strips(0, height, width):
            values = np.nan_to_num(self._values(first, 0, last, width))
            if not self._all_valid:
                values = values[:, ~self._empty(first, 0, last, width)]
            highest = max(highest, float(values.max(initial=0)))
            if highest >= 4096:
                return 1 / 256
        if floats and highest <= 1:
            return 255.0
        return 1 / 16 if highest > 255 else 1.0

    def _photo_bits(self, values: NDArray[Any]) -> NDArray[np.uint8]:
        """Eight bits of stored values (bands, h, w); (1 or 3, h, w)."""
        if self._palette is not None:
            return np.moveaxis(self._palette[values[0]], -1, 0)
        if values.dtype == np.uint8:
            return values
        exact = np.float32 if values.dtype.itemsize <= 2 else np.float64
        scaled = np.nan_to_num(values).astype(exact) * exact(self._factor)
        return np.clip(scaled, 0, 255, out=scaled).astype(np.uint8)


def _rasterio() -> Any:
    if not has_raster():
        raise InputError(
            "Georeferenced and very large images need rasterio: pip install 'fissura[geo]'"
        )
    import rasterio
    import rasterio.errors

    return rasterio


def limited_cache() -> Any:
    """Within this context GDAL keeps little of what it decoded, wherever it reads and writes."""
    return _rasterio().Env(GDAL_CACHEMAX=CACHE)


def open_dataset(path: Path, mode: str = "r", **profile: Any) -> Any:
    """Open a rasterio dataset without its warning of plain photos, which have no place on earth."""
    rasterio = _rasterio()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
        return rasterio.open(path, mode, sharing=False, **profile)


def _color_bands(path: Path, dataset: Any) -> tuple[int, ...]:
    """Numbers, from 1, of the band of gray, or of red, green and blue."""
    names = [color.name for color in dataset.colorinterp]
    if {"red", "green", "blue"} <= set(names):
        return tuple(names.index(color) + 1 for color in ("red", "green", "blue"))
    others = tuple(band for band, name in enumerate(names, 1) if name != "alpha")
    if len(others) in (1, 3, 4) and "cyan" not in names:
        return others[: 1 if len(others) == 1 else 3]
    raise InputError(
        f"{path}: has {len(names)} bands ({', '.join(names)}), but must have one of gray, or "
        "three of red, green and blue, and may have alpha beside them. Choose three with "
        f"gdal_translate -b 1 -b 2 -b 3 {path.name} rgb.tif"
    )


def _check_values(path: Path, dataset: Any) -> None:
    """Raise `InputError` for values that are no brightness, and for blocks that are too large."""
    kind = np.dtype(dataset.dtypes[0])
    if kind.kind not in "uif":
        raise InputError(f"{path}: its values are {kind}, but must be real numbers.")
    rows, columns = dataset.block_shapes[0]
    if rows * columns * dataset.count * kind.itemsize > LARGEST_BLOCK:
        raise InputError(
            f"{path}: is stored in blocks of {rows}×{columns} pixels, so that it cannot be read by "
            "parts. Convert it: gdal_translate -co TILED=YES -co COMPRESS=DEFLATE "
            f"-co BIGTIFF=IF_SAFER {path.name} tiled.tif"
        )


def _name(crs: Any) -> str:
    """Call a coordinate system by its code where it has one of its own, or describe it as WKT."""
    code = crs.to_authority(confidence_threshold=100)
    return ":".join(code) if code else crs.to_wkt()
