"""Open images that are read by windows, and the probabilities that came of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fissura.bit_depth import Depth
from fissura.errors import InputError
from fissura.gdal import has_raster, limited_cache, open_dataset, telling_damage
from fissura.raster import Raster, has_place, open_raster

SUFFIXES = (".tif", ".tiff", ".jp2")
LARGE = 50_000_000  # pixels, from which on an image is read by windows where that is possible
MOST_BANDS = 4  # of an image that may be a photo all the same


@contextmanager
def raster_of(file: Path, *, depth: Depth | None = None) -> Iterator[Raster | None]:
    """Open an image that is to be read by windows.

    A TIFF or JPEG 2000 is, if rasterio is installed, where it is georeferenced or has more than 50
    megapixels or more than four bands.

    Args:
        file: Any image file.
        depth: The depth of the set that it belongs to, see `fissura.raster.open_raster`.

    Yields:
        The open image, or None where it is a photo to be read as a whole. So is what GDAL cannot
        open: reading it as a photo will say why.

    Raises:
        InputError: It has a place on the earth or is large, but its bands or values are not those
            of a photo.
    """
    with ExitStack() as stack:
        yield _opened(file, depth, stack)


def _opened(file: Path, depth: Depth | None, stack: ExitStack) -> Raster | None:
    """The image where it is read by windows; `stack` will close it."""
    if file.suffix.lower() not in SUFFIXES or not has_raster() or not file.is_file():
        return None
    from rasterio.errors import RasterioError

    stack.enter_context(limited_cache())
    try:
        dataset = stack.enter_context(open_dataset(file))
        with telling_damage():
            placed, pixels = not dataset.transform.is_identity, dataset.width * dataset.height
    except RasterioError as error:
        if has_place(file):
            raise InputError(
                f"{file}: cannot be read, what it says of its place on the earth is damaged. "
                f"({error}) Copy it anew from where it came."
            ) from error
        return None
    if placed or pixels > LARGE or dataset.count > MOST_BANDS:
        return Raster(file, dataset, depth)
    return None


@contextmanager
def probability_reader(path: Path) -> Iterator[ProbabilityReader]:
    """Open the probabilities (or the mask) that `predict_raster` wrote, to read them by windows.

    It is for one thread. GDAL keeps up to 128 MiB of decoded tiles.

    Args:
        path: The GeoTIFF.

    Raises:
        InputError: The file is missing or damaged.
    """
    with open_raster(path) as raster:
        yield ProbabilityReader(raster)


class ProbabilityReader:
    """An open GeoTIFF of probabilities; from `probability_reader`.

    Attributes:
        size_hw: Height and width in pixels.
    """

    def __init__(self, raster: Raster) -> None:
        self.size_hw = raster.size_hw
        self._raster = raster

    def read(self, top: int, left: int, bottom: int, right: int) -> NDArray[np.uint8]:
        """Return the integers of a window, uint8 (bottom − top, right − left)."""
        return self._raster.stored(top, left, bottom, right)[0]
