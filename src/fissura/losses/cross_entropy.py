"""Binary cross-entropy, the root of all focal and margin losses here."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch.nn.functional as F
from torch import Tensor

from ._fused import Form
from ._loss import LossModule, pixel_loss
from ._valid_pixels import Pixels

if TYPE_CHECKING:
    from jaxtyping import Float, Shaped


def bce_loss(
    logits: Float[Tensor, "n 1 *spatial"],
    target: Shaped[Tensor, "n 1 *spatial"],
    *,
    mask: Shaped[Tensor, "n 1 *spatial"] | None = None,
    reduction: str = "mean",
) -> Float[Tensor, "*reduced"]:
    """Binary cross-entropy: the log-likelihood of each pixel, all pixels weighing the same.

    −mean[t·log p + (1−t)·log(1−p)], with p = σ(z) of the logits z and the target t.

    Args:
        logits: z, finite, of any floating dtype; computed in float32, float64 for float64.
        target: t in [0, 1], hard or soft, of boolean, integer or floating dtype.
        mask: the valid pixels (boolean, or 0 and 1); the others have no influence, whatever they
            hold. None: all are valid. Where none is valid, the loss is 0.
        reduction: "mean" over the valid pixels, "sum", or "none" (per pixel, 0 where invalid).

    Returns:
        The loss in float32 (float64 for float64): a scalar, or of the shape of the logits.

    Raises:
        ValueError: for other shapes, dtypes and options, for targets outside [0, 1] and for masks
            of other values than 0 and 1. (Values are looked at on the CPU, outside of vmap. Where
            they cannot be, under torch.compile and, of a mask, on an accelerator, such values make
            the loss NaN.)

    Source: the paper's L_bce. It differs from torch's `binary_cross_entropy_with_logits` by the
    mask, the float32, and by keeping the small loss of confident background exact, where torch's
    formula subtracts two large numbers.

    >>> import torch
    >>> logits, target = torch.tensor([[[2.0, -1.0, 0.0]]]), torch.tensor([[[1, 0, 0]]])
    >>> bce_loss(logits, target)
    tensor(0.3778)
    >>> bce_loss(logits, target, reduction="none")
    tensor([[[0.1269, 0.3133, 0.6931]]])
    """
    return pixel_loss(bce_per_pixel, Form(), logits, target, mask, reduction)


class BCELoss(LossModule):
    """`bce_loss` as a module, whose options are given once."""

    function = staticmethod(bce_loss)

    def __init__(self, *, reduction: str = "mean") -> None:
        super().__init__(reduction=reduction)


def bce_per_pixel(pixels: Pixels) -> Tensor:
    """−[t·log p + (1−t)·log(1−p)] of each pixel."""
    z, t, _ = pixels
    return -(t * F.logsigmoid(z) + (1 - t) * F.logsigmoid(-z))
