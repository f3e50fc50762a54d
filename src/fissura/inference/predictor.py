"""Predict the probability of crack at every pixel of a photo of any size."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from fissura.checkpoint import ModelConfig, config_of, find_model, load_model
from fissura.data.images import read_image
from fissura.errors import InputError
from fissura.exported import exported_format
from fissura.inference.batches import Bands, Batches, Collect, Made
from fissura.inference.classes import ClassPrediction, compacted_classes, map_of
from fissura.inference.engines.backends import ExportedNetwork
from fissura.inference.engines.familiar import Familiar
from fissura.inference.network import ImageNetwork
from fissura.inference.options import PredictOptions
from fissura.inference.own_scale import OwnScale
from fissura.inference.prediction import (
    CompactPrediction,
    Prediction,
    compacted,
    joined,
    lowered,
    lowest_crack,
    sure_mask,
)
from fissura.inference.working_scale import Read, windows_of
from fissura.measurement.calibration import Calibration, surest_pixels

__all__ = ["CompactPrediction", "Prediction", "Predictor"]


class Predictor:
    """A model that is ready to predict photos, with one set of options.

    A photo is resampled (by area where that shrinks it), put through the network, and the
    probabilities are resampled bilinearly to the size of the photo. Beside photo and result,
    memory is needed for a small part of the photo alone:

    - A CrackSeg on the U-Net basis, and a LiteUNet, take a photo by bands of its rows
      (`fissura.inference.engines.streaming`). The result is the one of the whole photo at once.
    - Other networks, and every network with `tile` or `tta`, take tiles that overlap, and the
      tiles' probabilities (not their logits, so that one overconfident view cannot outweigh the
      others) are blended as `fissura.inference.tiling` describes.

    Images of one size that come one after the other and are no larger than a tile share a batch of
    `batch_size` tiles, or of as many pixels.

    Results are the same whenever the same photo is predicted with the same options on the same
    device; sizes of batches change them by rounding errors alone. On a CPU as many cores are used
    as torch has threads (`torch.set_num_threads`, OMP_NUM_THREADS), see
    `fissura.inference.engines.stages`.

    Args:
        model: From `fissura.load_model`; it is moved to the device and set to evaluation. Or an
            exported one, `fissura.inference.engines.backends.ExportedNetwork`, which takes tiles.
        config: How the model was trained: normalization, scale and threshold.
        options: How the model is applied.

    Attributes:
        config: As given.
        network: The network, and how images are cut for it.
        device: Where the network computes.
        dtype: In which precision it computes.
        threshold: Probability from which a pixel counts as crack.
        min_prob: Parts of the mask whose surest pixels have a lower mean probability are left out
            (`fissura.inference.unsure`); 0 keeps all.
        scale: Factor by which photos are resampled; with `auto_scale`, beside their own.
        auto_scale: Whether each photo is resampled by a scale of its own, too, see `scale_of`.
        tile: Side of a tile, also where none are taken.
        overlap: Fraction of a tile that it has in common with the next.
        batch_size: Tiles that are predicted at once.
        tta: Whether probabilities are averaged over flips and turns.
        engine: "torch", "openvino" or "onnx".
        classes: Names of the classes that it tells apart; () for crack or not, and where one class
            was chosen with `of_class`.
        of_class: The class that was chosen, or None.
        familiar: What tells photos that are unlike those of the training; None where the model has
            no statistics of these, or the photo is taken in tiles.

    Raises:
        InputError: An option is out of its range, the machine lacks the device, or the engine is
            not installed.

    >>> from fissura.models import build_model
    >>> config = ModelConfig(model="crackseg", options={"width": 2})
    >>> predictor = Predictor(build_model("crackseg", width=2), config)
    >>> predictor(np.zeros((20, 30, 3), np.uint8)).prob.shape
    (20, 30)
    """

    def __init__(
        self,
        model: nn.Module,
        config: ModelConfig,
        options: PredictOptions | None = None,
        *,
        familiar: Familiar | None = None,
    ) -> None:
        options = options or PredictOptions()
        self.config = config
        own = options.scale is None or options.scale == "auto"
        self.scale = config.scale if own else float(options.scale or 0)
        self.auto_scale = options.scale == "auto" or (options.scale is None and config.auto_scale)
        self.threshold = config.threshold if options.threshold is None else options.threshold
        self.of_class = options.of_class
        self.classes = config.classes if options.of_class is None else ()
        if options.of_class is not None and options.threshold is None:
            self.threshold = 0.5
        self._check()
        known = None if options.keep_unsure else Calibration.parse(self.measuring)
        self.min_prob = known.min_prob if known else 0.0
        self.network = network = ImageNetwork(model, config, options)
        self.engine, self.device, self.dtype = network.engine, network.device, network.dtype
        self.tile, self.overlap = network.tile, network.overlap
        self.batch_size, self.tta = network.batch_size, network.tta
        self.familiar = familiar if network.tells_familiar else None

    @classmethod
    def load(cls, path: str | Path, **options: Any) -> Predictor:
        """Load a model and make a predictor of it.

        Args:
            path: Run folder, model folder, name of a model that comes with Fissura, or a file that
                `fissura export` wrote.
            **options: The fields of `PredictOptions`.

        Raises:
            InputError: There is no such model, or an option is out of its range.

        >>> Predictor.load("crackseg-small", threshold=0.6).threshold
        0.6
        """
        chosen, found = PredictOptions(**options), find_model(path)
        if found.is_file() and exported_format(found) != "safetensors":
            config = config_of(found)  # first, since it says what is wrong with a file
            return cls(ExportedNetwork(found, chosen), config, chosen)
        return cls(*load_model(path), chosen, familiar=Familiar.load(found))

    def at(self, scale: float) -> Predictor:
        """Return the same predictor at another scale, fixed; the network is shared.

        Args:
            scale: Factor by which photos are resampled.
        """
        other = copy.copy(self)
        other.scale, other.auto_scale = scale, False
        other._check()
        return other

    def keeping_unsure(self) -> Predictor:
        """Return the same predictor, but leaving out no part of the mask; the network is shared."""
        other = copy.copy(self)
        other.min_prob = 0.0
        return other

    def scale_of(self, image: NDArray[np.uint8]) -> float:
        """Return the factor by which a photo is resampled.

        With `auto_scale` that is as small as its detail allows (`working_scale`); then a look at a
        quarter of that scale tells how wide its cracks are, and it is seen at half the scale where
        they are wide, or at twice where it is small (`fissura.inference.look`).

        Args:
            image: RGB, uint8 (h, w, 3).
        """
        return self.scale_by_windows(windows_of(image), (image.shape[0], image.shape[1]))

    def scale_by_windows(self, read: Read, size_hw: tuple[int, int]) -> float:
        """Return the factor by which a photo is resampled that is read by windows.

        Args:
            read: Gives the pixels of a window by its top, left, bottom and right: uint8 (h, w, 3).
            size_hw: Height and width of the photo in pixels.
        """
        return self._own_scale().of(read, size_hw)[0] if self.auto_scale else self.scale

    @property
    def measuring(self) -> dict[str, Any]:
        """What `fissura.measure` has to know of the model; nothing at another threshold."""
        own = self.threshold == self.config.threshold and self.of_class is None
        return self.config.measuring if own else {}

    @property
    def streams(self) -> bool:
        """Whether photos are taken by bands of rows, and not in tiles."""
        return self.network.streaming is not None

    @property
    def halo(self) -> int | None:
        """How far around a pixel a network looks that takes bands of rows; None for tiles."""
        streaming = self.network.streaming
        return None if streaming is None else streaming.halo

    def __call__(self, image: NDArray[np.uint8] | str | Path) -> Prediction:
        """Predict one photo.

        Args:
            image: RGB, uint8 (h, w, 3), or the path of an image file.

        Raises:
            InputError: The file cannot be read, or the memory of the device does not suffice.
        """
        if isinstance(image, str | Path):
            image = read_image(Path(image))
        return next(self.predictions([image]))

    def prob(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the probability of crack, float32 (h, w), of one photo.

        Args:
            image: RGB, uint8 (h, w, 3).
        """
        return next(self.probs([image]))

    def probs(self, images: Iterable[NDArray[np.uint8]]) -> Iterator[NDArray[np.float32]]:
        """Predict the probabilities of several photos; small ones of one size share a batch.

        Args:
            images: RGB, uint8 (h, w, 3). No more of them than one batch are taken in advance.

        Yields:
            The probability of crack, float32 (h, w), of each photo in their order.
        """
        return (self._sure(made) for made in self._each(images, joined))

    def predictions(self, images: Iterable[NDArray[np.uint8]]) -> Iterator[Prediction]:
        """Predict several photos, batched as by `probs`.

        Args:
            images: RGB, uint8 (h, w, 3).

        Yields:
            The prediction of each photo in their order. The seconds of a batch are shared out
            evenly among its photos.

        Raises:
            InputError: The model has several classes, and none was chosen.
        """
        self.refuse_classes("class_predictions tells all of them")
        for made in self._each(images, joined):
            prob = self._sure(made)
            mask = prob >= self.threshold
            yield Prediction(
                prob,
                mask,
                self.threshold,
                float(mask.mean()),
                made.seconds,
                made.scale,
                self.measuring,
                made.unfamiliarity,
            )

    def class_predictions(self, images: Iterable[NDArray[np.uint8]]) -> Iterator[ClassPrediction]:
        """Predict the classes of several photos, batched as by `probs`.

        Args:
            images: RGB, uint8 (h, w, 3).

        Yields:
            The classes of each photo in their order.

        Raises:
            InputError: The model tells crack or not alone.
        """
        if not self.classes:
            raise InputError("This model, or the class that was chosen of it, is crack or not.")
        overlapping = self.config.overlapping
        for made in self._each(images, joined):
            found = map_of(made.result, overlapping=overlapping)
            yield ClassPrediction(self.classes, overlapping, made.result, found, made.seconds)

    def compact(
        self, images: Iterable[NDArray[np.uint8]], *, highest: int | None = None
    ) -> Iterator[CompactPrediction]:
        """Predict several photos as `predictions` does, in a quarter of the memory.

        Args:
            images: RGB, uint8 (h, w, 3).
            highest: The integer that stands for the probability 1: 255 or 65535; None for masks
                alone.

        Yields:
            The prediction of each photo in their order.
        """
        for made in self.attempts(images, highest=highest):
            if isinstance(made, Exception):
                raise made
            yield made

    def attempts(
        self, images: Iterable[NDArray[np.uint8]], *, highest: int | None = None
    ) -> Iterator[CompactPrediction | Exception]:
        """Predict several photos as `compact` does, and go on where one of them fails.

        Args:
            images: RGB, uint8 (h, w, 3).
            highest: As for `compact`.

        Yields:
            The prediction of each photo in their order, or the exception that it raised.
        """

        def collect(bands: Bands, size_hw: tuple[int, int]):
            if self.classes:
                return compacted_classes(bands, size_hw, self.config, highest)
            return compacted(bands, size_hw, self.threshold, highest)

        for made in self._each(images, collect, go_on=True):
            if isinstance(made.result, Exception):
                yield made.result
                continue
            fractions = ()
            if self.classes:
                mask, prob, fractions = made.result
                fraction = float(np.count_nonzero(mask) / mask.size)
            else:
                mask, prob = made.result
                lowest = 1 if highest is None else lowest_crack(self.threshold, highest)
                surest = surest_pixels(made.scale)
                fraction = sure_mask(mask, prob, lowest, self.min_prob, surest)
            yield CompactPrediction(
                mask,
                prob,
                self.threshold,
                fraction,
                made.seconds,
                made.scale,
                fractions,
                made.unfamiliarity,
            )

    def _sure(self, made: Made) -> NDArray[np.float32]:
        """The probabilities of a photo, without parts of the mask that the model is unsure of."""
        return lowered(made.result, self.threshold, self.min_prob, surest_pixels(made.scale))

    def refuse_classes(self, otherwise: str) -> None:
        """Raise `InputError` where there are several classes.

        Args:
            otherwise: What else serves, as a clause.
        """
        if self.classes:
            raise InputError(
                f"The model has the classes {', '.join(self.classes)}: {otherwise}, and of_class "
                "(--of-class) chooses one of them."
            )

    def _check(self) -> None:
        """Raise `InputError` for options out of range."""
        problem = None
        if not 0 < self.scale < float("inf"):
            problem = f"The scale is {self.scale}, but must be above 0; 1 keeps photos as they are."
        elif not 0 <= self.threshold <= 1:
            problem = f"The threshold is {self.threshold}, but must be from 0 to 1."
        if problem:
            raise InputError(problem)

    def _each(
        self, images: Iterable[NDArray[np.uint8]], collect: Collect, *, go_on: bool = False
    ) -> Iterator[Made]:
        """What `collect` makes of the bands of each image; with `go_on`, errors are given."""
        batches = (
            self._own_scale()
            if self.auto_scale
            else Batches(self.network, self.scale, self.familiar)
        )
        return batches.each(images, collect, go_on=go_on)

    def _own_scale(self) -> OwnScale:
        """What takes each photo at its own scale; classes are not told by one threshold."""
        return OwnScale(self.network, self.scale, self.familiar, looks=not self.classes)
