"""BCE plus Dice: the baseline of crack segmentation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from ._fused import Form
from ._loss import LossModule, pooled_loss
from ._valid_pixels import Pixels, check_option, pixel_mean
from .cross_entropy import bce_per_pixel
from .dice import dice_error

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
) -> Float[Tensor, "*reduced"]:
    """BCE + Dice: cross-entropy for a smooth start, overlap against the imbalance.

    −mean[t·log p + (1−t)·log(1−p)] + 1 − (2Σpt + s)/(Σp + Σt + s), with p = σ(z): the sum of
    `bce_loss` and `dice_loss`.

    Args:
        logits: z, finite, of any floating dtype; computed in float32, float64 for float64.
        target: t in [0, 1], hard or soft, of boolean, integer or floating dtype.
        mask: the valid pixels (boolean, or 0 and 1); the others have no influence, whatever they
            hold. None: all are valid. Where none is valid, the loss is 0.
        reduction: "mean"; with `per_image` also "sum", or "none" (one value per image).
        smooth: s ≥ 0 of the Dice term. Above 0, false positives on pure background count there too.
        per_image: False pools both terms over the batch; True makes both per image (the BCE a mean
            over its valid pixels), and the mean is over the images with valid pixels.

    Returns:
        The loss in float32 (float64 for float64): a scalar, or of the shape (N,).

    Raises:
        ValueError: as by `bce_loss`.

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

    def formula(pixels: Pixels) -> Tensor:
        bce = pixel_mean(bce_per_pixel(pixels), pixels, per_image=per_image)
        return bce + dice_error(pixels, smooth, per_image=per_image)

    return pooled_loss(formula, form, logits, target, mask, reduction, per_image=per_image)


class BCEDiceLoss(LossModule):
    """`bce_dice_loss` as a module, whose options are given once."""

    function = staticmethod(bce_dice_loss)

    def __init__(
        self, *, reduction: str = "mean", smooth: float = 1.0, per_image: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(reduction=reduction, smooth=smooth, per_image=per_image)
