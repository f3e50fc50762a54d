"""The fused losses on the CPU: torch's own vectorized operations, on chunks that stay in the cache.

Where all targets of a chunk are 0 or 1 (it is *hard*), a pixel has one error x, its logit towards
the wrong class, and everything comes from the odds E = exp(x): the probability q = E/(1+E) of the
wrong class, and its softplus log1p(E), one logarithm per pixel. Both classes then share a formula
in which t only picks constants. A chunk with soft targets, or with odds beyond the range of the
dtype, takes the longer way of both classes and logsigmoid.

A form with a region part takes two sweeps, as its coefficients need the sums of all pixels. The
first leaves the odds where the second puts the gradient, and the second goes backwards, to find
what the first touched last still in the cache.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from .._valid_pixels import (
    IGNORED_LOGIT,
    SMALLEST_BASE,
    SMALLEST_DENOMINATOR,
    refuse_outside,
    refuse_weights,
)
from .form import Form

# Elements of a chunk per thread. Smaller ones lie deeper in the cache, but every operation on a
# chunk wakes and joins all threads, which costs 3 µs.
CHUNK = 131072
LOG2_E = math.log2(math.e)
LARGEST_MARGIN = 20.0  # of the hard way, where exp(margin) multiplies the odds
# The buffers of a chunk. They are one allocation, as freeing several of this size makes the C
# library return the memory to the system, whose fresh pages then cost more than the arithmetic.
ROOMS: tuple[str, ...] = (
    "z", "t", "q", "odds", "shifted", "wrong", "softplus", "faded", "rest", "weight", "total",
)  # fmt: skip

sigmoid_backward = torch.ops.aten.sigmoid_backward.grad_input


@dataclass
class Sums:
    """Of valid pixels: the loss, Σpt, Σ(1−p)t, Σp(1−t), Σt, and their number."""

    loss: float = 0.0
    tp: float = 0.0
    fn: float = 0.0
    fp: float = 0.0
    crack: float = 0.0
    valid: int = 0


@dataclass
class Pooled:
    """The flat tensors of the pixels that are pooled, and the buffers of a chunk by name.

    gradient:  to be written; None where nobody wants it.
    refuse:    raises for targets outside [0, 1], called when a target is neither 0 nor 1.
    """

    z: Tensor
    t: Tensor
    valid: Tensor | None
    gradient: Tensor | None
    refuse: Callable[[], None]
    buffers: dict[str, Tensor]

    def parts(self) -> list[slice]:
        """The slices of the chunks."""
        n, step = self.z.numel(), CHUNK * torch.get_num_threads()
        return [slice(start, min(start + step, n)) for start in range(0, n, step)]

    def room(self, name: str, part: slice) -> Tensor:
        """The buffer of this name, as long as the part, in the dtype of the computation."""
        return self.buffers[name][: part.stop - part.start]

    def load(self, part: slice) -> tuple[Tensor, Tensor]:
        """Logits and targets of a part in the dtype of the computation; the invalid are certain."""
        z, t = self.z[part], self.t[part]
        dtype = self.room("z", part).dtype
        if z.dtype != dtype:
            z = self.room("z", part).copy_(z)
        if t.dtype != dtype:
            t = self.room("t", part).copy_(t)
        if self.valid is not None:
            valid = self.valid[part] != 0
            z, t = torch.where(valid, z, IGNORED_LOGIT), torch.where(valid, t, 0.0)
        return z, t

    def odds(self, z: Tensor, t: Tensor, part: slice, *, keep: bool) -> Tensor:
        """exp of the logit towards the wrong class, in the gradient's memory where it fits."""
        x = torch.addcmul(z, z, t, value=-2, out=self.room("q", part)).mul_(LOG2_E)
        place = self.kept_odds(part) if keep else None
        return torch.exp2(x, out=self.room("odds", part) if place is None else place)

    def kept_odds(self, part: slice) -> Tensor | None:
        """The place of the odds from sweep to sweep: the gradient's, if of the right dtype."""
        if self.gradient is None or self.gradient.dtype not in (torch.float32, torch.float64):
            return None
        return self.gradient[part]

    def is_hard(self, t: Tensor, crack: float) -> bool:
        """Whether all targets of a chunk, whose sum is `crack`, are 0 or 1."""
        hard = self.t.dtype == torch.bool or torch.dot(t, t).item() == crack  # Σt² = Σt
        if not hard:
            self.refuse()
        return hard


def forward(
    logits: Tensor, target: Tensor, mask: Tensor | None, form: Form, images: int, slope: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """The values of a form, the numbers of valid pixels, and the gradient of each value."""
    gradient = torch.empty(logits.shape if slope else (0,), dtype=gradient_dtype(logits))
    rows = gradient.reshape(images, -1) if slope else [None] * images
    z, t = (x.detach().reshape(images, -1) for x in (logits, target))
    valid = [None] * images if mask is None else mask.reshape(images, -1)
    dtype = torch.float64 if logits.dtype == torch.float64 else torch.float32
    if mask is not None and mask.dtype != torch.bool:
        refuse_weights(mask, logits)
    checked = False

    def refuse() -> None:
        nonlocal checked
        if not checked and target.dtype != torch.bool:
            refuse_outside(target if mask is None else torch.where(mask != 0, target, 0))
        checked = True

    length = min(z.shape[1], CHUNK * torch.get_num_threads())
    block = torch.empty((len(ROOMS), length), dtype=dtype)
    buffers: dict[str, Tensor] = dict(zip(ROOMS, block, strict=True))
    pooled = [Pooled(*four, refuse, buffers) for four in zip(z, t, valid, rows, strict=True)]
    values, counts = zip(*(evaluate(pixels, form) for pixels in pooled), strict=True)
    return torch.tensor(values, dtype=dtype), torch.tensor(counts, dtype=dtype), gradient


def evaluate(pixels: Pooled, form: Form) -> tuple[float, int]:
    """The value of a form and its number of valid pixels; the gradient is written."""
    parts, sums = pixels.parts(), Sums(valid=pixels.z.numel())
    if pixels.valid is not None:
        sums.valid = int(pixels.valid.count_nonzero())
    region = form.region > 0 or form.region_background > 0
    hard: list[bool | None] = [None] * len(parts)
    if region:
        hard = [sum_regions(pixels, part, sums) for part in parts]
    value, of_crack, of_background = region_value(form, sums)
    scale = form.focal / (max(sums.valid, 1) if form.mean else 1)
    if scale or pixels.gradient is not None:
        for part, was_hard in zip(reversed(parts), reversed(hard), strict=True):
            coefficients = (scale, of_crack, of_background)
            sums.loss += sweep(pixels, part, form, coefficients, was_hard)
    return value + scale * sums.loss, sums.valid


def sum_regions(pixels: Pooled, part: slice, sums: Sums) -> bool:
    """Add the region sums of a part, and return whether it is hard."""
    z, t = pixels.load(part)
    crack = t.sum().item()
    if pixels.is_hard(t, crack):
        odds = pixels.odds(z, t, part, keep=True)
        wrong = probability(odds, pixels.room("q", part))
        fn, both = torch.dot(wrong, t).item(), wrong.sum().item()
        if math.isfinite(both):
            tp, fp = max(crack - fn, 0.0), max(both - fn, 0.0)
            sums.tp, sums.fn, sums.fp = sums.tp + tp, sums.fn + fn, sums.fp + fp
            sums.crack += crack
            return True
    p = torch.sigmoid(z)
    sums.tp += torch.dot(p, t).item()
    sums.fn += torch.dot(torch.sigmoid(-z), t).item()
    sums.fp += torch.dot(p, 1 - t).item()
    sums.crack += crack
    return False


def probability(odds: Tensor, out: Tensor) -> Tensor:
    """E/(1+E)."""
    return torch.div(odds, torch.add(odds, 1, out=out), out=out)


def region_value(form: Form, sums: Sums) -> tuple[float, float, float]:
    """The region parts, and their slopes by the error of a crack and of a background pixel."""
    # Without background its errors are what rounding left, and its slope may be as steep as 1/0,
    # which in `hard_pixels` would swallow the other one.
    no_background = sums.crack >= sums.valid
    tp, fn, fp = sums.tp, sums.fn, 0.0 if no_background else sums.fp
    tn = max(sums.valid - sums.crack - fp, 0.0)
    value, crack, background = region_part(form, form.region, form.power, tp, fn, fp)
    of_background = region_part(form, form.region_background, form.power_background, tn, fp, fn)
    background = 0.0 if no_background else background + of_background[1]
    return value + of_background[0], crack + of_background[2], background


def region_part(
    form: Form, weight: float, power: float, tp: float, fn: float, fp: float
) -> tuple[float, float, float]:
    """weight·(1 − TI)^power, and its slopes by the error of a pixel of this and the other class."""
    if weight == 0:
        return 0.0, 0.0, 0.0
    wrong = form.delta * fn + (1 - form.delta) * fp
    below = tp + wrong + form.smooth
    clamped = below < SMALLEST_DENOMINATOR
    below = max(below, SMALLEST_DENOMINATOR)
    error = wrong / below
    slope = weight * power
    if power != 1:
        slope *= max(error, SMALLEST_BASE if power < 1 else 0.0) ** (power - 1)
    if clamped:
        same, other = form.delta / below, (1 - form.delta) / below
    else:  # an error takes from TP what it adds to FN
        same = (form.delta * (tp + form.smooth) + wrong) / below / below
        other = (1 - form.delta) * (tp + form.smooth) / below / below
    return weight * error**power, slope * same, slope * other


def sweep(
    pixels: Pooled,
    part: slice,
    form: Form,
    coefficients: tuple[float, float, float],
    hard: bool | None,
) -> float:
    """The sum of the loss over a part; its gradient is written.

    coefficients:  of the focal part, and of q(1−q) of a crack and of a background pixel.
    hard:          whether the part is, where the first sweep has found out and left the odds.
    """
    z, t = pixels.load(part)
    first = hard is None
    if first:
        hard = pixels.is_hard(t, t.sum().item())
    if hard and max(form.margin, form.margin_background) <= LARGEST_MARGIN:
        kept = None if first else pixels.kept_odds(part)
        odds = pixels.odds(z, t, part, keep=False) if kept is None else kept
        loss = hard_pixels(pixels, part, t, odds, form, coefficients)
        if math.isfinite(loss):
            return loss
    return soft_pixels(pixels, part, z, t, form, coefficients)


def hard_pixels(
    pixels: Pooled,
    part: slice,
    t: Tensor,
    odds: Tensor,
    form: Form,
    coefficients: tuple[float, float, float],
) -> float:
    """`sweep` where all targets are 0 or 1."""
    scale, of_crack, of_background = coefficients
    shifted, q = odds, probability(odds, pixels.room("q", part))
    wrong, loss = q, 0.0
    rest = slope = None
    if form.focal:
        if form.margin or form.margin_background:
            shifted = shifted_odds(form, odds, t, pixels.room("shifted", part))
            wrong = probability(shifted, pixels.room("wrong", part))
        softplus = torch.log1p(shifted, out=pixels.room("softplus", part))
        rest, faded = fading(pixels, part, t, q, form)
        loss = (softplus.sum() if rest is None else torch.dot(rest, softplus)).item()
        if pixels.gradient is None or not math.isfinite(loss):
            return loss
        if form.gamma:  # the slope of the loss is rest·[σ(x+m) + γ(1−q)·softplus]
            torch.addcmul(softplus, faded, softplus, value=-1, out=softplus)
            slope = torch.add(wrong, softplus, alpha=form.gamma, out=softplus)
        else:
            slope = wrong
    elif pixels.gradient is None:
        return loss
    total = pixels.room("total", part)
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
    kept = pixels.kept_odds(part)
    signed = torch.addcmul(total, total, t, value=-2, out=total if kept is None else kept)
    if kept is None:
        pixels.gradient[part] = signed
    return loss


def shifted_odds(form: Form, odds: Tensor, t: Tensor, out: Tensor) -> Tensor:
    """exp(x + margin), with the margin of the pixel's class."""
    crack, background = math.exp(form.margin), math.exp(form.margin_background)
    if background != 1:
        odds = torch.mul(odds, background, out=out)
    if crack == background:
        return odds
    return torch.addcmul(odds, odds, t, value=crack / background - 1, out=out)


def fading(
    pixels: Pooled, part: slice, t: Tensor, q: Tensor, form: Form
) -> tuple[Tensor | None, Tensor]:
    """The weight of the class times g^γ̂ (None: all 1), and g: q, or 1 where nothing fades."""
    rest, g = None, q
    if form.gamma:
        if not form.crack_fades:
            g = torch.maximum(q, t, out=pixels.room("faded", part))
        rest = pixels.room("rest", part)
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
            out=pixels.room("weight", part),
        )  # fmt: skip
        rest = weight if rest is None else rest.mul_(weight)
    return rest, g


def soft_pixels(
    pixels: Pooled,
    part: slice,
    z: Tensor,
    t: Tensor,
    form: Form,
    coefficients: tuple[float, float, float],
) -> float:
    """`sweep` for any targets and logits: each pixel counts for both classes."""
    scale, of_crack, of_background = coefficients
    fade = form.gamma if form.crack_fades else 0.0
    rest = 1 - t
    loss1, slope1 = one_class(-z, form.crack * t, fade, form.margin)
    loss0, slope0 = one_class(z, form.background * rest, form.gamma, form.margin_background)
    if pixels.gradient is not None:
        spread = torch.sigmoid(z) * torch.sigmoid(-z)
        region = spread * (of_background * rest - of_crack * t)
        pixels.gradient[part] = scale * (slope0 - slope1) + region
    return loss1 + loss0


def one_class(x: Tensor, weight: Tensor, gamma: float, margin: float) -> tuple[float, Tensor]:
    """Σ weight·q^γ̂·softplus(x + m), q = σ(x), and its slope by each x."""
    softplus = -F.logsigmoid(-x - margin)
    if gamma:
        weight = weight * torch.exp(gamma * F.logsigmoid(x))
    slope = weight * (torch.sigmoid(x + margin) + gamma * torch.sigmoid(-x) * softplus)
    return torch.dot(weight, softplus).item(), slope


def gradient_dtype(logits: Tensor) -> torch.dtype:
    """In what the gradient is kept: float16 would lose what a scaled backward brings back."""
    return torch.float32 if logits.dtype == torch.float16 else logits.dtype
