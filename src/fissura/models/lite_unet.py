"""LiteUNet, a small U-Net decoder over EfficientNet-Lite: the network of `fissura-general`."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from torch import Tensor, nn

from fissura.errors import InputError
from fissura.models.blocks import DecoderLevel, conv_bn_relu, he_initialize, pad_to_multiple
from fissura.models.efficientnet_lite import SIZES, LiteEncoder
from fissura.models.pretrained import load_imagenet

if TYPE_CHECKING:
    from jaxtyping import Float

WIDTHS = (128, 64, 32, 24, 16)
DETAIL = 8


class LiteUNet(nn.Module):
    """EfficientNet-Lite under a U-Net decoder, from an image of any size to logits of that size.

    Per decoder level: nearest ×2, concatenate the skip, two 3×3 conv-BN-ReLU. The skip at full size
    is a 3×3 conv-BN-ReLU of the image itself, so that hairlines need not pass through features of
    half the size. The head is a 3×3 convolution. There is no global pooling: a pixel's logit
    depends on its surroundings alone.

    Args:
        encoder: See `fissura.models.efficientnet_lite`.
        widths: Channels of the decoder's levels, deep to shallow; one per halving.
        detail: Channels of the skip at full size.
        channels: Logits per pixel: 1 of crack, or those of several classes.

    Attributes:
        mean: Per RGB channel, of images scaled to [0, 1]: the network sees (x − mean)/std.
        std: Per RGB channel, likewise; together they are (x − 127)/128 of 8-bit values.
    """

    mean = (127 / 255,) * 3
    std = (128 / 255,) * 3

    def __init__(
        self,
        encoder: LiteEncoder,
        widths: tuple[int, ...] = WIDTHS,
        detail: int = DETAIL,
        channels: int = 1,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.detail = conv_bn_relu(3, detail)
        skips = [*encoder.channels[-2::-1], detail]
        self.decoder = nn.ModuleList(
            DecoderLevel(before, skip, after, last=True)
            for (before, after), skip in zip(
                pairwise((encoder.channels[-1], *widths)), skips, strict=True
            )
        )
        self.head = nn.Conv2d(widths[-1], channels, 3, padding=1)
        for module in (self.detail, self.decoder, self.head):
            he_initialize(module)

    def forward(self, image: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n k h w"]:
        """Return the logits of crack, positive where it is likelier than background; or of classes.

        Args:
            image: Normalized by `mean` and `std`, (n, 3, h, w) of any size.
        """
        height, width = image.shape[-2:]
        image = pad_to_multiple(image, self.encoder.stride)
        features = self.encoder(image)
        x = features[-1]
        for level, skip in zip(self.decoder, [*features[-2::-1], self.detail(image)], strict=True):
            x = level(x, skip)
        return self.head(x)[..., :height, :width]


def lite_unet(
    *, encoder: str | None = None, pretrained: bool | str = False, channels: int = 1
) -> LiteUNet:
    """Build LiteUNet.

    Args:
        encoder: "efficientnet-lite0", "efficientnet-lite1" (unless given) or "efficientnet-lite2".
        pretrained: Start the encoder from weights trained on ImageNet; True, or the path of a file
            of them. `fissura.models.pretrained` tells where they are looked for.
        channels: Logits per pixel: 1 of crack, or those of several classes.

    Raises:
        InputError: There is no such encoder, or no such weights.

    >>> sum(p.numel() for p in lite_unet().parameters())
    4560729
    """
    name = "efficientnet-lite1" if encoder is None else encoder
    if name not in SIZES:
        raise InputError(
            f"lite_unet does not have the encoder {name!r}. Choose one of: {', '.join(SIZES)}."
        )
    basis = LiteEncoder(name)
    network = LiteUNet(basis, channels=channels)
    if pretrained:
        load_imagenet(basis, name, None if pretrained is True else pretrained)
    return network
