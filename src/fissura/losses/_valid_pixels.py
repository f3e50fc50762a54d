"""The pixels that count in a loss: they are checked, upcast and masked before its formula.

An invalid pixel is turned into background predicted with certainty (t = 0, z = −1e30, so p = 0),
whose loss is exactly 0 in every formula here, and through which no gradient flows back.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from .pooling import pooled, ranks

IGNORED_LOGIT = -1e30
LARGEST = sys.float_info.max
REDUCTIONS = ("mean", "sum", "none")
# Below this sum a denominator counts as 0 (possible with smooth = 0 only); 0/0 is then 0: where
# there is nothing to find, and nothing was found, nothing is lost.
SMALLEST_DENOMINATOR = 1e-30
# Below this base the slope of a power < 1 stays what it is here. Saturated logits make the slope
# of the base itself vanish as fast, so that the product is never large.
SMALLEST_BASE = 1e-12


class Pixels(NamedTuple):
    """Logits and targets in the dtype of the computation, and which pixels count (None: all)."""

    z: Tensor
    t: Tensor
    valid: Tensor | None


def valid_pixels(logits: Tensor, target: Tensor, mask: Tensor | None) -> Pixels:
    """Take checked tensors to float32 (float64 stays), mask them, and check their values."""
    dtype = torch.float64 if logits.dtype == torch.float64 else torch.float32
    z, t, valid = logits.to(dtype), target.to(dtype), None
    if mask is not None:
        # `where`, not a product: 0 · NaN is NaN, in the value and in the gradient.
        valid = mask != 0
        if mask.dtype != torch.bool:
            z = refuse_weights(mask, z)
        z = torch.where(valid, z, IGNORED_LOGIT)
        t = torch.where(valid, t, 0.0)
    if target.dtype != torch.bool:
        t = refuse_outside(t)
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
                f"{tuple(tensor.shape)}.{shape_hint(name, tensor.shape, logits.shape)}"
            )
        if tensor.device != logits.device:
            raise ValueError(f"{name} is on {tensor.device}, but logits are on {logits.device}.")


def shape_hint(name: str, shape: Sequence[int], wanted: Sequence[int]) -> str:
    """A sentence that says how a wrong shape becomes the wanted one, where one can be given."""
    shape, wanted = tuple(shape), tuple(wanted)
    images, _, *spatial = wanted
    if shape == (images, *spatial):
        return f" (A missing channel is added by {name}[:, None].)"
    if shape == wanted[1:]:
        added = f"{name}[None]" if images == 1 else f"{name}.expand({images}, *{wanted[1:]})"
        return f" (A missing batch dimension is added by {added}.)"
    if shape == tuple(spatial):
        return f" (One {name} for all images is written {name}.expand{wanted}.)"
    if len(shape) == len(wanted) and all(a in (1, b) for a, b in zip(shape, wanted, strict=True)):
        return f" (It is repeated by {name}.expand{wanted}.)"
    if shape == (images, *spatial, 1):
        return f" (The channel becomes the second dimension by {name}.movedim(-1, 1).)"
    if len(shape) == len(wanted) and shape[0] == images and shape[2:] == tuple(spatial):
        return f" (One channel c is taken by {name}[:, c:c + 1].)"
    if len(shape) == len(wanted) and shape[:2] == wanted[:2]:
        return f" (Its spatial size differs: resize the logits to that of the {name}.)"
    return ""


def seen(condition: Tensor) -> bool | None:
    """Whether all of a condition holds; None where looking would cost, or there are no values.

    On an accelerator, reading a value waits for the device; a compiled graph, vmap and fake tensors
    have no one value.
    """
    if torch.compiler.is_compiling() or condition.device.type != "cpu":
        return None
    try:
        return bool(condition.all())
    except RuntimeError:
        return None


def refuse_outside(t: Tensor) -> Tensor:
    """The targets; raise ValueError if any lies outside [0, 1], or make those NaN if compiled."""
    if torch.compiler.is_compiling():  # where it costs nothing
        return torch.where((t < 0) | (t > 1), float("nan"), t)
    if t.device.type == "cpu" and t.numel():
        try:
            low, high = t.detach().amin().item(), t.detach().amax().item()
        except RuntimeError:  # vmap and fake tensors: there is no one value to look at
            return t
        check_target_range(low, high)
    return t


def check_target_range(low: float, high: float) -> None:
    """Raise ValueError unless the targets' smallest and largest are in [0, 1], or NaN."""
    if low < 0 or high > 1:
        raise ValueError(
            f"target must lie in [0, 1], but reaches from {low:g} to {high:g}. "
            "(A mask of 0 and 255 becomes a target by mask > 127.)"
        )


def refuse_weights(mask: Tensor, z: Tensor) -> Tensor:
    """The logits; raise ValueError if the mask has others than 0 and 1, or make those NaN."""
    known = (mask == 0) | (mask == 1)
    fine = seen(known)
    if fine is None:
        return torch.where(known, z, float("nan"))
    if not fine:
        other = mask[~known].flatten()[0].item()
        raise ValueError(
            "mask marks the pixels that count: it must be boolean, or 0 and 1, but has the value "
            f"{other:g}. Weights of pixels are not supported, and a mask of 0 and 255 is given as "
            "mask > 127."
        )
    return z


def check_option(name: str, value: Any, low: float, high: float = LARGEST) -> None:
    """Raise ValueError unless `value` is a finite number in [low, high]."""
    if not isinstance(value, (int, float)):
        raise ValueError(f"{name} must be a number, not {type(value).__name__}.")
    if not low <= value <= high:  # nor NaN, nor infinity; torch.compile cannot trace math.isfinite
        bounds = f"at least {low:g}" if high == LARGEST else f"between {low:g} and {high:g}"
        raise ValueError(f"{name} must be {bounds} and finite, not {value}.")


def check_focal_weight(focal_weight: Any) -> None:
    """Raise ValueError unless the weight of the focal term is None or in [0, 1]."""
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
    if not per_image and ranks() is not None:
        valid = loss.new_tensor(loss.numel(), dtype=torch.float64)
        valid = valid if pixels.valid is None else total(pixels.valid).double()
        above, below = pooled(total(loss), valid)
        return (above.double() / below.clamp_min(1)).to(above.dtype)
    if pixels.valid is None:
        number = loss.numel() // max(loss.shape[0], 1) if per_image else loss.numel()
        return total(loss, per_image=per_image) / max(number, 1)
    return total(loss, per_image=per_image) / total(pixels.valid, per_image=per_image).clamp_min(1)


def reduce_pixels(loss: Tensor, pixels: Pixels, reduction: str) -> Tensor:
    """Reduce a loss per pixel over the valid pixels of the batch."""
    if reduction == "mean":
        return pixel_mean(loss, pixels)
    return pooled(loss.sum())[0] if reduction == "sum" else loss


def reduce_images(values: Tensor, images: Tensor | int, reduction: str) -> Tensor:
    """Reduce a loss per image, `images` of which have a valid pixel."""
    if reduction == "none":
        return values
    above = values.sum()
    if ranks() is not None:
        number = torch.as_tensor(images, dtype=torch.float64, device=above.device)
        above, number = pooled(above, number)
        images = number.to(above.dtype)
    if reduction == "sum":
        return above
    return above / (max(images, 1) if isinstance(images, int) else images.clamp_min(1))


def images_with_pixels(pixels: Pixels) -> Tensor | int:
    """The number of images with a valid pixel."""
    if pixels.valid is None:
        return pixels.z.shape[0]
    return (total(pixels.valid, per_image=True) > 0).sum()


def weighted_sum(focal: Tensor, region: Tensor, focal_weight: float | None) -> Tensor:
    """λ·focal + (1−λ)·region; the plain sum where λ is None."""
    if focal_weight is None:
        return focal + region
    return focal_weight * focal + (1 - focal_weight) * region
