"""Unified focal loss: focal and focal Tversky terms that share one δ and one γ."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from ._fused import Form
from ._loss import LossModule, pooled_loss
from ._valid_pixels import (
    Pixels,
    check_option,
    pixel_mean,
    total,
    weighted_sum,
)
from .focal import focused
from .pooling import pooled
from .tversky import power_of_finite_slope, tversky_error_of_sums

if TYPE_CHECKING:
    from jaxtyping import Float, Shaped


def unified_focal_loss(
    logits: Float[Tensor, "n 1 *spatial"],
    target: Shaped[Tensor, "n 1 *spatial"],
    *,
    mask: Shaped[Tensor, "n 1 *spatial"] | None = None,
    reduction: str = "mean",
    delta: float = 0.6,
    gamma: float = 0.5,
    smooth: float = 1.0,
    symmetric: bool = False,
    focal_weight: float = 0.5,
    per_image: bool = False,
) -> Float[Tensor, "*reduced"]:
    """Unified focal loss: one δ weighs the classes, one γ fades easy pixels and enhances crack.

    λ·aFL_δ + (1−λ)·aFT, with p = σ(z):
    aFL_δ = −mean[δ·t·log p + (1−δ)·p^γ·(1−t)·log(1−p)],
    aFT = ½·[(1 − TI₁)^(1−γ) + (1 − TI₀)], with TI₁ of the crack and TI₀ of the background class
    (of p, t and of 1−p, 1−t), each (TP + s)/(TP + δ·FN + (1−δ)·FP + s) in the class's own counts.
    `symmetric`: δ·(1−p)^γ on the crack term too, and (1 − TI₀)^(1−γ). At γ = 0, δ = ½, λ = ½ it is
    ¼·BCE plus ¼ of the Dice losses (smooth 2s) of both classes.

    Args:
        logits: z, finite, of any floating dtype; computed in float32, float64 for float64.
        target: t in [0, 1], hard or soft, of boolean, integer or floating dtype.
        mask: the valid pixels (boolean, or 0 and 1); the others have no influence, whatever they
            hold. None: all are valid. Where none is valid, the loss is 0.
        reduction: "mean"; with `per_image` also "sum", or "none" (one value per image).
        delta: δ in [0, 1], the weight of crack in the focal term, of false negatives in both TI.
        gamma: γ in [0, 1), the focusing exponent; 1 − γ is that of 1 − TI.
        smooth: s ≥ 0 of both TI.
        symmetric: whether crack fades, and background is enhanced, too.
        focal_weight: λ in [0, 1], the weight of the focal term.
        per_image: False pools both terms over the batch; True makes both per image (the focal term
            a mean over its valid pixels), and the mean is over the images with valid pixels.

    Returns:
        The loss in float32 (float64 for float64): a scalar, or of the shape (N,).

    Raises:
        ValueError: as by `bce_loss`.

    Source: M. Yeung et al., "Unified focal loss", Computerized Medical Imaging and Graphics 2022;
    the paper's equations 8 to 10, L_sUF and L_aUF, where 1−r in (8) is a misprint of 1−γ. The
    authors' code puts λ on the Tversky term, the paper on the focal term, as ours: the same at ½.
    Their smoothing is 1e-7, and they do not pool the batch (`per_image`).

    >>> logits, target = torch.tensor([[[2.0, -1.0, 0.0]]]), torch.tensor([[[1, 0, 0]]])
    >>> unified_focal_loss(logits, target)
    tensor(0.2050)
    >>> unified_focal_loss(logits, target, symmetric=True)
    tensor(0.2580)
    """
    check_option("delta", delta, 0.0, 1.0)
    check_option("gamma", gamma, 0.0, 1.0)
    if gamma == 1:
        raise ValueError("gamma must be below 1: with exponent 1 − γ = 0 the loss is constant.")
    check_option("smooth", smooth, 0.0)
    check_option("focal_weight", focal_weight, 0.0, 1.0)
    form = Form(
        gamma=gamma, crack_fades=float(symmetric), crack=delta, background=1 - delta,
        region=0.5, power=1 - gamma, region_background=0.5,
        power_background=1 - gamma if symmetric else 1.0, delta=delta, smooth=smooth,
    ).weighted(focal_weight)  # fmt: skip

    def formula(pixels: Pixels) -> Tensor:
        focal = weighted_focal_per_pixel(pixels, delta, gamma, symmetric=symmetric)
        region = both_classes_error(
            pixels, delta, gamma, smooth, symmetric=symmetric, per_image=per_image
        )
        return weighted_sum(
            pixel_mean(focal, pixels, per_image=per_image), region, focal_weight
        )  # fmt: skip

    return pooled_loss(formula, form, logits, target, mask, reduction, per_image=per_image)


class UnifiedFocalLoss(LossModule):
    """`unified_focal_loss` as a module, whose options are given once."""

    function = staticmethod(unified_focal_loss)

    def __init__(
        self, *, reduction: str = "mean", delta: float = 0.6, gamma: float = 0.5,
        smooth: float = 1.0, symmetric: bool = False, focal_weight: float = 0.5,
        per_image: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(
            reduction=reduction, delta=delta, gamma=gamma, smooth=smooth, symmetric=symmetric,
            focal_weight=focal_weight, per_image=per_image,
        )  # fmt: skip


def weighted_focal_per_pixel(
    pixels: Pixels, delta: float, gamma: float, *, symmetric: bool
) -> Tensor:
    """−[δ·t·log p + (1−δ)·p^γ·(1−t)·log(1−p)] of each pixel; symmetric: (1−p)^γ on the first."""
    z, t, _ = pixels
    log_crack, log_background = F.logsigmoid(z), F.logsigmoid(-z)
    crack = focused(log_crack, log_background, gamma) if symmetric else log_crack
    background = focused(log_background, log_crack, gamma)
    return -(delta * t * crack + (1 - delta) * (1 - t) * background)


def both_classes_error(
    pixels: Pixels, delta: float, gamma: float, smooth: float, *, symmetric: bool, per_image: bool
) -> Tensor:
    """½·[(1 − TI₁)^(1−γ) + (1 − TI₀)], scalar or per image; symmetric: both to the power."""
    z, t, valid = pixels
    p, not_p = torch.sigmoid(z), torch.sigmoid(-z)
    true_background = not_p * (1 - t)
    if valid is not None:  # an invalid pixel is certain background, which is counted here only
        true_background = torch.where(valid, true_background, 0.0)
    tp, tn, fn, fp = pooled(
        total(p * t, per_image=per_image),
        total(true_background, per_image=per_image),
        total(not_p * t, per_image=per_image),
        total(p * (1 - t), per_image=per_image),
        per_image=per_image,
    )
    crack = tversky_error_of_sums(tp, fn, fp, delta, smooth)
    background = tversky_error_of_sums(tn, fp, fn, delta, smooth)
    crack = power_of_finite_slope(crack, 1 - gamma)
    if symmetric:
        background = power_of_finite_slope(background, 1 - gamma)
    return (crack + background) / 2
