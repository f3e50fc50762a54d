"""The one way from a formula to a loss: checks, the fused form where it applies, the reduction."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from ._fused import Form, applies, fused_values
from ._plain import is_plain
from ._valid_pixels import (
    Pixels,
    check_reduction,
    check_tensors,
    images_with_pixels,
    reduce_images,
    reduce_pixels,
    valid_pixels,
)
from .pooling import ranks


def pixel_loss(
    formula: Callable[[Pixels], Tensor],
    form: Form,
    logits: Any,
    target: Any,
    mask: Any,
    reduction: str,
) -> Tensor:
    """A loss per pixel, reduced over the batch.

    Args:
        formula: gives the loss of each pixel; the truth, also for derivatives of the gradient.
        form: the same as parameters of the fused form.
        logits: checked here, as are the target, the mask and the reduction.
        target: as in every loss.
        mask: as in every loss.
        reduction: as in every loss.
    """
    check_reduction(reduction)
    check_tensors(logits, target, mask)

    def written(logits: Tensor, target: Tensor, mask: Tensor | None) -> Tensor:
        pixels = valid_pixels(logits, target, mask)
        return reduce_pixels(formula(pixels), pixels, reduction)

    over = ranks()
    if reduction == "none" or is_plain() or not applies(form, logits, target, mask, over):
        return written(logits, target, mask)
    form = form._replace(mean=float(reduction == "mean"))
    return fused_values(form, written, logits, target, mask, images=1, over=over)[0][0]


def pooled_loss(
    formula: Callable[[Pixels], Tensor],
    form: Form | None,
    logits: Any,
    target: Any,
    mask: Any,
    reduction: str,
    *,
    per_image: bool,
) -> Tensor:
    """A loss that pools the batch into one value, or has one per image, reduced.

    Args:
        formula: gives that value, or one per image; the truth, also of the gradient's derivative.
        form: the same as parameters of the fused form; None where it has none.
        logits: checked here, as are the target, the mask and the reduction.
        target: as in every loss.
        mask: as in every loss.
        reduction: as in every loss.
        per_image: whether the formula gives one value per image.
    """
    check_reduction(reduction, pooled=not per_image)
    check_tensors(logits, target, mask)
    over = None if per_image else ranks()
    if form is None or is_plain() or not applies(form, logits, target, mask, over):
        pixels = valid_pixels(logits, target, mask)
        values = formula(pixels)
        return reduce_images(values, images_with_pixels(pixels), reduction) if per_image else values

    def written(logits: Tensor, target: Tensor, mask: Tensor | None) -> Tensor:
        return formula(valid_pixels(logits, target, mask))

    images = logits.shape[0] if per_image else 1
    values, counts = fused_values(form, written, logits, target, mask, images=images, over=over)
    if not per_image:
        return values[0]
    return reduce_images(values, (counts > 0).sum(), reduction)


class LossModule(nn.Module):
    """A loss function whose options are given once.

    Attributes:
        function: the loss.
        options: its options, which a schedule may change: `loss.options["margin"] = 1.0`.
    """

    function: Callable[..., Tensor]

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.options = options

    def forward(
        self,
        logits: Tensor,
        target: Tensor,
        *,
        mask: Tensor | None = None,
        reduction: str | None = None,
    ) -> Tensor:
        """Return the loss of the logits and the target; a reduction given here takes precedence."""
        options = self.options if reduction is None else self.options | {"reduction": reduction}
        return self.function(logits, target, mask=mask, **options)

    def extra_repr(self) -> str:
        """Return the options, for `repr`."""
        return ", ".join(f"{name}={value!r}" for name, value in self.options.items())
