"""From a trained model and a photo of any size to the probability of crack at every pixel."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fissura.checkpoint import ModelConfig, load_model
from fissura.data.images import read_image
from fissura.device import Precision, choose_device, choose_precision
from fissura.errors import InputError
from fissura.inference.engines import openvino_network
from fissura.inference.options import Engine
from fissura.inference.resize import resized, resized_rows
from fissura.inference.streaming import RowNetwork, spans, takes
from fissura.inference.tiling import ALIGN, blend_rows
from fissura.models.blocks import pad_to_multiple
from fissura.models.normalize import normalize

if TYPE_CHECKING:
    from jaxtyping import Float, UInt8

Result = TypeVar("Result")

LARGEST_GROUP = 64  # of small images: more win nothing, and results should come steadily
LARGEST_GROUP_PIXELS = 2**26  # of photos that are much larger than the network sees them
TILE = 512
# Of one row piece, the pixels times the bytes of a number: its features fit into a CPU's cache.
PIECE_BYTES = 2**19
WIDEST = 4096


@dataclass(frozen=True)
class Prediction:
    """What a model says about one photo.

    prob:         float32 (h, w), the probability of crack, 0 to 1.
    mask:         bool (h, w), true where prob ≥ threshold.
    threshold:    0 to 1.
    crack_fraction:  fraction of the pixels that are crack in `mask`.
    seconds:      that the prediction took, without reading the file.
    """

    prob: NDArray[np.float32]
    mask: NDArray[np.bool_]
    threshold: float
    crack_fraction: float
    seconds: float


@dataclass(frozen=True)
class Finding:
    """What a `Prediction` says, in a form that takes as little memory as a huge photo needs.

    mask:         uint8 (h, w), 255 where prob ≥ threshold, else 0.
    levels:       uint16 (h, w), 65535·prob, or None where it was not asked for.
    threshold, crack_fraction, seconds:  as in `Prediction`.
    """

    mask: NDArray[np.uint8]
    levels: NDArray[np.uint16] | None
    threshold: float
    crack_fraction: float
    seconds: float


class Predictor:
    """Predict photos of any size with one model.

    A photo is resampled by `scale` (by area where that shrinks it), put through the network, and
    the probabilities are resampled bilinearly to the size of the photo. Beside photo and result,
    memory is needed for a small part of the photo alone:

    - A CrackSeg on the U-Net basis takes a photo by pieces of its rows
      (`fissura.inference.streaming`).
      The result is the one of the whole photo at once.
    - Other networks, and every network with `tile` or `tta`, take tiles that overlap, and the
      tiles' probabilities (not their logits, so that one overconfident view cannot outweigh the
      others) are blended as `fissura.inference.tiling` describes.

    Arguments:
      model:      from `fissura.checkpoint.load_model`; moved to the device and set to evaluation.
      config:     says how the model was trained: normalization, scale and threshold.
      device:     "auto" (a GPU where there is one), "cpu", "cuda", "cuda:1", "mps".
      precision:  "float32", "bfloat16", or "auto": bfloat16 where the device is fast in it.
      engine:     "torch", or "openvino" to have OpenVINO compute the network on a CPU, in tiles.
      tile:       height and width of a tile after resampling, in pixels; a multiple of 32; None
                  for rows where the network can, and tiles of 512.
      overlap:    of neighboring tiles, as a fraction of the tile; 0 to below 1.
      batch_size: number of tiles that are predicted at once, at least 1, or of as many pixels where
                  there are no tiles; None for 1 on a CPU, where more cost memory and win nothing,
                  and 8 elsewhere. Small images of one size that come one after the other share a
                  batch of up to as many pixels.
      tta:        average over the eight flips and turns of each tile; eight times the work.
      scale:      resampling factor, above 0; None for the one of the training data.
      threshold:  0 to 1; None for the one in `config`.

    Results are the same whenever the same photo is predicted with the same arguments on the same
    device; sizes of batches change them by rounding errors alone.

    Raises `InputError` for values outside these ranges, a device that this machine lacks, or an
    engine that is not installed.
    """

    def __init__(
        self,
        model: nn.Module,
        config: ModelConfig,
        *,
        device: str = "auto",
        precision: Precision = "auto",
        engine: Engine = "torch",
        tile: int | None = None,
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
        self.engine = engine
        self.tile, self.overlap, self.batch_size, self.tta = tile or TILE, overlap, batch_size, tta
        self.scale = config.scale if scale is None else scale
        self.threshold = config.threshold if threshold is None else threshold
        self._check(tile)
        model = model.to(self.device).to(memory_format=torch.channels_last).eval()
        self._network, self._row_network = self._prepared(model)
        if tile is not None or tta:
            self._row_network = None

    @classmethod
    def load(cls, path: str | Path, **options: Any) -> Predictor:
        """Load the model folder or run folder `path`; `options` are those of the class."""
        return cls(*load_model(Path(path)), **options)

    @property
    def by_rows(self) -> bool:
        """Whether photos are taken by pieces of their rows, and not in tiles."""
        return self._row_network is not None

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
        return (prob for prob, _ in self._each(images, _whole))

    def predictions(self, images: Iterable[NDArray[np.uint8]]) -> Iterator[Prediction]:
        """Yield the `Prediction` of each RGB photo (h, w, 3), in their order, batched as `probs`.

        The seconds of a batch are shared out evenly among its images.
        """
        for prob, seconds in self._each(images, _whole):
            mask = prob >= self.threshold
            yield Prediction(prob, mask, self.threshold, float(mask.mean()), seconds)

    def findings(
        self, images: Iterable[NDArray[np.uint8]], *, levels: bool = False
    ) -> Iterator[Finding]:
        """Yield the `Finding` of each RGB photo (h, w, 3), as `predictions` does."""

        def collect(bands: Iterable[NDArray[np.float32]], size: tuple[int, int]) -> _Quantized:
            return _quantized(bands, size, self.threshold, levels)

        for (mask, of_16_bits, share), seconds in self._each(images, collect):
            yield Finding(mask, of_16_bits, self.threshold, share, seconds)

    def _check(self, tile: int | None) -> None:
        """Raise `InputError` for options out of range."""
        problem = None
        if tile is not None and (tile < ALIGN or tile % ALIGN):
            problem = f"The tile size is {tile}, but must be a multiple of {ALIGN}."
        elif not 0 <= self.overlap < 1:
            problem = f"The overlap is {self.overlap}, but must be at least 0 and below 1."
        elif self.batch_size < 1:
            problem = f"The batch size is {self.batch_size}, but must be at least 1."
        elif not 0 < self.scale < float("inf"):
            problem = f"The scale is {self.scale}, but must be above 0; 1 keeps photos as they are."
        elif not 0 <= self.threshold <= 1:
            problem = f"The threshold is {self.threshold}, but must be from 0 to 1."
        elif self.engine == "openvino" and self.device.type != "cpu":
            problem = f"OpenVINO computes on CPUs, not on {self.device}: use --device cpu with it."
        if problem:
            raise InputError(problem)

    def _prepared(self, model: nn.Module) -> tuple[Callable[[Tensor], Tensor], RowNetwork | None]:
        """From images to logits, and the same by rows where the network can."""
        if self.engine == "openvino":
            return openvino_network(model, self.dtype), None
        if takes(model):
            network = RowNetwork(model, self.dtype)
            return network, network

        def autocast(image: Tensor) -> Tensor:
            lower = self.dtype != torch.float32
            with torch.autocast(self.device.type, dtype=self.dtype, enabled=lower):
                return model(image)

        return autocast, None

    def _each(
        self,
        images: Iterable[NDArray[np.uint8]],
        collect: Callable[[Iterable[NDArray[np.float32]], tuple[int, int]], Result],
    ) -> Iterator[tuple[Result, float]]:
        """What `collect` makes of the bands of each image, and seconds.

        Small images of one size are predicted in batches. No image is held for longer than its
        own prediction takes.
        """
        group: list[NDArray[np.uint8]] = []
        for image in images:
            _check_image(image)
            if group and image.shape != group[0].shape:
                yield from self._collected(group, collect)
            group.append(image)
            full = len(group) == self._group_size(image)
            del image
            if full:
                yield from self._collected(group, collect)
        if group:
            yield from self._collected(group, collect)

    def _group_size(self, image: NDArray[np.uint8]) -> int:
        """How many images of this size are predicted at once: 1 where it has to be cut."""
        height, width = self._scaled(image)
        if self._row_network is None and max(height, width) > self.tile:
            return 1
        at_once = self._pixels_at_once // (height * width)
        return max(1, min(at_once, LARGEST_GROUP, LARGEST_GROUP_PIXELS // image[..., 0].size))

    @property
    def _pixels_at_once(self) -> int:
        if self._row_network is None:
            return self.batch_size * self.tile**2
        return self.batch_size * PIECE_BYTES // self.dtype.itemsize

    def _collected(
        self,
        group: list[NDArray[np.uint8]],
        collect: Callable[[Iterable[NDArray[np.float32]], tuple[int, int]], Result],
    ) -> list[tuple[Result, float]]:
        """Predict images of one size, and empty their list: many small ones, or a large one."""
        began = time.perf_counter()
        images, group[:] = list(group), []
        size = self._scaled(images[0])
        full_size = images[0].shape[:2]
        inputs = [torch.from_numpy(resized(image, size, shrink_by_area=True)) for image in images]
        try:
            if len(inputs) > 1:
                probs = self._batch_prob(torch.stack(inputs)).cpu().numpy()
                results = [collect([resized(prob, full_size)], full_size) for prob in probs]
            else:
                bands = (band.cpu().numpy() for band in self._bands(inputs[0]))
                results = [collect(resized_rows(bands, size, full_size), full_size)]
        except torch.OutOfMemoryError as error:
            raise InputError(
                f"The memory of {self.device} does not suffice for {self.batch_size} tiles of "
                f"{self.tile}×{self.tile} pixels. Use a smaller --tile or --batch-size."
            ) from error
        seconds = (time.perf_counter() - began) / len(images)
        return [(result, seconds) for result in results]

    def _bands(self, image: UInt8[Tensor, "h w 3"]) -> Iterator[Float[Tensor, "rows w"]]:
        """Probabilities of an image from top to bottom, on the device."""
        if self._row_network is not None:
            return self._bands_by_rows(self._row_network, image)
        return blend_rows(
            image,
            self._batch_prob,
            tile=self.tile,
            overlap=self.overlap,
            batch_size=self.batch_size,
        )

    @torch.inference_mode()
    def _bands_by_rows(
        self, network: RowNetwork, image: UInt8[Tensor, "h w 3"]
    ) -> Iterator[Float[Tensor, "rows w"]]:
        """Probabilities by pieces of rows; of very long rows by strips that go down together."""
        height, width, _ = image.shape
        strips = spans(width, WIDEST)
        widest = max(seen.stop - seen.start for _, seen in strips)
        rows = max(self._pixels_at_once // widest // network.stride, 1) * network.stride
        streams = [network.stream(self._pieces(image[:, seen], rows)) for _, seen in strips]
        for parts in zip(*streams, strict=True):
            logits = [
                part[0, 0, :, own.start - seen.start : own.stop - seen.start]
                for part, (own, seen) in zip(parts, strips, strict=True)
            ]
            band = torch.cat(logits, 1)[:height].float().sigmoid_()
            height -= len(band)
            yield band

    def _pieces(self, image: UInt8[Tensor, "h w 3"], rows: int) -> Iterator[Tensor]:
        """What a row network sees of an image, in pieces of so many rows."""
        for piece in image.split(rows):
            yield pad_to_multiple(self._normalized(piece[None]), RowNetwork.stride)

    @torch.inference_mode()
    def _batch_prob(self, images: UInt8[Tensor, "n h w 3"]) -> Float[Tensor, "n h w"]:
        """Probabilities of a batch, on the device."""
        x = self._normalized(images)
        if not self.tta:
            return self._network_prob(x)
        total = torch.zeros_like(x[:, 0], memory_format=torch.contiguous_format)
        for turned in (False, True):
            for flips in ((), (-1,), (-2,), (-2, -1)):
                view = x.flip(flips).transpose(-1, -2) if turned else x.flip(flips)
                prob = self._network_prob(view.contiguous(memory_format=torch.channels_last))
                total += (prob.transpose(-1, -2) if turned else prob).flip(flips)
        return total / 8

    def _normalized(self, images: UInt8[Tensor, "n h w 3"]) -> Float[Tensor, "n 3 h w"]:
        x = images.to(self.device, non_blocking=True).permute(0, 3, 1, 2)
        return normalize(x, self.config.mean, self.config.std)

    def _network_prob(self, x: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n h w"]:
        return self._network(x)[:, 0].float().sigmoid()

    def _scaled(self, image: NDArray[np.uint8]) -> tuple[int, int]:
        """Height and width of an image after resampling."""
        height, width, _ = image.shape
        return max(round(height * self.scale), 1), max(round(width * self.scale), 1)


_Quantized = tuple[NDArray[np.uint8], NDArray[np.uint16] | None, float]


def _whole(bands: Iterable[NDArray[np.float32]], size: tuple[int, int]) -> NDArray[np.float32]:
    """Put bands of probabilities together."""
    prob, done = np.empty(size, np.float32), 0
    for band in bands:
        prob[done : done + len(band)] = band
        done += len(band)
    return prob


def _quantized(
    bands: Iterable[NDArray[np.float32]], size: tuple[int, int], threshold: float, levels: bool
) -> _Quantized:
    """Mask, 16-bit levels where they are wanted, and share of crack, from bands."""
    mask, done, cracked = np.empty(size, np.uint8), 0, 0
    of_16_bits = np.empty(size, np.uint16) if levels else None
    for band in bands:
        rows = slice(done, done + len(band))
        done += len(band)
        crack = band >= threshold
        cracked += int(np.count_nonzero(crack))
        np.multiply(crack, np.uint8(255), out=mask[rows])
        if of_16_bits is not None:
            np.rint(band * np.float32(65535), out=of_16_bits[rows], casting="unsafe")
    return mask, of_16_bits, cracked / mask.size


def _check_image(image: NDArray[np.uint8]) -> None:
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
        raise ValueError(
            f"An image must be an array of uint8 of shape (height, width, 3), RGB, but this is "
            f"{image.dtype} of shape {image.shape}."
        )
