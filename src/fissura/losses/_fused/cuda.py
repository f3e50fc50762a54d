"""The fused losses on CUDA: three Triton kernels, float32 inside, which the host never waits for.

`sum_pixels` has a fixed number of programs for each value; each strides over its pixels and leaves
its partial sums. `combine` adds these in float64, in an order that never changes, and makes the
value and the coefficients of the gradient on the device. `spread` is the backward: it reads the
pixels again, with the coefficients and the incoming gradient, and writes the gradient.
"""
# pyright: reportIndexIssue=false, reportAttributeAccessIssue=false, reportOperatorIssue=false
# pyright: reportArgumentType=false, reportCallIssue=false, reportGeneralTypeIssues=false

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from .._valid_pixels import SMALLEST_BASE, SMALLEST_DENOMINATOR
from .form import Form

BLOCK = 2048
PROGRAMS = 1024  # in all, at most; a power of two
# Triton warns of a default that is about to change; sums of products may be fused.
LAUNCH = {"enable_fp_fusion": True}
SUMS = 8  # per program: loss, tp, fn, fp, tn, valid, and two of nothing


def forward(
    logits: Tensor, target: Tensor, mask: Tensor | None, form: Form, images: int
) -> tuple[Tensor, Tensor, Tensor]:
    """The values of a form, the numbers of valid pixels, and (images, 3) coefficients."""
    z, t, valid = readable(logits, target, mask)
    pixels = z.numel() // images
    programs = min(triton.next_power_of_2(triton.cdiv(pixels, BLOCK)), PROGRAMS)
    programs = max(programs // triton.next_power_of_2(images), 1) if images > 1 else programs
    sums = z.new_empty((images, programs, SUMS), dtype=torch.float32)
    values, counts = (z.new_empty(images, dtype=torch.float32) for _ in range(2))
    coefficients = z.new_empty((images, 3), dtype=torch.float32)
    with torch.cuda.device_of(z):
        sum_pixels[programs, images](
            z, t, valid, sums, pixels, programs, *of_pixels(form), **options(form, mask), **LAUNCH
        )
        combine[(images,)](
            sums, values, counts, coefficients, form.focal, form.region, form.power,
            form.region_background, form.power_background, form.delta, form.smooth,
            MEAN=bool(form.mean), PROGRAMS=programs, SUMS=SUMS,
            SMALLEST_BASE=SMALLEST_BASE, SMALLEST_DENOMINATOR=SMALLEST_DENOMINATOR, **LAUNCH,
        )  # fmt: skip
    return values, counts, coefficients


def backward(
    grad: Tensor, saved: Tensor, logits: Tensor, target: Tensor, mask: Tensor | None, form: Form
) -> Tensor:
    """The gradient by the logits, from the coefficients that the forward saved."""
    z, t, valid = readable(logits, target, mask)
    images = saved.shape[0]
    pixels = z.numel() // images
    gradient = torch.empty_like(z)
    with torch.cuda.device_of(z):
        spread[triton.cdiv(pixels, BLOCK), images](
            z, t, valid, grad.contiguous(), saved, gradient, pixels, *of_pixels(form),
            **options(form, mask), **LAUNCH,
        )  # fmt: skip
    return gradient


def readable(logits: Tensor, target: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """Contiguous tensors of dtypes that a kernel can load; for no mask, anything in its place."""
    z, t = logits.detach().contiguous(), target.contiguous()
    if t.dtype == torch.bool:
        t = t.view(torch.uint8)
    if mask is None:
        return z, t, t
    return z, t, (mask != 0).contiguous().view(torch.uint8)


def of_pixels(form: Form) -> tuple[float, ...]:
    """The parameters of a form that each pixel needs."""
    return form.crack, form.background, form.gamma, form.margin, form.margin_background


def options(form: Form, mask: Tensor | None) -> dict[str, Any]:
    """What the kernels are compiled for."""
    return {
        "FOCAL": form.focal > 0,
        "REGION": form.region > 0 or form.region_background > 0,
        "GAMMA": {0.0: 0, 1.0: 1, 2.0: 2}.get(form.gamma, 3),
        "CRACK_FADES": bool(form.crack_fades),
        "MARGIN": form.margin > 0,
        "MARGIN_BACKGROUND": form.margin_background > 0,
        "MASKED": mask is not None,
        "BLOCK": BLOCK,
    }


@triton.jit
def softplus_of(x, tail):
    """log(1 + exp(x)), given exp(−|x|), with a small relative error however small the result.

    log1p(e) = 2·atanh(w), w = e/(2+e) ≤ ⅓, by its series: the GPU's fast logarithm, exact to 10⁻⁷
    of 1, would lose the loss of confident pixels.
    """
    w = tail / (2.0 + tail)
    w2 = w * w
    series = 1 / 11 + w2 * (1 / 13 + w2 * (1 / 15))
    series = 1.0 + w2 * (1 / 3 + w2 * (1 / 5 + w2 * (1 / 7 + w2 * (1 / 9 + w2 * series))))
    return tl.maximum(x, 0.0) + 2.0 * w * series


@triton.jit
def sigmoids_of(x, tail):
    """σ(x) and σ(−x), given exp(−|x|): exact in both tails."""
    larger = 1.0 / (1.0 + tail)
    smaller = tail * larger
    return tl.where(x >= 0, larger, smaller), tl.where(x >= 0, smaller, larger)


@triton.jit
def faded(p, softplus, gamma, GAMMA: tl.constexpr):
    """p^γ, where −log p is the softplus given."""
    if GAMMA == 0:
        power = p * 0.0 + 1.0
    elif GAMMA == 1:
        power = p
    elif GAMMA == 2:
        power = p * p
    else:
        power = tl.exp(-gamma * softplus)
    return power


@triton.jit
def load_pixels(z_at, t_at, valid_at, offset, inside, MASKED: tl.constexpr):
    """Logits, targets and which are valid; the others are background with logit 0."""
    valid = inside
    if MASKED:
        valid = inside & (tl.load(valid_at + offset, mask=inside, other=0) != 0)
    z = tl.load(z_at + offset, mask=valid, other=0.0).to(tl.float32)
    t = tl.load(t_at + offset, mask=valid, other=0).to(tl.float32)
    return z, t, valid


@triton.jit
def focal_terms(
    z, t, crack, background, gamma, margin, margin_background,
    GAMMA: tl.constexpr, CRACK_FADES: tl.constexpr, MARGIN: tl.constexpr,
    MARGIN_BACKGROUND: tl.constexpr,
):  # fmt: skip
    """The loss of each pixel and its slope."""
    tail = tl.exp(-tl.abs(z))
    p, not_p = sigmoids_of(z, tail)
    of_z, of_minus_z = softplus_of(z, tail), softplus_of(-z, tail)  # −log(1−p), −log p
    loss1, wrong1, loss0, wrong0 = of_minus_z, not_p, of_z, p
    if MARGIN:
        tail1 = tl.exp(-tl.abs(margin - z))
        loss1 = softplus_of(margin - z, tail1)
        wrong1, _ = sigmoids_of(margin - z, tail1)
    if MARGIN_BACKGROUND:
        tail0 = tl.exp(-tl.abs(z + margin_background))
        loss0 = softplus_of(z + margin_background, tail0)
        wrong0, _ = sigmoids_of(z + margin_background, tail0)
    weight1, weight0 = crack * t, background * (1.0 - t) * faded(p, of_minus_z, gamma, GAMMA)
    if CRACK_FADES:
        weight1 *= faded(not_p, of_z, gamma, GAMMA)
        wrong1 += gamma * p * loss1
    wrong0 += gamma * not_p * loss0
    return weight1 * loss1 + weight0 * loss0, weight0 * wrong0 - weight1 * wrong1


@triton.jit
def sum_pixels(
    z_at, t_at, valid_at, sums_at, pixels, programs,
    crack, background, gamma, margin, margin_background,
    FOCAL: tl.constexpr, REGION: tl.constexpr, GAMMA: tl.constexpr, CRACK_FADES: tl.constexpr,
    MARGIN: tl.constexpr, MARGIN_BACKGROUND: tl.constexpr, MASKED: tl.constexpr,
    BLOCK: tl.constexpr,
):  # fmt: skip
    """The partial sums of one program: loss, Σpt, Σ(1−p)t, Σp(1−t), Σ(1−p)(1−t), valid pixels."""
    program, image = tl.program_id(0).to(tl.int64), tl.program_id(1).to(tl.int64)
    lanes = tl.arange(0, BLOCK)
    loss = tl.zeros((BLOCK,), tl.float32)
    tp, fn, fp, tn, count = loss, loss, loss, loss, loss
    for start in range(program * BLOCK, pixels, programs * BLOCK):
        place = start + lanes
        inside = place < pixels
        z, t, valid = load_pixels(z_at, t_at, valid_at, image * pixels + place, inside, MASKED)
        one = valid.to(tl.float32)
        if FOCAL:
            terms, _ = focal_terms(
                z, t, crack, background, gamma, margin, margin_background,
                GAMMA, CRACK_FADES, MARGIN, MARGIN_BACKGROUND,
            )  # fmt: skip
            loss += tl.where(valid, terms, 0.0)
        if REGION:
            tail = tl.exp(-tl.abs(z))
            p, not_p = sigmoids_of(z, tail)
            tp += p * t
            fn += not_p * t
            fp += tl.where(valid, p * (1.0 - t), 0.0)
            tn += tl.where(valid, not_p * (1.0 - t), 0.0)
        count += one
    at = sums_at + (image * programs + program) * 8
    tl.store(at, tl.sum(loss, 0))
    tl.store(at + 1, tl.sum(tp, 0))
    tl.store(at + 2, tl.sum(fn, 0))
    tl.store(at + 3, tl.sum(fp, 0))
    tl.store(at + 4, tl.sum(tn, 0))
    tl.store(at + 5, tl.sum(count, 0))


@triton.jit
def region_part(weight, power, delta, smooth, tp, fn, fp, LEAST_BASE, LEAST_BELOW):
    """weight·(1 − TI)^power, and its slopes by the error of a pixel of this and the other class."""
    wrong = delta * fn + (1.0 - delta) * fp
    sum_below = tp + wrong + smooth
    below = tl.maximum(sum_below, LEAST_BELOW)
    error = wrong / below
    # The slope of a power below 1 stays what it is at LEAST_BASE; above 1 it ends in 0 of itself.
    least = tl.where(power < 1.0, LEAST_BASE, 1e-37)
    log_base = tl.log(tl.maximum(error, least))
    slope = weight * power * tl.exp((power - 1.0) * log_base)
    value = weight * tl.where(error > 0, tl.exp(power * tl.log(tl.maximum(error, 1e-37))), 0.0)
    clamped = sum_below < LEAST_BELOW
    same = tl.where(clamped, delta, (delta * (tp + smooth) + wrong) / below) / below
    other = (1.0 - delta) * tl.where(clamped, 1.0, (tp + smooth) / below) / below
    return value, slope * same, slope * other


@triton.jit
def combine(
    sums_at, values_at, counts_at, coefficients_at,
    focal, region, power, region_background, power_background, delta, smooth,
    MEAN: tl.constexpr, PROGRAMS: tl.constexpr, SUMS: tl.constexpr,
    SMALLEST_BASE: tl.constexpr, SMALLEST_DENOMINATOR: tl.constexpr,
):  # fmt: skip
    """The value of one image (or of the batch), its valid pixels, and its three coefficients."""
    image = tl.program_id(0)
    at = sums_at + (image * PROGRAMS + tl.arange(0, PROGRAMS)) * SUMS
    loss = tl.sum(tl.load(at).to(tl.float64), 0)
    tp = tl.sum(tl.load(at + 1).to(tl.float64), 0)
    fn = tl.sum(tl.load(at + 2).to(tl.float64), 0)
    fp = tl.sum(tl.load(at + 3).to(tl.float64), 0)
    tn = tl.sum(tl.load(at + 4).to(tl.float64), 0)
    count = tl.sum(tl.load(at + 5).to(tl.float64), 0)
    scale = focal + 0.0 * loss
    if MEAN:
        scale = focal / tl.maximum(count, 1.0)
    value, of_crack, of_background = region_part(
        region, power, delta, smooth, tp, fn, fp, SMALLEST_BASE, SMALLEST_DENOMINATOR
    )
    value0, same, other = region_part(
        region_background, power_background, delta, smooth, tn, fp, fn,
        SMALLEST_BASE, SMALLEST_DENOMINATOR,
    )  # fmt: skip
    tl.store(values_at + image, (scale * loss + value + value0).to(tl.float32))
    tl.store(counts_at + image, count.to(tl.float32))
    tl.store(coefficients_at + 3 * image, scale.to(tl.float32))
    tl.store(coefficients_at + 3 * image + 1, (of_crack + other).to(tl.float32))
    tl.store(coefficients_at + 3 * image + 2, (of_background + same).to(tl.float32))


@triton.jit
def spread(
    z_at, t_at, valid_at, grad_at, coefficients_at, gradient_at, pixels,
    crack, background, gamma, margin, margin_background,
    FOCAL: tl.constexpr, REGION: tl.constexpr, GAMMA: tl.constexpr, CRACK_FADES: tl.constexpr,
    MARGIN: tl.constexpr, MARGIN_BACKGROUND: tl.constexpr, MASKED: tl.constexpr,
    BLOCK: tl.constexpr,
):  # fmt: skip
    """The gradient of a block of pixels."""
    block, image = tl.program_id(0).to(tl.int64), tl.program_id(1).to(tl.int64)
    place = block * BLOCK + tl.arange(0, BLOCK)
    inside = place < pixels
    offset = image * pixels + place
    z, t, valid = load_pixels(z_at, t_at, valid_at, offset, inside, MASKED)
    incoming = tl.load(grad_at + image)
    gradient = tl.zeros((BLOCK,), tl.float32)
    if FOCAL:
        _, slope = focal_terms(
            z, t, crack, background, gamma, margin, margin_background,
            GAMMA, CRACK_FADES, MARGIN, MARGIN_BACKGROUND,
        )  # fmt: skip
        gradient += incoming * tl.load(coefficients_at + 3 * image) * slope
    if REGION:
        of_crack = incoming * tl.load(coefficients_at + 3 * image + 1)
        of_background = incoming * tl.load(coefficients_at + 3 * image + 2)
        tail = tl.exp(-tl.abs(z))
        p, not_p = sigmoids_of(z, tail)
        gradient += p * not_p * (of_background * (1.0 - t) - of_crack * t)
    gradient = tl.where(valid, gradient, 0.0)
    tl.store(gradient_at + offset, gradient.to(gradient_at.dtype.element_ty), mask=inside)
