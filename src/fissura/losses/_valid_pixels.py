"""What every loss does before and after its formula: check, upcast, mask; then reduce.

An invalid pixel is turned into background predicted with certainty (t = 0, z = −1e30, so p = 0),
whose loss is exactly 0 in every formula here, and through which no gradient flows back.
"""

from __future__ import annotations

import sys
from typing import Any, NamedTuple

import torch
from torch import Tensor

IGNORED_LOGIT = -1e30
LARGEST = sys.float_info.max
REDUCTIONS = ("mean", "sum", "none")


class Pixels(NamedTuple):
    """Logits and targets in the dtype of the computation, and which pixels count (None: all)."""

    z: Tensor
    t: Tensor
    valid: Tensor | None


def valid_pixels(logits: Any, target: Any, mask: Any) -> Pixels:
    """Check the inputs of a loss, take them to float32 (float64 stays) and mask them."""
    check_tensors(logits, target, mask)
    dtype = torch.float64 if logits.dtype == torch.float64 else torch.float32
    z, t, valid = logits.to(dtype), target.to(dtype), None
    if mask is not None:
        # `where`, not a product: 0 · NaN is NaN, in the value and in the gradient.
        valid = mask != 0
        z = torch.where(valid, z, IGNORED_LOGIT)
        t = torch.where(valid, t, 0.0)
    if target.dtype != torch.bool:
        check_target_range(t)
    return Pixels(z, t, valid)


def check_tensors(logits: Any, target: Any, mask: Any) -> None:
    """Raise ValueError unless dtypes, devices and shapes are those of the one calling form."""
    if not isinstance(logits, Tensor) or not logits.is_floating_point():
        kind = logits.dtype if isinstance(logits, Tensor) else type(logits).__name__
        raise ValueError(f"logits must be a floating-point tensor, not {kind}.")
    if logits.ndim < 2 or logits.shape[1] != 1:
        raise ValueError(
            "logits must have the shape (N, 1, *spatial), one channel holding the logit of crack, "
            f"but have the shape {tuple(logits.shape)}."
        )
    others = {"target": target} if mask is None else {"target": target, "mask": mask}
    for name, tensor in others.items():
        if not isinstance(tensor, Tensor) or tensor.is_complex():
            kind = tensor.dtype if isinstance(tensor, Tensor) else type(tensor).__name__
            raise ValueError(f"{name} must be a boolean, integer or float tensor, not {kind}.")
        if tensor.shape != logits.shape:
            raise ValueError(
                f"{name} must have the shape of logits, {tuple(logits.shape)}, but has the shape "
                f"{tuple(tensor.shape)}. (A missing channel is added by {name}[:, None].)"
            )
        if tensor.device != logits.device:
            raise ValueError(f"{name} is on {tensor.device}, but logits are on {logits.device}.")


def check_target_range(t: Tensor) -> None:
    """Raise ValueError for targets outside [0, 1], where looking at them costs next to nothing.

    On an accelerator reading a value waits for the device, and a compiled graph has no values.
    """
    if torch.compiler.is_compiling() or t.device.type != "cpu" or t.numel() == 0:
        return
    try:
        low, high = t.detach().amin().item(), t.detach().amax().item()
    except RuntimeError:  # vmap and fake tensors: there is no one value to look at
        return
    if low < 0 or high > 1:
        raise ValueError(
            f"target must lie in [0, 1], but reaches from {low:g} to {high:g}. "
            "(A mask of 0 and 255 becomes a target by mask > 127.)"
        )


def check_option(name: str, value: Any, low: float, high: float = LARGEST) -> None:
    """Raise ValueError unless `value` is a finite number in [low, high]."""
    if not isinstance(value, (int, float)):
        raise ValueError(f"{name} must be a number, not {type(value).__name__}.")
    if not low <= value <= high:  # nor NaN, nor infinity; torch.compile cannot trace math.isfinite
        bounds = f"at least {low:g}" if high == LARGEST else f"between {low:g} and {high:g}"
        raise ValueError(f"{name} must be {bounds} and finite, not {value}.")


def check_focal_weight(focal_weight: Any) -> None:
    """Raise ValueError unless the weight of the focal part is None or in [0, 1]."""
    if focal_weight is not None:
        check_option("focal_weight", focal_weight, 0.0, 1.0)


def check_reduction(reduction: str, *, pooled: bool = False) -> None:
    """Raise ValueError for an unknown reduction, or one that a pooled loss cannot have."""
    if reduction not in REDUCTIONS:
        raise ValueError(f'reduction must be "mean", "sum" or "none", not {reduction!r}.')
    if pooled and reduction != "mean":
        raise ValueError(
            "This loss pools all pixels of the batch into one value, so that reduction must be "
            f'"mean", not {reduction!r}. With per_image=True there is one value per image, and '
            '"mean", "sum" and "none" are over the images.'
        )


def total(values: Tensor, *, per_image: bool = False) -> Tensor:
    """Sum over all pixels of the batch, or of each image."""
    return values.sum(dim=tuple(range(1, values.ndim))) if per_image else values.sum()


def pixel_mean(loss: Tensor, pixels: Pixels, *, per_image: bool = False) -> Tensor:
    """Mean over the valid pixels of the batch, or of each image; 0 where none is valid."""
    if pixels.valid is None:
        number = loss.numel() // max(loss.shape[0], 1) if per_image else loss.numel()
        return total(loss, per_image=per_image) / max(number, 1)
    return total(loss, per_image=per_image) / total(pixels.valid, per_image=per_image).clamp_min(1)


def reduce_pixels(loss: Tensor, pixels: Pixels, reduction: str) -> Tensor:
    """Reduce a loss per pixel over the valid pixels of the batch."""
    check_reduction(reduction)
    if reduction == "mean":
        return pixel_mean(loss, pixels)
    return loss.sum() if reduction == "sum" else loss


def reduce_images(
    values: Tensor, pixels: Pixels, reduction: str, *, per_image: bool = False
) -> Tensor:
    """Reduce a loss per image over the images with a valid pixel; a pooled value stays."""
    check_reduction(reduction, pooled=not per_image)
    if not per_image or reduction == "none":
        return values
    if reduction == "sum":
        return values.sum()
    if pixels.valid is None:
        return values.sum() / max(values.numel(), 1)
    return values.sum() / (total(pixels.valid, per_image=True) > 0).sum().clamp_min(1)


def weighted_sum(focal: Tensor, region: Tensor, focal_weight: float | None) -> Tensor:
    """λ·focal + (1−λ)·region; the plain sum where λ is None."""
    if focal_weight is None:
        return focal + region
    return focal_weight * focal + (1 - focal_weight) * region
