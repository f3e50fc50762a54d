"""The fused form as an autograd function; derivatives of its gradient go through the formula."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad

from ..pooling import Ranks, sum_over_ranks, within
from . import cpu
from .form import Form

CPU_DTYPES = (torch.float32, torch.bfloat16, torch.float16, torch.float64)
CUDA_DTYPES = (torch.float32, torch.bfloat16, torch.float16)
# Gives a loss, or one per image, of logits, target and mask.
Written = Callable[[Tensor, Tensor, Tensor | None], Tensor]


def applies(
    form: Form, logits: Tensor, target: Tensor, mask: Tensor | None, over: Ranks | None = None
) -> bool:
    """Whether the fused form can take these tensors, with sums over these processes."""
    tensors = [logits, target] if mask is None else [logits, target, mask]
    if form.delta == 0 and form.region_background > 0:
        return False  # true background is N − ΣT − FP here, too coarse to be the only thing below
    if (logits.numel() == 0 and over is None) or any(x.requires_grad for x in tensors[1:]):
        return False
    if not (logits.dtype in CPU_DTYPES if logits.is_cpu else not over and on_cuda(logits, mask)):
        return False
    # Fake tensors and others' subclasses, torch.func's transforms, forward-mode derivatives.
    return (
        all(type(x) in (Tensor, nn.Parameter) for x in tensors)
        and torch._C._functorch.peek_interpreter_stack() is None  # pyright: ignore
        and all(forward_ad.unpack_dual(x).tangent is None for x in tensors)
    )


def on_cuda(logits: Tensor, mask: Tensor | None) -> bool:
    """Whether the Triton kernels can take these tensors; FISSURA_TRITON=0 does without them."""
    return (
        logits.is_cuda
        and os.environ.get("FISSURA_TRITON") != "0"
        and logits.dtype in CUDA_DTYPES
        and (mask is None or mask.dtype == torch.bool)  # the kernels don't look at its values
        and not torch.compiler.is_compiling()  # torch fuses the plain form as well
        and kernels_work(logits.device)
    )


@cache
def kernels_work(device: torch.device) -> bool:
    """Whether the Triton kernels run on a device: tried once, since Triton needs a C compiler."""
    if find_spec("triton") is None:
        return False
    try:
        from . import cuda

        pixel = torch.zeros(1, device=device)
        cuda.forward(pixel, pixel, None, Form(), 1)
    except Exception as error:  # of a compiler, a driver, Triton: any kind
        reason = str(error).strip().partition("\n")[0]
        warnings.warn(
            f"The losses take a few times longer, since Triton does not work on {device}: {reason}",
            stacklevel=2,
        )
        return False
    return True


def fused_values(
    form: Form,
    written: Written,
    logits: Tensor,
    target: Tensor,
    mask: Tensor | None,
    *,
    images: int,
    over: Ranks | None,
) -> tuple[Tensor, Tensor]:
    """The values of a form and their numbers of valid pixels, both of the shape (images,).

    Args:
        form: which loss.
        written: the same loss in plain operations, for derivatives of the gradient.
        logits: for which `applies` holds.
        target: likewise.
        mask: likewise.
        images: 1 to pool the batch, or its size for one value per image.
        over: the processes to pool it over.
    """
    slope = logits.requires_grad and torch.is_grad_enabled()
    values, counts, _ = FusedForm.apply(logits, target, mask, form, written, images, over, slope)  # pyright: ignore
    return values, counts


class FusedForm(torch.autograd.Function):
    """The fused form with its gradient."""

    @staticmethod
    def forward(  # pyright: ignore[reportIncompatibleMethodOverride]
        logits: Tensor,
        target: Tensor,
        mask: Tensor | None,
        form: Form,
        written: Written,
        images: int,
        over: Ranks | None,
        slope: bool,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return values, numbers of valid pixels, and what the backward needs.

        That is, on the CPU, the gradient itself of each value; on CUDA its coefficients. `slope`
        says whether there will be a backward.
        """
        if logits.is_cpu:
            return cpu.forward(logits, target, mask, form, images, over, slope)
        from . import cuda

        return cuda.forward(logits, target, mask, form, images)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        """Keep what the backward needs; the values alone have a gradient."""
        logits, target, mask, ctx.form, ctx.written, _, ctx.over, _ = inputs
        ctx.save_for_backward(logits, target, mask, output[2])
        ctx.mark_non_differentiable(*output[1:])
        ctx.set_materialize_grads(False)  # else zeros of the size of the gradient, for nothing

    @staticmethod
    def backward(ctx: Any, grad: Tensor | None, *_: Any) -> tuple[Tensor | None, ...]:  # pyright: ignore
        """Return the gradient; in plain operations where it will be derived in its turn."""
        if grad is None:
            return (None,) * 8
        logits, target, mask, saved = ctx.saved_tensors
        if torch.is_grad_enabled():
            with within(ctx.over):
                values = ctx.written(logits, target, mask).reshape(-1)
            (gradient,) = torch.autograd.grad(values, logits, grad, create_graph=True)
            return gradient, *[None] * 7
        if ctx.over is not None:
            grad = sum_over_ranks(grad, ctx.over.group)
        if not logits.is_cpu:
            from . import cuda

            gradient = cuda.backward(grad, saved, logits, target, mask, ctx.form)
        elif grad.numel() == 1 and grad.item() == 1:
            gradient = saved.to(logits.dtype)
        else:
            scale = grad.to(saved.dtype).reshape(-1, *[1] * (saved.ndim - 1))
            gradient = (saved * scale).to(logits.dtype)
        return gradient, *[None] * 7
