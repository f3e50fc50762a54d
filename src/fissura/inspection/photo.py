"""One photo, mask or raster at a time: find its cracks, measure them, write what is shown of it."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from fissura.data.images import read_image
from fissura.errors import InputError
from fissura.files import MASKS, OVERLAYS, PROBABILITIES
from fissura.files.images import write_image
from fissura.inference.by_windows import LARGE, by_windows, predict_by_windows
from fissura.inference.predictor import Predictor
from fissura.inference.raster import probability_reader
from fissura.inspection.drawing import draw_cracks
from fissura.inspection.record import PIXELS, Record
from fissura.inspection.sources import LEVELS, Kind, kind_of, read_probability
from fissura.measurement import Crack, crack_labels, measure, measure_windows
from fissura.measurement.options import MeasureOptions, ResolutionOptions
from fissura.measurement.resolution import Resolution, find_resolution
from fissura.memory import give_back_freed_memory
from fissura.raster import Raster, open_raster, preview

PREVIEW = 1600  # pixels of a preview's longer side


class Inspector:
    """Inspect photos with one model and one set of options, and write into one folder.

    predictor:  finds the cracks of photos; None where all files are masks or probabilities.
    model:      its model folder.
    out:        folder for masks, overlays and, of rasters, probabilities.
    kind:       what the files are; "auto" tells by the pixels of each.
    overwrite:  replace results of other settings.
    """

    def __init__(
        self,
        predictor: Predictor | None,
        model: Path,
        out: Path,
        *,
        scaling: ResolutionOptions,
        measuring: MeasureOptions,
        kind: Kind = "auto",
        overwrite: bool = False,
        console: Console | None = None,
    ) -> None:
        self.predictor = predictor
        self.model = model
        self.out = out
        self.scaling = scaling
        self.measuring = measuring
        self.kind: Kind = kind
        self.overwrite = overwrite
        self.console = console

    def __call__(self, file: Path, name: str) -> Record:
        """Inspect one file; `name` is that of its results.

        A georeferenced TIFF or JPEG 2000, or one of more than 50 megapixels, is read by windows
        where rasterio is installed, everything else as a whole.

        Raises `InputError` where it cannot be read, or its scale cannot be found as asked for.
        """
        kind = kind_of(file) if self.kind == "auto" else self.kind
        if kind == "photo" and by_windows(file):
            with open_raster(file) as raster:
                return self._raster(raster, name)
        if kind == "photo":
            return self._photo(file, name)
        prob, threshold = read_probability(file, kind)
        gray = np.rint(255 * prob).astype(np.uint8)
        image = np.repeat(gray[..., None], 3, axis=2)
        return self._measured(file, name, image, prob, threshold)

    def _photo(self, file: Path, name: str) -> Record:
        assert self.predictor is not None
        image = read_image(file)
        (finding,) = self.predictor.findings([image], levels=True)
        assert finding.levels is not None
        prob = finding.levels.astype(np.float32)
        prob /= LEVELS
        return self._measured(file, name, image, prob, finding.threshold)

    def _measured(
        self,
        file: Path,
        name: str,
        image: NDArray[np.uint8],
        prob: NDArray[np.float32],
        threshold: float,
    ) -> Record:
        height, width = prob.shape
        scale = self._resolution(file, image, (height, width))
        cracks = measure(
            prob,
            threshold=threshold,
            mm_per_pixel=scale.mm_per_pixel if scale else None,
            **asdict(self.measuring),
        )
        mask = prob >= threshold
        write_image(self.out / MASKS / f"{name}.png", mask.astype(np.uint8) * np.uint8(255))
        labels = crack_labels(mask, cracks)
        self._draw(name, image, cracks, labels, 1.0, scale)
        shown, shrunk = _shrunk(image)
        return Record(
            file=file,
            name=name,
            size_hw=(height, width),
            cracks=cracks,
            **_scale_fields(scale),
            preview=shown,
            preview_scale=shrunk,
            files={"mask": f"{MASKS}/{name}.png", "overlay": f"{OVERLAYS}/{name}.jpg"},
        )

    def _raster(self, raster: Raster, name: str) -> Record:
        """Inspect an image by windows; it need not fit into memory."""
        assert self.predictor is not None
        predicted = predict_by_windows(
            self.predictor,
            raster.path,
            self.out,
            name,
            model=self.model,
            overwrite=self.overwrite,
            console=self.console,
        )
        give_back_freed_memory()
        own = raster.mm_per_pixel
        known = None if own is None else Resolution(own, raster.scale_source, raster.remark)
        scale = self._resolution(raster.path, None, raster.size_hw, known)
        with probability_reader(predicted.probability) as levels:

            def read(top: int, left: int, bottom: int, right: int) -> NDArray[np.float32]:
                return levels.read(top, left, bottom, right).astype(np.float32) / np.float32(255)

            cracks = measure_windows(
                read,
                raster.size_hw,
                threshold=predicted.threshold,
                mm_per_pixel=scale.mm_per_pixel if scale else None,
                **asdict(self.measuring),
            )
        give_back_freed_memory()
        shown, shrunk = preview(raster, PREVIEW)
        self._draw(name, shown, cracks, None, shrunk, scale)
        return Record(
            file=raster.path,
            name=name,
            size_hw=raster.size_hw,
            cracks=cracks,
            **_scale_fields(scale),
            preview=shown,
            preview_scale=shrunk,
            transform=raster.transform or PIXELS,
            crs=raster.crs,
            files={
                "mask": f"{MASKS}/{name}.tif",
                "probability": f"{PROBABILITIES}/{name}.tif",
                "overlay": f"{OVERLAYS}/{name}.jpg",
            },
        )

    def _resolution(
        self,
        file: Path,
        image: NDArray[np.uint8] | None,
        size_hw: tuple[int, int],
        known: Resolution | None = None,
    ) -> Resolution | None:
        """The scale that the options tell, or the one that is known without them."""
        scale = find_resolution(self.scaling, file, image, size_hw) or known
        if scale and scale.warning and self.console:
            self.console.print(scale.warning, style="yellow", highlight=False, markup=False)
        return scale

    def _draw(
        self,
        name: str,
        image: NDArray[np.uint8],
        cracks: list[Crack],
        labels: NDArray[np.int32] | None,
        shrunk: float,
        scale: Resolution | None,
    ) -> None:
        drawn = draw_cracks(
            image,
            cracks,
            labels,
            scale=shrunk,
            mm_per_pixel=scale.mm_per_pixel if scale else None,
        )
        write_image(self.out / OVERLAYS / f"{name}.jpg", np.ascontiguousarray(drawn[..., ::-1]))


def read_labels(out: Path, photo: Record) -> NDArray[np.int32] | None:
    """Return the number of the crack at each pixel of a photo (h, w), from its mask in `out`.

    None where the photo is too large to have that whole.
    """
    file = out / photo.files["mask"]
    if file.suffix == ".png":
        mask = cv2.imread(str(file), cv2.IMREAD_GRAYSCALE)
        if mask is None:
            raise InputError(f"{file} is missing or damaged. Use --overwrite to inspect anew.")
    else:
        height, width = photo.size_hw
        if height * width > LARGE:
            return None
        with probability_reader(file) as levels:
            mask = levels.read(0, 0, height, width)
    return crack_labels(np.asarray(mask) > 0, photo.cracks)


def _scale_fields(scale: Resolution | None) -> dict[str, Any]:
    if scale is None:
        return {"mm_per_pixel": None, "scale_source": "unknown"}
    words = f"{scale.source}. {scale.warning}" if scale.warning else scale.source
    return {"mm_per_pixel": scale.mm_per_pixel, "scale_source": words}


def _shrunk(image: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], float]:
    """The image, by areas no longer than a preview, and its new size over the old."""
    height, width, _ = image.shape
    scale = min(PREVIEW / max(height, width), 1.0)
    if scale == 1:
        return image, 1.0
    size = max(round(width * scale), 1), max(round(height * scale), 1)
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8), scale
