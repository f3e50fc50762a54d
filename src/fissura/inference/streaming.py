"""CrackSeg from one piece of a picture's rows to the next, with nothing computed twice.

A large picture has to be cut, or its features overflow the caches and then the memory. Tiles need
surroundings, which are computed once more in each. Here a picture is cut into pieces of full width
instead, and each group of layers keeps the few last rows that its next rows depend on. So the
features stay in the cache, and the result is that of the whole picture.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeGuard

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from fissura.models.blocks import ResidualBlock, pad_to_multiple, upsampling_kernel
from fissura.models.crackseg import CrackSeg
from fissura.models.encoders import UNetEncoder

if TYPE_CHECKING:
    from jaxtyping import Float


@dataclass(frozen=True)
class Rows:
    """Some consecutive rows of a feature map.

    values:       (n, channels, rows, width), channels last.
    top, bottom:  whether they begin with the first row of the map, and end with its last.
    """

    values: Float[Tensor, "n c h w"]
    top: bool
    bottom: bool

    def within(self, by: int) -> Tensor:
        """Return the rows whose `by` neighbors above and below are here or past the border."""
        height = self.values.shape[2]
        return self.values[:, :, 0 if self.top else by : height - (0 if self.bottom else by)]


class Conv:
    """A 3×3 convolution and what follows it (BatchNorm is in the weights, ReLU), row by row.

    Of `rows` rows it returns those that it knows all neighbors of: one less at either end, except
    at the border of the picture, where zeros are around it.
    """

    reach = 1

    def __init__(
        self, conv: nn.Conv2d, norm: nn.BatchNorm2d | None, dtype: torch.dtype, *, relu: bool = True
    ) -> None:
        weight, self.bias = _merged_weights(conv, norm)
        self.weight = weight.to(dtype).contiguous(memory_format=torch.channels_last)
        self.bias = self.bias.to(dtype)
        self.relu = relu

    def __call__(self, rows: Rows) -> Rows:
        """Return the features of one row less at either end that is not the border."""
        at_border = rows.top or rows.bottom
        values = F.conv2d(rows.values, self.weight, self.bias, padding=(int(at_border), 1))
        if self.relu:
            values = values.relu_()
        rows = replace(rows, values=values)
        return replace(rows, values=rows.within(1)) if at_border else rows


class Residual:
    """`fissura.models.blocks.ResidualBlock`, row by row."""

    reach = 2

    def __init__(self, block: ResidualBlock, dtype: torch.dtype) -> None:
        self.first = Conv(block.first, None, dtype)
        self.second = Conv(block.second, None, dtype)

    def __call__(self, rows: Rows) -> Rows:
        """Return x plus what two convolutions make of it."""
        out = self.second(self.first(rows))
        out.values.add_(rows.within(2))
        return out


class Merge:
    """Nearest ×2, concatenate the skip, 3×3 convolution, BatchNorm, ReLU, without the first two.

    As `fissura.models.blocks.upsample_concat_conv`, row by row; its border is that of zero padding.
    """

    def __init__(
        self, conv: nn.Conv2d, norm: nn.BatchNorm2d, deep_channels: int, dtype: torch.dtype
    ) -> None:
        weight, bias = _merged_weights(conv, norm)
        self.deep_weight = upsampling_kernel(weight[:, :deep_channels]).to(dtype)
        self.skip_weight = weight[:, deep_channels:].to(dtype)
        self.skip_weight = self.skip_weight.contiguous(memory_format=torch.channels_last)
        self.bias = bias.to(dtype)

    def __call__(self, deep: Rows, skip: Tensor) -> Rows:
        """Merge rows of the deeper level with the twice as many rows of the skip beside them."""
        values = F.conv_transpose2d(deep.values, self.deep_weight, self.bias, stride=2, padding=1)
        values = values.add_(F.conv2d(skip, self.skip_weight, padding=1)).relu_()
        doubled = replace(deep, values=values)
        return replace(doubled, values=doubled.within(1))


class RowNetwork:
    """A CrackSeg on the U-Net basis, prepared for prediction.

    BatchNorm is merged into the convolutions, the weights are in `dtype` for good, and what goes
    up is merged with the skips without being doubled and concatenated before. The results are the
    network's up to rounding (in float32 about 0.00001). The network itself is not changed.

    Arguments: `network`, for which `takes` holds, in evaluation mode and on its device.
    """

    stride = UNetEncoder.stride
    # A value depends on pixels up to 157 columns away: 3 at the last level, then, down to the
    # deepest and up again, ⌈r/2⌉ + 5 (four times, the last with + 2), and 2r + 3 per level.
    reach = 160

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

    def __call__(self, image: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 1 h w"]:
        """Return the logits of whole images."""
        height, width = image.shape[-2:]
        (logits,) = self.stream([pad_to_multiple(image, self.stride)])
        return logits[..., :height, :width]

    def stream(self, pieces: Iterable[Tensor]) -> Iterator[Tensor]:
        """Yield the logits (n, 1, rows, w) of an image whose rows come in pieces (n, 3, rows, w).

        `stride` divides the width and the number of all rows. Most pieces of logits have as many
        rows as those of the image; the first ones have fewer and the last one more.
        """
        return (rows.values for rows in self._level(_as_rows(pieces, self.dtype), 0))

    def _level(self, image: Iterator[Rows], index: int) -> Iterator[Rows]:
        features = _through(self.down[index], image)
        if index == len(self.up):
            return features
        merge, refine = self.up[index]
        skip: deque[Tensor] = deque()
        deep = self._level(_pooled(_noting(features, skip)), index + 1)
        x = _merged(merge, deep, skip)
        if index == 0:  # where rows are long, keeping some costs more than computing them again
            return _through(refine, x)
        for layer in refine:
            x = _through([layer], x)
        return x


def spans(width: int, widest: int) -> list[tuple[slice, slice]]:
    """Cut columns where rows are too long: what each strip yields, and what it is computed from.

    Beside its own columns a strip needs `RowNetwork.reach` more at either side, so that few strips
    are best. They begin at multiples of the reach, which are those of the network's stride.

    >>> [(own.start, own.stop) for own, _ in spans(4100, 4096)]
    [(0, 2080), (2080, 4100)]
    >>> [(seen.start, seen.stop) for _, seen in spans(4100, 4096)]
    [(0, 2240), (1920, 4100)]
    """
    reach = RowNetwork.reach
    count = math.ceil(width / widest)
    edges = [*range(0, width, reach * math.ceil(width / count / reach)), width]
    return [
        (slice(left, right), slice(max(left - reach, 0), min(right + reach, width)))
        for left, right in pairwise(edges)
    ]


def takes(network: nn.Module) -> TypeGuard[CrackSeg]:
    """Whether a network can be computed row by row."""
    return isinstance(network, CrackSeg) and isinstance(network.encoder, UNetEncoder)


def _merged_weights(conv: nn.Conv2d, norm: nn.BatchNorm2d | None) -> tuple[Tensor, Tensor]:
    """Weight and bias of a convolution with the BatchNorm behind it."""
    if norm is not None:
        conv = fuse_conv_bn_eval(conv, norm)
    assert conv.bias is not None
    return conv.weight.detach(), conv.bias.detach()


def _as_rows(pieces: Iterable[Tensor], dtype: torch.dtype) -> Iterator[Rows]:
    """Mark the first piece and the last one."""
    top, held = True, None
    for piece in pieces:
        if held is not None:
            yield Rows(held, top, False)
            top = False
        held = piece.to(dtype)
    if held is not None:
        yield Rows(held, top, True)


def _through(layers: Sequence[Conv | Residual], pieces: Iterator[Rows]) -> Iterator[Rows]:
    """Send rows through layers, keeping those that the next rows depend on."""
    reach = sum(layer.reach for layer in layers)
    kept = None
    for rows in pieces:
        rows = _joined(kept, rows)
        height = rows.values.shape[2]
        if rows.bottom or height > 2 * reach - rows.top:
            out = rows
            for layer in layers:
                out = layer(out)
            yield out
            kept = Rows(rows.values[:, :, -2 * reach :].clone(), False, False)  # frees the others
        else:
            kept = rows


def _pooled(pieces: Iterator[Rows]) -> Iterator[Rows]:
    """Halve height and width by 2×2 max pooling; an odd row waits for its neighbor."""
    kept = None
    for rows in pieces:
        rows = _joined(kept, rows)
        even = rows.values.shape[2] // 2 * 2
        if even:
            yield replace(rows, values=F.max_pool2d(rows.values[:, :, :even], 2))
        kept = Rows(rows.values[:, :, even:].clone(), rows.top and not even, False)


def _noting(pieces: Iterator[Rows], skip: deque[Tensor]) -> Iterator[Rows]:
    """Append what passes to `skip`, where it waits until the deeper levels have caught up."""
    for rows in pieces:
        skip.append(rows.values)
        yield rows


def _merged(merge: Merge, deep: Iterator[Rows], skip: deque[Tensor]) -> Iterator[Rows]:
    """Merge rows of the deeper level with the skip's rows at their place."""
    kept = None
    for rows in deep:
        rows = _joined(kept, rows)
        height = 2 * rows.values.shape[2]
        if not (rows.top or rows.bottom) and height == 2:
            kept = rows
            continue
        beside = _first_rows(skip, height)
        skip.appendleft(beside[:, :, -2:].clone())
        yield merge(rows, beside)
        kept = Rows(rows.values[:, :, -1:].clone(), False, False)


def _first_rows(waiting: deque[Tensor], count: int) -> Tensor:
    """Take the first `count` rows out of those that wait."""
    parts = []
    while count > 0:
        rows = waiting.popleft()
        if rows.shape[2] > count:
            waiting.appendleft(rows[:, :, count:])
        parts.append(rows[:, :, :count])
        count -= parts[-1].shape[2]
    return parts[0] if len(parts) == 1 else torch.cat(parts, 2)


def _joined(kept: Rows | None, rows: Rows) -> Rows:
    if kept is None or not kept.values.shape[2]:
        return rows if kept is None else replace(rows, top=kept.top)
    return Rows(torch.cat([kept.values, rows.values], 2), kept.top, rows.bottom)
