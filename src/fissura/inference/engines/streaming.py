"""Predict with CrackSeg by bands of rows, with nothing computed twice.

A large image has to be cut, or its features overflow the caches and then the memory. Tiles need
surroundings, which are computed once more in each. Here an image is cut into bands of its full
width instead, and each group of layers keeps the few last rows that its next rows depend on. So the
features stay in the cache, and the result is that of the whole image. Each group of layers is a
stage of `fissura.inference.engines.stages`.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Protocol, TypeGuard, runtime_checkable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from fissura.inference.engines.stages import Stages
from fissura.models.blocks import ResidualBlock, pad_to_multiple, upsampling_kernel
from fissura.models.crackseg import CrackSeg
from fissura.models.encoders import UNetEncoder

if TYPE_CHECKING:
    from jaxtyping import Float

Ahead = Callable[[Iterator["Band"]], Iterator["Band"]]


@dataclass(frozen=True)
class Band:
    """Some consecutive rows of a feature map.

    Attributes:
        values: (n, channels, rows, width), channels last.
        top: Whether the band begins with the first row of the map.
        bottom: Whether it ends with the last row of the map.
    """

    values: Float[Tensor, "n c h w"]
    top: bool
    bottom: bool

    def within(self, by: int) -> Tensor:
        """Return the rows whose `by` neighbors above and below are here or past the border."""
        height = self.values.shape[2]
        return self.values[:, :, 0 if self.top else by : height - (0 if self.bottom else by)]


@runtime_checkable
class Layer(Protocol):
    """A layer that is computed row by row.

    Attributes:
        reach: Of so many rows above and below, a row of the result depends on.
    """

    reach: int

    def __call__(self, band: Band, /) -> Band:
        """Return the rows that all neighbors are known of, at the border of the image all."""
        ...


class Conv:
    """A 3×3 convolution and what follows it (BatchNorm is in the weights, ReLU), row by row.

    Of `rows` rows it returns those that it knows all neighbors of: one less at either end, except
    at the border of the image, where zeros are around it.
    """

    reach = 1

    def __init__(
        self, conv: nn.Conv2d, norm: nn.BatchNorm2d | None, dtype: torch.dtype, *, relu: bool = True
    ) -> None:
        weight, self.bias = merged_weights(conv, norm)
        self.weight = weight.to(dtype).contiguous(memory_format=torch.channels_last)
        self.bias = self.bias.to(dtype)
        self.relu = relu

    def __call__(self, band: Band) -> Band:
        """Return the features of one row less at either end that is not the border."""
        at_border = band.top or band.bottom
        values = F.conv2d(band.values, self.weight, self.bias, padding=(int(at_border), 1))
        if self.relu:
            values = _relu_(values)
        band = replace(band, values=values)
        return replace(band, values=band.within(1)) if at_border else band


class Residual:
    """`fissura.models.blocks.ResidualBlock`, row by row."""

    reach = 2

    def __init__(self, block: ResidualBlock, dtype: torch.dtype) -> None:
        self.first = Conv(block.first, None, dtype)
        self.second = Conv(block.second, None, dtype)

    def __call__(self, band: Band) -> Band:
        """Return x plus what two convolutions make of it."""
        out = self.second(self.first(band))
        out.values.add_(band.within(2))
        return out


class Merge:
    """Nearest ×2, concatenate the skip, 3×3 convolution, BatchNorm, ReLU, without the first two.

    As `fissura.models.blocks.upsample_concat_conv`, row by row; its border is that of zero padding.
    """

    def __init__(
        self, conv: nn.Conv2d, norm: nn.BatchNorm2d, deep_channels: int, dtype: torch.dtype
    ) -> None:
        weight, bias = merged_weights(conv, norm)
        self.deep_weight = upsampling_kernel(weight[:, :deep_channels]).to(dtype)
        self.skip_weight = weight[:, deep_channels:].to(dtype)
        self.skip_weight = self.skip_weight.contiguous(memory_format=torch.channels_last)
        self.bias = bias.to(dtype)

    def __call__(self, deep: Band, skip: Tensor) -> Band:
        """Merge rows of the deeper level with the twice as many rows of the skip beside them."""
        values = F.conv_transpose2d(deep.values, self.deep_weight, self.bias, stride=2, padding=1)
        values = _relu_(values.add_(F.conv2d(skip, self.skip_weight, padding=1)))
        doubled = replace(deep, values=values)
        return replace(doubled, values=doubled.within(1))


class StreamingNetwork:
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

    def __call__(self, image: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n k h w"]:
        """Return the logits of whole images of any size."""
        height, width = image.shape[-2:]
        (logits,) = self.stream([pad_to_multiple(image, self.stride)])
        return logits[..., :height, :width]

    def stream(self, bands: Iterable[Tensor], stages: Stages | None = None) -> Iterator[Tensor]:
        """Compute the logits of an image band by band.

        Most bands of logits have as many rows as those of the image; the first ones have fewer and
        the last one more.

        Args:
            bands: The rows of normalized images from top to bottom, (n, 3, rows, w) each. `stride`
                divides the width and the number of all rows.
            stages: Runs groups of layers side by side; one after the other if None.

        Yields:
            Logits (n, k, rows, w), the same whatever the bands and the stages are.
        """
        ahead = (stages or Stages(1)).ahead
        return (band.values for band in self._level(as_bands(bands, self.dtype), 0, ahead))

    def _level(self, image: Iterator[Band], index: int, ahead: Ahead) -> Iterator[Band]:
        """The decoder's features at one level of the network, from those of the encoder above."""
        features = ahead(through(self.down[index], image))
        if index == len(self.up):
            return features
        merge, refine = self.up[index]
        skip: deque[Tensor] = deque()
        deep = self._level(_pooled(noting(features, skip)), index + 1, ahead)
        merged = merged_rows(merge, deep, skip)
        if index == 0:  # as long as all that is deeper; the others are one stage per way
            merged = ahead(merged)
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


def merged_weights(conv: nn.Conv2d, norm: nn.BatchNorm2d | None) -> tuple[Tensor, Tensor]:
    """Weight and bias of a convolution with the BatchNorm behind it."""
    if norm is not None:
        conv = fuse_conv_bn_eval(conv, norm)
    assert conv.bias is not None
    return conv.weight.detach(), conv.bias.detach()


def _relu_(values: Tensor) -> Tensor:
    """ReLU in place.

    A number below 0 has its first bit set, and so is below 0 as a whole number of the same bits.
    On a CPU that is four times as fast in bfloat16, which torch widens to float32 otherwise.
    """
    if values.dtype == torch.bfloat16:
        values.view(torch.int16).clamp_(min=0)
        return values
    return values.relu_()


def as_bands(bands: Iterable[Tensor], dtype: torch.dtype) -> Iterator[Band]:
    """Mark the first band and the last one."""
    top, held = True, None
    for band in bands:
        if held is not None:
            yield Band(held, top, False)
            top = False
        held = band.to(dtype)
    if held is not None:
        yield Band(held, top, True)


def through(layers: Sequence[Layer], bands: Iterator[Band]) -> Iterator[Band]:
    """Send rows through layers, keeping those that the next rows depend on."""
    reach = sum(layer.reach for layer in layers)
    kept = None
    for band in bands:
        band = joined(kept, band)
        height = band.values.shape[2]
        if band.bottom or height > 2 * reach - band.top:
            out = band
            for layer in layers:
                out = layer(out)
            yield out
            kept = Band(band.values[:, :, -2 * reach :].clone(), False, False)  # frees the others
        else:
            kept = band


def _pooled(bands: Iterator[Band]) -> Iterator[Band]:
    """Halve height and width by 2×2 max pooling; an odd row waits for its neighbor."""
    kept = None
    for band in bands:
        band = joined(kept, band)
        even = band.values.shape[2] // 2 * 2
        if even:
            yield replace(band, values=F.max_pool2d(band.values[:, :, :even], 2))
        kept = Band(band.values[:, :, even:].clone(), band.top and not even, False)


def noting(bands: Iterator[Band], skip: deque[Tensor]) -> Iterator[Band]:
    """Append what passes to `skip`, where it waits until the deeper levels have caught up."""
    for band in bands:
        skip.append(band.values)
        yield band


def merged_rows(merge: Merge, deep: Iterator[Band], skip: deque[Tensor]) -> Iterator[Band]:
    """Merge rows of the deeper level with the skip's rows at their place."""
    kept = None
    for band in deep:
        band = joined(kept, band)
        height = 2 * band.values.shape[2]
        if not (band.top or band.bottom) and height == 2:
            kept = band
            continue
        beside = first_rows(skip, height)
        skip.appendleft(beside[:, :, -2:].clone())
        yield merge(band, beside)
        kept = Band(band.values[:, :, -1:].clone(), False, False)


def first_rows(waiting: deque[Tensor], count: int) -> Tensor:
    """Take the first `count` rows out of those that wait."""
    parts = []
    while count > 0:
        rows = waiting.popleft()
        if rows.shape[2] > count:
            waiting.appendleft(rows[:, :, count:])
        parts.append(rows[:, :, :count])
        count -= parts[-1].shape[2]
    return parts[0] if len(parts) == 1 else torch.cat(parts, 2)


def joined(kept: Band | None, band: Band) -> Band:
    """The rows that were kept with those that follow."""
    if kept is None or not kept.values.shape[2]:
        return band if kept is None else replace(band, top=kept.top)
    return Band(torch.cat([kept.values, band.values], 2), kept.top, band.bottom)
