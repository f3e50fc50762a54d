"""Dice loss: the overlap of predicted and true crack, whatever the amount of background."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from fissura.losses._fused import Form, fused_images
from fissura.losses._valid_pixels import Pixels, check_option, reduce_images, total, valid_pixels

if TYPE_CHECKING:
    from jaxtyping import Float, Shaped

# Below this sum a denominator counts as 0 (possible with smooth = 0 only); 0/0 is then 0: where
# there is nothing to find, and nothing was found, nothing is lost.
SMALLEST_DENOMINATOR = 1e-30


def dice_loss(
    logits: Float[Tensor, "n 1 *spatial"],
    target: Shaped[Tensor, "n 1 *spatial"],
    *,
    mask: Shaped[Tensor, "n 1 *spatial"] | None = None,
    reduction: str = "mean",
    smooth: float = 1.0,
    squared: bool = False,
    per_image: bool = False,
    fused: bool = True,
) -> Float[Tensor, "*reduced"]:
    """Dice loss: one minus the overlap of the predicted and the true crack.

    1 − (2Σpt + s)/(Σp + Σt + s), with p = σ(z) and sums over the valid pixels of the batch;
    `squared`: Σp² + Σt² in the denominator. Linear, it is `tversky_loss` at δ = ½ and smooth s/2.

    Arguments:
        logits: z, finite, of any floating dtype; computed in float32, float64 for float64.
        target: t in [0, 1], hard or soft, of boolean, integer or floating dtype.
        mask: the valid pixels (boolean, or 0 and 1); the others have no influence, whatever they
            hold. None: all are valid. Where none is valid, the loss is 0.
        reduction: "mean"; with `per_image` also "sum", or "none" (one value per image).
        smooth: s ≥ 0. Above 0, false positives on pure background are punished too.
        squared: Milletari's squares in the denominator.
        per_image: False pools the sums over the batch; True makes one loss per image, and its
            mean is over the images with valid pixels.
        fused: whether the fused form may be taken, which gives the same in a fraction of the time.

    Raises ValueError as `bce_loss` does.

    Source: the paper's L_dice, the second half of its equation 1; squared: F. Milletari et al.,
    "V-Net", 3DV 2016, the paper's equation 5. Smoothing 1 as in König et al. 2021.

    >>> logits, target = torch.tensor([[[2.0, -1.0, 0.0]]]), torch.tensor([[[1, 0, 0]]])
    >>> dice_loss(logits, target)
    tensor(0.2433)
    """
    check_option("smooth", smooth, 0.0)
    form = Form(focal=0.0, region=1.0, smooth=smooth / 2)
    if fused and not squared:
        loss = fused_images(form, logits, target, mask, reduction, per_image=per_image)
        if loss is not None:
            return loss
    pixels = valid_pixels(logits, target, mask)
    return reduce_images(
        dice_error(pixels, smooth, squared=squared, per_image=per_image),
        pixels,
        reduction,
        per_image=per_image,
    )


def dice_error(
    pixels: Pixels, smooth: float, *, squared: bool = False, per_image: bool = False
) -> Tensor:
    """1 − Dice as false over all, so that no rounding makes it negative; scalar, or per image."""
    z, t, _ = pixels
    p, not_p = torch.sigmoid(z), torch.sigmoid(-z)
    if squared:
        wrong, all_ = (t * not_p - (1 - t) * p) ** 2, p * p + t * t
    else:
        wrong, all_ = t * not_p + (1 - t) * p, p + t
    below = total(all_, per_image=per_image) + smooth
    return total(wrong, per_image=per_image) / below.clamp_min(SMALLEST_DENOMINATOR)


class DiceLoss(nn.Module):
    """`dice_loss` as a module: its options are given once, and kept in `options`."""

    def __init__(
        self,
        *,
        reduction: str = "mean",
        smooth: float = 1.0,
        squared: bool = False,
        per_image: bool = False,
        fused: bool = True,
    ) -> None:
        super().__init__()
        self.options: dict[str, Any] = {"reduction": reduction, "smooth": smooth}
        self.options |= {"squared": squared, "per_image": per_image, "fused": fused}

    def forward(self, logits: Tensor, target: Tensor, *, mask: Tensor | None = None) -> Tensor:
        """Return `dice_loss` of the logits and the target."""
        return dice_loss(logits, target, mask=mask, **self.options)
