"""From a trained model and a photo of any size to the probability of crack at every pixel."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fissura.checkpoint import ModelConfig, load_model
from fissura.data.images import read_image
from fissura.device import Precision, choose_device, choose_precision
from fissura.errors import InputError
from fissura.inference.tiling import ALIGN, blend_tiles
from fissura.models.normalise import normalise

if TYPE_CHECKING:
    from jaxtyping import Float, UInt8

LARGEST_GROUP = 64  # of small images: more win nothing, and results should come steadily


@dataclass(frozen=True)
class Prediction:
    """What a model says about one photo.

    prob:         float32 (h, w), the probability of crack, 0 to 1.
    mask:         bool (h, w), true where prob ≥ threshold.
    threshold:    0 to 1.
    crack_share:  fraction of the pixels that are crack in `mask`.
    seconds:      that the prediction took, without reading the file.
    """

    prob: NDArray[np.float32]
    mask: NDArray[np.bool_]
    threshold: float
    crack_share: float
    seconds: float


class Predictor:
    """Predict photos of any size with one model.

    A photo is resampled by `scale` (by area where that shrinks it), cut into overlapping tiles
    where it is larger than one, and normalised tile by tile on the device, so that memory is
    bounded by one batch of tiles, the photo, and its result. The tiles' probabilities (not their
    logits, so that one overconfident view cannot outweigh the others) are blended as
    `fissura.inference.tiling` describes, and resampled bilinearly to the size of the photo.

    Arguments:
      model:      from `fissura.checkpoint.load_model`; moved to the device and set to evaluation.
      config:     says how the model was trained: normalisation, scale and threshold.
      device:     "auto" (a GPU where there is one), "cpu", "cuda", "cuda:1", "mps".
      precision:  "float32", "bfloat16", or "auto": bfloat16 where the device is fast in it.
      tile:       height and width of a tile after resampling, in pixels; a multiple of 32.
      overlap:    of neighbouring tiles, as a fraction of the tile; 0 to below 1.
      batch_size: number of tiles that are predicted at once, at least 1; None for 1 on a CPU, where
                  more cost memory and win nothing, and 8 elsewhere. Small images of one size that
                  come one after the other share a batch of up to as many pixels.
      tta:        average over the eight flips and turns of each tile; eight times the work.
      scale:      resampling factor, above 0; None for the one of the training data.
      threshold:  0 to 1; None for the one in `config`.

    Results are the same whenever the same photo is predicted with the same arguments on the same
    device; sizes of batches change them by rounding errors alone.

    Raises `InputError` for values outside these ranges, or a device that this machine lacks.
    """

    def __init__(
        self,
        model: nn.Module,
        config: ModelConfig,
        *,
        device: str = "auto",
        precision: Precision = "auto",
        tile: int = 512,
        overlap: float = 0.25,
        batch_size: int | None = None,
        tta: bool = False,
        scale: float | None = None,
        threshold: float | None = None,
    ) -> None:
        self.config = config
        self.device = choose_device(device)
        self.dtype = choose_precision(precision, self.device)
        if batch_size is None:
            batch_size = 1 if self.device.type == "cpu" else 8
        self.tile, self.overlap, self.batch_size, self.tta = tile, overlap, batch_size, tta
        self.scale = config.scale if scale is None else scale
        self.threshold = config.threshold if threshold is None else threshold
        self._check()
        self.model = model.to(self.device).to(memory_format=torch.channels_last).eval()

    @classmethod
    def load(cls, path: str | Path, **options: Any) -> Predictor:
        """Load the model folder or run folder `path`; `options` are those of the class."""
        return cls(*load_model(Path(path)), **options)

    def __call__(self, image: NDArray[np.uint8] | str | Path) -> Prediction:
        """Predict one photo: RGB (h, w, 3), or the path of an image file.

        Raises `InputError` where the file cannot be read, or where memory does not suffice.
        """
        if isinstance(image, str | Path):
            image = read_image(Path(image))
        return next(self.predictions([image]))

    def prob(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the probability of crack, (h, w), of one RGB photo (h, w, 3)."""
        return next(self.probs([image]))

    def probs(self, images: Iterable[NDArray[np.uint8]]) -> Iterator[NDArray[np.float32]]:
        """Yield the probability of crack, (h, w), of each RGB photo (h, w, 3), in their order.

        Images of one size that come one after the other and are no larger than a tile share a
        batch, so that a data set of small images takes less time. No more images than one batch
        are taken in advance.
        """
        return (prob for prob, _ in self._timed(images))

    def predictions(self, images: Iterable[NDArray[np.uint8]]) -> Iterator[Prediction]:
        """Yield the `Prediction` of each RGB photo (h, w, 3), in their order, batched as `probs`.

        The seconds of a batch are shared out evenly among its images.
        """
        for prob, seconds in self._timed(images):
            mask = prob >= self.threshold
            yield Prediction(prob, mask, self.threshold, float(mask.mean()), seconds)

    def _check(self) -> None:
        """Raise `InputError` for options out of range."""
        problem = None
        if self.tile < ALIGN or self.tile % ALIGN:
            problem = f"The tile size is {self.tile}, but must be a multiple of {ALIGN}."
        elif not 0 <= self.overlap < 1:
            problem = f"The overlap is {self.overlap}, but must be at least 0 and below 1."
        elif self.batch_size < 1:
            problem = f"The batch size is {self.batch_size}, but must be at least 1."
        elif not 0 < self.scale < float("inf"):
            problem = f"The scale is {self.scale}, but must be above 0; 1 keeps photos as they are."
        elif not 0 <= self.threshold <= 1:
            problem = f"The threshold is {self.threshold}, but must be from 0 to 1."
        if problem:
            raise InputError(problem)

    def _timed(
        self, images: Iterable[NDArray[np.uint8]]
    ) -> Iterator[tuple[NDArray[np.float32], float]]:
        """Probabilities and seconds of each image; small images of one size in batches."""
        group: list[NDArray[np.uint8]] = []
        for image in images:
            _check_image(image)
            if group and image.shape != group[0].shape:
                yield from self._predict_group(group)
                group = []
            group.append(image)
            if len(group) == self._group_size(image):
                yield from self._predict_group(group)
                group = []
        if group:
            yield from self._predict_group(group)

    def _group_size(self, image: NDArray[np.uint8]) -> int:
        """How many images of this size are predicted at once: 1 where it needs tiles."""
        height, width = self._scaled(image)
        if max(height, width) > self.tile:
            return 1
        return min(self.batch_size * self.tile**2 // (height * width), LARGEST_GROUP)

    def _predict_group(
        self, images: list[NDArray[np.uint8]]
    ) -> list[tuple[NDArray[np.float32], float]]:
        """Predict images of one size: many small ones at once, or a large one by tiles."""
        began = time.perf_counter()
        size = self._scaled(images[0])
        resized = [torch.from_numpy(_resize(image, size, shrink_by_area=True)) for image in images]
        try:
            if len(resized) > 1:
                probs = self._batch_prob(torch.stack(resized))
            else:
                probs = self._tiled_prob(resized[0]).unsqueeze(0)
        except torch.OutOfMemoryError as error:
            raise InputError(
                f"The memory of {self.device} does not suffice for {self.batch_size} tiles of "
                f"{self.tile}×{self.tile} pixels. Use a smaller --tile or --batch-size."
            ) from error
        height, width, _ = images[0].shape
        results = [_resize(prob, (height, width)) for prob in probs.cpu().numpy()]
        seconds = (time.perf_counter() - began) / len(images)
        return [(prob, seconds) for prob in results]

    def _tiled_prob(self, image: UInt8[Tensor, "h w 3"]) -> Float[Tensor, "h w"]:
        return blend_tiles(
            image,
            self._batch_prob,
            tile=self.tile,
            overlap=self.overlap,
            batch_size=self.batch_size,
        )

    @torch.inference_mode()
    def _batch_prob(self, images: UInt8[Tensor, "n h w 3"]) -> Float[Tensor, "n h w"]:
        """Probabilities of a batch, on the device."""
        x = images.to(self.device, non_blocking=True).permute(0, 3, 1, 2)
        x = normalise(x, self.config.mean, self.config.std)
        if not self.tta:
            return self._network_prob(x)
        total = torch.zeros_like(x[:, 0], memory_format=torch.contiguous_format)
        for turned in (False, True):
            for flips in ((), (-1,), (-2,), (-2, -1)):
                view = x.flip(flips).transpose(-1, -2) if turned else x.flip(flips)
                prob = self._network_prob(view.contiguous(memory_format=torch.channels_last))
                total += (prob.transpose(-1, -2) if turned else prob).flip(flips)
        return total / 8

    def _network_prob(self, x: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n h w"]:
        lower = self.dtype != torch.float32
        with torch.autocast(self.device.type, dtype=self.dtype, enabled=lower):
            logits = self.model(x)
        return logits[:, 0].float().sigmoid()

    def _scaled(self, image: NDArray[np.uint8]) -> tuple[int, int]:
        """Height and width of an image after resampling."""
        height, width, _ = image.shape
        return max(round(height * self.scale), 1), max(round(width * self.scale), 1)


def _check_image(image: NDArray[np.uint8]) -> None:
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
        raise ValueError(
            f"An image must be an array of uint8 of shape (height, width, 3), RGB, but this is "
            f"{image.dtype} of shape {image.shape}."
        )


def _resize(
    image: NDArray[Any], size: tuple[int, int], *, shrink_by_area: bool = False
) -> NDArray[Any]:
    """Resample an image or probabilities to a height and width; bilinear where not by area."""
    if image.shape[:2] == size:
        return np.require(image, requirements=("C", "W"))  # torch warns of read-only arrays
    height, width = size
    shrinks = height < image.shape[0] or width < image.shape[1]
    method = cv2.INTER_AREA if shrink_by_area and shrinks else cv2.INTER_LINEAR
    return cv2.resize(image, (width, height), interpolation=method)
