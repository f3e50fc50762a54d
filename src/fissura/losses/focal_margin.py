"""Focal margin losses: the paper's union of the focal and the large-margin loss."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch.nn.functional as F
from torch import Tensor

from ._fused import Form
from ._loss import LossModule, pixel_loss
from ._valid_pixels import Pixels, check_option
from .focal import focused

if TYPE_CHECKING:
    from jaxtyping import Float, Shaped


def asymmetric_focal_margin_loss(
    logits: Float[Tensor, "n 1 *spatial"],
    target: Shaped[Tensor, "n 1 *spatial"],
    *,
    mask: Shaped[Tensor, "n 1 *spatial"] | None = None,
    reduction: str = "mean",
    gamma_hat: float = 2.0,
    margin: float = 0.5,
) -> Float[Tensor, "*reduced"]:
    """Asymmetric focal margin loss: easy background fades, crack must be right by a margin.

    −mean[t·log p̂ + p^γ̂·(1−t)·log(1−p)], with p = σ(z) and p̂ = σ(z − m). It is
    `asymmetric_focal_loss` at m = 0, `asymmetric_large_margin_loss` at γ̂ = 0, `bce_loss` at both.

    Args:
        logits: z, finite, of any floating dtype; computed in float32, float64 for float64.
        target: t in [0, 1], hard or soft, of boolean, integer or floating dtype.
        mask: the valid pixels (boolean, or 0 and 1); the others have no influence, whatever they
            hold. None: all are valid. Where none is valid, the loss is 0.
        reduction: "mean" over the valid pixels, "sum", or "none" (per pixel, 0 where invalid).
        gamma_hat: γ̂ ≥ 0, the focusing exponent of the background.
        margin: m ≥ 0, in logits; see `recommended_margin`.

    Returns:
        The loss in float32 (float64 for float64): a scalar, or of the shape of the logits.

    Raises:
        ValueError: as by `bce_loss`.

    Source: the paper's equation 11, L_aFM. The same combined term is in Z. Li et al., "Analyzing
    overfitting under class imbalance in neural networks for image segmentation", 2021 (arXiv
    2102.10365), a year earlier. p̂, which the paper does not define, is read as in
    `asymmetric_large_margin_loss`.

    >>> import torch
    >>> logits, target = torch.tensor([[[2.0, -1.0, 0.0]]]), torch.tensor([[[1, 0, 0]]])
    >>> asymmetric_focal_margin_loss(logits, target)
    tensor(0.1325)
    """
    check_option("gamma_hat", gamma_hat, 0.0)
    check_option("margin", margin, 0.0)
    form = Form(gamma=gamma_hat, margin=margin)

    def formula(pixels: Pixels) -> Tensor:
        return asymmetric_focal_margin_per_pixel(pixels, gamma_hat, margin)

    return pixel_loss(formula, form, logits, target, mask, reduction)


class AsymmetricFocalMarginLoss(LossModule):
    """`asymmetric_focal_margin_loss` as a module, whose options are given once."""

    function = staticmethod(asymmetric_focal_margin_loss)

    def __init__(
        self, *, reduction: str = "mean", gamma_hat: float = 2.0, margin: float = 0.5,
    ) -> None:  # fmt: skip
        super().__init__(reduction=reduction, gamma_hat=gamma_hat, margin=margin)


def focal_margin_loss(
    logits: Float[Tensor, "n 1 *spatial"],
    target: Shaped[Tensor, "n 1 *spatial"],
    *,
    mask: Shaped[Tensor, "n 1 *spatial"] | None = None,
    reduction: str = "mean",
    gamma_hat: float = 2.0,
    margin: float = 0.5,
) -> Float[Tensor, "*reduced"]:
    """Focal margin loss: pixels of either class fade, and must be right by a margin.

    −mean[(1−p)^γ̂·t·log σ(z−m) + p^γ̂·(1−t)·log σ(−z−m)], with p = σ(z). It is `focal_loss` at
    m = 0, the symmetric large-margin loss at γ̂ = 0, and `bce_loss` at both.

    Args:
        logits: z, finite, of any floating dtype; computed in float32, float64 for float64.
        target: t in [0, 1], hard or soft, of boolean, integer or floating dtype.
        mask: the valid pixels (boolean, or 0 and 1); the others have no influence, whatever they
            hold. None: all are valid. Where none is valid, the loss is 0.
        reduction: "mean" over the valid pixels, "sum", or "none" (per pixel, 0 where invalid).
        gamma_hat: γ̂ ≥ 0, the focusing exponent of both classes.
        margin: m ≥ 0, in logits, of both classes.

    Returns:
        The loss in float32 (float64 for float64): a scalar, or of the shape of the logits.

    Raises:
        ValueError: as by `bce_loss`.

    Source: the paper's equation 12, L_FM, which prints one term of the sum over the classes; both
    terms make the formula above, with the symmetric margin of Li et al. 2019. The focusing factors
    have no margin in them.

    >>> import torch
    >>> logits, target = torch.tensor([[[2.0, -1.0, 0.0]]]), torch.tensor([[[1, 0, 0]]])
    >>> focal_margin_loss(logits, target)
    tensor(0.0936)
    """
    check_option("gamma_hat", gamma_hat, 0.0)
    check_option("margin", margin, 0.0)
    form = Form(gamma=gamma_hat, crack_fades=1.0, margin=margin, margin_background=margin)

    def formula(pixels: Pixels) -> Tensor:
        return focal_margin_per_pixel(pixels, gamma_hat, margin)

    return pixel_loss(formula, form, logits, target, mask, reduction)


class FocalMarginLoss(LossModule):
    """`focal_margin_loss` as a module, whose options are given once."""

    function = staticmethod(focal_margin_loss)

    def __init__(
        self, *, reduction: str = "mean", gamma_hat: float = 2.0, margin: float = 0.5,
    ) -> None:  # fmt: skip
        super().__init__(reduction=reduction, gamma_hat=gamma_hat, margin=margin)


def asymmetric_focal_margin_per_pixel(pixels: Pixels, gamma_hat: float, margin: float) -> Tensor:
    """−[t·log p̂ + p^γ̂·(1−t)·log(1−p)] of each pixel."""
    z, t, _ = pixels
    background = focused(F.logsigmoid(-z), F.logsigmoid(z), gamma_hat)
    return -(t * F.logsigmoid(z - margin) + (1 - t) * background)


def focal_margin_per_pixel(pixels: Pixels, gamma_hat: float, margin: float) -> Tensor:
    """−[(1−p)^γ̂·t·log σ(z−m) + p^γ̂·(1−t)·log σ(−z−m)] of each pixel."""
    z, t, _ = pixels
    crack = focused(F.logsigmoid(z - margin), F.logsigmoid(-z), gamma_hat)
    background = focused(F.logsigmoid(-z - margin), F.logsigmoid(z), gamma_hat)
    return -(t * crack + (1 - t) * background)
