"""Predict the probability of crack at every pixel of a photo of any size."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fissura.checkpoint import ModelConfig, config_of, find_model, load_model
from fissura.data.images import read_image
from fissura.errors import InputError
from fissura.exported import exported_format
from fissura.inference.classes import (
    ClassPrediction,
    activation,
    chosen_channel,
    compacted_classes,
    map_of,
)
from fissura.inference.engines.backends import (
    ExportedNetwork,
    onnx_network,
    openvino_network,
    place_of,
    torch_network,
)
from fissura.inference.engines.lite_streaming import StreamingLite
from fissura.inference.engines.stages import Stages
from fissura.inference.engines.streaming import StreamingNetwork, can_stream, column_windows
from fissura.inference.options import PredictOptions
from fissura.inference.prediction import CompactPrediction, Prediction, compacted, joined
from fissura.inference.resize import resized, resized_bands
from fissura.inference.tiling import ALIGN, blend_bands
from fissura.inference.working_scale import working_scale
from fissura.models import LiteUNet
from fissura.models.blocks import pad_to_multiple
from fissura.models.normalize import normalize

if TYPE_CHECKING:
    from jaxtyping import Float, UInt8

__all__ = ["CompactPrediction", "Prediction", "Predictor"]

Result = TypeVar("Result")
Bands = Iterable[NDArray[np.float32]]
Streaming = StreamingNetwork | StreamingLite

LARGEST_GROUP = 64  # of small images: more win nothing, and results should come steadily
LARGEST_GROUP_PIXELS = 2**26  # of photos that are much larger than the network sees them
TILE = 512
# Of one band, the pixels times the bytes of a number: its features fit into a CPU's cache.
BAND_BYTES = 2**19
# Several cores hand bands on to each other, which costs the less the fewer there are; but each core
# needs some of a photo, and very wide images, of many windows, have to fit into the memory.
LARGER = 3  # times the pixels of a band where several cores share a photo
BANDS = 2  # times the cores, at least, so that all of them find work in a small photo
WIDEST = 4096  # columns of a band


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
        device: Where the network computes.
        dtype: In which precision it computes.
        threshold: Probability from which a pixel counts as crack.
        scale: Factor by which photos are resampled; with `auto_scale`, beside `working_scale`.
        auto_scale: Whether each photo is resampled by its `working_scale`, too.
        tile: Side of a tile, also where none are taken.
        overlap: Fraction of a tile that it has in common with the next.
        batch_size: Tiles that are predicted at once.
        tta: Whether probabilities are averaged over flips and turns.
        engine: "torch", "openvino" or "onnx".
        classes: Names of the classes that it tells apart; () for crack or not, and where one class
            was chosen with `of_class`.
        of_class: The class that was chosen, or None.

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
        self, model: nn.Module, config: ModelConfig, options: PredictOptions | None = None
    ) -> None:
        options = options or PredictOptions()
        self.config = config
        if isinstance(model, ExportedNetwork):
            self.engine, self.device, self.dtype = model.engine, model.device, model.dtype
        else:
            self.engine = options.engine or "torch"
            self.device, self.dtype = place_of(self.engine, options)
        self.overlap, self.tta = options.overlap, options.tta
        self.tile = TILE if options.tile is None else options.tile
        default = 1 if self.device.type == "cpu" else 8
        self.batch_size = default if options.batch_size is None else options.batch_size
        self.auto_scale = options.scale == "auto"
        own = options.scale is None or options.scale == "auto"
        self.scale = config.scale if own else float(options.scale or 0)
        self.threshold = config.threshold if options.threshold is None else options.threshold
        self.of_class = options.of_class
        self.classes = config.classes if options.of_class is None else ()
        if options.of_class is not None and options.threshold is None:
            self.threshold = 0.5
        self._channel = chosen_channel(config, options.of_class)
        self._activation = activation(config)
        self._check()
        model = model.to(self.device).to(memory_format=torch.channels_last).eval()
        self._prob_of, self._streaming = self._prepared(model)
        if options.tile is not None or self.tta:
            self._streaming = None

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
        return cls(*load_model(path), chosen)

    def at(self, scale: float) -> Predictor:
        """Return the same predictor at another scale, fixed; the network is shared.

        Args:
            scale: Factor by which photos are resampled.
        """
        other = copy.copy(self)
        other.scale, other.auto_scale = scale, False
        other._check()
        return other

    def scale_of(self, image: NDArray[np.uint8]) -> float:
        """Return the factor by which a photo is resampled.

        Args:
            image: RGB, uint8 (h, w, 3).
        """
        return self.scale * working_scale(image) if self.auto_scale else self.scale

    @property
    def streams(self) -> bool:
        """Whether photos are taken by bands of rows, and not in tiles."""
        return self._streaming is not None

    @property
    def halo(self) -> int | None:
        """How far around a pixel a network looks that takes bands of rows; None for tiles."""
        return None if self._streaming is None else self._streaming.halo

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
        return (result for result, _, _ in self._each(images, joined))

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
        for prob, seconds, scale in self._each(images, joined):
            mask = prob >= self.threshold
            yield Prediction(prob, mask, self.threshold, float(mask.mean()), seconds, scale)

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
        for probs, seconds, _ in self._each(images, joined):
            found = map_of(probs, overlapping=overlapping)
            yield ClassPrediction(self.classes, overlapping, probs, found, seconds)

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

        for result, seconds, scale in self._each(images, collect, go_on=True):
            if isinstance(result, Exception):
                yield result
                continue
            mask, prob, fraction = result
            if isinstance(fraction, tuple):
                marked = float(np.count_nonzero(mask) / mask.size)
                yield CompactPrediction(
                    mask, prob, self.threshold, marked, seconds, scale, fraction
                )
            else:
                yield CompactPrediction(mask, prob, self.threshold, fraction, seconds, scale)

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

    def _prepared(self, model: nn.Module) -> tuple[Callable[[Tensor], Tensor], Streaming | None]:
        """From pixels to probabilities, and to logits by bands where the network can."""
        if isinstance(model, ExportedNetwork):
            return model, None
        if self.engine == "onnx":
            return onnx_network(model, self.config), None
        streaming = None
        if self.engine == "openvino":
            network = openvino_network(model, self.dtype)
        elif can_stream(model):
            network = streaming = StreamingNetwork(model, self.dtype)
        elif isinstance(model, LiteUNet):
            network = streaming = StreamingLite(model, self.dtype)
        else:
            network = torch_network(model, self.dtype, self.device)
        return lambda image: self._activation(network(self._normalized(image))), streaming

    def _stages(self) -> Stages:
        """Threads to compute in; none where the device or the engine has its own."""
        alone = self.device.type != "cpu" or self.engine != "torch"
        return Stages(1 if alone else torch.get_num_threads())

    def _each(
        self,
        images: Iterable[NDArray[np.uint8]],
        collect: Callable[[Bands, tuple[int, int]], Result],
        *,
        go_on: bool = False,
    ) -> Iterator[tuple[Any, float, float]]:
        """What `collect` makes of the bands of each image, seconds, and the image's scale.

        Small images of one size are predicted in batches. No image is held for longer than its
        own prediction takes. With `go_on`, errors are given instead of raised.
        """
        predict = self._attempted if go_on else self._collected
        group: list[NDArray[np.uint8]] = []
        for image in images:
            _check_image(image)
            if self.auto_scale:
                fixed = self.at(self.scale_of(image))
                alone = iter([image])
                del image
                yield from fixed._each(alone, collect, go_on=go_on)
                continue
            if group and image.shape != group[0].shape:
                yield from self._with_scale(predict(group, collect))
            group.append(image)
            full = len(group) == self._group_size(image)
            del image
            if full:
                yield from self._with_scale(predict(group, collect))
        if group:
            yield from self._with_scale(predict(group, collect))

    def _with_scale(self, found: list[tuple[Any, float]]) -> Iterator[tuple[Any, float, float]]:
        """Results and seconds, each with the scale."""
        return ((result, seconds, self.scale) for result, seconds in found)

    def _attempted(
        self,
        group: list[NDArray[np.uint8]],
        collect: Callable[[Bands, tuple[int, int]], Result],
    ) -> list[tuple[Result | Exception, float]]:
        """As `_collected`; where a batch fails, its images are tried one by one."""
        images = list(group) if len(group) > 1 else None
        try:
            return [*self._collected(group, collect)]
        except Exception as error:
            if images is None:
                return [(error.with_traceback(None), 0.0)]
        return [result for image in images for result in self._attempted([image], collect)]

    def _group_size(self, image: NDArray[np.uint8]) -> int:
        """How many images of this size are predicted at once: 1 where it has to be cut."""
        height, width = self._scaled(image)
        if self._streaming is None and max(height, width) > self.tile:
            return 1
        at_once = self._pixels_at_once // (height * width)
        return max(1, min(at_once, LARGEST_GROUP, LARGEST_GROUP_PIXELS // image[..., 0].size))

    @property
    def _pixels_at_once(self) -> int:
        """How many pixels the network sees at once."""
        if self._streaming is None:
            return self.batch_size * self.tile**2
        return self.batch_size * BAND_BYTES // self.dtype.itemsize

    def _collected(
        self,
        group: list[NDArray[np.uint8]],
        collect: Callable[[Bands, tuple[int, int]], Result],
    ) -> list[tuple[Result, float]]:
        """Predict images of one size, and empty their list: many small ones, or a large one."""
        began = time.perf_counter()
        images, group[:] = list(group), []
        size = self._scaled(images[0])
        full_size = images[0].shape[:2]
        inputs = [torch.from_numpy(resized(image, size, shrink_by_area=True)) for image in images]
        try:
            with self._stages() as stages:
                if len(inputs) > 1:
                    batches = torch.stack(inputs).chunk(stages.count)
                    probs = torch.cat(list(stages.map(self._batch_prob, batches)))
                    results = [
                        collect([resized(_on_cpu(prob), full_size)], full_size) for prob in probs
                    ]
                else:
                    bands = (_on_cpu(band) for band in self._bands(inputs[0], stages))
                    results = [collect(resized_bands(bands, size, full_size), full_size)]
        except torch.OutOfMemoryError as error:
            raise InputError(
                f"The memory of {self.device} does not suffice for {self.batch_size} tiles of "
                f"{self.tile}×{self.tile} pixels. Use a smaller --tile or --batch-size."
            ) from error
        seconds = (time.perf_counter() - began) / len(images)
        return [(result, seconds) for result in results]

    def _bands(
        self, image: UInt8[Tensor, "h w 3"], stages: Stages
    ) -> Iterator[Float[Tensor, "*c rows w"]]:
        """Probabilities of an image from top to bottom, on the device."""
        if self._streaming is not None:
            return self._streamed_bands(self._streaming, image, stages)
        return blend_bands(
            image,
            self._batch_prob,
            tile=self.tile,
            overlap=self.overlap,
            batch_size=self.batch_size,
            apply=stages.map,
        )

    @torch.inference_mode()
    def _streamed_bands(
        self, network: Streaming, image: UInt8[Tensor, "h w 3"], stages: Stages
    ) -> Iterator[Float[Tensor, "*c rows w"]]:
        """Probabilities by bands; very long rows by windows of columns that go down together."""
        height, width, _ = image.shape
        windows = column_windows(width, WIDEST, network.halo)
        widest = max(seen.stop - seen.start for _, seen in windows)
        rows = self._rows_at_once(height, widest, stages.count, len(windows))
        streams = [
            network.stream(self._network_bands(image[:, seen], rows), stages) for _, seen in windows
        ]
        for parts in zip(*streams, strict=True):
            logits = [
                part[..., own.start - seen.start : own.stop - seen.start]
                for part, (own, seen) in zip(parts, windows, strict=True)
            ]
            band = self._picked(self._activation(torch.cat(logits, -1)[..., :height, :]))[0]
            height -= band.shape[-2]
            yield band

    @property
    def _stride(self) -> int:
        """What divides the rows and columns that a network by bands takes."""
        return (self._streaming or StreamingNetwork).stride

    def _rows_at_once(self, height: int, width: int, cores: int, windows: int = 1) -> int:
        """Rows of a band: as its features fit into the cache, and all cores find work."""
        stride = self._stride
        rows = self._pixels_at_once // width
        if cores > 1 and windows == 1:
            rows = min(LARGER * rows, max(height // (BANDS * cores), 2 * stride))
        return max(rows // stride, 1) * stride

    def _network_bands(self, image: UInt8[Tensor, "h w 3"], rows: int) -> Iterator[Tensor]:
        """An image as a streaming network sees it, in bands of so many rows."""
        for band in image.split(rows):
            yield pad_to_multiple(self._normalized(band[None]), self._stride)

    @torch.inference_mode()
    def _batch_prob(self, images: UInt8[Tensor, "n h w 3"]) -> Float[Tensor, "n *c h w"]:
        """Probabilities of a batch, on the device."""
        if not self.tta:
            return self._picked(self._prob_of(images))
        total = torch.zeros((), device=self.device)
        for turned in (False, True):
            for flips in ((), (-2,), (-3,), (-3, -2)):
                view = images.flip(flips).transpose(-2, -3) if turned else images.flip(flips)
                prob = self._picked(self._prob_of(view.contiguous()))
                prob = prob.transpose(-1, -2) if turned else prob
                total = total + prob.flip([axis + 1 for axis in flips])
        return total / 8

    def _normalized(self, images: UInt8[Tensor, "n h w 3"]) -> Float[Tensor, "n 3 h w"]:
        """Images as the network sees them, on its device."""
        x = images.to(self.device, non_blocking=True).permute(0, 3, 1, 2)
        return normalize(x, self.config.mean, self.config.std)

    def _picked(self, probs: Float[Tensor, "n k h w"]) -> Float[Tensor, "n *c h w"]:
        """The probability of crack, or of the class that was chosen; or those of all classes."""
        return probs if self._channel is None else probs[:, self._channel]

    def _scaled(self, image: NDArray[np.uint8]) -> tuple[int, int]:
        """Height and width of an image after resampling."""
        height, width, _ = image.shape
        return max(round(height * self.scale), 1), max(round(width * self.scale), 1)


def _on_cpu(probs: Tensor) -> NDArray[np.float32]:
    """Probabilities as an array (rows, w), or (rows, w, c) of several classes."""
    values = probs if probs.ndim == 2 else probs.movedim(0, -1).contiguous()
    return values.cpu().numpy()


def _check_image(image: NDArray[np.uint8]) -> None:
    """Raise `ValueError` for arrays that are no photos."""
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
        raise ValueError(
            f"An image must be an array of uint8 of shape (height, width, 3), RGB, but this is "
            f"{image.dtype} of shape {image.shape}."
        )
