"""BCE plus Dice: the baseline of crack segmentation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from fissura.losses._fused import Form, fused_images
from fissura.losses._valid_pixels import check_option, pixel_mean, reduce_images, valid_pixels
from fissura.losses.cross_entropy import bce_per_pixel
from fissura.losses.dice import dice_error

if TYPE_CHECKING:
    from jaxtyping import Float, Shaped


def bce_dice_loss(
    logits: Float[Tensor, "n 1 *spatial"],
    target: Shaped[Tensor, "n 1 *spatial"],
    *,
    mask: Shaped[Tensor, "n 1 *spatial"] | None = None,
    reduction: str = "mean",
    smooth: float = 1.0,
    per_image: bool = False,
    fused: bool = True,
) -> Float[Tensor, "*reduced"]:
    """BCE + Dice: cross-entropy for a smooth start, overlap against the imbalance.

    −mean[t·log p + (1−t)·log(1−p)] + 1 − (2Σpt + s)/(Σp + Σt + s), with p = σ(z): the sum of
    `bce_loss` and `dice_loss`.

    Arguments:
        logits: z, finite, of any floating dtype; computed in float32, float64 for float64.
        target: t in [0, 1], hard or soft, of boolean, integer or floating dtype.
        mask: the valid pixels (boolean, or 0 and 1); the others have no influence, whatever they
            hold. None: all are valid. Where none is valid, the loss is 0.
        reduction: "mean"; with `per_image` also "sum", or "none" (one value per image).
        smooth: s ≥ 0 of the Dice part. Above 0, false positives on pure background count there too.
        per_image: False pools both parts over the batch; True makes both per image (the BCE a mean
            over its valid pixels), and the mean is over the images with valid pixels.
        fused: whether the fused form may be taken, which gives the same in a fraction of the time.

    Raises ValueError as `bce_loss` does.

    Source: J. König et al., "Optimized deep encoder-decoder methods for crack segmentation",
    Digital Signal Processing 2021; the paper's equation 1, L_bcedice. As printed, that misses the
    background of the BCE and has Dice negated within 1/N; ours is König's.

    >>> import torch
    >>> logits, target = torch.tensor([[[2.0, -1.0, 0.0]]]), torch.tensor([[[1, 0, 0]]])
    >>> bce_dice_loss(logits, target)
    tensor(0.6211)
    """
    check_option("smooth", smooth, 0.0)
    form = Form(region=1.0, smooth=smooth / 2)
    if fused:
        loss = fused_images(form, logits, target, mask, reduction, per_image=per_image)
        if loss is not None:
            return loss
    pixels = valid_pixels(logits, target, mask)
    bce = pixel_mean(bce_per_pixel(pixels), pixels, per_image=per_image)
    dice = dice_error(pixels, smooth, per_image=per_image)
    return reduce_images(bce + dice, pixels, reduction, per_image=per_image)


class BCEDiceLoss(nn.Module):
    """`bce_dice_loss` as a module: its options are given once, and kept in `options`."""

    def __init__(
        self, *, reduction: str = "mean", smooth: float = 1.0, per_image: bool = False,
        fused: bool = True,
    ) -> None:  # fmt: skip
        super().__init__()
        self.options: dict[str, Any] = {"reduction": reduction, "smooth": smooth}
        self.options |= {"per_image": per_image, "fused": fused}

    def forward(self, logits: Tensor, target: Tensor, *, mask: Tensor | None = None) -> Tensor:
        """Return `bce_dice_loss` of the logits and the target."""
        return bce_dice_loss(logits, target, mask=mask, **self.options)
