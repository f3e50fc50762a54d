"""Sums of an entropy and an overlap loss, of several classes of which each pixel has one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from torch import Tensor

from .._loss import LossModule
from .._valid_pixels import Pixels, check_focal_weight, check_option, pixel_mean, weighted_sum
from ..tversky import check_focal_tversky_options
from ._class_pixels import (
    check_entropy_options,
    class_loss,
    entropy_per_pixel,
    foreground,
    raised,
    rare_classes,
    tversky_errors,
)

if TYPE_CHECKING:
    from jaxtyping import Float, Shaped


def softmax_cross_entropy_dice_loss(
    logits: Float[Tensor, "n c *spatial"],
    target: Shaped[Tensor, "n k *spatial"],
    *,
    mask: Shaped[Tensor, "n 1 *spatial"] | None = None,
    reduction: str = "mean",
    smooth: float = 1.0,
    per_image: bool = False,
) -> Float[Tensor, "*reduced"]:
    """Cross-entropy plus Dice of several classes.

    CE + Dice: the sum of `softmax_cross_entropy_loss` and `softmax_dice_loss`. With two classes it
    is `bce_dice_loss` of z₁ − z₀.

    Args:
        logits: z, finite, (N, C, *spatial) of any floating dtype, channel 0 that of the background;
            computed in float32, float64 for float64.
        target: classes 0 … C − 1 as integers (N, 1, *spatial); or t, soft, of the shape of the
            logits, adding up to 1 over the classes.
        mask: the valid pixels (N, 1, *spatial), boolean, or 0 and 1; the others have no influence,
            whatever they hold. None: all are valid. Where none is valid, the loss is 0.
        reduction: "mean"; with `per_image` also "sum", or "none" (one value per image).
        smooth: s ≥ 0. Above 0, false positives where a class is absent are punished too.
        per_image: False pools both terms over the batch; True makes both per image, and the mean
            is over the images with valid pixels.

    Returns:
        The loss in float32 (float64 for float64): a scalar, or of the shape (N,).

    Raises:
        ValueError: for other shapes, dtypes and options, and for targets that are no classes.

    Source: the paper's equation 1, L_bcedice, over its classes c.

    >>> import torch
    >>> logits = torch.tensor([[[0.0, 0.0, 0.0], [2.0, -1.0, 0.0], [0.0, 1.0, -1.0]]])
    >>> target = torch.tensor([[[1, 0, 2]]])
    >>> softmax_cross_entropy_dice_loss(logits, target)
    tensor(1.9418)
    """
    check_option("smooth", smooth, 0.0)

    def formula(pixels: Pixels) -> Tensor:
        entropy = pixel_mean(entropy_per_pixel(pixels), pixels, per_image=per_image)
        errors = tversky_errors(pixels, 0.5, smooth / 2, per_image=per_image)
        return entropy + foreground(list(errors.unbind(-1)))

    return class_loss(formula, logits, target, mask, reduction, pooled=True, per_image=per_image)


class SoftmaxCrossEntropyDiceLoss(LossModule):
    """`softmax_cross_entropy_dice_loss` as a module, whose options are given once."""

    function = staticmethod(softmax_cross_entropy_dice_loss)

    def __init__(
        self, *, reduction: str = "mean", smooth: float = 1.0, per_image: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(reduction=reduction, smooth=smooth, per_image=per_image)


def softmax_hybrid_focal_loss(
    logits: Float[Tensor, "n c *spatial"],
    target: Shaped[Tensor, "n k *spatial"],
    *,
    mask: Shaped[Tensor, "n 1 *spatial"] | None = None,
    reduction: str = "mean",
    rare: Sequence[int] | None = None,
    gamma_hat: float = 2.0,
    delta: float = 0.7,
    gamma: float = 0.75,
    smooth: float = 1.0,
    symmetric: bool = False,
    focal_weight: float | None = None,
    per_image: bool = False,
) -> Float[Tensor, "*reduced"]:
    """Hybrid focal loss of several classes: focal plus focal Tversky.

    aFL + FT: the sum of `softmax_asymmetric_focal_loss` and `softmax_focal_tversky_loss`.
    `symmetric` takes `softmax_focal_loss` for aFL; a `focal_weight` λ makes it λ·aFL + (1−λ)·FT.
    With two classes it is `hybrid_focal_loss` of z₁ − z₀.

    Args:
        logits: z, finite, (N, C, *spatial) of any floating dtype, channel 0 that of the background;
            computed in float32, float64 for float64.
        target: classes 0 … C − 1 as integers (N, 1, *spatial); or t, soft, of the shape of the
            logits, adding up to 1 over the classes.
        mask: the valid pixels (N, 1, *spatial), boolean, or 0 and 1; the others have no influence,
            whatever they hold. None: all are valid. Where none is valid, the loss is 0.
        reduction: "mean"; with `per_image` also "sum", or "none" (one value per image).
        rare: R, numbers of the rare classes; None: all but the background, 0.
        gamma_hat: γ̂ ≥ 0, the focusing exponent.
        delta: δ in [0, 1], the weight of false negatives in TI_c.
        gamma: γ > 0, the exponent of 1 − TI_c.
        smooth: s ≥ 0. Above 0, false positives where a class is absent are punished too.
        symmetric: whether all classes fade, and all are raised to γ.
        focal_weight: λ in [0, 1]; None is the plain sum.
        per_image: False pools both terms over the batch; True makes both per image, and the mean
            is over the images with valid pixels.

    Returns:
        The loss in float32 (float64 for float64): a scalar, or of the shape (N,).

    Raises:
        ValueError: for other shapes, dtypes and options, and for targets that are no classes.

    Source: the paper's equations 15 and 7, L_HF, over its classes c.

    >>> import torch
    >>> logits = torch.tensor([[[0.0, 0.0, 0.0], [2.0, -1.0, 0.0], [0.0, 1.0, -1.0]]])
    >>> target = torch.tensor([[[1, 0, 2]]])
    >>> softmax_hybrid_focal_loss(logits, target)
    tensor(1.7209)
    >>> softmax_hybrid_focal_loss(logits, target, symmetric=True, focal_weight=0.5)
    tensor(0.7334)
    """
    return softmax_hybrid_focal_margin_loss(
        logits, target, mask=mask, reduction=reduction, rare=rare, gamma_hat=gamma_hat,
        delta=delta, gamma=gamma, margin=0.0, smooth=smooth, symmetric=symmetric,
        focal_weight=focal_weight, per_image=per_image,
    )  # fmt: skip


class SoftmaxHybridFocalLoss(LossModule):
    """`softmax_hybrid_focal_loss` as a module, whose options are given once."""

    function = staticmethod(softmax_hybrid_focal_loss)

    def __init__(
        self, *, reduction: str = "mean", rare: Sequence[int] | None = None, gamma_hat: float = 2.0,
        delta: float = 0.7, gamma: float = 0.75, smooth: float = 1.0, symmetric: bool = False,
        focal_weight: float | None = None, per_image: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(
            reduction=reduction,
            rare=rare,
            gamma_hat=gamma_hat,
            delta=delta,
            gamma=gamma,
            smooth=smooth,
            symmetric=symmetric,
            focal_weight=focal_weight,
            per_image=per_image,
        )


def softmax_hybrid_focal_margin_loss(
    logits: Float[Tensor, "n c *spatial"],
    target: Shaped[Tensor, "n k *spatial"],
    *,
    mask: Shaped[Tensor, "n 1 *spatial"] | None = None,
    reduction: str = "mean",
    rare: Sequence[int] | None = None,
    gamma_hat: float = 2.0,
    delta: float = 0.7,
    gamma: float = 0.75,
    margin: float = 0.5,
    smooth: float = 1.0,
    symmetric: bool = False,
    focal_weight: float | None = None,
    per_image: bool = False,
) -> Float[Tensor, "*reduced"]:
    """Hybrid focal margin loss of several classes, of which some are rare.

    aFM + FT: the sum of `softmax_asymmetric_focal_margin_loss` and `softmax_focal_tversky_loss`.
    `symmetric` takes `softmax_focal_margin_loss` for aFM; a `focal_weight` λ makes it
    λ·aFM + (1−λ)·FT. At m = 0 it is `softmax_hybrid_focal_loss`. With two classes it is
    `hybrid_focal_margin_loss` of z₁ − z₀.

    Args:
        logits: z, finite, (N, C, *spatial) of any floating dtype, channel 0 that of the background;
            computed in float32, float64 for float64.
        target: classes 0 … C − 1 as integers (N, 1, *spatial); or t, soft, of the shape of the
            logits, adding up to 1 over the classes.
        mask: the valid pixels (N, 1, *spatial), boolean, or 0 and 1; the others have no influence,
            whatever they hold. None: all are valid. Where none is valid, the loss is 0.
        reduction: "mean"; with `per_image` also "sum", or "none" (one value per image).
        rare: R, numbers of the rare classes; None: all but the background, 0.
        gamma_hat: γ̂ ≥ 0, the focusing exponent.
        delta: δ in [0, 1], the weight of false negatives in TI_c.
        gamma: γ > 0, the exponent of 1 − TI_c.
        margin: m ≥ 0, in logits; see `recommended_margin`.
        smooth: s ≥ 0. Above 0, false positives where a class is absent are punished too.
        symmetric: whether all classes fade and have a margin, and all are raised to γ.
        focal_weight: λ in [0, 1]; None is the plain sum.
        per_image: False pools both terms over the batch; True makes both per image, and the mean
            is over the images with valid pixels.

    Returns:
        The loss in float32 (float64 for float64): a scalar, or of the shape (N,).

    Raises:
        ValueError: for other shapes, dtypes and options, and for targets that are no classes.

    Source: the paper's equations 14, L_ours, and 13, L_sHFM, over its classes c, with a set of rare
    classes as in Li et al. 2019. TI_c sees the unshifted p_c.

    >>> import torch
    >>> logits = torch.tensor([[[0.0, 0.0, 0.0], [2.0, -1.0, 0.0], [0.0, 1.0, -1.0]]])
    >>> target = torch.tensor([[[1, 0, 2]]])
    >>> softmax_hybrid_focal_margin_loss(logits, target)
    tensor(1.9097)
    >>> softmax_hybrid_focal_margin_loss(logits, target, margin=1.5, rare=[2])
    tensor(2.0119)
    """
    check_entropy_options(gamma_hat, margin)
    check_focal_tversky_options(delta, gamma, smooth)
    check_focal_weight(focal_weight)

    def formula(pixels: Pixels) -> Tensor:
        every = set(range(pixels.z.shape[1]))
        rare_ = rare_classes(rare, len(every))
        focal = entropy_per_pixel(
            pixels,
            gamma_hat=gamma_hat,
            margin=margin,
            fading=every if symmetric else every - rare_,
            shifted=every if symmetric else rare_,
        )
        errors = tversky_errors(pixels, delta, smooth, per_image=per_image)
        region = foreground(raised(errors, gamma, every if symmetric else rare_))
        return weighted_sum(pixel_mean(focal, pixels, per_image=per_image), region, focal_weight)

    return class_loss(formula, logits, target, mask, reduction, pooled=True, per_image=per_image)


class SoftmaxHybridFocalMarginLoss(LossModule):
    """`softmax_hybrid_focal_margin_loss` as a module, whose options are given once."""

    function = staticmethod(softmax_hybrid_focal_margin_loss)

    def __init__(
        self, *, reduction: str = "mean", rare: Sequence[int] | None = None, gamma_hat: float = 2.0,
        delta: float = 0.7, gamma: float = 0.75, margin: float = 0.5, smooth: float = 1.0,
        symmetric: bool = False, focal_weight: float | None = None, per_image: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(
            reduction=reduction,
            rare=rare,
            gamma_hat=gamma_hat,
            delta=delta,
            gamma=gamma,
            margin=margin,
            smooth=smooth,
            symmetric=symmetric,
            focal_weight=focal_weight,
            per_image=per_image,
        )
