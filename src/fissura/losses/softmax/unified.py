"""Unified focal loss of several classes, of which each pixel has one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from .._loss import LossModule
from .._valid_pixels import Pixels, check_option, pixel_mean, weighted_sum
from ._class_pixels import class_loss, entropy_per_pixel, raised, rare_classes, tversky_errors

if TYPE_CHECKING:
    from jaxtyping import Float, Shaped


def softmax_unified_focal_loss(
    logits: Float[Tensor, "n c *spatial"],
    target: Shaped[Tensor, "n k *spatial"],
    *,
    mask: Shaped[Tensor, "n 1 *spatial"] | None = None,
    reduction: str = "mean",
    rare: Sequence[int] | None = None,
    delta: float = 0.6,
    gamma: float = 0.5,
    smooth: float = 1.0,
    symmetric: bool = False,
    focal_weight: float = 0.5,
    per_image: bool = False,
) -> Float[Tensor, "*reduced"]:
    """Unified focal loss of several classes: both terms governed by one δ and one γ.

    λ·FL_δ + (1−λ)·mean_c (1 − TI_c)^e_c over all C classes, with p = softmax(z), TI_c as in
    `softmax_tversky_loss`, and FL_δ = −mean[Σ_{c∈R} δ·t_c·log p_c + Σ_{c∉R} (1−δ)·(1−p_c)^γ·t_c·log
    p_c]; e_c = 1 − γ of rare classes, 1 of the others. `symmetric`: rare classes fade by (1−p_c)^γ,
    too, and e_c = 1 − γ of all. With two classes it is `unified_focal_loss` of z₁ − z₀.

    Args:
        logits: z, finite, (N, C, *spatial) of any floating dtype, channel 0 that of the background;
            computed in float32, float64 for float64.
        target: classes 0 … C − 1 as integers (N, 1, *spatial); or t, soft, of the shape of the
            logits, adding up to 1 over the classes.
        mask: the valid pixels (N, 1, *spatial), boolean, or 0 and 1; the others have no influence,
            whatever they hold. None: all are valid. Where none is valid, the loss is 0.
        reduction: "mean"; with `per_image` also "sum", or "none" (one value per image).
        rare: R, numbers of the rare classes; None: all but the background, 0.
        delta: δ in [0, 1], the weight of rare classes in FL_δ, of false negatives in TI_c.
        gamma: γ in [0, 1), the focusing exponent; 1 − γ is that of 1 − TI_c.
        smooth: s ≥ 0. Above 0, false positives where a class is absent are punished too.
        symmetric: whether rare classes fade, and all are enhanced, too.
        focal_weight: λ in [0, 1], the weight of the focal term.
        per_image: False pools both terms over the batch; True makes both per image, and the mean
            is over the images with valid pixels.

    Returns:
        The loss in float32 (float64 for float64): a scalar, or of the shape (N,).

    Raises:
        ValueError: for other shapes, dtypes and options, and for targets that are no classes.

    Source: M. Yeung et al., "Unified focal loss", Computerized Medical Imaging and Graphics 2022;
    the paper's equations 8 to 10, L_sUF and L_aUF, whose sums are over all classes, the background
    too.

    >>> import torch
    >>> logits = torch.tensor([[[0.0, 0.0, 0.0], [2.0, -1.0, 0.0], [0.0, 1.0, -1.0]]])
    >>> target = torch.tensor([[[1, 0, 2]]])
    >>> softmax_unified_focal_loss(logits, target)
    tensor(0.5230)
    >>> softmax_unified_focal_loss(logits, target, symmetric=True)
    tensor(0.5353)
    """
    check_option("delta", delta, 0.0, 1.0)
    check_option("gamma", gamma, 0.0, 1.0)
    if gamma == 1:
        raise ValueError("gamma must be below 1: with exponent 1 − γ = 0 the loss is constant.")
    check_option("smooth", smooth, 0.0)
    check_option("focal_weight", focal_weight, 0.0, 1.0)

    def formula(pixels: Pixels) -> Tensor:
        every = set(range(pixels.z.shape[1]))
        rare_ = rare_classes(rare, len(every))
        focal = entropy_per_pixel(
            pixels,
            gamma_hat=gamma,
            fading=every if symmetric else every - rare_,
            weights=[delta if c in rare_ else 1 - delta for c in sorted(every)],
        )
        errors = tversky_errors(pixels, delta, smooth, per_image=per_image)
        powers = raised(errors, 1 - gamma, every if symmetric else rare_)
        region = torch.stack(powers).mean(0)
        return weighted_sum(pixel_mean(focal, pixels, per_image=per_image), region, focal_weight)

    return class_loss(formula, logits, target, mask, reduction, pooled=True, per_image=per_image)


class SoftmaxUnifiedFocalLoss(LossModule):
    """`softmax_unified_focal_loss` as a module, whose options are given once."""

    function = staticmethod(softmax_unified_focal_loss)

    def __init__(
        self, *, reduction: str = "mean", rare: Sequence[int] | None = None, delta: float = 0.6,
        gamma: float = 0.5, smooth: float = 1.0, symmetric: bool = False, focal_weight: float = 0.5,
        per_image: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(
            reduction=reduction,
            rare=rare,
            delta=delta,
            gamma=gamma,
            smooth=smooth,
            symmetric=symmetric,
            focal_weight=focal_weight,
            per_image=per_image,
        )
