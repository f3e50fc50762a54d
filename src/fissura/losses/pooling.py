"""`pool`: whether the sums of a loss run over this process's pixels or those of all processes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch import distributed as dist

POOLS = ("global", "rank")
_asked: ContextVar[tuple[bool, Any]] = ContextVar("pool", default=(False, None))
# Whether any thread of the process has; before torch 2.14, torch.compile cannot trace the other.
_ever_asked = False


@contextmanager
def pool(over: str, group: Any = None) -> Iterator[None]:
    """Have the losses within pool their sums over all processes of a training, or over each.

    A loss here is a function of sums over pixels: of a loss per pixel and the number of pixels for
    a mean, TP, FN and FP for an overlap. Under "global" each sum is added up over the processes
    before the function is taken, so that every process gets the loss of the whole batch, however
    unequal their parts of it are: other numbers of images, of valid pixels, none at all. Means
    weigh each process by its pixels, and `per_image` its images. Under "rank", which holds without
    this, each process has the loss of its own images, whose mean over the processes is another
    loss than that of the whole batch.

    The gradient of a "global" loss is that of the sum of all processes' losses, each the same. So
    their mean over the processes, which DistributedDataParallel and FSDP take, is the gradient of
    the whole batch's loss, to rounding. All processes must call the same losses in the same order.

    It holds for the thread (or the task) that enters it; it also decorates a function, as
    `pool("global")(loss)`. Where `torch.distributed` is not started, or has one process, nothing
    changes, to the bit. `reduction="none"` has no sum and is as it was. The fused form for CUDA
    is left out under "global"; other libraries' losses take no part.

    Args:
        over: "global" or "rank".
        group: Group of processes, as of `torch.distributed.new_group`; None: all.

    Yields:
        Nothing.

    Raises:
        ValueError: `over` is neither.

    >>> from fissura.losses import dice_loss
    >>> with pool("global"):
    ...     dice_loss(torch.zeros(1, 1, 2), torch.zeros(1, 1, 2))
    tensor(0.5000)
    """
    if over not in POOLS:
        raise ValueError(f'pool is over "global" or "rank", not {over!r}.')
    global _ever_asked
    _ever_asked = _ever_asked or over == "global"
    token = _asked.set((over == "global", group))
    try:
        yield
    finally:
        _asked.reset(token)


@dataclass(frozen=True)
class Ranks:
    """The processes over which the sums of a loss run.

    Attributes:
        group: theirs, as `torch.distributed` has it; None: all.
    """

    group: Any

    def added(self, numbers: Sequence[float]) -> list[float]:
        """Add numbers up over the processes, in float64 on the CPU, without a gradient."""
        sums = torch.tensor(numbers, dtype=torch.float64)
        dist.all_reduce(sums, group=self.group)
        return sums.tolist()


def ranks() -> Ranks | None:
    """The processes over which sums run here; None where it is this one alone."""
    asked, group = _asked.get() if _ever_asked else (False, None)
    if not asked or not dist.is_available() or not dist.is_initialized():
        return None
    return Ranks(group) if dist.get_world_size(group) > 1 else None


@contextmanager
def within(over: Ranks | None) -> Iterator[None]:
    """Have the losses within pool over these processes, as `ranks` gave them elsewhere."""
    token = _asked.set((over is not None, over and over.group))
    try:
        yield
    finally:
        _asked.reset(token)


def sum_over_ranks(values: Tensor, group: Any = None) -> Tensor:
    """Add a tensor up over the processes of a group; a gradient flows back through the sum.

    The gradient is that of the sum of all processes' results, hence itself added up over them.
    With it, losses of one's own that are functions of sums can be pooled, too.

    Args:
        values: A tensor of one shape and dtype in all processes.
        group: Group of processes, as of `torch.distributed.new_group`; None: all.

    Returns:
        The sum, the same in every process.
    """
    return _Sum.apply(values, group)  # pyright: ignore[reportReturnType]


class _Sum(torch.autograd.Function):
    """The sum over processes; its derivative is the same sum of the gradients."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, group: Any) -> Tensor:  # pyright: ignore
        ctx.group = group
        total = values.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total, group=group)
        return total

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:  # pyright: ignore
        return sum_over_ranks(grad, ctx.group), None


def pooled(*sums: Tensor, per_image: bool = False) -> tuple[Tensor, ...]:
    """The sums, added up over the processes in one go where they are pooled; not `per_image`.

    They go in float64, in which a number of pixels is exact however many there are.
    """
    over = None if per_image else ranks()
    if over is None:
        return sums
    packed = torch.cat([each.double().reshape(-1) for each in sums])
    parts = sum_over_ranks(packed, over.group).split([each.numel() for each in sums])
    return tuple(
        part.reshape(each.shape).to(each.dtype) for part, each in zip(parts, sums, strict=True)
    )
