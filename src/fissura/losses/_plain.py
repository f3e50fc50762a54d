"""The switch that has the losses computed as they are written."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch

_asked: ContextVar[bool] = ContextVar("plain", default=False)


@contextmanager
def plain() -> Iterator[None]:
    """Have the losses within computed as they are written, without the fused form.

    The fused form gives the same results but for rounding, in a fraction of the time. The
    environment variable FISSURA_PLAIN_LOSSES=1 does this for a whole process. It holds for the
    thread (or the task) that enters it; it also decorates a function, as `plain()(function)`.
    Under torch.compile all losses are computed as they are written, as it fuses them itself.

    Yields:
        Nothing.

    >>> from fissura.losses import bce_loss
    >>> with plain():
    ...     bce_loss(torch.zeros(1, 1, 2), torch.zeros(1, 1, 2))
    tensor(0.6931)
    """
    token = _asked.set(True)
    try:
        yield
    finally:
        _asked.reset(token)


def is_plain() -> bool:
    """Whether the losses are to be computed as they are written."""
    if torch.compiler.is_compiling():
        return True
    return _asked.get() or os.environ.get("FISSURA_PLAIN_LOSSES", "0") not in ("", "0")
