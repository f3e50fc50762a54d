"""Measurement of cracks: length, width, area and course, from probabilities or masks."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fissura.measurement.crack import Crack
    from fissura.measurement.cracks import crack_labels, measure, measure_windows

__all__ = ["Crack", "crack_labels", "measure", "measure_windows"]


def __getattr__(name: str) -> object:
    """Import on first use: the command line takes its options from here and needs no numpy."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = "crack" if name == "Crack" else "cracks"
    return getattr(import_module(f"{__name__}.{home}"), name)
