"""Open files with GDAL by way of rasterio: with little memory, and checked for values and bands."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
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


@contextmanager
def telling_damage() -> Iterator[None]:
    """Within this context whatever rasterio raises of a damaged file is one of its public errors.

    What GDAL finds wrong with coordinates, colors and tags it tells when they are first asked for,
    not when a file is opened, and rasterio hands it on in private classes. Text without a coding
    and tables that are not there raise a `ValueError`.

    Raises:
        RasterioError: The file is damaged.
    """
    from rasterio.errors import RasterioError, RasterioIOError

    try:
        yield
    except (InputError, RasterioError):
        raise
    except Exception as error:
        if isinstance(error, ValueError) or type(error).__module__.startswith("rasterio"):
            raise RasterioIOError(str(error)) from error
        raise


def open_dataset(path: Path, mode: str = "r", **profile: Any) -> Any:
    """Open a rasterio dataset without its warning of plain photos, which have no place on earth."""
    rasterio = load_rasterio()
    with warnings.catch_warnings(), telling_damage():
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
        return rasterio.open(path, mode, sharing=False, **profile)


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
    for name in dataset.dtypes:
        # GDAL has kinds of complex numbers that numpy has not.
        if name.startswith("complex") or np.dtype(name).kind not in "uif":
            raise InputError(f"{path}: its values are {name}, but must be real numbers.")
    kind = np.dtype(dataset.dtypes[0])
    rows, columns = dataset.block_shapes[0]
    if rows * columns * dataset.count * kind.itemsize > LARGEST_BLOCK:
        raise InputError(
            f"{path}: is stored in blocks of {rows}×{columns} pixels, so that it cannot be read by "
            "windows. Convert it: gdal_translate -co TILED=YES -co COMPRESS=DEFLATE "
            f"-co BIGTIFF=IF_SAFER {path.name} tiled.tif"
        )
