"""Several classes of which each pixel has one: checked, masked, and as log-odds of each class.

With p = softmax(z), the log-odds of class c are u_c = log p_c − log(1 − p_c), that is, z_c less the
logsumexp of the other logits. So p_c = σ(u_c), 1 − p_c = σ(−u_c), and σ(u_c − m) is p_c after m was
subtracted from z_c alone: for each class the terms of a softmax loss are those of the binary one,
at u_c. With two classes u₁ = z₁ − z₀ = −u₀, and the softmax losses are the binary losses of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from .._valid_pixels import (
    IGNORED_LOGIT,
    Pixels,
    check_option,
    check_reduction,
    images_with_pixels,
    reduce_images,
    reduce_pixels,
    refuse_weights,
    seen,
)
from ..focal import focused
from ..pooling import pooled
from ..tversky import power_of_finite_slope, tversky_error_of_sums

SUM_TOLERANCE = 1e-3  # of soft targets, whose classes must add up to 1


def class_loss(
    formula: Callable[[Pixels], Tensor],
    logits: Any,
    target: Any,
    mask: Any,
    reduction: str,
    *,
    pooled: bool = False,
    per_image: bool = False,
) -> Tensor:
    """A loss of several classes: per pixel, pooled over the batch, or per image; reduced.

    Args:
        formula: gives the loss of each pixel (n, 1, *spatial), a scalar, or one value per image.
        logits: checked here, as are the target, the mask and the reduction.
        target: as in every softmax loss.
        mask: as in every loss.
        reduction: as in every loss.
        pooled: whether the formula gives a scalar, or one value per image.
        per_image: whether it gives one value per image.
    """
    check_reduction(reduction, pooled=pooled and not per_image)
    pixels = class_pixels(logits, target, mask)
    values = formula(pixels)
    if not pooled:
        return reduce_pixels(values, pixels, reduction)
    return reduce_images(values, images_with_pixels(pixels), reduction) if per_image else values


def class_pixels(logits: Any, target: Any, mask: Any) -> Pixels:
    """Check tensors, and return the log-odds and targets of all classes (n, c, *spatial).

    An invalid pixel becomes background predicted with certainty, as in the binary losses.
    """
    check_class_tensors(logits, target, mask)
    dtype = torch.float64 if logits.dtype == torch.float64 else torch.float32
    z, count = logits.to(dtype), logits.shape[1]
    classes = torch.arange(count, device=z.device).view(1, count, *[1] * (z.ndim - 2))
    valid = None
    if mask is not None:
        valid = mask != 0
        if mask.dtype != torch.bool:
            z = refuse_weights(mask, z)
        z = torch.where(valid, z, torch.where(classes == 0, 0.0, IGNORED_LOGIT).to(dtype))
    if target.shape[1] == 1:
        index = target if valid is None else torch.where(valid, target, 0)
        z = refuse_other_classes(index, z, count)
        t = (index == classes).to(dtype)
    else:
        t = target.to(dtype)
        if valid is not None:
            t = torch.where(valid, t, (classes == 0).to(dtype))
        z = refuse_no_distribution(t, z)
    return Pixels(log_odds(z), t, valid)


def log_odds(z: Tensor) -> Tensor:
    """Return z_c − logsumexp of the other classes' logits, of each class c."""
    if z.shape[1] == 2:
        difference = z[:, 1:] - z[:, :1]
        return torch.cat([-difference, difference], 1)
    others = [
        torch.cat([z[:, :c], z[:, c + 1 :]], 1).logsumexp(1, keepdim=True)
        for c in range(z.shape[1])
    ]
    return z - torch.cat(others, 1)


def check_class_tensors(logits: Any, target: Any, mask: Any) -> None:
    """Raise ValueError unless dtypes, devices and shapes are those of the softmax losses."""
    if not isinstance(logits, Tensor) or not logits.is_floating_point():
        kind = logits.dtype if isinstance(logits, Tensor) else type(logits).__name__
        raise ValueError(f"logits must be a floating-point tensor, not {kind}.")
    if logits.ndim < 2 or logits.shape[1] < 2:
        raise ValueError(
            "logits must have the shape (N, C, *spatial), a channel for the background and one for "
            f"each class, but have the shape {tuple(logits.shape)}. (For crack or not take the "
            "binary losses.)"
        )
    one = (logits.shape[0], 1, *logits.shape[2:])
    for name, tensor, shapes in (
        ("target", target, {one, tuple(logits.shape)}),
        ("mask", mask, {one}),
    ):
        if tensor is None and name == "mask":
            continue
        if not isinstance(tensor, Tensor) or tensor.is_complex():
            kind = tensor.dtype if isinstance(tensor, Tensor) else type(tensor).__name__
            raise ValueError(f"{name} must be a boolean, integer or float tensor, not {kind}.")
        if tuple(tensor.shape) not in shapes:
            channel = f" (A missing channel is added by {name}[:, None].)"
            raise ValueError(
                f"{name} must have the shape {one}"
                + (", or that of logits where it is soft," if name == "target" else "")
                + f" but has the shape {tuple(tensor.shape)}."
                + channel * (tuple(tensor.shape) == (one[0], *one[2:]))
            )
        if tensor.device != logits.device:
            raise ValueError(f"{name} is on {tensor.device}, but logits are on {logits.device}.")
    if target.shape[1] == 1 and target.is_floating_point():
        raise ValueError(f"target of one channel holds numbers of classes, not {target.dtype}.")


def refuse_other_classes(index: Tensor, z: Tensor, count: int) -> Tensor:
    """The logits; raise ValueError for numbers that are no class, or make those pixels NaN."""
    if index.dtype == torch.bool:
        return z
    known = (index >= 0) & (index < count)
    fine = seen(known)
    if fine is None:
        return torch.where(known, z, float("nan"))
    if not fine:
        other = int(index[~known].flatten()[0])
        raise ValueError(
            f"target must hold classes from 0 to {count - 1}, but holds {other}. (Where {other} "
            f"marks pixels without a label, give mask=target != {other}.)"
        )
    return z


def refuse_no_distribution(t: Tensor, z: Tensor) -> Tensor:
    """The logits; raise ValueError where soft targets don't add up to 1, or make those NaN."""
    known = ((t >= 0).all(1) & ((t.sum(1) - 1).abs() <= SUM_TOLERANCE))[:, None]
    fine = seen(known.detach())
    if fine is None:
        return torch.where(known, z, float("nan"))
    if not fine:
        raise ValueError("target of several channels must be 0 or more, and add up to 1.")
    return z


def rare_classes(rare: Any, count: int) -> set[int]:
    """The rare classes; all but the background, 0, where none are named."""
    if rare is None:
        return set(range(1, count))
    if not isinstance(rare, Sequence) or not all(isinstance(c, int) for c in rare):
        raise ValueError(f"rare must be None or a sequence of numbers of classes, not {rare!r}.")
    if any(not 0 <= c < count for c in rare):
        raise ValueError(f"rare must hold classes from 0 to {count - 1}, but is {tuple(rare)}.")
    return set(rare)


def entropy_per_pixel(
    pixels: Pixels,
    *,
    gamma_hat: float = 0.0,
    margin: float = 0.0,
    fading: set[int] | None = None,
    shifted: set[int] | None = None,
    weights: Sequence[float] | None = None,
) -> Tensor:
    """−Σ_c w_c·t_c·(1−p_c)^γ̂·log p̂_c of each pixel (n, 1, *spatial).

    Args:
        pixels: log-odds and targets of all classes.
        gamma_hat: γ̂ of the fading classes; 0 of the others.
        margin: m of the shifted classes; 0 of the others.
        fading: classes whose pixels fade where they are right; None: all.
        shifted: classes with a margin; None: all.
        weights: w_c of each class; None: 1.
    """
    u, t, _ = pixels
    loss = torch.zeros_like(u[:, :1])
    for c in range(u.shape[1]):
        odds = u[:, c : c + 1]
        m = margin if shifted is None or c in shifted else 0.0
        gamma = gamma_hat if fading is None or c in fading else 0.0
        term = focused(F.logsigmoid(odds - m), F.logsigmoid(-odds), gamma)
        term = t[:, c : c + 1] * term
        loss = loss - (term if weights is None else weights[c] * term)
    return loss


def class_sums(
    pixels: Pixels, *, per_image: bool, squared: bool = False
) -> tuple[Tensor, Tensor, Tensor]:
    """TP, FN and FP of each class, (c,) or (n, c); squared: the three of squared Dice, halved."""
    u, t, valid = pixels
    p, not_p = torch.sigmoid(u), torch.sigmoid(-u)
    dims = tuple(range(2, u.ndim)) if per_image else (0, *range(2, u.ndim))
    hit = p * t
    if valid is not None:  # an invalid pixel is certain background, which counts as such only here
        hit = torch.where(valid, hit, 0.0)
    if squared:  # Σp² + Σt² = 2Σpt + Σ(t − p)²
        apart = (t * not_p - (1 - t) * p) ** 2 / 2
        return hit.sum(dims), apart.sum(dims), apart.sum(dims)
    return hit.sum(dims), (not_p * t).sum(dims), (p * (1 - t)).sum(dims)


def tversky_errors(
    pixels: Pixels, delta: float, smooth: float, *, per_image: bool, squared: bool = False
) -> Tensor:
    """1 − TI_c of each class, (c,) or (n, c)."""
    tp, fn, fp = pooled(
        *class_sums(pixels, per_image=per_image, squared=squared), per_image=per_image
    )
    return tversky_error_of_sums(tp, fn, fp, delta, smooth)


def raised(errors: Tensor, exponent: float, classes: set[int]) -> list[Tensor]:
    """The errors of each class, those of some classes raised to a power."""
    return [
        power_of_finite_slope(error, exponent) if c in classes else error
        for c, error in enumerate(errors.unbind(-1))
    ]


def foreground(errors: list[Tensor]) -> Tensor:
    """The sum over all classes but the background."""
    return torch.stack(errors[1:]).sum(0)


def check_entropy_options(gamma_hat: Any, margin: Any) -> None:
    """Raise ValueError for options that no focal or margin term can have."""
    check_option("gamma_hat", gamma_hat, 0.0)
    check_option("margin", margin, 0.0)
