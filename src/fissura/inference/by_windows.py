"""Which files are read by windows, and where their results lie in a folder of results."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from rich.console import Console

from fissura.errors import InputError
from fissura.files import MASKS, OVERLAYS, PROBABILITIES
from fissura.files.images import write_image
from fissura.gdal import has_raster
from fissura.inference.predictor import Predictor
from fissura.inference.raster import LargePrediction, predict_raster
from fissura.overlay import overlay
from fissura.raster import open_raster, preview

RASTERS = (".tif", ".tiff", ".jp2")
LARGE = 50_000_000  # pixels, from which on an image is read by windows where that is possible
PARTS = "parts"  # of predictions under way


def by_windows(file: Path) -> bool:
    """Tell whether an image is read by windows.

    A TIFF or JPEG 2000 is, if rasterio is installed, where it is georeferenced or has more than 50
    megapixels. What can't be opened isn't: reading it as a photo will say why.
    """
    if file.suffix.lower() not in RASTERS or not has_raster():
        return False
    try:
        with open_raster(file) as raster:
            height, width = raster.size_hw
            return raster.transform is not None or height * width > LARGE
    except InputError:
        return False


def predict_by_windows(
    predictor: Predictor,
    file: Path,
    out: Path,
    name: str,
    *,
    model: Path,
    overwrite: bool = False,
    console: Console | None = None,
) -> LargePrediction:
    """Predict an image by windows: `predict_raster` with the files of a folder of results."""
    return predict_raster(
        predictor,
        file,
        out / PROBABILITIES / f"{name}.tif",
        out / MASKS / f"{name}.tif",
        work=out / PARTS / name,
        model=model,
        overwrite=overwrite,
        console=console,
    )


def write_small_overlay(file: Path, mask: Path, out: Path, name: str) -> None:
    """Write an overlay of reduced size: the image and its mask, shrunk by areas."""
    with open_raster(file) as raster, open_raster(mask) as found:
        image, _ = preview(raster)
        crack, _ = preview(found)
    drawn = overlay(image, crack[..., 0] > 0)
    write_image(out / OVERLAYS / f"{name}.jpg", np.ascontiguousarray(drawn[..., ::-1]))
