"""EfficientUNet, an EfficientNet under a U-Net decoder: the first network of Table IV."""

from __future__ import annotations

from fissura.errors import InputError
from fissura.models.smp import AnySize, smp_model

ENCODERS = tuple(f"efficientnet-b{scale}" for scale in range(8))


def efficient_unet(
    *, encoder: str | None = None, pretrained: bool = False, channels: int = 1
) -> AnySize:
    """Build EfficientUNet: features at strides 2 to 32, and U-Net's way back up to full size.

    Per decoder level: nearest ×2, concatenate the skip (the last level has none), two 3×3
    conv-BN-ReLU of 256, 128, 64, 32, 16 channels; the head is a 3×3 convolution to one logit. Both
    halves are segmentation-models-pytorch's, so this is `smp:Unet` on an EfficientNet, as a name
    of its own. In training mode whole residual branches are dropped at random, as in EfficientNet.

    B7 has 67.1 M parameters. 1.6 M of them, EfficientNet's last convolution and its BatchNorm, lead
    to the classifier that is not there. They are kept, so that names, count and weights are those
    of the library, and frozen, since training in several processes waits for every gradient.

    Source: Baheti et al., Eff-UNet: a novel architecture for semantic segmentation in unstructured
    environment, CVPR Workshops 2020. The same two halves; the decoder's widths, its nearest
    up-sampling and its BatchNorm are the library's.

    Args:
        encoder: "efficientnet-b0" to "efficientnet-b7"; B7, the paper's, if None.
        pretrained: Start the encoder from weights trained on ImageNet; downloaded on first use.
        channels: Logits per pixel: 1 of crack, or those of several classes.

    Raises:
        InputError: It is another encoder, or the weights can't be downloaded.

    >>> network = efficient_unet(encoder="efficientnet-b0")
    >>> sum(p.numel() for p in network.parameters())
    6251469
    """
    encoder = encoder or "efficientnet-b7"
    if encoder not in ENCODERS:
        raise InputError(
            f"There is no encoder {encoder!r} for efficient_unet. Choose one of: "
            f"{', '.join(ENCODERS)}; or build the same decoder on others with --model smp:Unet."
        )
    return smp_model("Unet", encoder=encoder, pretrained=pretrained, channels=channels)
