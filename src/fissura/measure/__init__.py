"""Cracks measured: length, width, area, course, from probabilities or masks."""

from fissura.measure.crack import Crack
from fissura.measure.cracks import crack_labels, measure, measure_windows

__all__ = ["Crack", "crack_labels", "measure", "measure_windows"]
