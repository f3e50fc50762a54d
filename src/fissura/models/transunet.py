"""TransUNet, a ResNet and a transformer under a cascaded decoder: the second network of Table IV.

Source: Chen et al., TransUNet: Transformers make strong encoders for medical image segmentation,
arXiv 2102.04306, 2021, in its variant R50-ViT-B_16, with the authors' code where the paper is
silent.
"""

from __future__ import annotations

import math
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fissura.errors import extra
from fissura.models.blocks import conv_bn_relu
from fissura.models.pretrained import reaching_weights
from fissura.models.smp import AnySize

if TYPE_CHECKING:
    from jaxtyping import Float

# The weights that Chen et al. start from: ImageNet-21k at 224×224.
HYBRID = "vit_base_r50_s16_224.orig_in21k"
DROPOUT = 0.1


def pad_by_constants(backbone: Any) -> Any:
    """Have timm's strided layers pad by constants, in place; names of weights stay.

    timm works the padding out from the size at hand (TensorFlow's 'same'). Where the stride divides
    the size it is always kernel − stride, the smaller half above and to the left. As a formula of
    a size that may be any, nested from layer to layer, it made the conversion to ONNX take minutes.

    Args:
        backbone: With layers of timm, for images whose sides its strides divide.

    Returns:
        The backbone.
    """
    from timm.layers.pool2d_same import MaxPool2dSame
    from timm.layers.std_conv import StdConv2dSame

    for layer in list(backbone.modules()):
        if isinstance(layer, StdConv2dSame) and layer.same_pad:
            _pad_convolution(layer)
        for name, below in list(layer.named_children()):
            if isinstance(below, MaxPool2dSame):
                setattr(layer, name, _padded_pool(below))
    return backbone


def _pad_convolution(layer: Any) -> None:
    """Have a convolution of timm pad by constants."""
    layer.same_pad = False
    padding = _around(layer.kernel_size[0] - layer.stride[0])
    if any(padding):
        layer.register_forward_pre_hook(partial(_padded, padding))


def _padded_pool(pool: Any) -> nn.Module:
    """A pooling of timm, whose kernel and stride are pairs, that pads by constants."""
    kernel, stride = pool.kernel_size[0], pool.stride[0]
    outside = nn.ConstantPad2d(_around(kernel - stride), -math.inf)
    return nn.Sequential(outside, nn.MaxPool2d(kernel, stride))


def _around(total: int) -> tuple[int, int, int, int]:
    """Padding of so much for each side of an image: left, right, top, bottom."""
    less, more = max(total, 0) // 2, (max(total, 0) + 1) // 2
    return less, more, less, more


def _padded(
    padding: tuple[int, int, int, int], layer: nn.Module, inputs: tuple[Tensor]
) -> tuple[Tensor]:
    """A layer's input with zeros around it, as a hook that runs before the layer."""
    return (F.pad(inputs[0], padding),)


class HybridEncoder(nn.Module):
    """R50+ViT-B/16: three ResNet stages, whose features are the tokens of a transformer.

    `forward` returns 768 channels at 1/16 of the image's size, and the skips of 512, 256 and 64
    channels at 1/8, 1/4 and 1/2: the second and first stage, and the stem before its pooling.

    Stem, stages and transformer are timm's, with its weights where `pretrained`. There is no class
    token, as with Chen: timm's is discarded together with its position. The position embedding is
    a map of 14×14, resampled to the grid of the image at hand (bicubic with antialiasing, as in
    timm).

    Args:
        pretrained: Start from weights trained on ImageNet-21k.

    Attributes:
        channels: Channels of the deepest features.
        skip_channels: Channels of the skips, from deep to shallow.
    """

    channels = 768
    skip_channels = (512, 256, 64)

    def __init__(self, *, pretrained: bool = False) -> None:
        # Imported here: the other networks need not wait the seconds that it takes.
        with extra("train", "The network 'transunet'"):
            import timm

        super().__init__()
        with reaching_weights(HYBRID):
            vit: Any = timm.create_model(
                HYBRID,
                pretrained=pretrained,
                num_classes=0,
                pos_drop_rate=DROPOUT,
                proj_drop_rate=DROPOUT,
            )
        for block in vit.blocks:
            block.attn.proj_drop.p = 0.0  # Chen: no dropout within attention
        self.backbone = pad_by_constants(vit.patch_embed.backbone)
        self.projection = vit.patch_embed.proj
        grid = vit.pos_embed.detach()[:, 1:].unflatten(1, vit.patch_embed.grid_size)
        self.position = nn.Parameter(grid.permute(0, 3, 1, 2).contiguous())
        self.position_dropout = vit.pos_drop
        self.blocks = vit.blocks
        self.norm = vit.norm

    def forward(
        self, image: Float[Tensor, "n 3 h w"]
    ) -> tuple[Float[Tensor, "n 768 h16 w16"], list[Tensor]]:
        """Return the deepest features, and the skips from deep to shallow.

        Args:
            image: Normalized, (n, 3, h, w); 16 divides height and width.
        """
        x, skips = self.backbone.forward_intermediates(image, indices=[0, 1, 2])
        x = self.projection(x)
        grid_hw = x.shape[-2:]
        x = x + F.interpolate(self.position, size=grid_hw, mode="bicubic", antialias=True)
        tokens = self.position_dropout(x.flatten(2).transpose(1, 2))
        tokens = self.norm(self.blocks(tokens))
        return tokens.transpose(1, 2).unflatten(2, grid_hw), skips[::-1]


class CascadeLevel(nn.Module):
    """One level of the cascaded upsampler: bilinear ×2, concatenate the skip, conv-BN-ReLU twice.

    Args:
        in_channels: Channels of the deeper features.
        skip_channels: Channels of the skip; 0 where there is nothing to concatenate.
        out_channels: Channels of the result.
    """

    def __init__(self, in_channels: int, skip_channels: int, out_channels: int) -> None:
        super().__init__()
        self.refine = nn.Sequential(
            conv_bn_relu(in_channels + skip_channels, out_channels),
            conv_bn_relu(out_channels, out_channels),
        )

    def forward(
        self, x: Float[Tensor, "n c h w"], skip: Float[Tensor, "n s H W"] | None
    ) -> Float[Tensor, "n d H2 W2"]:
        """Return features of twice the size of `x`.

        Args:
            x: The deeper features (n, c, h, w).
            skip: The encoder's features at twice that size, or None.
        """
        # Corners on corners, as in Chen's code.
        x = F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=True)
        return self.refine(x if skip is None else torch.cat([x, skip], dim=1))


class TransUNet(nn.Module):
    """The hybrid encoder under the cascaded upsampler, for sizes that 16 divides.

    The tokens, as a map, pass a 3×3 conv-BN-ReLU to 512 channels, then levels of 256, 128, 64 and
    16 channels, of which the last, at full size, has no skip; the head is a 3×3 convolution.

    Args:
        encoder: It is trained, too.
        channels: Logits per pixel: 1 of crack, or those of several classes.
    """

    def __init__(self, encoder: HybridEncoder, channels: int = 1) -> None:
        super().__init__()
        widths = (512, 256, 128, 64, 16)
        self.encoder = encoder
        self.bottleneck = conv_bn_relu(encoder.channels, widths[0])
        self.decoder = nn.ModuleList(
            CascadeLevel(before, skip, after)
            for (before, after), skip in zip(
                pairwise(widths), (*encoder.skip_channels, 0), strict=True
            )
        )
        self.head = nn.Conv2d(widths[-1], channels, 3, padding=1)

    def forward(self, image: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n k h w"]:
        """Return the logits of crack, or of several classes.

        Args:
            image: Normalized, (n, 3, h, w); 16 divides height and width.
        """
        x, skips = self.encoder(image)
        x = self.bottleneck(x)
        for level, skip in zip(self.decoder, [*skips, None], strict=True):
            x = level(x, skip)
        return self.head(x)


def transunet(*, pretrained: bool = False, channels: int = 1) -> AnySize:
    """Build TransUNet-R50-ViT-B_16 for images of any size and aspect.

    An image is padded to a multiple of 16 below and to the right, and the logits are cropped.

    105.3 M parameters, as many as Chen's for one class. Differs from Chen's code in what timm does
    otherwise in the ResNet (padding, the ε of its normalizations, the groups of the GroupNorm on
    shortcuts), in the encoder's initial weights where they aren't pretrained, and in taking any
    size. The pretrained weights saw images scaled to [−1, 1]; ours are normalized by ImageNet's
    mean and standard deviation, a difference in scale that the first GroupNorm takes out again.

    Args:
        pretrained: Start the encoder from weights trained on ImageNet-21k, as Chen et al. do; they
            are downloaded on first use.
        channels: Logits per pixel: 1 of crack, or those of several classes.

    Raises:
        InputError: The weights can't be downloaded.
    """
    return AnySize(TransUNet(HybridEncoder(pretrained=pretrained), channels), multiple=16)
