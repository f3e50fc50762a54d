"""Hybrid focal loss: a focal loss plus the focal Tversky loss."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from ._fused import Form
from ._loss import LossModule, pooled_loss
from ._valid_pixels import (
    Pixels,
    check_focal_weight,
    check_option,
    pixel_mean,
    weighted_sum,
)
from .focal import asymmetric_focal_per_pixel, focal_per_pixel
from .tversky import check_focal_tversky_options, focal_tversky_error

if TYPE_CHECKING:
    from jaxtyping import Float, Shaped


def hybrid_focal_loss(
    logits: Float[Tensor, "n 1 *spatial"],
    target: Shaped[Tensor, "n 1 *spatial"],
    *,
    mask: Shaped[Tensor, "n 1 *spatial"] | None = None,
    reduction: str = "mean",
    gamma_hat: float = 2.0,
    delta: float = 0.7,
    gamma: float = 0.75,
    smooth: float = 1.0,
    symmetric: bool = False,
    focal_weight: float | None = None,
    per_image: bool = False,
) -> Float[Tensor, "*reduced"]:
    """Hybrid focal loss: focal loss for each pixel, focal Tversky loss for the overlap.

    aFL + FT = −mean[t·log p + p^γ̂·(1−t)·log(1−p)] + (1 − TI)^γ: the sum of `asymmetric_focal_loss`
    and `focal_tversky_loss`. `symmetric` takes `focal_loss` (FL) for aFL; a `focal_weight` λ makes
    it λ·aFL + (1−λ)·FT. At γ̂ = 0, δ = ½, γ = 1 it is `bce_dice_loss` with smooth 2s.

    Args:
        logits: z, finite, of any floating dtype; computed in float32, float64 for float64.
        target: t in [0, 1], hard or soft, of boolean, integer or floating dtype.
        mask: the valid pixels (boolean, or 0 and 1); the others have no influence, whatever they
            hold. None: all are valid. Where none is valid, the loss is 0.
        reduction: "mean"; with `per_image` also "sum", or "none" (one value per image).
        gamma_hat: γ̂ ≥ 0, the focusing exponent of the focal term.
        delta: δ in [0, 1], the weight of false negatives in TI.
        gamma: γ > 0, the exponent of 1 − TI.
        smooth: s ≥ 0 of TI. Above 0, false positives on pure background are punished there too.
        symmetric: whether easy crack pixels fade too.
        focal_weight: λ in [0, 1]; None is the plain sum.
        per_image: False pools both terms over the batch; True makes both per image (the focal term
            a mean over its valid pixels), and the mean is over the images with valid pixels.

    Returns:
        The loss in float32 (float64 for float64): a scalar, or of the shape (N,).

    Raises:
        ValueError: as by `bce_loss`.

    Source: the paper's equation 15 (plain, asymmetric) and, symmetric with λ, its equation 7, after
    M. Yeung et al., "Focus U-Net", Computers in Biology and Medicine 2021. No δ in the focal term.

    >>> import torch
    >>> logits, target = torch.tensor([[[2.0, -1.0, 0.0]]]), torch.tensor([[[1, 0, 0]]])
    >>> hybrid_focal_loss(logits, target)
    tensor(0.3403)
    >>> hybrid_focal_loss(logits, target, symmetric=True, focal_weight=0.5)
    tensor(0.1493)
    """
    check_option("gamma_hat", gamma_hat, 0.0)
    check_focal_tversky_options(delta, gamma, smooth)
    check_focal_weight(focal_weight)
    form = Form(gamma=gamma_hat, crack_fades=float(symmetric), region=1.0, power=gamma, delta=delta,
                smooth=smooth).weighted(focal_weight)  # fmt: skip

    def formula(pixels: Pixels) -> Tensor:
        per_pixel = focal_per_pixel if symmetric else asymmetric_focal_per_pixel
        focal = pixel_mean(per_pixel(pixels, gamma_hat), pixels, per_image=per_image)
        tversky = focal_tversky_error(pixels, delta, gamma, smooth, per_image=per_image)
        return weighted_sum(focal, tversky, focal_weight)

    return pooled_loss(formula, form, logits, target, mask, reduction, per_image=per_image)


class HybridFocalLoss(LossModule):
    """`hybrid_focal_loss` as a module, whose options are given once."""

    function = staticmethod(hybrid_focal_loss)

    def __init__(
        self, *, reduction: str = "mean", gamma_hat: float = 2.0, delta: float = 0.7,
        gamma: float = 0.75, smooth: float = 1.0, symmetric: bool = False,
        focal_weight: float | None = None, per_image: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(
            reduction=reduction, gamma_hat=gamma_hat, delta=delta, gamma=gamma, smooth=smooth,
            symmetric=symmetric, focal_weight=focal_weight, per_image=per_image,
        )  # fmt: skip
