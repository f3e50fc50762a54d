"""A chunk of pixels that is computed at once: its tensors, the buffers of its thread, its sums."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

import torch
from torch import Tensor

from .._valid_pixels import IGNORED_LOGIT, check_target_range

# Torch shares out a longer sum among its threads, whose number would change its rounding, but never
# the sum of one row of several. (The MKL does that with dot products of any length; so these are
# products and sums here.) A chunk is made of whole rows.
SMALL = 32704
ROW = 16384
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
    pages then cost more than the arithmetic. `q_of` is the key of the chunk whose q lies there.
    """

    def __init__(self, length: int, dtype: torch.dtype) -> None:
        super().__init__()
        self.length, self.dtype = length, dtype
        self.q_of: object = None

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
        key: what tells it from all other chunks.
    """

    z: Tensor
    t: Tensor
    valid: Tensor | None
    gradient: Tensor | None
    dtype: torch.dtype
    hard: bool | None = None
    sums: Sums = field(default_factory=Sums)
    key: object = field(default_factory=object)

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
        buffers.q_of = None
        x = torch.addcmul(z, z, t, value=-2, out=buffers["q"])
        kept = self.kept_odds() if keep else None
        return torch.exp(x, out=buffers["odds"] if kept is None else kept)

    def q(self, odds: Tensor, buffers: Buffers) -> Tensor:
        """The probability E/(1+E) of the wrong class, which may lie there from the first sweep."""
        if buffers.q_of is self.key:
            return buffers["q"]
        buffers.q_of = self.key
        return torch.div(odds, torch.add(odds, 1, out=buffers["above"]), out=buffers["q"])

    def kept_odds(self) -> Tensor | None:
        """The memory of the odds from sweep to sweep: the gradient's, if of the right dtype."""
        if self.gradient is None or self.gradient.dtype not in (torch.float32, torch.float64):
            return None
        return self.gradient


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
