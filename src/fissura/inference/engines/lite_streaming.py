"""Predict with LiteUNet by bands of rows, with nothing computed twice.

As `fissura.inference.engines.streaming`, of the same bands, convolutions and merging, for an
encoder of inverted residual blocks: strided convolutions with TensorFlow's padding, depthwise ones
of 3×3 and 5×5, and residual connections that wait for the rows that they are added to.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fissura.inference.engines.bands import (
    Ahead,
    Band,
    Conv,
    Merge,
    as_bands,
    first_rows,
    joined,
    merged_rows,
    merged_weights,
    noting,
    through,
)
from fissura.inference.engines.familiar import Pooled
from fissura.inference.engines.stages import Stages
from fissura.inference.engines.streaming import Streaming
from fissura.models.blocks import pad_to_multiple
from fissura.models.efficientnet_lite import TAPS, InvertedResidual, LiteEncoder, SameConv
from fissura.models.lite_unet import LiteUNet

if TYPE_CHECKING:
    from jaxtyping import Float

FAMILIAR = TAPS[3]  # the stage whose features tell unfamiliar photos, at stride 16
SIX = 0x40C0  # the bits of 6 in bfloat16


class Same:
    """A convolution with stride 1, BatchNorm and, where it follows, ReLU6, row by row.

    Of `rows` rows it returns those that it knows all neighbors of, as `streaming.Conv` does.
    """

    def __init__(self, layers: nn.Sequential, dtype: torch.dtype) -> None:
        conv, self.weight, self.bias, self.relu6 = _folded(layers, dtype)
        self.groups = conv.groups
        self.reach: int = conv.kernel_size[0] // 2

    def __call__(self, band: Band) -> Band:
        """Return the features of `reach` rows less at either end that is not the border."""
        by = self.reach
        padding = (by if band.top or band.bottom else 0, by)
        values = F.conv2d(band.values, self.weight, self.bias, 1, padding, 1, self.groups)
        if self.relu6:
            values = _relu6_(values)
        band = replace(band, values=values)
        return replace(band, values=band.within(by)) if padding[0] else band


class Halving:
    """A convolution with stride 2, BatchNorm and ReLU6, which is fed bands and keeps what it needs.

    Padded as `fissura.models.efficientnet_lite.SameConv`. Of columns, a kernel with one more
    column of zeros before makes the padding even, so that no features are copied for it.
    """

    def __init__(self, layers: nn.Sequential, dtype: torch.dtype) -> None:
        conv, weight, self.bias, self.relu6 = _folded(layers, dtype)
        self.before, self.after = conv.before_and_after
        self.kernel = conv.kernel_size[0]
        weight = F.pad(weight, (1, 0))
        self.weight = weight.contiguous(memory_format=torch.channels_last)
        self.groups = conv.groups

    def __call__(self, bands: Iterator[Band]) -> Iterator[Band]:
        """Send bands through: of h rows come h/2, as early as the rows that they need."""
        kept, top = None, True
        for band in bands:
            values = band.values
            if kept is None:
                kept = F.pad(values, (0, 0, self.before, 0))
            else:
                kept = torch.cat([kept, values], 2)
            if band.bottom:
                kept = F.pad(kept, (0, 0, 0, self.after))
            count = (kept.shape[2] - self.kernel) // 2 + 1
            if count < 1:
                continue
            rows = kept[:, :, : 2 * count + self.kernel - 2]
            out = F.conv2d(rows, self.weight, self.bias, 2, (0, self.before + 1), 1, self.groups)
            yield Band(_relu6_(out) if self.relu6 else out, top, band.bottom)
            top = False
            kept = kept[:, :, 2 * count :].clone()


class Block:
    """An inverted residual block, which is fed bands."""

    def __init__(self, block: InvertedResidual, dtype: torch.dtype) -> None:
        layers: Any = block.layers
        *widen, middle, narrow = layers
        self.widen = [Same(layer, dtype) for layer in widen]
        strided = middle[0].stride[0] == 2
        self.middle = Halving(middle, dtype) if strided else Same(middle, dtype)
        self.narrow = Same(narrow, dtype)
        self.residual = block.residual

    def __call__(self, bands: Iterator[Band]) -> Iterator[Band]:
        """Send bands through; only the rows that the depthwise convolution needs are kept."""
        waiting: deque[Tensor] = deque()
        wide = self._widened(bands, waiting)
        if isinstance(self.middle, Halving):
            middle = self.middle(wide)
        else:
            middle = through([self.middle], wide)
        for band in middle:
            out = self.narrow(band)
            if self.residual:
                out.values.add_(first_rows(waiting, out.values.shape[2]))
            yield out

    def _widened(self, bands: Iterator[Band], waiting: deque[Tensor]) -> Iterator[Band]:
        for band in bands:
            if self.residual:
                waiting.append(band.values)
            for layer in self.widen:
                band = layer(band)
            yield band


class StreamingLite(Streaming):
    """A LiteUNet, prepared for prediction, as `StreamingNetwork` prepares a CrackSeg.

    Args:
        network: In evaluation mode and on its device. It is not changed.
        dtype: float32 or bfloat16, in which the network computes.
    """

    stride = LiteEncoder.stride
    # A value depends on pixels up to some 650 columns away, of which 256 are the blocks of 5×5 at
    # stride 32 and 128 those at stride 16.
    halo = 672

    def __init__(self, network: LiteUNet, dtype: torch.dtype) -> None:
        self.dtype = dtype
        encoder: Any = network.encoder
        self.stem = Halving(encoder.stem, dtype)
        self.stages = [[Block(block, dtype) for block in stage] for stage in encoder.stages]
        detail: Any = network.detail
        self.detail = Conv(detail[0], detail[1], dtype)
        self.up: list[tuple[Merge, Conv]] = []
        deep_channels = network.encoder.channels[-1]
        decoder: Any = network.decoder
        for level in decoder:
            (conv, norm, _), (second, second_norm, _) = level.refine
            merge = Merge(conv, norm, deep_channels, dtype)
            self.up.append((merge, Conv(second, second_norm, dtype)))
            deep_channels = conv.out_channels
        self.head = Conv(network.head, None, dtype, relu=False)

    def __call__(
        self, image: Float[Tensor, "n 3 h w"], pooled: Pooled | None = None
    ) -> Float[Tensor, "n k h w"]:
        """Return the logits of whole images of any size; `pooled` notes features as in `stream`."""
        height, width = image.shape[-2:]
        (logits,) = self.stream([pad_to_multiple(image, self.stride)], pooled=pooled)
        return logits[..., :height, :width]

    def stream(
        self,
        bands: Iterable[Tensor],
        stages: Stages | None = None,
        *,
        pooled: Pooled | None = None,
    ) -> Iterator[Tensor]:
        """Compute the logits of an image band by band; see `Streaming.stream`.

        Args:
            bands: See there.
            stages: See there.
            pooled: Notes the mean of the features at stride 16.
        """
        ahead: Ahead = (stages or Stages(1)).ahead
        skips: list[deque[Tensor]] = [deque() for _ in self.up]
        x = self.stem(self._detailed(as_bands(bands, self.dtype), skips[0]))
        level = 1
        for index, stage in enumerate(self.stages):
            for block in stage:
                x = block(x)
            if pooled is not None and index == FAMILIAR:
                x = pooled.passing(x)
            if index in TAPS[:-1]:
                x = noting(x, skips[level])
                level += 1
            if index in (0, 2):  # the halves of the encoder's work
                x = ahead(x)
        x = ahead(x)
        for (merge, second), skip in zip(self.up, reversed(skips), strict=True):
            x = merged_rows(merge, x, skip)
            last = skip is skips[0]
            if last:
                x = ahead(x)
            x = through([second, self.head] if last else [second], x)
        return (band.values for band in ahead(x))

    def _detailed(self, bands: Iterator[Band], skip: deque[Tensor]) -> Iterator[Band]:
        """Append the skip at full size to `skip`, row by row, as the image passes."""
        kept = None
        for band in bands:
            seen = joined(kept, band)
            height = seen.values.shape[2]
            if seen.bottom or height > 2 - seen.top:
                skip.append(self.detail(seen).values)
                kept = Band(seen.values[:, :, -2:].clone(), False, False)
            else:
                kept = seen
            yield band


def _folded(layers: Any, dtype: torch.dtype) -> tuple[SameConv, Tensor, Tensor, bool]:
    """A convolution, its weight and bias with BatchNorm merged in, and whether ReLU6 follows."""
    conv, norm, *relu6 = layers
    weight, bias = merged_weights(conv, norm)
    weight = weight.to(dtype).contiguous(memory_format=torch.channels_last)
    return conv, weight, bias.to(dtype), bool(relu6)


def _relu6_(values: Tensor) -> Tensor:
    """ReLU6 in place; in bfloat16 by the bits, which are in the order of the numbers above 0."""
    if values.dtype == torch.bfloat16:
        values.view(torch.int16).clamp_(0, SIX)
        return values
    return values.clamp_(0.0, 6.0)
