"""Tversky losses: overlap in which a missed crack pixel may weigh more than a false alarm."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ._fused import Form
from ._loss import LossModule, pooled_loss
from ._valid_pixels import SMALLEST_BASE, SMALLEST_DENOMINATOR, Pixels, check_option, total
from .pooling import pooled

if TYPE_CHECKING:
    from jaxtyping import Float, Shaped


def tversky_loss(
    logits: Float[Tensor, "n 1 *spatial"],
    target: Shaped[Tensor, "n 1 *spatial"],
    *,
    mask: Shaped[Tensor, "n 1 *spatial"] | None = None,
    reduction: str = "mean",
    delta: float = 0.7,
    smooth: float = 1.0,
    per_image: bool = False,
) -> Float[Tensor, "*reduced"]:
    """Tversky loss: Dice loss whose false negatives weigh δ and whose false positives 1 − δ.

    1 − TI, TI = (TP + s)/(TP + δ·FN + (1−δ)·FP + s), with p = σ(z), TP = Σpt, FN = Σ(1−p)t,
    FP = Σp(1−t), over the valid pixels of the batch. At δ = ½ it is `dice_loss` with smooth 2s.

    Args:
        logits: z, finite, of any floating dtype; computed in float32, float64 for float64.
        target: t in [0, 1], hard or soft, of boolean, integer or floating dtype.
        mask: the valid pixels (boolean, or 0 and 1); the others have no influence, whatever they
            hold. None: all are valid. Where none is valid, the loss is 0.
        reduction: "mean"; with `per_image` also "sum", or "none" (one value per image).
        delta: δ in [0, 1], the weight of false negatives: more is found, with more false alarms.
        smooth: s ≥ 0. Above 0, false positives on pure background are punished too.
        per_image: False pools the sums over the batch; True makes one loss per image, and its
            mean is over the images with valid pixels.

    Returns:
        The loss in float32 (float64 for float64): a scalar, or of the shape (N,).

    Raises:
        ValueError: as by `bce_loss`.

    Source: S. Salehi et al., "Tversky loss function for image segmentation using 3D fully
    convolutional deep networks", MLMI 2017; the paper's equation 4, L_Tversky, whose α is our δ and
    whose β is 1 − δ (as in Abraham and Khan 2019; smp and MONAI call the weight of FP alpha), and
    whose smoothing is printed as γ.

    >>> logits, target = torch.tensor([[[2.0, -1.0, 0.0]]]), torch.tensor([[[1, 0, 0]]])
    >>> tversky_loss(logits, target)
    tensor(0.1431)
    """
    check_option("delta", delta, 0.0, 1.0)
    check_option("smooth", smooth, 0.0)
    form = Form(focal=0.0, region=1.0, delta=delta, smooth=smooth)

    def formula(pixels: Pixels) -> Tensor:
        return tversky_error(pixels, delta, smooth, per_image=per_image)

    return pooled_loss(formula, form, logits, target, mask, reduction, per_image=per_image)


class TverskyLoss(LossModule):
    """`tversky_loss` as a module, whose options are given once."""

    function = staticmethod(tversky_loss)

    def __init__(
        self, *, reduction: str = "mean", delta: float = 0.7, smooth: float = 1.0,
        per_image: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(reduction=reduction, delta=delta, smooth=smooth, per_image=per_image)


def focal_tversky_loss(
    logits: Float[Tensor, "n 1 *spatial"],
    target: Shaped[Tensor, "n 1 *spatial"],
    *,
    mask: Shaped[Tensor, "n 1 *spatial"] | None = None,
    reduction: str = "mean",
    delta: float = 0.7,
    gamma: float = 0.75,
    smooth: float = 1.0,
    per_image: bool = False,
) -> Float[Tensor, "*reduced"]:
    """Focal Tversky loss: a power of the Tversky loss, to keep on learning when it is small.

    (1 − TI)^γ, TI = (TP + s)/(TP + δ·FN + (1−δ)·FP + s). It is `tversky_loss` at γ = 1. For γ < 1
    the slope is infinite at TI = 1: the value stays exact there, the gradient finite.

    Args:
        logits: z, finite, of any floating dtype; computed in float32, float64 for float64.
        target: t in [0, 1], hard or soft, of boolean, integer or floating dtype.
        mask: the valid pixels (boolean, or 0 and 1); the others have no influence, whatever they
            hold. None: all are valid. Where none is valid, the loss is 0.
        reduction: "mean"; with `per_image` also "sum", or "none" (one value per image).
        delta: δ in [0, 1], the weight of false negatives: more is found, with more false alarms.
        gamma: γ > 0, the exponent itself (below 1 it enhances small losses).
        smooth: s ≥ 0. Above 0, false positives on pure background are punished too.
        per_image: False pools the sums over the batch; True makes one loss per image, and its
            mean is over the images with valid pixels.

    Returns:
        The loss in float32 (float64 for float64): a scalar, or of the shape (N,).

    Raises:
        ValueError: as by `bce_loss`.

    Source: N. Abraham and N. Khan, "A novel focal Tversky loss function with improved attention
    U-Net for lesion segmentation", ISBI 2019; the paper's equation 6, L_FT. Abraham prints the
    exponent as 1/γ; as in the paper, ours is γ, and its 0.75 their 4/3.

    >>> logits, target = torch.tensor([[[2.0, -1.0, 0.0]]]), torch.tensor([[[1, 0, 0]]])
    >>> focal_tversky_loss(logits, target)
    tensor(0.2327)
    """
    check_focal_tversky_options(delta, gamma, smooth)
    form = Form(focal=0.0, region=1.0, power=gamma, delta=delta, smooth=smooth)

    def formula(pixels: Pixels) -> Tensor:
        return focal_tversky_error(pixels, delta, gamma, smooth, per_image=per_image)

    return pooled_loss(formula, form, logits, target, mask, reduction, per_image=per_image)


class FocalTverskyLoss(LossModule):
    """`focal_tversky_loss` as a module, whose options are given once."""

    function = staticmethod(focal_tversky_loss)

    def __init__(
        self, *, reduction: str = "mean", delta: float = 0.7, gamma: float = 0.75,
        smooth: float = 1.0, per_image: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(
            reduction=reduction, delta=delta, gamma=gamma, smooth=smooth, per_image=per_image,
        )  # fmt: skip


def check_focal_tversky_options(delta: Any, gamma: Any, smooth: Any) -> None:
    """Raise ValueError for options that no focal Tversky term can have."""
    check_option("delta", delta, 0.0, 1.0)
    check_option("gamma", gamma, 0.0)
    if gamma == 0:
        raise ValueError("gamma must be above 0: with exponent 0 the loss would be constant.")
    check_option("smooth", smooth, 0.0)


def focal_tversky_error(
    pixels: Pixels, delta: float, gamma: float, smooth: float, *, per_image: bool = False
) -> Tensor:
    """(1 − TI)^γ of the batch, or of each image."""
    error = tversky_error(pixels, delta, smooth, per_image=per_image)
    return power_of_finite_slope(error, gamma)


def tversky_error(
    pixels: Pixels, delta: float, smooth: float, *, per_image: bool = False
) -> Tensor:
    """1 − TI of the batch, or of each image."""
    z, t, _ = pixels
    p, not_p = torch.sigmoid(z), torch.sigmoid(-z)
    tp, fn, fp = pooled(
        total(p * t, per_image=per_image),
        total(not_p * t, per_image=per_image),
        total(p * (1 - t), per_image=per_image),
        per_image=per_image,
    )
    return tversky_error_of_sums(tp, fn, fp, delta, smooth)


def tversky_error_of_sums(
    tp: Tensor, fn: Tensor, fp: Tensor, delta: float, smooth: float
) -> Tensor:
    """1 − TI as false over all: no rounding makes it negative, whose power would be NaN."""
    wrong = delta * fn + (1 - delta) * fp
    return wrong / (tp + wrong + smooth).clamp_min(SMALLEST_DENOMINATOR)


def power_of_finite_slope(base: Tensor, exponent: float) -> Tensor:
    """base^exponent of base ≥ 0: exact in value, its slope that at SMALLEST_BASE below that."""
    if exponent == 1:
        return base
    if exponent > 1:
        return base**exponent
    slope = exponent * SMALLEST_BASE ** (exponent - 1)
    curve = base.clamp_min(SMALLEST_BASE) ** exponent
    power = torch.where(base <= SMALLEST_BASE, slope * base, curve)
    # The gradient is settled; the difference to the exact value comes as a constant.
    return power + (base.detach() ** exponent - power.detach())
