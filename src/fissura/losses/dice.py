"""Dice loss: the overlap of predicted and true crack, whatever the amount of background."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ._fused import Form
from ._loss import LossModule, pooled_loss
from ._valid_pixels import SMALLEST_DENOMINATOR, Pixels, check_option, total
from .pooling import pooled

if TYPE_CHECKING:
    from jaxtyping import Float, Shaped


def dice_loss(
    logits: Float[Tensor, "n 1 *spatial"],
    target: Shaped[Tensor, "n 1 *spatial"],
    *,
    mask: Shaped[Tensor, "n 1 *spatial"] | None = None,
    reduction: str = "mean",
    smooth: float = 1.0,
    squared: bool = False,
    per_image: bool = False,
) -> Float[Tensor, "*reduced"]:
    """Dice loss: one minus the overlap of the predicted and the true crack.

    1 − (2Σpt + s)/(Σp + Σt + s), with p = σ(z) and sums over the valid pixels of the batch;
    `squared`: Σp² + Σt² in the denominator. Linear, it is `tversky_loss` at δ = ½ and smooth s/2.

    Args:
        logits: z, finite, of any floating dtype; computed in float32, float64 for float64.
        target: t in [0, 1], hard or soft, of boolean, integer or floating dtype.
        mask: the valid pixels (boolean, or 0 and 1); the others have no influence, whatever they
            hold. None: all are valid. Where none is valid, the loss is 0.
        reduction: "mean"; with `per_image` also "sum", or "none" (one value per image).
        smooth: s ≥ 0. Above 0, false positives on pure background are punished too.
        squared: Milletari's squares in the denominator.
        per_image: False pools the sums over the batch; True makes one loss per image, and its
            mean is over the images with valid pixels.

    Returns:
        The loss in float32 (float64 for float64): a scalar, or of the shape (N,).

    Raises:
        ValueError: as by `bce_loss`.

    Source: the paper's L_dice, the second half of its equation 1; squared: F. Milletari et al.,
    "V-Net", 3DV 2016, the paper's equation 5. Smoothing 1 as in König et al. 2021.

    >>> logits, target = torch.tensor([[[2.0, -1.0, 0.0]]]), torch.tensor([[[1, 0, 0]]])
    >>> dice_loss(logits, target)
    tensor(0.2433)
    """
    check_option("smooth", smooth, 0.0)
    form = None if squared else Form(focal=0.0, region=1.0, smooth=smooth / 2)

    def formula(pixels: Pixels) -> Tensor:
        return dice_error(pixels, smooth, squared=squared, per_image=per_image)

    return pooled_loss(formula, form, logits, target, mask, reduction, per_image=per_image)


class DiceLoss(LossModule):
    """`dice_loss` as a module, whose options are given once."""

    function = staticmethod(dice_loss)

    def __init__(
        self, *, reduction: str = "mean", smooth: float = 1.0, squared: bool = False,
        per_image: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(reduction=reduction, smooth=smooth, squared=squared, per_image=per_image)


def dice_error(
    pixels: Pixels, smooth: float, *, squared: bool = False, per_image: bool = False
) -> Tensor:
    """1 − Dice as false over all, so that no rounding makes it negative; scalar, or per image."""
    z, t, _ = pixels
    p, not_p = torch.sigmoid(z), torch.sigmoid(-z)
    if squared:
        wrong, all_ = (t * not_p - (1 - t) * p) ** 2, p * p + t * t
    else:
        wrong, all_ = t * not_p + (1 - t) * p, p + t
    above, below = pooled(
        total(wrong, per_image=per_image), total(all_, per_image=per_image), per_image=per_image
    )
    return above / (below + smooth).clamp_min(SMALLEST_DENOMINATOR)
