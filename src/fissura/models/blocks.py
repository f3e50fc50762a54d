"""The layers that crack networks are built from, a few in each block."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

if TYPE_CHECKING:
    from jaxtyping import Float


def pad_to_multiple(image: Float[Tensor, "n c h w"], multiple: int) -> Float[Tensor, "n c H W"]:
    """Repeat the last row and column until height and width are multiples of `multiple`.

    Networks that halve their input k times need sizes that 2^k divides. Padding below and to the
    right keeps every pixel's coordinates, so the result is cropped with `[..., :h, :w]`.

    Args:
        image: (n, c, h, w); returned as it is where the sizes fit.
        multiple: What is to divide height and width, in pixels.

    >>> pad_to_multiple(torch.zeros(1, 3, 30, 65), 32).shape
    torch.Size([1, 3, 32, 96])
    """
    height, width = image.shape[-2:]
    below, right = -height % multiple, -width % multiple
    if below == right == 0:
        return image
    return F.pad(image, (0, right, 0, below), mode="replicate")


def conv_bn_relu(in_channels: int, out_channels: int) -> nn.Sequential:
    """Return a 3×3 convolution without bias, batch normalization and ReLU.

    Args:
        in_channels: Channels of its input.
        out_channels: Channels of its output.
    """
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
    )


# Rows: the 4×4 taps of `upsampling_kernel`; columns: which of the 3×3 are their sum.
_ALONG = torch.tensor([[0.0, 0.0, 1.0], [0.0, 1.0, 1.0], [1.0, 1.0, 0.0], [1.0, 0.0, 0.0]])
_TAPS = torch.kron(_ALONG, _ALONG)


class ResidualBlock(nn.Module):
    """König's residual block: x + ReLU(conv(ReLU(conv(x)))), with biases and without BatchNorm.

    Nothing follows the addition. Source: König et al., Optimized deep encoder-decoder methods for
    crack segmentation, Digital Signal Processing 108, 2021.

    Args:
        channels: Channels of its input and output.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        """Return x plus what two convolutions make of it."""
        return x + F.relu(self.second(F.relu(self.first(x))))


class DecoderLevel(nn.Module):
    """One level of König's decoder: nearest ×2, concatenate the skip, refine.

    `refine` is conv-BN-ReLU and two residual blocks; on the last level, at full resolution, it is
    two conv-BN-ReLU instead.

    Args:
        in_channels: Channels of the deeper features.
        skip_channels: Channels of the skip; 0 where there is nothing to concatenate.
        out_channels: Channels of the result.
        last: Whether it is the level at full resolution.

    Attributes:
        merged: Whether the first convolution, in training mode on a CPU, is
            `upsample_concat_conv`: the same up to rounding, in about 0.6 of the time.
    """

    merged = False

    def __init__(
        self, in_channels: int, skip_channels: int, out_channels: int, *, last: bool
    ) -> None:
        super().__init__()
        refine = (
            [conv_bn_relu(out_channels, out_channels)]
            if last
            else [ResidualBlock(out_channels), ResidualBlock(out_channels)]
        )
        self.refine = nn.Sequential(
            conv_bn_relu(in_channels + skip_channels, out_channels), *refine
        )

    def forward(
        self, x: Float[Tensor, "n c h w"], skip: Float[Tensor, "n s H W"] | None
    ) -> Float[Tensor, "n d H2 W2"]:
        """Return features of twice the size of `x`.

        Args:
            x: The deeper features (n, c, h, w).
            skip: The encoder's features at twice that size, or None.
        """
        if self.merged and self.training and x.device.type == "cpu":
            first, *rest = [*self.refine[0].children(), *self.refine[1:]]
            assert isinstance(first, nn.Conv2d)
            x = upsample_concat_conv(x, skip, first.weight)
            for layer in rest:
                x = layer(x)
            return x
        x = F.interpolate(x, scale_factor=2.0, mode="nearest")
        return self.refine(x if skip is None else torch.cat([x, skip], dim=1))


def upsample_concat_conv(
    x: Float[Tensor, "n c h w"],
    skip: Float[Tensor, "n s H W"] | None,
    weight: Float[Tensor, "d c_and_s 3 3"],
) -> Float[Tensor, "n d H W"]:
    """Return the 3×3 convolution, padded by one, of [`x` nearest ×2, `skip`], making neither.

    After a nearest ×2, each output pixel sees only 2×2 pixels of `x`: the convolution is a
    transposed one with stride 2 and a 4×4 kernel, whose weights are sums of the 3×3's. That is 4
    products for each 9 and, in training, no gradient of the enlarged or the concatenated features.
    Differs from the plain form in the rounding of these sums, in bfloat16 also of the two addends.

    Args:
        x: The deeper features (n, c, h, w).
        skip: Features of twice that size, (n, s, 2h, 2w), or None for none.
        weight: The convolution's, (d, c + s, 3, 3).
    """
    of_x, of_skip = weight.split([x.shape[1], weight.shape[1] - x.shape[1]], dim=1)
    with torch.autocast(x.device.type, enabled=False):
        kernel = upsampling_kernel(of_x)
    enlarged = F.conv_transpose2d(x, kernel, stride=2, padding=1)
    return enlarged if skip is None else enlarged.add_(F.conv2d(skip, of_skip, padding=1))


def upsampling_kernel(weight: Float[Tensor, "d c 3 3"]) -> Float[Tensor, "c d 4 4"]:
    """Return the kernel of the transposed convolution that does nearest ×2 and a 3×3 convolution.

    It has stride 2 and padding 1. K(i, j), turned as a transposed convolution has it, is the sum
    of the weights that meet the same pixel.

    Args:
        weight: Of the convolution, padded by one: (d, c, 3, 3).
    """
    out_channels, channels, _, _ = weight.shape
    taps = weight.transpose(0, 1).reshape(-1, 9).mm(_TAPS.t().to(weight))
    return taps.view(channels, out_channels, 4, 4)


def he_initialize(module: nn.Module) -> None:
    """Draw the weights of every convolution below a module He-normal, with zero biases.

    Args:
        module: It is changed.
    """
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
