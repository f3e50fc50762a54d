"""Margin and focal margin losses of several classes, of which each pixel has one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from torch import Tensor

from .._loss import LossModule
from .._valid_pixels import Pixels, check_option
from ._class_pixels import (
    check_entropy_options,
    class_loss,
    entropy_per_pixel,
    rare_classes,
)

if TYPE_CHECKING:
    from jaxtyping import Float, Shaped


def softmax_asymmetric_large_margin_loss(
    logits: Float[Tensor, "n c *spatial"],
    target: Shaped[Tensor, "n k *spatial"],
    *,
    mask: Shaped[Tensor, "n 1 *spatial"] | None = None,
    reduction: str = "mean",
    rare: Sequence[int] | None = None,
    margin: float = 0.5,
) -> Float[Tensor, "*reduced"]:
    """Asymmetric large-margin loss of several classes: rare ones must be right by a margin.

    −mean[Σ_{c∈R} t_c·log p̂_c + Σ_{c∉R} t_c·log p_c], with p = softmax(z) and p̂_c the same after m
    was subtracted from z_c alone. It is `softmax_cross_entropy_loss` at m = 0. With two classes it
    is `asymmetric_large_margin_loss` of z₁ − z₀.

    Args:
        logits: z, finite, (N, C, *spatial) of any floating dtype, channel 0 that of the background;
            computed in float32, float64 for float64.
        target: classes 0 … C − 1 as integers (N, 1, *spatial); or t, soft, of the shape of the
            logits, adding up to 1 over the classes.
        mask: the valid pixels (N, 1, *spatial), boolean, or 0 and 1; the others have no influence,
            whatever they hold. None: all are valid. Where none is valid, the loss is 0.
        reduction: "mean" over the valid pixels, "sum", or "none" (per pixel, 0 where invalid).
        rare: R, numbers of the rare classes; None: all but the background, 0.
        margin: m ≥ 0, in logits; see `recommended_margin`.

    Returns:
        The loss in float32 (float64 for float64): a scalar, or of the shape
        (N, 1, *spatial).

    Raises:
        ValueError: for other shapes, dtypes and options, and for targets that are no classes.

    Source: Z. Li et al., "Overfitting of neural nets under class imbalance", MICCAI 2019: the logit
    of the rare class less m where it is the true one; the paper's equation 3, L_aM. Ours takes a
    set R.

    >>> import torch
    >>> logits = torch.tensor([[[0.0, 0.0, 0.0], [2.0, -1.0, 0.0], [0.0, 1.0, -1.0]]])
    >>> target = torch.tensor([[[1, 0, 2]]])
    >>> softmax_asymmetric_large_margin_loss(logits, target)
    tensor(1.3585)
    >>> softmax_asymmetric_large_margin_loss(logits, target, rare=[2])
    tensor(1.3154)
    """
    check_option("margin", margin, 0.0)

    def formula(pixels: Pixels) -> Tensor:
        shifted = rare_classes(rare, pixels.z.shape[1])
        return entropy_per_pixel(pixels, margin=margin, shifted=shifted)

    return class_loss(formula, logits, target, mask, reduction)


class SoftmaxAsymmetricLargeMarginLoss(LossModule):
    """`softmax_asymmetric_large_margin_loss` as a module, whose options are given once."""

    function = staticmethod(softmax_asymmetric_large_margin_loss)

    def __init__(
        self, *, reduction: str = "mean", rare: Sequence[int] | None = None, margin: float = 0.5,
    ) -> None:  # fmt: skip
        super().__init__(reduction=reduction, rare=rare, margin=margin)


def softmax_asymmetric_focal_margin_loss(
    logits: Float[Tensor, "n c *spatial"],
    target: Shaped[Tensor, "n k *spatial"],
    *,
    mask: Shaped[Tensor, "n 1 *spatial"] | None = None,
    reduction: str = "mean",
    rare: Sequence[int] | None = None,
    gamma_hat: float = 2.0,
    margin: float = 0.5,
) -> Float[Tensor, "*reduced"]:
    """Asymmetric focal margin loss of several classes: the two for a set of rare ones.

    −mean[Σ_{c∈R} t_c·log p̂_c + Σ_{c∉R} (1−p_c)^γ̂·t_c·log p_c], with p = softmax(z) and p̂_c the
    same after m was subtracted from z_c alone. It is `softmax_asymmetric_focal_loss` at m = 0,
    `softmax_asymmetric_large_margin_loss` at γ̂ = 0. With two classes it is
    `asymmetric_focal_margin_loss` of z₁ − z₀.

    Args:
        logits: z, finite, (N, C, *spatial) of any floating dtype, channel 0 that of the background;
            computed in float32, float64 for float64.
        target: classes 0 … C − 1 as integers (N, 1, *spatial); or t, soft, of the shape of the
            logits, adding up to 1 over the classes.
        mask: the valid pixels (N, 1, *spatial), boolean, or 0 and 1; the others have no influence,
            whatever they hold. None: all are valid. Where none is valid, the loss is 0.
        reduction: "mean" over the valid pixels, "sum", or "none" (per pixel, 0 where invalid).
        rare: R, numbers of the rare classes; None: all but the background, 0.
        gamma_hat: γ̂ ≥ 0, the focusing exponent.
        margin: m ≥ 0, in logits; see `recommended_margin`.

    Returns:
        The loss in float32 (float64 for float64): a scalar, or of the shape
        (N, 1, *spatial).

    Raises:
        ValueError: for other shapes, dtypes and options, and for targets that are no classes.

    Source: the paper's equation 11, L_aFM, over its classes c, with the rare ones as in Li et al.
    2019 (see `softmax_asymmetric_large_margin_loss`).

    >>> import torch
    >>> logits = torch.tensor([[[0.0, 0.0, 0.0], [2.0, -1.0, 0.0], [0.0, 1.0, -1.0]]])
    >>> target = torch.tensor([[[1, 0, 2]]])
    >>> softmax_asymmetric_focal_margin_loss(logits, target)
    tensor(1.1569)
    >>> softmax_asymmetric_focal_margin_loss(logits, target, rare=[2])
    tensor(1.0376)
    """
    check_entropy_options(gamma_hat, margin)

    def formula(pixels: Pixels) -> Tensor:
        rare_ = rare_classes(rare, pixels.z.shape[1])
        return entropy_per_pixel(
            pixels,
            gamma_hat=gamma_hat,
            margin=margin,
            fading=set(range(pixels.z.shape[1])) - rare_,
            shifted=rare_,
        )

    return class_loss(formula, logits, target, mask, reduction)


class SoftmaxAsymmetricFocalMarginLoss(LossModule):
    """`softmax_asymmetric_focal_margin_loss` as a module, whose options are given once."""

    function = staticmethod(softmax_asymmetric_focal_margin_loss)

    def __init__(
        self, *, reduction: str = "mean", rare: Sequence[int] | None = None, gamma_hat: float = 2.0,
        margin: float = 0.5,
    ) -> None:  # fmt: skip
        super().__init__(reduction=reduction, rare=rare, gamma_hat=gamma_hat, margin=margin)


def softmax_focal_margin_loss(
    logits: Float[Tensor, "n c *spatial"],
    target: Shaped[Tensor, "n k *spatial"],
    *,
    mask: Shaped[Tensor, "n 1 *spatial"] | None = None,
    reduction: str = "mean",
    gamma_hat: float = 2.0,
    margin: float = 0.5,
) -> Float[Tensor, "*reduced"]:
    """Focal margin loss of several classes: all fade, and must be right by a margin.

    −mean[Σ_c (1−p_c)^γ̂·t_c·log p̂_c], with p = softmax(z) and p̂_c the same after m was subtracted
    from z_c alone. It is `softmax_focal_loss` at m = 0. With two classes it is `focal_margin_loss`
    of z₁ − z₀.

    Args:
        logits: z, finite, (N, C, *spatial) of any floating dtype, channel 0 that of the background;
            computed in float32, float64 for float64.
        target: classes 0 … C − 1 as integers (N, 1, *spatial); or t, soft, of the shape of the
            logits, adding up to 1 over the classes.
        mask: the valid pixels (N, 1, *spatial), boolean, or 0 and 1; the others have no influence,
            whatever they hold. None: all are valid. Where none is valid, the loss is 0.
        reduction: "mean" over the valid pixels, "sum", or "none" (per pixel, 0 where invalid).
        gamma_hat: γ̂ ≥ 0, the focusing exponent.
        margin: m ≥ 0, in logits; see `recommended_margin`.

    Returns:
        The loss in float32 (float64 for float64): a scalar, or of the shape
        (N, 1, *spatial).

    Raises:
        ValueError: for other shapes, dtypes and options, and for targets that are no classes.

    Source: the paper's equation 12, L_FM, over its classes c.

    >>> import torch
    >>> logits = torch.tensor([[[0.0, 0.0, 0.0], [2.0, -1.0, 0.0], [0.0, 1.0, -1.0]]])
    >>> target = torch.tensor([[[1, 0, 2]]])
    >>> softmax_focal_margin_loss(logits, target)
    tensor(0.8957)
    """
    check_entropy_options(gamma_hat, margin)

    def formula(pixels: Pixels) -> Tensor:
        return entropy_per_pixel(pixels, gamma_hat=gamma_hat, margin=margin)

    return class_loss(formula, logits, target, mask, reduction)


class SoftmaxFocalMarginLoss(LossModule):
    """`softmax_focal_margin_loss` as a module, whose options are given once."""

    function = staticmethod(softmax_focal_margin_loss)

    def __init__(
        self, *, reduction: str = "mean", gamma_hat: float = 2.0, margin: float = 0.5,
    ) -> None:  # fmt: skip
        super().__init__(reduction=reduction, gamma_hat=gamma_hat, margin=margin)
