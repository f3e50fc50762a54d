"""Bands of rows, and layers that keep the few rows of one band that the next one needs."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from fissura.models.blocks import ResidualBlock, upsampling_kernel

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


def pooled(bands: Iterator[Band]) -> Iterator[Band]:
    """Halve height and width by 2×2 max pooling; an odd row waits for its neighbor."""
    kept = None
    for band in bands:
        band = joined(kept, band)
        even = band.values.shape[2] // 2 * 2
        if even:
            yield replace(band, values=F.max_pool2d(band.values[:, :, :even], 2))
        kept = Band(band.values[:, :, even:].clone(), band.top and not even, False)


def ending_in_parts(bands: Iterator[Band], parts: int) -> Iterator[Band]:
    """Cut the last band, so that the stages after it do not wait for the whole of it.

    It is the highest one: it has the rows that all layers before kept for their neighbors' sake.
    An image that is one band has nothing that waits.

    Args:
        bands: Of one image.
        parts: Number of parts.
    """
    for band in bands:
        if band.top or not band.bottom:
            yield band
            continue
        cut = band.values.tensor_split(parts, 2)
        for values in cut:
            yield Band(values, False, values is cut[-1])


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
