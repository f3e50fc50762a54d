"""Binary cross-entropy, the root of all focal and margin losses here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch.nn.functional as F
from torch import Tensor, nn

from fissura.losses._fused import Form, fused_pixels
from fissura.losses._valid_pixels import Pixels, reduce_pixels, valid_pixels

if TYPE_CHECKING:
    from jaxtyping import Float, Shaped


def bce_loss(
    logits: Float[Tensor, "n 1 *spatial"],
    target: Shaped[Tensor, "n 1 *spatial"],
    *,
    mask: Shaped[Tensor, "n 1 *spatial"] | None = None,
    reduction: str = "mean",
    fused: bool = True,
) -> Float[Tensor, "*reduced"]:
    """Binary cross-entropy: the log-likelihood of each pixel, all pixels weighing the same.

    −mean[t·log p + (1−t)·log(1−p)], with p = σ(z) of the logits z and the target t.

    Arguments:
        logits: z, finite, of any floating dtype; computed in float32, float64 for float64.
        target: t in [0, 1], hard or soft, of boolean, integer or floating dtype.
        mask: the valid pixels (boolean, or 0 and 1); the others have no influence, whatever they
            hold. None: all are valid. Where none is valid, the loss is 0.
        reduction: "mean" over the valid pixels, "sum", or "none" (per pixel, 0 where invalid).
        fused: whether the fused form may be taken, which gives the same in a fraction of the time.

    Raises ValueError for other shapes, dtypes and options, and for targets outside [0, 1] (these
    are looked for on the CPU, outside of torch.compile and vmap).

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
    form = Form()
    if fused and (loss := fused_pixels(form, logits, target, mask, reduction)) is not None:
        return loss
    pixels = valid_pixels(logits, target, mask)
    return reduce_pixels(bce_per_pixel(pixels), pixels, reduction)


def bce_per_pixel(pixels: Pixels) -> Tensor:
    """−[t·log p + (1−t)·log(1−p)] of each pixel."""
    z, t, _ = pixels
    return -(t * F.logsigmoid(z) + (1 - t) * F.logsigmoid(-z))


class BCELoss(nn.Module):
    """`bce_loss` as a module: its options are given once, and kept in `options`."""

    def __init__(self, *, reduction: str = "mean", fused: bool = True) -> None:
        super().__init__()
        self.options: dict[str, Any] = {"reduction": reduction, "fused": fused}

    def forward(self, logits: Tensor, target: Tensor, *, mask: Tensor | None = None) -> Tensor:
        """Return `bce_loss` of the logits and the target."""
        return bce_loss(logits, target, mask=mask, **self.options)
