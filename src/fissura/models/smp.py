"""Any architecture of segmentation-models-pytorch, as a network of ours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from fissura.errors import InputError, extra
from fissura.models.blocks import pad_to_multiple
from fissura.models.encoders import check_encoder, freeze_unused
from fissura.models.pretrained import reaching_weights, weights_of

if TYPE_CHECKING:
    from jaxtyping import Float

ARCHITECTURES = (
    "DeepLabV3",
    "DeepLabV3Plus",
    "DPT",
    "FPN",
    "Linknet",
    "MAnet",
    "PAN",
    "PSPNet",
    "Segformer",
    "Unet",
    "UnetPlusPlus",
    "UPerNet",
)


class AnySize(nn.Module):
    """A network that needs sizes divisible by `multiple`, made to take any: pads, runs, crops.

    Args:
        network: Images (n, 3, H, W) in, logits (n, k, H, W) out.
        multiple: What has to divide H and W, in pixels.
    """

    def __init__(self, network: nn.Module, multiple: int = 32) -> None:
        super().__init__()
        self.network = network
        self.multiple = multiple

    def forward(self, image: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n k h w"]:
        """Return the logits of crack, or of several classes.

        Args:
            image: Normalized, (n, 3, h, w) of any size.

        Raises:
            InputError: In training mode, the batch is too small for batch normalization: one image
                that is a single value per channel somewhere in the network.
        """
        height, width = image.shape[-2:]
        try:
            return self.network(pad_to_multiple(image, self.multiple))[..., :height, :width]
        except ValueError as error:
            # Where that happens depends on the architecture, so that only torch can tell.
            if "more than 1 value per channel" not in str(error):
                raise
            raise InputError(
                f"One image of {height}×{width} pixels is too small a batch to train this network "
                "on: its batch normalization needs more than one value per channel. Choose a "
                "larger --crop, or a --batch-size that leaves no single image at the end of an "
                "epoch."
            ) from error


def smp_model(
    architecture: str,
    *,
    encoder: str | None = None,
    pretrained: bool = False,
    channels: int = 1,
) -> AnySize:
    """Build an architecture of segmentation-models-pytorch, with one output channel unless told.

    Args:
        architecture: One of `ARCHITECTURES`, in upper or lower case.
        encoder: Its name; by default resnet34, for DPT tu-vit_base_patch16_224.augreg_in21k.
        pretrained: Start the encoder from weights trained on ImageNet; downloaded on first use.
        channels: Logits per pixel: 1 of crack, or those of several classes.

    Raises:
        InputError: There is no such architecture or encoder, or the weights can't be downloaded.
    """
    # Imported here: crackseg on its U-Net basis need not wait the seconds that it takes.
    with extra("train", f"The network 'smp:{architecture}'"):
        import segmentation_models_pytorch as smp

    by_lower = {name.lower(): name for name in ARCHITECTURES}
    if architecture.lower() not in by_lower:
        raise InputError(
            f"segmentation-models-pytorch has no architecture {architecture!r}. It has: "
            f"{', '.join(ARCHITECTURES)}."
        )
    name = by_lower[architecture.lower()]
    # A plain ViT takes one image size only; timm can interpolate its position embedding.
    options: dict[str, Any] = {"dynamic_img_size": True} if name == "DPT" else {}
    if encoder is None:
        encoder = "tu-vit_base_patch16_224.augreg_in21k" if name == "DPT" else "resnet34"
    check_encoder(encoder)
    with reaching_weights(encoder):
        network = getattr(smp, name)(
            encoder_name=encoder,
            encoder_weights=weights_of(encoder, pretrained=pretrained),
            classes=channels,
            **options,
        )
    freeze_unused(network.encoder, encoder)
    # PAN pools its deepest features three more times.
    return AnySize(network, multiple=128 if name == "PAN" else 32)
