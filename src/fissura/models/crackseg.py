"""CrackSeg, the network of the paper's Tables I to III."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import torch.nn.functional as F
from torch import Tensor, nn

from fissura.errors import InputError
from fissura.models.blocks import DecoderLevel, he_initialize, pad_to_multiple
from fissura.models.encoders import SmpEncoder, UNetEncoder

if TYPE_CHECKING:
    from jaxtyping import Float


class CrackSeg(nn.Module):
    """An encoder under König's crack decoder, from an image of any size to logits of that size.

    Per decoder level: nearest ×2, concatenate the skip, 3×3 conv-BN-ReLU, two residual blocks
    without BatchNorm; the last level has two conv-BN-ReLU instead; the head is a 3×3 convolution.

    Source: König et al., Optimized deep encoder-decoder methods for crack segmentation, Digital
    Signal Processing 108, 2021. Deep supervision is our addition.

    Args:
        encoder: See `fissura.models.encoders`.
        decoder_widths: Channels of the decoder's levels, deep to shallow; one per halving.
        deep_supervision: Adds a head to every inner level. In training mode `forward` then returns
            a list: the final logits, then those of the inner levels from shallow to deep, all of
            the image's size.
        channels: Logits per pixel: 1 of crack, or those of several classes.
    """

    def __init__(
        self,
        encoder: UNetEncoder | SmpEncoder,
        decoder_widths: list[int],
        *,
        deep_supervision: bool = False,
        channels: int = 1,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        # An encoder that starts at stride 2 leaves the last level without a skip.
        skips = [*encoder.channels[-2::-1], 0][: len(decoder_widths)]
        widths = [encoder.channels[-1], *decoder_widths]
        last = len(decoder_widths) - 1
        self.decoder = nn.ModuleList(
            DecoderLevel(before, skip, after, last=level == last)
            for level, ((before, after), skip) in enumerate(
                zip(pairwise(widths), skips, strict=True)
            )
        )
        self.head = nn.Conv2d(decoder_widths[-1], channels, 3, padding=1)
        self.side_heads = nn.ModuleList(
            nn.Conv2d(width, channels, 3, padding=1)
            for width in (decoder_widths[:-1] if deep_supervision else [])
        )
        for module in (self.decoder, self.head, self.side_heads):
            he_initialize(module)

    def forward(
        self, image: Float[Tensor, "n 3 h w"]
    ) -> Float[Tensor, "n k h w"] | list[Float[Tensor, "n k h w"]]:
        """Return the logits of crack, positive where it is likelier than background; or of classes.

        Args:
            image: Normalized, (n, 3, h, w) of any size.
        """
        height, width = image.shape[-2:]
        features = self.encoder(pad_to_multiple(image, self.encoder.stride))
        x, skips = features[-1], [*features[-2::-1], None]
        inner = []
        for level, skip in zip(self.decoder, skips, strict=False):
            x = level(x, skip)
            inner.append(x)
        logits = self.head(x)[..., :height, :width]
        if not (self.training and self.side_heads):
            return logits
        sides = [
            F.interpolate(head(x), scale_factor=2.0 ** (len(inner) - 1 - index), mode="bilinear")
            for index, (head, x) in enumerate(zip(self.side_heads, inner, strict=False))
        ]
        return [logits, *(side[..., :height, :width] for side in reversed(sides))]


def crackseg(
    *,
    width: int = 16,
    encoder: str | None = None,
    pretrained: bool = False,
    deep_supervision: bool = False,
    channels: int = 1,
) -> CrackSeg:
    """Build CrackSeg on the U-Net basis, or on an encoder of segmentation-models-pytorch.

    Args:
        width: Channels of the U-Net encoder at full size; its decoder mirrors it (8, 4, 2, 1 times
            the width). 16 is the paper's network as we read it. Not used with an `encoder`, under
            which the decoder has König's 256, 128, 64, 32, 16.
        encoder: For example "efficientnet-b5" or "resnet34"; None for the U-Net basis.
        pretrained: Start from weights trained on ImageNet; they are downloaded on first use.
        deep_supervision: See `CrackSeg`.
        channels: See `CrackSeg`.

    Raises:
        InputError: The width is below 1, the encoder is unknown, or there are no such weights.

    >>> sum(p.numel() for p in crackseg(width=16).parameters())
    2545281
    """
    if encoder is None:
        if width < 1:
            raise InputError(f"width is {width}; it counts channels and must be at least 1.")
        if pretrained:
            raise InputError(
                "There are no pretrained weights for the U-Net basis of crackseg. Choose an "
                "encoder, for example --encoder efficientnet-b5, or leave out --pretrained."
            )
        basis = UNetEncoder(width)
        widths = [8 * width, 4 * width, 2 * width, width]
    else:
        basis = SmpEncoder(encoder, pretrained=pretrained)
        widths = [256, 128, 64, 32, 16]
    return CrackSeg(basis, widths, deep_supervision=deep_supervision, channels=channels)
