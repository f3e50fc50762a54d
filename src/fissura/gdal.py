"""Open files with GDAL by way of rasterio: with little memory, and checked for values and bands."""

from __future__ import annotations

import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from fissura.errors import InputError

CACHE = 2**27  # bytes of decoded blocks in GDAL; rasterio does not take megabytes
LARGEST_BLOCK = 2**29  # bytes that GDAL would have to decode at once


def has_raster() -> bool:
    """Whether rasterio is installed."""
    return find_spec("rasterio") is not None


def load_rasterio() -> Any:
    """Import rasterio; an `InputError` says how to install it where it is missing."""
    if not has_raster():
        raise InputError(
            "Georeferenced and very large images need rasterio: pip install 'fissura[geo]'"
        )
    import rasterio

    return rasterio


def limited_cache() -> Any:
    """Within this context GDAL keeps little of what it decoded, wherever it reads and writes."""
    return load_rasterio().Env(GDAL_CACHEMAX=CACHE)


def open_dataset(path: Path, mode: str = "r", **profile: Any) -> Any:
    """Open a rasterio dataset without its warning of plain photos, which have no place on earth."""
    rasterio = load_rasterio()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
        try:
            return rasterio.open(path, mode, sharing=False, **profile)
        except rasterio.errors.RasterioError:
            raise
        except Exception as error:  # such as of damaged keys of a place, which GDAL tells by itself
            if type(error).__module__.startswith("rasterio"):
                raise rasterio.errors.RasterioIOError(str(error)) from error
            raise


def color_bands(path: Path, dataset: Any) -> tuple[int, ...]:
    """Return the numbers, from 1, of the band of gray, or of red, green and blue.

    Raises:
        InputError: Where the bands are others.
    """
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


def check_values(path: Path, dataset: Any) -> None:
    """Raise `InputError` for values that are no brightness and for blocks that are too large."""
    kind = np.dtype(dataset.dtypes[0])
    if kind.kind not in "uif":
        raise InputError(f"{path}: its values are {kind}, but must be real numbers.")
    rows, columns = dataset.block_shapes[0]
    if rows * columns * dataset.count * kind.itemsize > LARGEST_BLOCK:
        raise InputError(
            f"{path}: is stored in blocks of {rows}×{columns} pixels, so that it cannot be read by "
            "windows. Convert it: gdal_translate -co TILED=YES -co COMPRESS=DEFLATE "
            f"-co BIGTIFF=IF_SAFER {path.name} tiled.tif"
        )
