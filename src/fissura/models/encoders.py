"""Encoders: image in, features from shallow to deep out.

An encoder is any module with `forward(image) -> list of features`, each half the size of the one
before, and two attributes: `channels`, of these features, and `stride`, of the deepest one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch.nn.functional as F
from torch import Tensor, nn

from fissura.errors import InputError, extra
from fissura.models.blocks import conv_bn_relu, he_initialize
from fissura.models.pretrained import reaching_weights, weights_of

if TYPE_CHECKING:
    from jaxtyping import Float


class UNetEncoder(nn.Module):
    """U-Net's contracting path: five levels of two conv-BN-ReLU, 2×2 max pooling between them.

    Source: Ronneberger et al., U-Net, MICCAI 2015; with padding and BatchNorm, as everyone uses it
    now.

    Args:
        width: Channels at full size, doubled at each level: 16 gives 16, 32, 64, 128, 256.

    Attributes:
        channels: Channels of the features, from shallow to deep.
        stride: Of the deepest features, in pixels.
    """

    stride = 16

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.channels = [width * 2**level for level in range(5)]
        self.levels = nn.ModuleList(
            nn.Sequential(conv_bn_relu(before, after), conv_bn_relu(after, after))
            for before, after in zip([3, *self.channels[:-1]], self.channels, strict=True)
        )
        he_initialize(self)

    def forward(self, image: Float[Tensor, "n 3 h w"]) -> list[Tensor]:
        """Return features at strides 1, 2, 4, 8 and 16.

        Args:
            image: Normalized, (n, 3, h, w); 16 divides height and width.
        """
        features = []
        x = image
        for index, level in enumerate(self.levels):
            x = level(x if index == 0 else F.max_pool2d(x, 2))
            features.append(x)
        return features


class SmpEncoder(nn.Module):
    """Any encoder of segmentation-models-pytorch: features at strides 2, 4, 8, 16 and 32.

    Args:
        name: Of the encoder, as segmentation-models-pytorch has it; "tu-NAME" for timm's.
        pretrained: Start from weights trained on ImageNet.

    Attributes:
        channels: Channels of the features, from shallow to deep.
        stride: Of the deepest features, in pixels.

    Raises:
        InputError: There is no such encoder, or its weights can't be downloaded.
    """

    stride = 32

    def __init__(self, name: str, *, pretrained: bool = False) -> None:
        # Imported here: the U-Net basis need not wait the seconds that it takes.
        with extra("train", f"The encoder {name!r}"):
            from segmentation_models_pytorch.encoders import get_encoder

        super().__init__()
        check_encoder(name)
        with reaching_weights(name):
            self.encoder = get_encoder(
                name, in_channels=3, depth=5, weights=weights_of(name, pretrained=pretrained)
            )
        freeze_unused(self.encoder, name)
        # The first entry is the image itself, which the decoder makes no use of.
        self.channels = list(self.encoder.out_channels[1:])

    def forward(self, image: Float[Tensor, "n 3 h w"]) -> list[Tensor]:
        """Return the features below full resolution, from shallow to deep.

        Args:
            image: Normalized, (n, 3, h, w); 32 divides height and width.
        """
        return list(self.encoder(image))[1:]


def check_encoder(name: str) -> None:
    """Make sure that segmentation-models-pytorch knows an encoder.

    Args:
        name: Of the encoder.

    Raises:
        InputError: It does not; the message names some that exist.
    """
    with extra("train", f"The encoder {name!r}"):
        from segmentation_models_pytorch.encoders import get_encoder_names

    known = get_encoder_names()
    if name not in known and not name.startswith("tu-"):
        family = [other for other in known if other[:4] == name[:4]] or known
        raise InputError(
            f"There is no encoder {name!r}. Some that exist: {', '.join(family[:12])}. The whole "
            "list is in the documentation of segmentation-models-pytorch; any timm model can be "
            "used as 'tu-NAME'."
        )


def freeze_unused(encoder: nn.Module, name: str) -> None:
    """Freeze what leads to EfficientNet's classifier, which a segmentation network doesn't have.

    segmentation-models-pytorch keeps these layers. Training in several processes would wait for
    their gradients, which never come.

    Args:
        encoder: It is changed.
        name: Of the encoder.
    """
    layers = {"efficientnet-": ("_conv_head", "_bn1"), "timm-efficientnet-": ("conv_head", "bn2")}
    for family, names in layers.items():
        if name.startswith(family):
            for layer in names:
                encoder.get_submodule(layer).requires_grad_(False)
