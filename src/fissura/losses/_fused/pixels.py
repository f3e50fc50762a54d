"""The focal term and the gradient of one chunk: where all targets are 0 or 1, and where any are.

Where all are 0 or 1 (the chunk is *hard*), a pixel has one error x, its logit towards the wrong
class, and everything comes from the odds E = exp(x): the probability q = E/(1+E) of the wrong
class, and its softplus log(1+E), one logarithm per pixel. Both classes then share a formula in
which t only picks constants. A chunk with soft targets, or with odds beyond the range of the dtype,
takes the longer way of both classes and logsigmoid.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from .chunk import Buffers, Chunk, product_sum, sum_of
from .form import Form

sigmoid_backward = torch.ops.aten.sigmoid_backward.grad_input


def hard_pixels(
    chunk: Chunk,
    buffers: Buffers,
    t: Tensor,
    odds: Tensor,
    form: Form,
    coefficients: tuple[float, float, float],
) -> float:
    """`sweep` where all targets are 0 or 1; the sum."""
    scale, of_crack, of_background = coefficients
    shifted = odds
    q = chunk.q(odds, buffers)
    wrong, loss = q, 0.0
    rest = slope = None
    if form.focal:
        if form.margin or form.margin_background:
            shifted = shifted_odds(form, odds, t, buffers["shifted"])
            above = torch.add(shifted, 1, out=buffers["above"])
            wrong = torch.div(shifted, above, out=buffers["wrong"])
        softplus = torch.log1p(shifted, out=buffers["softplus"])
        rest, faded = fading(buffers, t, q, form)
        loss = sum_of(softplus) if rest is None else product_sum(rest, softplus, buffers)
        if chunk.gradient is None or not math.isfinite(loss):
            return loss
        if form.gamma:  # the slope of the loss is rest·[σ(x+m) + γ(1−q)·softplus]
            torch.addcmul(softplus, faded, softplus, value=-1, out=softplus)
            slope = torch.add(wrong, softplus, alpha=form.gamma, out=softplus)
        else:
            slope = wrong
    elif chunk.gradient is None:
        return loss
    total = buffers["above"]  # which is needed no more
    if of_crack or of_background:
        torch.add(t.new_tensor(of_background), t, alpha=of_crack - of_background, out=total)
        sigmoid_backward(total, q, grad_input=total)
    else:
        total.zero_()
    if slope is not None:
        if rest is None:
            total.add_(slope, alpha=scale)
        else:
            total.addcmul_(rest, slope, value=scale)
    kept = chunk.kept_odds()
    signed = torch.addcmul(total, total, t, value=-2, out=total if kept is None else kept)
    if kept is None:
        chunk.gradient.copy_(signed)
    return loss


def shifted_odds(form: Form, odds: Tensor, t: Tensor, out: Tensor) -> Tensor:
    """exp(x + margin), with the margin of the pixel's class."""
    crack, background = math.exp(form.margin), math.exp(form.margin_background)
    if background != 1:
        odds = torch.mul(odds, background, out=out)
    if crack == background:
        return odds
    return torch.addcmul(odds, odds, t, value=crack / background - 1, out=out)


def fading(buffers: Buffers, t: Tensor, q: Tensor, form: Form) -> tuple[Tensor | None, Tensor]:
    """The weight of the class times g^γ̂ (None: all 1), and g: q, or 1 where nothing fades."""
    rest, g = None, q
    if form.gamma:
        if not form.crack_fades:
            g = torch.maximum(q, t, out=buffers["faded"])
        rest = buffers["shifted"]  # which is needed no more
        if form.gamma == 1:
            rest.copy_(g)
        elif form.gamma == 2:
            torch.mul(g, g, out=rest)
        elif form.gamma == 0.5:
            torch.sqrt(g, out=rest)
        else:
            torch.log(g, out=rest).mul_(form.gamma).exp_()
    if not form.crack == form.background == 1:
        weight = torch.add(
            t.new_tensor(form.background), t, alpha=form.crack - form.background,
            out=buffers["weight"],
        )  # fmt: skip
        rest = weight if rest is None else rest.mul_(weight)
    return rest, g


def soft_pixels(
    chunk: Chunk, z: Tensor, t: Tensor, form: Form, coefficients: tuple[float, float, float]
) -> float:
    """`sweep` for any targets and logits, each pixel counting for both classes; the sum."""
    scale, of_crack, of_background = coefficients
    fade = form.gamma if form.crack_fades else 0.0
    rest = 1 - t
    loss1, slope1 = one_class(-z, form.crack * t, fade, form.margin)
    loss0, slope0 = one_class(z, form.background * rest, form.gamma, form.margin_background)
    if chunk.gradient is not None:
        spread = sigmoid(z) * sigmoid(-z)
        region = spread * (of_background * rest - of_crack * t)
        chunk.gradient.copy_(scale * (slope0 - slope1) + region)
    return loss1 + loss0


def sigmoid(x: Tensor) -> Tensor:
    """σ(x), with the same bits for any number of threads.

    Torch's own (and its exp2) rounds the last elements of a thread's share otherwise than the rest.
    """
    return 1 / (1 + torch.exp(-x))


def one_class(x: Tensor, weight: Tensor, gamma: float, margin: float) -> tuple[float, Tensor]:
    """Σ weight·q^γ̂·softplus(x + m), q = σ(x), and its slope by each x."""
    softplus = -F.logsigmoid(-x - margin)
    if gamma:
        weight = weight * torch.exp(gamma * F.logsigmoid(x))
    slope = weight * (sigmoid(x + margin) + gamma * sigmoid(-x) * softplus)
    return sum_of(weight * softplus), slope
