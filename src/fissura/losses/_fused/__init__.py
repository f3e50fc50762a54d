"""The fused form of the losses: value and gradient at once, in few passes over the pixels."""

from __future__ import annotations

from .autograd import applies, fused_values
from .form import Form

__all__ = ["Form", "applies", "fused_values"]
