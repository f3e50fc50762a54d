"""Focal losses: pixels that are already right count less, by a power of their error."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from ._fused import Form
from ._loss import LossModule, pixel_loss
from ._valid_pixels import Pixels, check_option

if TYPE_CHECKING:
    from jaxtyping import Float, Shaped


def focal_loss(
    logits: Float[Tensor, "n 1 *spatial"],
    target: Shaped[Tensor, "n 1 *spatial"],
    *,
    mask: Shaped[Tensor, "n 1 *spatial"] | None = None,
    reduction: str = "mean",
    gamma_hat: float = 2.0,
) -> Float[Tensor, "*reduced"]:
    """Focal loss: cross-entropy that fades for pixels of either class that are already right.

    −mean[(1−p)^γ̂·t·log p + p^γ̂·(1−t)·log(1−p)], with p = σ(z). It is `bce_loss` at γ̂ = 0.

    Args:
        logits: z, finite, of any floating dtype; computed in float32, float64 for float64.
        target: t in [0, 1], hard or soft, of boolean, integer or floating dtype.
        mask: the valid pixels (boolean, or 0 and 1); the others have no influence, whatever they
            hold. None: all are valid. Where none is valid, the loss is 0.
        reduction: "mean" over the valid pixels, "sum", or "none" (per pixel, 0 where invalid).
        gamma_hat: γ̂ ≥ 0, the focusing exponent.

    Returns:
        The loss in float32 (float64 for float64): a scalar, or of the shape of the logits.

    Raises:
        ValueError: as by `bce_loss`.

    Source: T.-Y. Lin et al., "Focal loss for dense object detection", ICCV 2017, equation 4; the
    paper's L_FL. No α, the weight of the classes, of Lin's equation 5. For soft targets the factor
    belongs to each of the two terms, where torchvision and smp take one factor per pixel.

    >>> logits, target = torch.tensor([[[2.0, -1.0, 0.0]]]), torch.tensor([[[1, 0, 0]]])
    >>> focal_loss(logits, target)
    tensor(0.0659)
    """
    check_option("gamma_hat", gamma_hat, 0.0)
    form = Form(gamma=gamma_hat, crack_fades=1.0)

    def formula(pixels: Pixels) -> Tensor:
        return focal_per_pixel(pixels, gamma_hat)

    return pixel_loss(formula, form, logits, target, mask, reduction)


class FocalLoss(LossModule):
    """`focal_loss` as a module, whose options are given once."""

    function = staticmethod(focal_loss)

    def __init__(self, *, reduction: str = "mean", gamma_hat: float = 2.0) -> None:
        super().__init__(reduction=reduction, gamma_hat=gamma_hat)


def asymmetric_focal_loss(
    logits: Float[Tensor, "n 1 *spatial"],
    target: Shaped[Tensor, "n 1 *spatial"],
    *,
    mask: Shaped[Tensor, "n 1 *spatial"] | None = None,
    reduction: str = "mean",
    gamma_hat: float = 2.0,
) -> Float[Tensor, "*reduced"]:
    """Asymmetric focal loss: only the background fades, every crack pixel keeps its full weight.

    −mean[t·log p + p^γ̂·(1−t)·log(1−p)], with p = σ(z). It is `bce_loss` at γ̂ = 0.

    Args:
        logits: z, finite, of any floating dtype; computed in float32, float64 for float64.
        target: t in [0, 1], hard or soft, of boolean, integer or floating dtype.
        mask: the valid pixels (boolean, or 0 and 1); the others have no influence, whatever they
            hold. None: all are valid. Where none is valid, the loss is 0.
        reduction: "mean" over the valid pixels, "sum", or "none" (per pixel, 0 where invalid).
        gamma_hat: γ̂ ≥ 0, the focusing exponent of the background.

    Returns:
        The loss in float32 (float64 for float64): a scalar, or of the shape of the logits.

    Raises:
        ValueError: as by `bce_loss`.

    Source: Z. Li et al., "Overfitting of neural nets under class imbalance", MICCAI 2019; the
    paper's equation 2, L_aFL. It differs from them in nothing.

    >>> logits, target = torch.tensor([[[2.0, -1.0, 0.0]]]), torch.tensor([[[1, 0, 0]]])
    >>> asymmetric_focal_loss(logits, target)
    tensor(0.1076)
    """
    check_option("gamma_hat", gamma_hat, 0.0)
    form = Form(gamma=gamma_hat)

    def formula(pixels: Pixels) -> Tensor:
        return asymmetric_focal_per_pixel(pixels, gamma_hat)

    return pixel_loss(formula, form, logits, target, mask, reduction)


class AsymmetricFocalLoss(LossModule):
    """`asymmetric_focal_loss` as a module, whose options are given once."""

    function = staticmethod(asymmetric_focal_loss)

    def __init__(self, *, reduction: str = "mean", gamma_hat: float = 2.0) -> None:
        super().__init__(reduction=reduction, gamma_hat=gamma_hat)


def focal_per_pixel(pixels: Pixels, gamma_hat: float) -> Tensor:
    """−[(1−p)^γ̂·t·log p + p^γ̂·(1−t)·log(1−p)] of each pixel."""
    z, t, _ = pixels
    log_crack, log_background = F.logsigmoid(z), F.logsigmoid(-z)
    crack = t * focused(log_crack, log_background, gamma_hat)
    return -(crack + (1 - t) * focused(log_background, log_crack, gamma_hat))


def asymmetric_focal_per_pixel(pixels: Pixels, gamma_hat: float) -> Tensor:
    """−[t·log p + p^γ̂·(1−t)·log(1−p)] of each pixel."""
    z, t, _ = pixels
    log_crack, log_background = F.logsigmoid(z), F.logsigmoid(-z)
    return -(t * log_crack + (1 - t) * focused(log_background, log_crack, gamma_hat))


def focused(values: Tensor, log_error: Tensor, gamma_hat: float) -> Tensor:
    """`values` times error^γ̂; by the logarithm, as the slope of a power is infinite at error 0."""
    return values if gamma_hat == 0 else values * torch.exp(gamma_hat * log_error)
