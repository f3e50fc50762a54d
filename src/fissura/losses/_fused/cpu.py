"""The fused form on the CPU: torch's own vectorized operations, on chunks that stay in the cache.

Where all targets of a chunk are 0 or 1 (it is *hard*), a pixel has one error x, its logit towards
the wrong class, and everything comes from the odds E = exp(x): the probability q = E/(1+E) of the
wrong class, and its softplus log(1+E), one logarithm per pixel. Both classes then share a formula
in which t only picks constants. A chunk with soft targets, or with odds beyond the range of the
dtype, takes the longer way of both classes and logsigmoid.

A form with a region term takes two sweeps, as its coefficients need the sums of all pixels. The
first leaves the odds where the second puts the gradient, and the second goes backwards, to find
what the first touched last still in the cache.

Chunks are computed by threads of our own or one after the other by torch's (see `threads`). Sums
are those of rows and of chunks in their order, so that the result has the same bits either way and
with any number of threads.
"""

from __future__ import annotations

import math
import threading
from dataclasses import astuple, dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

from .._valid_pixels import (
    IGNORED_LOGIT,
    SMALLEST_BASE,
    SMALLEST_DENOMINATOR,
    check_target_range,
    refuse_weights,
)
from ..pooling import Ranks
from .form import Form
from .threads import sharing

# Elements of a chunk, at most and at least. Smaller ones lie deeper in the cache, but threads take
# turns with Python's lock after each operation, which costs most where a core is busy.
CHUNK = 262144
SMALLEST_CHUNK = 196608
# Torch shares out a longer sum among its threads, whose number would change its rounding, but never
# the sum of one row of several. (The MKL does that with dot products of any length; so these are
# products and sums here.) A chunk is made of whole rows.
SMALL = 32704
ROW = 16384
LARGEST_MARGIN = 20.0  # of the hard way, where exp(margin) multiplies the odds
sigmoid_backward = torch.ops.aten.sigmoid_backward.grad_input
own = threading.local()


@dataclass
class Sums:
    """Of valid pixels: the loss, Σpt, Σ(1−p)t, Σp(1−t), Σt, and their number."""

    loss: float = 0.0
    tp: float = 0.0
    fn: float = 0.0
    fp: float = 0.0
    crack: float = 0.0
    valid: float = 0


class Buffers(dict[str, Tensor]):
    """The buffers of a thread by name, made when first asked for, as long as the chunk at hand.

    A thread keeps them: the C library would return memory of this size to the system, whose fresh
    pages then cost more than the arithmetic.
    """

    def __init__(self, length: int, dtype: torch.dtype) -> None:
        super().__init__()
        self.length, self.dtype = length, dtype

    def __missing__(self, name: str) -> Tensor:
        self[name] = torch.empty(self.length, dtype=self.dtype)
        return self[name]


def buffers_of_thread(length: int, dtype: torch.dtype) -> Buffers:
    """The buffers of this thread, of this length and dtype."""
    known: Buffers | None = getattr(own, "buffers", None)
    if known is None or (known.length, known.dtype) != (length, dtype):
        own.buffers = known = Buffers(length, dtype)
    return known


@dataclass
class Chunk:
    """Pixels that are computed together, as flat tensors, and their results.

    Attributes:
        z: the logits.
        t: the targets.
        valid: the mask, if any.
        gradient: to be written; None where nobody wants it.
        dtype: of the computation.
        hard: whether the first sweep left odds: all targets are 0 or 1, all odds finite.
        sums: of its pixels.
    """

    z: Tensor
    t: Tensor
    valid: Tensor | None
    gradient: Tensor | None
    dtype: torch.dtype
    hard: bool | None = None
    sums: Sums = field(default_factory=Sums)

    def load(self) -> tuple[Tensor, Tensor, Buffers]:
        """Logits and targets in the dtype of the computation (the invalid certain), and buffers."""
        buffers = buffers_of_thread(self.z.numel(), self.dtype)
        z, t = self.z, self.t
        if z.dtype != self.dtype:
            z = buffers["z"].copy_(z)
        if t.dtype != self.dtype:
            t = buffers["t"].copy_(t)
        if self.valid is not None:
            z, t = torch.where(self.valid, z, IGNORED_LOGIT), torch.where(self.valid, t, 0.0)
        return z, t, buffers

    def has_hard_targets(self, t: Tensor, buffers: Buffers) -> bool:
        """Whether all targets are 0 or 1; raise ValueError where one lies outside [0, 1]."""
        if self.t.dtype == torch.bool:
            return True
        excess = torch.addcmul(t, t, t, value=-1, out=buffers["product"])  # t − t²
        if torch.amin(excess).item() == 0 and (
            not self.t.is_floating_point() or torch.amax(excess).item() == 0
        ):  # of whole numbers none is above 0
            return True
        check_target_range(t.amin().item(), t.amax().item())
        return False

    def odds(self, z: Tensor, t: Tensor, buffers: Buffers, *, keep: bool) -> Tensor:
        """exp of the logit towards the wrong class, in the gradient's memory where it fits."""
        x = torch.addcmul(z, z, t, value=-2, out=buffers["q"])
        kept = self.kept_odds() if keep else None
        return torch.exp(x, out=buffers["odds"] if kept is None else kept)

    def kept_odds(self) -> Tensor | None:
        """The memory of the odds from sweep to sweep: the gradient's, if of the right dtype."""
        if self.gradient is None or self.gradient.dtype not in (torch.float32, torch.float64):
            return None
        return self.gradient


def forward(
    logits: Tensor,
    target: Tensor,
    mask: Tensor | None,
    form: Form,
    images: int,
    over: Ranks | None,
    slope: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """The values of a form, the numbers of valid pixels, and the gradient of each value.

    Where sums run over processes, values and numbers are those of all, the gradient that of one.
    """
    gradient = torch.empty(logits.shape if slope else (0,), dtype=gradient_dtype(logits))
    if mask is not None and mask.dtype != torch.bool:
        refuse_weights(mask, logits)
        mask = mask != 0
    dtype = torch.float64 if logits.dtype == torch.float64 else torch.float32
    tensors = (logits, target, mask, gradient if slope else None)
    z, t, valid, slopes = (None if x is None else x.detach().reshape(images, -1) for x in tensors)
    assert z is not None
    assert t is not None
    chunk_slices = slices(z.shape[1])
    chunks = [
        [
            Chunk(
                z[i, pixels],
                t[i, pixels],
                None if valid is None else valid[i, pixels],
                None if slopes is None else slopes[i, pixels],
                dtype,
            )
            for pixels in chunk_slices
        ]
        for i in range(images)
    ]
    numbers = [z.shape[1]] * images if valid is None else valid.count_nonzero(dim=1).tolist()
    values = evaluate(form, chunks, numbers, over)
    return torch.tensor(values, dtype=dtype), torch.tensor(numbers, dtype=dtype), gradient


def slices(pixels: int) -> list[slice]:
    """The chunks: of nearly equal size, and an even number of them, or one."""
    size = min(max(pixels // 8, SMALLEST_CHUNK), CHUNK)
    number = 1 if pixels <= size else 2 * math.ceil(pixels / (2 * size))
    size = ROW * max(math.ceil(pixels / number / ROW), 1)
    return [slice(start, start + size) for start in range(0, pixels, size)]


def evaluate(
    form: Form, images: list[list[Chunk]], numbers: list[int], over: Ranks | None
) -> list[float]:
    """The value of each image; the gradient is written.

    Args:
        form: which loss.
        images: the chunks of each, or of the whole batch.
        numbers: the valid pixels of each, which become those of all processes.
        over: the processes to pool over, if any.
    """
    with sharing(sum(chunk.z.numel() for image in images for chunk in image)) as share_out:
        if form.region > 0 or form.region_background > 0:
            share_out(sum_regions, [chunk for image in images for chunk in image])
        values, scales, work = [], [], []
        for index, image in enumerate(images):
            sums = sums_of(image, numbers[index])
            if over is not None:
                sums = Sums(*over.added(astuple(sums)))
                numbers[index] = int(sums.valid)
            value, of_crack, of_background = region_value(form, sums)
            scale = form.focal / (max(numbers[index], 1) if form.mean else 1)
            values.append(value)
            scales.append(scale)
            if image and (scale or image[0].gradient is not None):
                work += [(chunk, (scale, of_crack, of_background)) for chunk in image]
        share_out(lambda item: sweep(form, *item), work[::-1])
    losses = [sum(chunk.sums.loss for chunk in image) for image in images]
    if over is not None:
        losses = over.added(losses)
    return [v + scale * loss for v, scale, loss in zip(values, scales, losses, strict=True)]


def sums_of(chunks: list[Chunk], valid: int) -> Sums:
    """The region sums of all chunks of an image."""
    names = ("tp", "fn", "fp", "crack")
    sums = {name: sum(getattr(chunk.sums, name) for chunk in chunks) for name in names}
    return Sums(**sums, valid=valid)


def sum_of(x: Tensor) -> float:
    """Σx, with the same bits for any number of threads."""
    if x.numel() <= SMALL:
        return x.sum().item()
    whole = x.numel() // ROW * ROW
    rows = x[:whole].view(-1, ROW).sum(1).sum().item()
    return rows if whole == x.numel() else rows + x[whole:].sum().item()


def product_sum(a: Tensor, b: Tensor, buffers: Buffers) -> float:
    """Σab."""
    return sum_of(torch.mul(a, b, out=buffers["product"]))


def sum_regions(chunk: Chunk) -> None:
    """Find the region sums of a chunk, and whether it is hard."""
    z, t, buffers = chunk.load()
    sums = chunk.sums
    sums.crack = sum_of(t)
    if chunk.has_hard_targets(t, buffers):
        odds = chunk.odds(z, t, buffers, keep=True)
        wrong = torch.div(odds, torch.add(odds, 1, out=buffers["above"]), out=buffers["q"])
        fn, both = product_sum(wrong, t, buffers), sum_of(wrong)
        if math.isfinite(both):
            sums.tp, sums.fn, sums.fp = max(sums.crack - fn, 0.0), fn, max(both - fn, 0.0)
            chunk.hard = True
            return
    p = sigmoid(z)
    sums.tp = product_sum(p, t, buffers)
    sums.fn = product_sum(sigmoid(-z), t, buffers)
    sums.fp = product_sum(p, 1 - t, buffers)
    chunk.hard = False


def region_value(form: Form, sums: Sums) -> tuple[float, float, float]:
    """The region terms, and their slopes by the error of a crack and of a background pixel."""
    # Without background its errors are what rounding left, and its slope may be as steep as 1/0,
    # which in `hard_pixels` would swallow the other one.
    no_background = sums.crack >= sums.valid
    tp, fn, fp = sums.tp, sums.fn, 0.0 if no_background else sums.fp
    tn = max(sums.valid - sums.crack - fp, 0.0)
    value, crack, background = region_term(form, form.region, form.power, tp, fn, fp)
    of_background = region_term(form, form.region_background, form.power_background, tn, fp, fn)
    background = 0.0 if no_background else background + of_background[1]
    return value + of_background[0], crack + of_background[2], background


def region_term(
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


def sweep(form: Form, chunk: Chunk, coefficients: tuple[float, float, float]) -> None:
    """Find the sum of the focal term over a chunk, and write its gradient.

    coefficients are those of the focal term, and of q(1−q) of a crack and of a background pixel.
    """
    z, t, buffers = chunk.load()
    first = chunk.hard is None
    hard = chunk.has_hard_targets(t, buffers) if first else chunk.hard
    if hard and max(form.margin, form.margin_background) <= LARGEST_MARGIN:
        kept = None if first else chunk.kept_odds()
        odds = chunk.odds(z, t, buffers, keep=False) if kept is None else kept
        chunk.sums.loss = hard_pixels(chunk, buffers, t, odds, form, coefficients)
        if math.isfinite(chunk.sums.loss):
            return
    chunk.sums.loss = soft_pixels(chunk, z, t, form, coefficients)


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
    q = torch.div(odds, torch.add(odds, 1, out=buffers["above"]), out=buffers["q"])
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


def gradient_dtype(logits: Tensor) -> torch.dtype:
    """In what the gradient is kept: float16 would lose what a scaled backward brings back."""
    return torch.float32 if logits.dtype == torch.float16 else logits.dtype
