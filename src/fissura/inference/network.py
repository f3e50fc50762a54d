"""The network of a predictor: images at its own scale in, bands of their probabilities out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from fissura.checkpoint import ModelConfig
from fissura.errors import InputError
from fissura.inference.classes import activation, chosen_channel
from fissura.inference.engines.backends import (
    ExportedNetwork,
    onnx_network,
    openvino_network,
    place_of,
    torch_network,
)
from fissura.inference.engines.familiar import Pooled
from fissura.inference.engines.lite_streaming import StreamingLite
from fissura.inference.engines.stages import Stages
from fissura.inference.engines.streaming import (
    Streaming,
    StreamingNetwork,
    can_stream,
    column_windows,
)
from fissura.inference.options import PredictOptions
from fissura.inference.tiling import ALIGN, blend_bands
from fissura.models import LiteUNet
from fissura.models.blocks import pad_to_multiple
from fissura.models.normalize import normalize

if TYPE_CHECKING:
    from jaxtyping import Float, UInt8

TILE = 512
# Of one band, the pixels times the bytes of a number: its features fit into a CPU's cache.
BAND_BYTES = 2**19
# Several cores hand bands on to each other, which costs the less the fewer there are; but each core
# needs some of a photo, and very wide images, of many windows, have to fit into the memory.
LARGER = 3  # times the pixels of a band where several cores share a photo
BANDS = 1.5  # times the cores, at least, so that all of them find work in a small photo
WIDEST = 4096  # columns of a band


class ImageNetwork:
    """A network, its engine, and how images are cut for it: by bands of rows, or in tiles.

    Args:
        model: As for `fissura.Predictor`.
        config: How the model was trained: its normalization and its classes.
        options: Device, precision, engine, tiles, batches, and the class that is chosen.

    Attributes:
        engine: "torch", "openvino" or "onnx".
        device: Where the network computes.
        dtype: In which precision it computes.
        tile: Side of a tile, also where none are taken.
        overlap: Fraction of a tile that it has in common with the next.
        batch_size: Tiles that are predicted at once.
        tta: Whether probabilities are averaged over flips and turns.
        streaming: The network by bands of rows; None where images are cut into tiles.

    Raises:
        InputError: An option is out of its range, the machine lacks the device, or the engine is
            not installed.
    """

    def __init__(self, model: nn.Module, config: ModelConfig, options: PredictOptions) -> None:
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
        self._channel = chosen_channel(config, options.of_class)
        self._activation = activation(config)
        self._check()
        model = model.to(self.device).to(memory_format=torch.channels_last).eval()
        self._prob_of, self.streaming = self._prepared(model)
        if options.tile is not None or self.tta:
            self.streaming = None

    def _check(self) -> None:
        """Raise `InputError` for options out of range."""
        problem = None
        if self.tile < ALIGN or self.tile % ALIGN:
            problem = f"The tile size is {self.tile}, but must be a multiple of {ALIGN}."
        elif not 0 <= self.overlap < 1:
            problem = f"The overlap is {self.overlap}, but must be at least 0 and below 1."
        elif self.batch_size < 1:
            problem = f"The batch size is {self.batch_size}, but must be at least 1."
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
        return lambda image: self._activation(network(self.normalized(image))), streaming

    @property
    def tells_familiar(self) -> bool:
        """Whether features can be noted that tell unfamiliar photos: by bands of a LiteUNet."""
        return isinstance(self.streaming, StreamingLite)

    def stages(self) -> Stages:
        """Return threads to compute in; none where the device or the engine has its own."""
        alone = self.device.type != "cpu" or self.engine != "torch"
        return Stages(1 if alone else torch.get_num_threads())

    @property
    def pixels_at_once(self) -> int:
        """How many pixels the network sees at once."""
        if self.streaming is None:
            return self.batch_size * self.tile**2
        return self.batch_size * BAND_BYTES // self.dtype.itemsize

    def bands(
        self, image: UInt8[Tensor, "h w 3"], stages: Stages, pooled: list[Pooled] | None = None
    ) -> Iterator[Float[Tensor, "*c rows w"]]:
        """Compute the probabilities of an image from top to bottom.

        Args:
            image: RGB, at the network's own scale.
            stages: From `stages`.
            pooled: Where `tells_familiar`, a list that what the image is like is appended to.

        Yields:
            Probabilities on the device: of crack or of the chosen class (rows, w), or those of all
            classes (k, rows, w).
        """
        if self.streaming is not None:
            return self._streamed(self.streaming, image, stages, pooled)
        return blend_bands(
            image,
            self.batch,
            tile=self.tile,
            overlap=self.overlap,
            batch_size=self.batch_size,
            apply=stages.map,
        )

    @torch.inference_mode()
    def _streamed(
        self,
        network: Streaming,
        image: UInt8[Tensor, "h w 3"],
        stages: Stages,
        pooled: list[Pooled] | None,
    ) -> Iterator[Float[Tensor, "*c rows w"]]:
        """Probabilities by bands; very long rows by windows of columns that go down together."""
        height, width, _ = image.shape
        windows = column_windows(width, WIDEST, network.halo)
        widest = max(seen.stop - seen.start for _, seen in windows)
        rows = self.rows_at_once(height, widest, stages.count, len(windows))
        streams = []
        for _, seen in windows:
            taken = self.network_bands(image[:, seen], rows)
            if isinstance(network, StreamingLite) and pooled is not None:
                pooled.append(Pooled())
                streams.append(network.stream(taken, stages, pooled=pooled[-1]))
            else:
                streams.append(network.stream(taken, stages))
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
        return (self.streaming or StreamingNetwork).stride

    def rows_at_once(self, height: int, width: int, cores: int, windows: int = 1) -> int:
        """Return the rows of a band: its features fit into the cache, and all cores find work.

        Args:
            height: Rows of the image.
            width: Columns of the image, or of its widest window.
            cores: How many share the image.
            windows: Windows of columns that go down together.
        """
        stride = self._stride
        rows = self.pixels_at_once // width
        if cores > 1 and windows == 1:
            rows = min(LARGER * rows, max(int(height / (BANDS * cores)), 2 * stride))
        return max(rows // stride, 1) * stride

    def network_bands(self, image: UInt8[Tensor, "h w 3"], rows: int) -> Iterator[Tensor]:
        """Give an image as a streaming network sees it, in bands of so many rows.

        The first band has half of them and the last one what is left: as long as those are under
        way, stages wait for each other.

        Args:
            image: RGB, at the network's own scale.
            rows: Of a band, a multiple of the network's stride.
        """
        first = max(rows // 2 // self._stride, 1) * self._stride
        for band in (image[:first], *image[first:].split(rows)):
            if not len(band):
                return
            yield pad_to_multiple(self.normalized(band[None]), self._stride)

    @torch.inference_mode()
    def batch(
        self, images: UInt8[Tensor, "n h w 3"], pooled: Pooled | None = None
    ) -> Float[Tensor, "n *c h w"]:
        """Return the probabilities of whole images, on the device.

        Args:
            images: RGB, at the network's own scale.
            pooled: Where `tells_familiar`, notes what the images are like.
        """
        if pooled is not None and isinstance(self.streaming, StreamingLite):
            logits = self.streaming(self.normalized(images), pooled)
            return self._picked(self._activation(logits))
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

    def normalized(self, images: UInt8[Tensor, "n h w 3"]) -> Float[Tensor, "n 3 h w"]:
        """Return images as the network sees them, on its device.

        Args:
            images: RGB.
        """
        x = images.to(self.device, non_blocking=True).permute(0, 3, 1, 2)
        return normalize(x, self.config.mean, self.config.std)

    def _picked(self, probs: Float[Tensor, "n k h w"]) -> Float[Tensor, "n *c h w"]:
        """The probability of crack, or of the class that was chosen; or those of all classes."""
        return probs if self._channel is None else probs[:, self._channel]
