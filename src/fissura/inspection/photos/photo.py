"""One photo, mask or raster: how its crack pixels are found, whatever its file holds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from fissura.data.images import read_image
from fissura.errors import InputError
from fissura.files import MASKS, PROBABILITIES
from fissura.files.failures import say
from fissura.inference.engines.familiar import UNFAMILIAR
from fissura.inference.predictor import Prediction, Predictor
from fissura.inference.rasters.opening import LARGE, probability_reader, raster_of
from fissura.inference.rasters.raster import predict_raster
from fissura.inference.rasters.raster_files import RasterFiles
from fissura.inference.working_scale import chosen_scale
from fissura.inspection.photos.given_masks import GivenMask, fit
from fissura.inspection.photos.masks import write_raster_mask
from fissura.inspection.photos.recorder import InspectorOptions, Recorder
from fissura.inspection.photos.sources import (
    Kind,
    Source,
    as_probabilities,
    check_raster_mask,
    crack_of,
    looks_like_mask,
    own_result,
    read_source,
    recognize,
    two_values,
)
from fissura.inspection.records.corrections import Correction, Found
from fissura.inspection.records.record import Record
from fissura.measurement.skeleton import ReadMask
from fissura.memory import give_back_freed_memory
from fissura.raster import Raster


class Inspector:
    """Inspect photos with one model and one set of options, and write into one folder.

    Args:
        predictor: Predictor of photos; None where all files are masks or probabilities.
        model: Its model folder.
        out: Folder for masks, overlays and, of rasters, probabilities.
        options: Choices that hold for all files.
        console: For progress and warnings.

    Attributes:
        understood: Files by what they were taken for, in words.
        machines: Machines that computed for it, in words, where that was a cluster.
    """

    def __init__(
        self,
        predictor: Predictor | None,
        model: Path,
        out: Path,
        options: InspectorOptions,
        console: Console | None = None,
    ) -> None:
        self.predictor = predictor
        self.model = model
        self.out = out
        self.options = options
        self.console = console
        self.recorder = Recorder(predictor, out, options, console)
        self.understood: dict[str, list[Path]] = {}
        self.machines: dict[str, None] = {}

    def __call__(self, file: Path, name: str) -> Record:
        """Inspect one file.

        A georeferenced TIFF or JPEG 2000, or one of more than 50 megapixels, is read by windows
        where rasterio is installed, everything else as a whole.

        Args:
            file: The photo, mask or probabilities.
            name: Name of its results.

        Raises:
            InputError: The file cannot be read, or its resolution not be found as asked for.
        """
        options = self.options
        source = recognize(file, self._kind(file), options.threshold, options.of_class)
        with raster_of(file, depth=self.options.depth) as raster:
            if raster is not None:
                if source.kind == "photo":
                    if self._must_be_photo and len(two_values(raster) or ()) == 2:
                        raise _is_mask(file)
                    self.understood.setdefault("photos", []).append(file)
                    return self._raster(raster, name)
                self.understood.setdefault(source.words, []).append(file)
                return self._stored_raster(raster, name, source)
        if source.kind == "photo":
            assert self.predictor is not None
            image = self.read(file)
            return self.measured(file, name, image, self.predictor(image))
        prob, mask, words = read_source(file, source)
        self.understood.setdefault(words, []).append(file)
        gray = np.rint(255 * prob).astype(np.uint8)
        image = np.repeat(gray[..., None], 3, axis=2)
        return self.recorder.image(file, name, image, prob, mask, source.threshold or 0.5)

    def read(self, file: Path) -> NDArray[np.uint8]:
        """Read a photo that is no raster, RGB (h, w, 3).

        Raises:
            InputError: It cannot be read, or looks like a mask where a photo is expected.
        """
        image = read_image(file, depth=self.options.depth)
        if self._must_be_photo and looks_like_mask(image):
            raise _is_mask(file)
        return image

    def measured(
        self, file: Path, name: str, image: NDArray[np.uint8], prediction: Prediction
    ) -> Record:
        """Measure a photo that the predictor of this inspector has predicted.

        Args:
            file: The photo.
            name: Name of its results.
            image: What `read` gave.
            prediction: What the predictor gave, alone or in a batch.

        Raises:
            InputError: Its resolution cannot be found as asked for.
        """
        self.understood.setdefault("photos", []).append(file)
        scale = prediction.scale / (1.0 if self.predictor is None else self.predictor.scale)
        self._tell_scale(file, scale)
        self._tell_unfamiliar(file, prediction)
        return self.recorder.image(
            file,
            name,
            image,
            prediction.prob,
            prediction.mask,
            prediction.threshold,
            scale=scale,
            prediction=prediction,
        )

    def _tell_scale(self, file: Path, scale: float) -> None:
        """Say at which scale a photo was predicted, where the photo chose one."""
        if scale != 1 and self.console is not None:
            say(self.console, f"{file}: {chosen_scale(scale)}")

    def _tell_unfamiliar(self, file: Path, prediction: Prediction) -> None:
        """Say where a photo is unlike those that the model was trained on."""
        if (prediction.unfamiliarity or 0.0) > 1 and self.console is not None:
            say(self.console, f"{file}: {UNFAMILIAR}", style="yellow")

    @property
    def _must_be_photo(self) -> bool:
        """Whether files have to be photos without the user having said so of each."""
        return self.options.kind == "photo" and not self.options.told

    def _kind(self, file: Path) -> Kind:
        """Return what the file has to be; results of Fissura are never photos."""
        if self._must_be_photo:
            known = own_result(file)
            if known is not None:
                raise InputError(
                    f"{file}: is a {known} that Fissura wrote, not a photo. To measure the cracks "
                    f"in it: fissura measure {file}"
                )
        return self.options.kind

    def corrected(self, file: Path, name: str, given: GivenMask, model: Found | None) -> Record:
        """Measure the corrected mask of a photo, and compare it with what the model found.

        Args:
            file: The photo.
            name: Name of its results.
            given: The mask.
            model: What the model found on the photo; None where that is not known.

        Raises:
            InputError: Photo or mask cannot be read, or they differ in size.
        """
        with raster_of(file, depth=self.options.depth) as raster:
            if raster is not None:
                return self._corrected_raster(raster, name, given, model)
        image = read_image(file, depth=self.options.depth)
        if looks_like_mask(image):
            raise _is_mask(file)
        mask = fit(given.read(), file, image.shape[:2])
        correction = Correction(mask=given.words, given="" if given.in_place else given.digest)
        return self.recorder.image(
            file,
            name,
            image,
            mask.astype(np.float32),
            mask,
            0.5,
            by_hand=(given, correction, model),
        )

    def _corrected_raster(
        self, raster: Raster, name: str, given: GivenMask, model: Found | None
    ) -> Record:
        """Measure the corrected mask of an image that is read by windows."""
        height, width = raster.size_hw
        if given.file is None or height * width <= LARGE:
            mask = fit(given.read(), raster.path, raster.size_hw)
            return self._by_mask(raster, name, lambda t, x, b, r: mask[t:b, x:r], given, model)
        with probability_reader(given.file) as stored:
            if stored.size_hw != raster.size_hw:
                raise InputError(f"{given.file}: has another size than {raster.path}.")
            return self._by_mask(
                raster, name, lambda t, x, b, r: stored.read(t, x, b, r) > 0, given, model
            )

    def _by_mask(
        self,
        raster: Raster,
        name: str,
        read_mask: ReadMask,
        given: GivenMask,
        model: Found | None,
    ) -> Record:
        """Measure a mask that is read by windows."""

        def read(top: int, left: int, bottom: int, right: int) -> NDArray[np.float32]:
            return read_mask(top, left, bottom, right).astype(np.float32)

        if not given.in_place:
            write_raster_mask(self.out / MASKS / f"{name}.tif", raster, read_mask)
        correction = Correction(mask=given.words, given="" if given.in_place else given.digest)
        by_hand = (given, correction, model)
        return self.recorder.raster(raster, name, read, read_mask, 0.5, by_hand)

    def _raster(self, raster: Raster, name: str) -> Record:
        """Inspect an image by windows; it need not fit into memory."""
        assert self.predictor is not None
        predicted = predict_raster(
            self.predictor,
            raster,
            RasterFiles.below(self.out, name),
            model=self.model,
            overwrite=self.options.overwrite,
            console=self.console,
        )
        give_back_freed_memory()
        with probability_reader(predicted.probability) as probability:

            def read(top: int, left: int, bottom: int, right: int) -> NDArray[np.float32]:
                return probability.read(top, left, bottom, right).astype(np.float32) / np.float32(
                    255
                )

            record = self.recorder.raster(
                raster, name, read, None, predicted.threshold, seen_at=predicted.scale
            )
        files = {**record.files, "probability": f"{PROBABILITIES}/{name}.tif"}
        return replace(record, files=files)

    def _stored_raster(self, raster: Raster, name: str, source: Source) -> Record:
        """Measure a mask or probabilities by windows; their coordinates are kept."""
        if source.kind == "mask" and source.one is None:
            check_raster_mask(raster, own=source.own)
        threshold = source.threshold or 0.5

        def read(top: int, left: int, bottom: int, right: int) -> NDArray[np.float32]:
            values = raster.stored(top, left, bottom, right)
            if len(values) != 1:
                raise InputError(f"{raster.path}: has colors, but probabilities are gray.")
            if source.one is not None:
                return (values[0] == source.one.value).astype(np.float32)
            if source.kind == "mask":
                return (values[0] > 0).astype(np.float32)
            return as_probabilities(raster.path, values[0])

        def read_mask(top: int, left: int, bottom: int, right: int) -> NDArray[np.bool_]:
            return crack_of(read(top, left, bottom, right), threshold)

        crack = write_raster_mask(self.out / MASKS / f"{name}.tif", raster, read_mask)
        self.recorder.warn_if_full(raster.path, crack)
        return self.recorder.raster(raster, name, read, read_mask, threshold)


def _is_mask(file: Path) -> InputError:
    """The error for a mask among photos."""
    return InputError(
        f"{file}: looks like a mask, not like a photo. To measure the cracks that it marks: "
        f"fissura measure {file}. If it is a photo: fissura measure {file} --kind photo"
    )
