"""Large-margin loss: crack pixels must be right by a margin; and how large to choose it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch.nn.functional as F
from torch import Tensor

from ._fused import Form
from ._loss import LossModule, pixel_loss
from ._valid_pixels import Pixels, check_option

if TYPE_CHECKING:
    from jaxtyping import Float, Shaped


def recommended_margin(crack_fraction: float) -> float:
    """Margin m for training data of which `crack_fraction` of the pixels are crack.

    1.5 up to 3 %, 0.5 from 7 %, linear between: the rarer the cracks, the larger the margin.

    Args:
        crack_fraction: crack pixels over all pixels, in [0, 1].

    Returns:
        m, between 0.5 and 1.5.

    Raises:
        ValueError: for a fraction outside [0, 1].

    Source: the paper's Fig. 3, which recommends "higher than 1.5" below 3 % and "lower than 0.5"
    above 7 %, while its text recommends 0.5 to 1.5; we read the ends as these two values.

    >>> recommended_margin(0.003), recommended_margin(0.05), recommended_margin(0.08)
    (1.5, 1.0, 0.5)
    """
    check_option("crack_fraction", crack_fraction, 0.0, 1.0)
    way = min(max((crack_fraction - 0.03) / (0.07 - 0.03), 0.0), 1.0)
    return 1.5 - way


def asymmetric_large_margin_loss(
    logits: Float[Tensor, "n 1 *spatial"],
    target: Shaped[Tensor, "n 1 *spatial"],
    *,
    mask: Shaped[Tensor, "n 1 *spatial"] | None = None,
    reduction: str = "mean",
    margin: float = 0.5,
) -> Float[Tensor, "*reduced"]:
    """Asymmetric large-margin loss: crack pixels are only content when right by a margin.

    −mean[t·log p̂ + (1−t)·log(1−p)], with p = σ(z) and p̂ = σ(z − m). It is `bce_loss` at m = 0.
    Under class imbalance the logits of unseen crack pixels drift towards the background; the
    margin pushes those of the training pixels further away from the decision boundary.

    Args:
        logits: z, finite, of any floating dtype; computed in float32, float64 for float64.
        target: t in [0, 1], hard or soft, of boolean, integer or floating dtype.
        mask: the valid pixels (boolean, or 0 and 1); the others have no influence, whatever they
            hold. None: all are valid. Where none is valid, the loss is 0.
        reduction: "mean" over the valid pixels, "sum", or "none" (per pixel, 0 where invalid).
        margin: m ≥ 0, in logits; see `recommended_margin`.

    Returns:
        The loss in float32 (float64 for float64): a scalar, or of the shape of the logits.

    Raises:
        ValueError: as by `bce_loss`.

    Source: Z. Li et al., "Overfitting of neural nets under class imbalance", MICCAI 2019; the
    paper's equation 3, L_aM, which does not define p̂. Li's is the softmax of the logits, that of
    the rare class less m where it is the true class: for two classes σ(z − m) where t = 1, and the
    background unshifted.

    >>> import torch
    >>> logits, target = torch.tensor([[[2.0, -1.0, 0.0]]]), torch.tensor([[[1, 0, 0]]])
    >>> asymmetric_large_margin_loss(logits, target)
    tensor(0.4026)
    """
    check_option("margin", margin, 0.0)
    form = Form(margin=margin)

    def formula(pixels: Pixels) -> Tensor:
        return asymmetric_large_margin_per_pixel(pixels, margin)

    return pixel_loss(formula, form, logits, target, mask, reduction)


class AsymmetricLargeMarginLoss(LossModule):
    """`asymmetric_large_margin_loss` as a module, whose options are given once."""

    function = staticmethod(asymmetric_large_margin_loss)

    def __init__(self, *, reduction: str = "mean", margin: float = 0.5) -> None:
        super().__init__(reduction=reduction, margin=margin)


def asymmetric_large_margin_per_pixel(pixels: Pixels, margin: float) -> Tensor:
    """−[t·log p̂ + (1−t)·log(1−p)] of each pixel."""
    z, t, _ = pixels
    return -(t * F.logsigmoid(z - margin) + (1 - t) * F.logsigmoid(-z))
