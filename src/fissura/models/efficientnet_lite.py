"""EfficientNet-Lite as an encoder: convolutions, BatchNorm and ReLU6 throughout.

It is written out here, and not taken from timm, so that a model on it predicts without timm, whose
import takes seconds, and so that the streaming engine can go through it layer by layer. Features
and weights are those of timm's `tf_efficientnet_lite0` to `2` (`tests/models` compares them).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

if TYPE_CHECKING:
    from jaxtyping import Float

# Width and depth of the three sizes, as multiples of EfficientNet-B0's.
SIZES = {
    "efficientnet-lite0": (1.0, 1.0),
    "efficientnet-lite1": (1.0, 1.1),
    "efficientnet-lite2": (1.1, 1.2),
}
# Per stage of B0: kernel, stride, expansion, channels, blocks.
STAGES = (
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
)
STEM = 32
TAPS = (0, 1, 2, 4, 6)  # the stages that end at strides 2, 4, 8, 16, 32
EPSILON = 1e-3


class SameConv(nn.Conv2d):
    """A convolution without bias, padded as TensorFlow pads an even size: less above than below.

    With stride 2 a kernel of k has (k − 2)//2 zeros before the first row and column and the rest of
    k − 2 behind the last; with stride 1 it is the usual (k − 1)/2 at either end.

    Args:
        in_channels: Channels of its input.
        out_channels: Channels of its output.
        kernel: Its side.
        stride: 1 or 2.
        groups: `in_channels` for a depthwise convolution.
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel: int, *, stride: int = 1, groups: int = 1
    ) -> None:
        padding = (kernel - 1) // 2 if stride == 1 else 0
        super().__init__(
            in_channels, out_channels, kernel, stride, padding, groups=groups, bias=False
        )
        before = (kernel - 2) // 2
        self.before_and_after = (before, kernel - 2 - before) if stride == 2 else (0, 0)

    def forward(self, input: Tensor) -> Tensor:
        """Return the convolution; with stride 2 of half the size."""
        before, after = self.before_and_after
        if after:
            input = F.pad(input, (before, after, before, after))
        if self.groups > 1 and _in_bfloat16_on_cpu(input) and torch.is_grad_enabled():
            result = _Depthwise.apply(input, self.weight, self.stride[0], self.padding[0])
            assert isinstance(result, Tensor)
            return result
        return super().forward(input)


class _Depthwise(torch.autograd.Function):
    """A depthwise convolution in bfloat16, whose gradients are computed in float32.

    torch's gradient of a depthwise convolution in bfloat16 takes four times as long on CPUs.
    """

    @staticmethod
    def forward(ctx: Any, image: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
        image = image.bfloat16()
        ctx.save_for_backward(image, weight)
        ctx.geometry = (stride, padding)
        groups = image.shape[1]
        with torch.autocast("cpu", enabled=False):
            return F.conv2d(image, weight.bfloat16(), None, stride, padding, 1, groups)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None, None]:
        image, weight = ctx.saved_tensors
        stride, padding = ctx.geometry
        of_image, of_weight, _ = torch.ops.aten.convolution_backward(
            grads[0].float(),
            image.float(),
            weight,
            None,
            [stride] * 2,
            [padding] * 2,
            [1, 1],
            False,
            [0, 0],
            image.shape[1],
            [True, True, False],
        )
        return of_image.bfloat16(), of_weight, None, None


def _in_bfloat16_on_cpu(image: Tensor) -> bool:
    """Whether a convolution of this image would be computed in bfloat16 on a CPU."""
    if image.device.type != "cpu":
        return False
    automatic = torch.is_autocast_enabled("cpu")
    return automatic and torch.get_autocast_dtype("cpu") == torch.bfloat16


def conv_bn(
    in_channels: int,
    out_channels: int,
    kernel: int,
    *,
    stride: int = 1,
    groups: int = 1,
    relu6: bool = True,
) -> nn.Sequential:
    """Return a convolution with TensorFlow's padding, BatchNorm and, where asked for, ReLU6.

    Args:
        in_channels: Channels of its input.
        out_channels: Channels of its output.
        kernel: Its side.
        stride: 1 or 2.
        groups: As of `SameConv`.
        relu6: Whether min(max(x, 0), 6) follows.
    """
    layers = [
        SameConv(in_channels, out_channels, kernel, stride=stride, groups=groups),
        nn.BatchNorm2d(out_channels, eps=EPSILON),
    ]
    return nn.Sequential(*layers, *([nn.ReLU6(inplace=True)] if relu6 else []))


class InvertedResidual(nn.Module):
    """MobileNetV2's block: widen by 1×1, depthwise k×k, narrow by 1×1; plus the input if it fits.

    Args:
        in_channels: Channels of its input.
        out_channels: Channels of its output.
        kernel: Side of the depthwise convolution.
        stride: Of the depthwise convolution, 1 or 2.
        expansion: Channels in between, as a multiple of `in_channels`; 1 leaves the widening out.
    """

    def __init__(
        self, in_channels: int, out_channels: int, *, kernel: int, stride: int, expansion: int
    ) -> None:
        super().__init__()
        inner = in_channels * expansion
        widen = [conv_bn(in_channels, inner, 1)] if expansion > 1 else []
        self.layers = nn.Sequential(
            *widen,
            conv_bn(inner, inner, kernel, stride=stride, groups=inner),
            conv_bn(inner, out_channels, 1, relu6=False),
        )
        self.residual = stride == 1 and in_channels == out_channels

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d h2 w2"]:
        """Return the block's features, with stride 2 of half the size."""
        out = self.layers(x)
        return out + x if self.residual else out


class LiteEncoder(nn.Module):
    """EfficientNet-Lite: features at strides 2, 4, 8, 16 and 32.

    Source: Tan and Le, EfficientNet, ICML 2019, in the variant without squeeze-and-excitation and
    with ReLU6 that its authors published as EfficientNet-Lite in 2020. The head that leads to the
    classifier is left out.

    Args:
        name: A key of `SIZES`.

    Attributes:
        channels: Channels of the features, from shallow to deep.
        stride: Of the deepest features, in pixels.
    """

    stride = 32

    def __init__(self, name: str) -> None:
        super().__init__()
        wider, deeper = SIZES[name]
        self.stem = conv_bn(3, STEM, 3, stride=2)
        self.stages = nn.ModuleList()
        widths, before = [], STEM
        for index, (kernel, stride, expansion, width, count) in enumerate(STAGES):
            width = _rounded(width * wider)
            if 0 < index < len(STAGES) - 1:  # Lite leaves the first stage and the last alone
                count = math.ceil(count * deeper)
            blocks = []
            for position in range(count):
                blocks.append(
                    InvertedResidual(
                        before,
                        width,
                        kernel=kernel,
                        stride=stride if position == 0 else 1,
                        expansion=expansion,
                    )
                )
                before = width
            self.stages.append(nn.Sequential(*blocks))
            widths.append(width)
        self.channels = [widths[tap] for tap in TAPS]

    def forward(self, image: Float[Tensor, "n 3 h w"]) -> list[Tensor]:
        """Return the features below full resolution, from shallow to deep.

        Args:
            image: (x − 127)/128 of 8-bit values, (n, 3, h, w); 32 divides height and width.
        """
        features, x = [], self.stem(image)
        for index, stage in enumerate(self.stages):
            x = stage(x)
            if index in TAPS:
                features.append(x)
        return features


def _rounded(channels: float) -> int:
    """EfficientNet's rounding of widths: to a multiple of 8, not down by more than a tenth."""
    multiple = max(8, int(channels + 4) // 8 * 8)
    return multiple + 8 if multiple < 0.9 * channels else multiple
