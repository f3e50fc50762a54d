"""The fused form on the CPU: torch's own vectorized operations, on chunks that stay in the cache.

A form with a region term takes two sweeps, as its coefficients need the sums of all pixels. The
first leaves the odds where the second puts the gradient, and the second goes backwards, to find
what the first touched last still in the cache.

Chunks are computed by threads of our own or one after the other by torch's (see `threads`). Sums
are those of rows and of chunks in their order, so that the result has the same bits either way and
with any number of threads.
"""

from __future__ import annotations

import math
from dataclasses import astuple

import torch
from torch import Tensor

from .._valid_pixels import SMALLEST_BASE, SMALLEST_DENOMINATOR, refuse_weights
from ..pooling import Ranks
from .chunk import ROW, Chunk, Sums, product_sum, sum_of
from .form import Form
from .pixels import hard_pixels, sigmoid, soft_pixels
from .threads import sharing

# Elements of a chunk, at most and at least. Smaller ones lie deeper in the cache, but threads take
# turns with Python's lock after each operation, which costs most where a core is busy.
CHUNK = 262144
SMALLEST_CHUNK = 196608
LARGEST_MARGIN = 20.0  # of the hard way, where exp(margin) multiplies the odds


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


def sum_regions(chunk: Chunk) -> None:
    """Find the region sums of a chunk, and whether it is hard."""
    z, t, buffers = chunk.load()
    sums = chunk.sums
    sums.crack = sum_of(t)
    if chunk.has_hard_targets(t, buffers):
        odds = chunk.odds(z, t, buffers, keep=True)
        wrong = chunk.q(odds, buffers)
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


def gradient_dtype(logits: Tensor) -> torch.dtype:
    """In what the gradient is kept: float16 would lose what a scaled backward brings back."""
    return torch.float32 if logits.dtype == torch.float16 else logits.dtype
