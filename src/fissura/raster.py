"""Read windows of images that are too large for the memory, or georeferenced.

GDAL reads them, by way of rasterio (`pip install 'fissura[geo]'`): TIFF, BigTIFF, GeoTIFF, COG,
JPEG 2000 and whatever else it knows. EXIF orientation is ignored here: a raster's rows and columns
are what its georeference counts, and cameras don't write images of this size.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fissura.bit_depth import Depth, declared_bits, depth_of_values, sampled_values, tiff_tags
from fissura.errors import InputError
from fissura.gdal import (
    CACHE,
    check_values,
    color_bands,
    has_raster,
    limited_cache,
    load_rasterio,
    open_dataset,
    telling_damage,
)
from fissura.georeference import Transform, crs_name, pixel_scale

BAND_BYTES = 2**25  # of stored values that are converted at once
# A patch of the nodata value counts as empty where a square of this side fits in: a crack may be
# as black as the empty margin of an orthophoto, but isn't that wide and all black.
PATCH = 15
PLACE_TAGS = {33550, 34264}  # of TIFF: the size of a pixel, or a whole transform
# Files beside an image that hold its place; GDAL reads those of TIFFs.
WORLD_FILES = (".jgw", ".jpgw", ".jpegw", ".pgw", ".pngw", ".bpw", ".wld")


@contextmanager
def open_raster(path: Path, *, depth: Depth | None = None) -> Iterator[Raster]:
    """Open an image for reading by windows.

    Args:
        path: The file.
        depth: The depth of the set that it belongs to, from `fissura.bit_depth.common_depth`, for
            files of more than 8 bits; by default that of this file alone.

    Yields:
        The image, open as long as the context lasts.

    Raises:
        InputError: Where rasterio is not installed, the file is missing, damaged or of an unknown
            format, has bands other than gray or RGB (and alpha), or is stored in blocks that are
            too large to be read by windows.
    """
    rasterio = load_rasterio()
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
            yield Raster(path, dataset, depth)


def preview(raster: Raster, longest: int = 1600) -> tuple[NDArray[np.uint8], float]:
    """Shrink a raster by area.

    Overviews are used where the file has them; memory is needed for the preview and for GDAL's
    cache alone.

    Args:
        raster: An open image.
        longest: The longer side of the preview, in pixels.

    Returns:
        RGB (h, w, 3), and the preview's size over the raster's, at most 1.
    """
    height, width = raster.size_hw
    scale = min(longest / max(height, width), 1.0)
    if scale == 1:
        return raster.read(0, 0, height, width), 1.0
    return raster.read_shrunk(max(round(height * scale), 1), max(round(width * scale), 1)), scale


class Raster:
    """An open image; from `open_raster`.

    Attributes:
        path: The file.
        size_hw: Height and width in pixels.
        crs: The coordinate system, such as "EPSG:32633", or as WKT where it has no code; None
            where it is not known.
        transform: (a, b, c, d, e, f) from pixels to coordinates, x = a·column + b·row + c and
            y = d·column + e·row + f, (0, 0) the corner of the first pixel; None where the image
            is not georeferenced.
        mm_per_pixel: How much ground a pixel shows, the geometric mean of its sides; None where
            that is not known. In a projected system that is the side in the system's unit, or,
            where the projection stretches by more than 0.5 % (Web Mercator), on the ground at the
            image's center; in degrees it is that on the ground, too.
        scale_source: Where `mm_per_pixel` comes from, in words; "unknown".
        remark: A sentence where the pixels' sides differ by more than 2 %, else None.
        in_rows: Whether the file has blocks as wide as the image: narrow windows are slow then.
        georeference: The keywords by which rasterio gives another file the same georeference.
    """

    def __init__(self, path: Path, dataset: Any, depth: Depth | None = None) -> None:
        self.path = path
        self._dataset = dataset
        self._given_depth = depth
        with self._readable():
            self._describe(path, dataset)

    def _describe(self, path: Path, dataset: Any) -> None:
        """Take from a dataset what it tells of itself, and refuse what is no photo."""
        self._bands = color_bands(path, dataset)
        check_values(path, dataset)
        self.size_hw: tuple[int, int] = dataset.shape
        self.in_rows: bool = dataset.block_shapes[0][1] >= dataset.width
        self._has_floats = np.dtype(dataset.dtypes[0]).kind == "f"
        flags = [flag.name for band in self._bands for flag in dataset.mask_flag_enums[band - 1]]
        self._all_valid, self._by_value = set(flags) == {"all_valid"}, "nodata" in flags
        placed = not dataset.transform.is_identity
        self.georeference: dict[str, Any] = {"crs": dataset.crs}
        self.georeference |= {"transform": dataset.transform} if placed else {}
        self.transform: Transform | None = tuple(dataset.transform)[:6] if placed else None
        self.crs = crs_name(dataset.crs) if dataset.crs else None
        self.mm_per_pixel, self.scale_source, self.remark = None, "unknown", None
        if self.crs and self.transform:
            scale = pixel_scale(dataset.crs, self.crs, self.transform, self.size_hw)
            self.mm_per_pixel, self.scale_source, remark = scale
            self.remark = f"{path}: {remark}" if remark else None

    def read(self, top: int, left: int, bottom: int, right: int) -> NDArray[np.uint8]:
        """Return a window as RGB (bottom − top, right − left, 3).

        Values of more than 8 bits are shortened as `fissura.data.images.read_image` does, by one
        depth for the whole file. Where there is no value (NaN) the image's median stands.

        Raises:
            InputError: Where the file is damaged.
        """
        self._check_window(top, left, bottom, right)
        pixels = np.empty((bottom - top, right - left, 3), np.uint8)
        for first, last in self._row_bands(top, bottom, right - left):
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

        Empty is what the alpha band or the file's mask says, whatever is stored there; patches
        of the nodata value into which a square of 15 pixels fits; and pixels without a value (NaN).
        """
        self._check_window(top, left, bottom, right)
        if self._all_valid and not self._has_floats:
            return None
        shown = np.ones((bottom - top, right - left), np.bool_)
        for first, last in self._row_bands(top, bottom, right - left):
            rows = slice(first - top, last - top)
            if not self._all_valid:
                empty = self._empty_patches if self._by_value else self._empty
                shown[rows] = ~empty(first, left, last, right)
            if self._has_floats:
                shown[rows] &= np.isfinite(self._values(first, left, last, right)).all(axis=0)
        return None if shown.all() else shown

    def _check_window(self, top: int, left: int, bottom: int, right: int) -> None:
        height, width = self.size_hw
        if not (0 <= top < bottom <= height and 0 <= left < right <= width):
            window = f"rows {top} to {bottom}, columns {left} to {right}"
            raise ValueError(f"{window} are not within the {height}×{width} pixels of {self.path}.")

    def _row_bands(self, top: int, bottom: int, width: int) -> Iterator[tuple[int, int]]:
        """Cut rows so that not too many values are converted at once."""
        step = max(BAND_BYTES // self._row_bytes(width), 1)
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
            with telling_damage():
                yield
        except RasterioError as error:
            reason = error.__cause__ or error
            raise InputError(
                f"{self.path}: cannot be read to its end, the file is damaged or cut off. "
                f"({reason}) Copy it anew from where it came."
            ) from error

    @cached_property
    def _palette(self) -> NDArray[np.uint8] | None:
        """RGB of each index (256 or 65536, 3), of an image with a palette."""
        with self._readable():
            if self._dataset.colorinterp[self._bands[0] - 1].name != "palette":
                return None
            listed = self._dataset.colormap(self._bands[0])
        kind = np.dtype(self._dataset.dtypes[0])
        if kind not in (np.uint8, np.uint16):
            raise InputError(f"{self.path}: has a palette, but its values are {kind}, no indices.")
        colors = np.zeros((np.iinfo(kind).max + 1, 3), np.uint8)
        for index, color in listed.items():
            if index < len(colors):
                colors[index] = color[:3]
        return colors

    @cached_property
    def depth(self) -> Depth:
        """The value that is white, of a file of more than 8 bits."""
        return self._given_depth or depth_of_values(self._sample, self._declared_bits())

    @cached_property
    def _sample(self) -> NDArray[Any]:
        """Values from windows that are spread over the image."""
        with self._readable():
            return sampled_values(self._dataset, self._bands)

    def _declared_bits(self) -> int | None:
        """The bits that the file says it uses of those that it stores."""
        with self._readable():
            bits = self._dataset.tags(self._bands[0], ns="IMAGE_STRUCTURE").get("NBITS", "16")
        if bits.isdecimal() and 8 < int(bits) < 16:
            return int(bits)
        return None if self._has_floats else declared_bits(self.path)

    @cached_property
    def _median(self) -> float:
        finite = self._sample[np.isfinite(self._sample)]
        return float(np.median(finite)) if finite.size else 0.0

    def _photo_bits(self, values: NDArray[Any]) -> NDArray[np.uint8]:
        """Eight bits of stored values (bands, h, w); (1 or 3, h, w)."""
        if self._palette is not None:
            return np.moveaxis(self._palette[values[0]], -1, 0)
        if self._has_floats and not (finite := np.isfinite(values)).all():
            values = np.where(finite, values, values.dtype.type(self._median))
        return self.depth.to_8_bits(values)


def lost_places(paths: Iterable[Path]) -> str | None:
    """Say which images lose their place on the earth, since they are read as plain photos.

    So are GeoTIFFs where rasterio is not installed, and photos in other formats that have a world
    file beside them.

    Args:
        paths: Image files.

    Returns:
        Sentences that say how the place is kept, or None where none is lost.
    """
    tiffs, others = [], []
    for path in paths:
        if path.suffix.lower() in (".tif", ".tiff"):
            if not has_raster() and has_place(path):
                tiffs.append(path)
        elif any(path.with_suffix(suffix).is_file() for suffix in WORLD_FILES):
            others.append(path)
    told = [
        f"{_these(lost)} on the earth in the results. To keep it: {remedy}"
        for lost, remedy in (
            (tiffs, "pip install 'fissura[geo]'"),
            (others, "convert to GeoTIFF with gdal_translate, which reads the world file"),
        )
        if lost
    ]
    return " ".join(told) or None


def has_place(path: Path) -> bool:
    """Whether the tags of a TIFF georeference it."""
    try:
        return bool(PLACE_TAGS & tiff_tags(path).keys())
    except OSError:
        return False


def _these(paths: list[Path]) -> str:
    """The beginning of a sentence about one or several images."""
    if len(paths) == 1:
        return f"{paths[0]} loses its place"
    return f"{len(paths)} images, such as {paths[0]}, lose their place"
