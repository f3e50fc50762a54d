"""Predict with CrackSeg by bands of rows, with nothing computed twice.

A large image has to be cut, or its features overflow the caches and then the memory. Tiles need
surroundings, which are computed once more in each. Here an image is cut into bands of its full
width instead, and each group of layers keeps the few last rows that its next rows depend on. So the
features stay in the cache, and the result is that of the whole image. Each group of layers is a
stage of `fissura.inference.engines.stages`.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar, TypeGuard

import torch
from torch import Tensor, nn

from fissura.inference.engines.bands import (
    Ahead,
    Band,
    Conv,
    Merge,
    Residual,
    as_bands,
    ending_in_parts,
    merged_rows,
    noting,
    pooled,
    through,
)
from fissura.inference.engines.stages import Stages
from fissura.models.blocks import ResidualBlock, pad_to_multiple
from fissura.models.crackseg import CrackSeg
from fissura.models.encoders import UNetEncoder

if TYPE_CHECKING:
    from jaxtyping import Float

PARTS = 3  # of the last rows at the full size, by which the last two stages work side by side


class Streaming(ABC):
    """A network, prepared for prediction by bands of rows.

    Attributes:
        stride: What divides the rows and columns that it takes.
        halo: How far around a pixel it looks along a row, a multiple of `stride`.
    """

    stride: ClassVar[int]
    halo: ClassVar[int]

    def __call__(self, image: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n k h w"]:
        """Return the logits of whole images of any size."""
        height, width = image.shape[-2:]
        (logits,) = self.stream([pad_to_multiple(image, self.stride)])
        return logits[..., :height, :width]

    @abstractmethod
    def stream(self, bands: Iterable[Tensor], stages: Stages | None = None) -> Iterator[Tensor]:
        """Compute the logits of an image band by band.

        Most bands of logits have as many rows as those of the image; the first and the last ones
        have others.

        Args:
            bands: The rows of normalized images from top to bottom, (n, 3, rows, w) each. `stride`
                divides the width and the number of all rows.
            stages: Runs groups of layers side by side; one after the other if None.

        Yields:
            Logits (n, k, rows, w), the same whatever the bands and the stages are.
        """


class StreamingNetwork(Streaming):
    """A CrackSeg on the U-Net basis, prepared for prediction.

    BatchNorm is merged into the convolutions, the weights are in `dtype` for good, and the deeper
    features are merged with the skips without being doubled and concatenated before. The results
    are the network's up to rounding (in float32 about 0.00001). The network itself is not changed.

    Args:
        network: A network for which `can_stream` holds, in evaluation mode and on its device.
        dtype: float32 or bfloat16, in which the network computes.
    """

    stride = UNetEncoder.stride
    # A value depends on pixels up to 157 columns away: 3 at the last level, then, down to the
    # deepest and up again, ⌈r/2⌉ + 5 (four times, the last with + 2), and 2r + 3 per level.
    halo = 160

    def __init__(self, network: CrackSeg, dtype: torch.dtype) -> None:
        def merged(conv_bn_relu: Any) -> Conv:
            conv, norm, _ = conv_bn_relu
            return Conv(conv, norm, dtype)

        self.dtype = dtype
        encoder: Any = network.encoder
        self.down = [[merged(layer) for layer in level] for level in encoder.levels]
        self.up: list[tuple[Merge, list[Conv | Residual]]] = []
        deep_channels = network.encoder.channels[-1]
        decoder: Any = network.decoder
        for level in decoder:
            (conv, norm, _), *others = level.refine
            refine = [
                Residual(layer, dtype) if isinstance(layer, ResidualBlock) else merged(layer)
                for layer in others
            ]
            self.up.append((Merge(conv, norm, deep_channels, dtype), refine))
            deep_channels = conv.out_channels
        self.up.reverse()
        self.up[0][1].append(Conv(network.head, None, dtype, relu=False))

    def stream(self, bands: Iterable[Tensor], stages: Stages | None = None) -> Iterator[Tensor]:
        """Compute the logits of an image band by band; see `Streaming.stream`."""
        ahead = (stages or Stages(1)).ahead
        return (band.values for band in self._level(as_bands(bands, self.dtype), 0, ahead))

    def _level(self, image: Iterator[Band], index: int, ahead: Ahead) -> Iterator[Band]:
        """The decoder's features at one level of the network, from those of the encoder above."""
        features = ahead(through(self.down[index], image))
        if index == len(self.up):
            return features
        merge, refine = self.up[index]
        skip: deque[Tensor] = deque()
        deep = self._level(pooled(noting(features, skip)), index + 1, ahead)
        if index:  # one stage for each way, down and up
            return ahead(through(refine, merged_rows(merge, deep, skip)))
        # Merging is as long as all that is deeper.
        merged = ahead(merged_rows(merge, ending_in_parts(deep, PARTS), skip))
        return ahead(through(refine, merged))


def column_windows(
    width: int, widest: int, halo: int = StreamingNetwork.halo
) -> list[tuple[slice, slice]]:
    """Cut columns where rows are too long to be held.

    Beside its own columns a window needs `halo` more at either side, so that few windows are best.
    They begin at multiples of the halo, which are those of the network's stride.

    Args:
        width: Number of columns.
        widest: About how many of its own a window may have.
        halo: Columns that a value depends on, a multiple of the network's stride.

    Returns:
        The columns that each window yields, and those that it is computed from.

    >>> [(own.start, own.stop) for own, _ in column_windows(4100, 4096)]
    [(0, 2080), (2080, 4100)]
    >>> [(seen.start, seen.stop) for _, seen in column_windows(4100, 4096)]
    [(0, 2240), (1920, 4100)]
    """
    count = math.ceil(width / widest)
    edges = [*range(0, width, halo * math.ceil(width / count / halo)), width]
    return [
        (slice(left, right), slice(max(left - halo, 0), min(right + halo, width)))
        for left, right in pairwise(edges)
    ]


def can_stream(network: nn.Module) -> TypeGuard[CrackSeg]:
    """Return whether a network can be computed by bands of rows.

    Args:
        network: Any network.
    """
    return isinstance(network, CrackSeg) and isinstance(network.encoder, UNetEncoder)
