"""The fused losses: every pooled loss here as one form, in few passes over the pixels.

All of them are w·mean[ℓ] + w₁·(1 − TI₁)^e₁ + w₀·(1 − TI₀)^e₀ with three pooled sums (Σpt, Σ(1−p)t,
Σp(1−t)) and one pointwise one, so that the gradient of a pixel needs, besides its own logit and
target, only one coefficient per class. `Form` holds the parameters; `_fused_cpu` and `_fused_cuda`
compute any form and its gradient. The plain functions say what the result must be.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd import forward_ad

from fissura.losses._valid_pixels import check_tensors, pixel_mean, total, valid_pixels

if TYPE_CHECKING:
    from jaxtyping import Float, Shaped

DTYPES = {
    "cpu": (torch.float32, torch.bfloat16, torch.float16, torch.float64),
    "cuda": (torch.float32, torch.bfloat16, torch.float16),
}
HAS_TRITON = find_spec("triton") is not None


class Form(NamedTuple):
    """The parameters of a pooled loss; p = σ(z), s(x) = −log σ(−x), the softplus.

    focal·mean[crack·t·(1−p)^γ̂·s(m₁−z) + background·(1−t)·p^γ̂·s(z+m₀)]
    + region·(1 − TI₁)^power + region_background·(1 − TI₀)^power_background,
    TI₁ = (TP + smooth)/(TP + δ·FN + (1−δ)·FP + smooth), TI₀ the same of the background class.
    A weight of 0 leaves its part out.

    crack_fades:  1 where the crack term has its factor (1−p)^γ̂, else 0.
    mean:         0 for the sum over the pixels instead of the mean.
    """

    focal: float = 1.0
    crack: float = 1.0
    background: float = 1.0
    gamma: float = 0.0
    crack_fades: float = 0.0
    margin: float = 0.0
    margin_background: float = 0.0
    mean: float = 1.0
    region: float = 0.0
    power: float = 1.0
    region_background: float = 0.0
    power_background: float = 1.0
    delta: float = 0.5
    smooth: float = 1.0

    def weighted(self, focal_weight: float | None) -> Form:
        """λ times the focal part and 1 − λ times the region parts; None leaves them."""
        if focal_weight is None:
            return self
        rest = 1 - focal_weight
        return self._replace(
            focal=focal_weight * self.focal,
            region=rest * self.region,
            region_background=rest * self.region_background,
        )


def fused_pixels(form: Form, logits: Any, target: Any, mask: Any, reduction: str) -> Tensor | None:
    """A loss per pixel, reduced over the batch; None where the plain form has to do it."""
    if reduction not in ("mean", "sum") or not applies(logits, target, mask):
        return None
    form = form._replace(mean=float(reduction == "mean"))
    return pooled_form(logits, target, mask, form, 1)[0][0]


def fused_images(
    form: Form, logits: Any, target: Any, mask: Any, reduction: str, *, per_image: bool
) -> Tensor | None:
    """A pooled loss, or one per image and reduced; None where the plain form has to do it."""
    known = reduction in ("mean", "sum", "none") if per_image else reduction == "mean"
    if not known or not applies(logits, target, mask):
        return None
    if form.delta == 0 and form.region_background > 0:
        return None  # true background is N − ΣT − FP here, too coarse to be the only thing below
    images = logits.shape[0] if per_image else 1
    values, counts = pooled_form(logits, target, mask, form, images)
    if not per_image:
        return values[0]
    if reduction == "none":
        return values
    if reduction == "sum":
        return values.sum()
    return values.sum() / (counts > 0).sum().clamp_min(1)


def applies(logits: Any, target: Any, mask: Any) -> bool:
    """Whether the fused form can take these tensors; raise ValueError where no loss can."""
    check_tensors(logits, target, mask)
    tensors = [logits, target] if mask is None else [logits, target, mask]
    device = logits.device.type
    if logits.numel() == 0 or logits.dtype not in DTYPES.get(device, ()):
        return False
    if any(x.requires_grad for x in tensors[1:]) or (device == "cuda" and not HAS_TRITON):
        return False
    if torch.compiler.is_compiling():
        return True
    # Fake tensors and others' subclasses, torch.func's transforms, forward-mode derivatives.
    return (
        all(type(x) in (Tensor, nn.Parameter) for x in tensors)
        and torch._C._functorch.peek_interpreter_stack() is None  # pyright: ignore
        and all(forward_ad.unpack_dual(x).tangent is None for x in tensors)
    )


def pooled_form(
    logits: Tensor, target: Tensor, mask: Tensor | None, form: Form, images: int
) -> tuple[Tensor, Tensor]:
    """The values of a form, and their numbers of valid pixels."""
    apply = compiled_forward if torch.compiler.is_compiling() else PooledForm.apply
    slope = logits.requires_grad and torch.is_grad_enabled()
    values, counts, _ = apply(logits, target, mask, form, images, slope)
    return values, counts


def forward(
    logits: Tensor,
    target: Tensor,
    mask: Tensor | None,
    form: Sequence[float],
    images: int,
    slope: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """The values of a form, their numbers of valid pixels, and what the backward needs.

    images:   1 to pool the batch, or its size for one value per image.
    slope:    whether there will be a backward.

    The third is, on the CPU, the gradient itself of each value, on CUDA its coefficients.
    """
    if logits.device.type == "cpu":
        from fissura.losses import _fused_cpu as device
    else:
        from fissura.losses import _fused_cuda as device
    return device.forward(logits, target, mask, Form(*form), images, slope)


def backward(
    grad: Tensor,
    saved: Tensor,
    logits: Tensor,
    target: Tensor,
    mask: Tensor | None,
    form: Sequence[float],
) -> Tensor:
    """The gradient by the logits on CUDA, made anew from the coefficients."""
    from fissura.losses import _fused_cuda

    return _fused_cuda.backward(grad, saved, logits, target, mask, Form(*form))


def save(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    """Keep what `differentiate` needs."""
    logits, target, mask, form, images, _ = inputs
    ctx.save_for_backward(logits, target, mask, output[2])
    ctx.form, ctx.images = form, images


def differentiate(ctx: Any, grad: Tensor, *_: Any) -> tuple[Tensor | None, ...]:
    """The gradient; in plain operations where it will be derived in its turn."""
    logits, target, mask, saved = ctx.saved_tensors
    if torch.is_grad_enabled():
        values = plain_form(Form(*ctx.form), logits, target, mask, per_image=ctx.images > 1)
        (gradient,) = torch.autograd.grad(values, logits, grad, create_graph=True)
    elif logits.device.type != "cpu":
        step = compiled_backward if torch.compiler.is_compiling() else backward
        gradient = step(grad, saved, logits, target, mask, ctx.form)
    elif not torch.compiler.is_compiling() and grad.numel() == 1 and grad.item() == 1:
        gradient = saved.to(logits.dtype)
    else:
        scale = grad.to(saved.dtype).reshape(-1, *[1] * (saved.ndim - 1))
        gradient = (saved * scale).to(logits.dtype)
    return gradient, None, None, None, None, None


class PooledForm(torch.autograd.Function):
    """`forward` with its gradient."""

    forward, backward = staticmethod(forward), staticmethod(differentiate)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        """Save, and tell autograd that the values alone have a gradient."""
        save(ctx, inputs, output)
        ctx.mark_non_differentiable(*output[1:])


# The same as operators, which torch.compile puts into its graphs as they are.
compiled_forward = torch.library.custom_op(
    "fissura::pooled_form",
    forward,
    mutates_args=(),
    schema="(Tensor logits, Tensor target, Tensor? mask, float[] form, int images, bool slope)"
    " -> (Tensor, Tensor, Tensor)",
)
compiled_backward = torch.library.custom_op(
    "fissura::pooled_form_grad",
    backward,
    mutates_args=(),
    schema="(Tensor grad, Tensor saved, Tensor logits, Tensor target, Tensor? mask, float[] form)"
    " -> Tensor",
)
compiled_forward.register_autograd(differentiate, setup_context=save)


@compiled_forward.register_fake
def _(
    logits: Tensor,
    target: Tensor,
    mask: Tensor | None,
    form: Sequence[float],
    images: int,
    slope: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    dtype = torch.float64 if logits.dtype == torch.float64 else torch.float32
    values = logits.new_empty((images,), dtype=dtype)
    if logits.device.type == "cpu":
        saved = logits.new_empty(logits.shape if slope else (0,), dtype=gradient_dtype(logits))
    else:
        saved = logits.new_empty((images, 3), dtype=torch.float32)
    return values, torch.empty_like(values), saved


@compiled_backward.register_fake
def _(
    grad: Tensor,
    saved: Tensor,
    logits: Tensor,
    target: Tensor,
    mask: Tensor | None,
    form: Sequence[float],
) -> Tensor:
    return logits.new_empty(logits.shape)


def gradient_dtype(logits: Tensor) -> torch.dtype:
    """In what the CPU keeps the gradient: float16 would lose what a scaled backward brings back."""
    return torch.float32 if logits.dtype == torch.float16 else logits.dtype


def plain_form(
    form: Form,
    logits: Float[Tensor, "n 1 *spatial"],
    target: Shaped[Tensor, "n 1 *spatial"],
    mask: Shaped[Tensor, "n 1 *spatial"] | None,
    *,
    per_image: bool,
) -> Float[Tensor, " values"]:
    """The values of a form in plain operations, as the losses' own files have them."""
    from fissura.losses.focal import focused  # these files need this one
    from fissura.losses.tversky import power_of_finite_slope, tversky_error_of_sums

    pixels = valid_pixels(logits, target, mask)
    z, t, valid = pixels
    log_crack, log_background = F.logsigmoid(z), F.logsigmoid(-z)
    fade = form.gamma if form.crack_fades else 0.0
    crack = form.crack * t * focused(F.logsigmoid(z - form.margin), log_background, fade)
    shifted = F.logsigmoid(-z - form.margin_background)
    rest = form.background * (1 - t) * focused(shifted, log_crack, form.gamma)
    mean = pixel_mean if form.mean else lambda loss, _, **options: total(loss, **options)
    values = form.focal * mean(-(crack + rest), pixels, per_image=per_image)

    p, not_p = torch.sigmoid(z), torch.sigmoid(-z)
    true_background = not_p * (1 - t)
    if valid is not None:
        true_background = torch.where(valid, true_background, 0.0)
    parts = (p * t, not_p * t, p * (1 - t), true_background)
    tp, fn, fp, tn = (total(part, per_image=per_image) for part in parts)
    if form.region:
        error = tversky_error_of_sums(tp, fn, fp, form.delta, form.smooth)
        values = values + form.region * power_of_finite_slope(error, form.power)
    if form.region_background:
        error = tversky_error_of_sums(tn, fp, fn, form.delta, form.smooth)
        powered = power_of_finite_slope(error, form.power_background)
        values = values + form.region_background * powered
    return values.reshape(-1)
