"""The histogram of widths: counted as photos come by, drawn as SVG for the report."""

from __future__ import annotations

from collections import Counter
from html import escape

import numpy as np
from numpy.typing import NDArray

from fissura.inspection.report.legend import round_length

DIGITS = 3  # significant digits that are kept, so that memory does not grow with the photos
WIDTH, HEIGHT = 640, 220
LEFT, RIGHT, TOP, BOTTOM = 48, 16, 24, 42
BARS = 16  # at least, where the widths fill the axis


class Widths:
    """Measured widths of one unit, counted after rounding to three digits.

    Attributes:
        counts: Number of widths by rounded width.
    """

    def __init__(self) -> None:
        self.counts: Counter[float] = Counter()

    def add(self, widths: NDArray[np.floating]) -> None:
        """Count further widths (n,); NaN and 0 are left out."""
        widths = widths[np.isfinite(widths) & (widths > 0)]
        if not widths.size:
            return
        power = 10.0 ** (DIGITS - 1 - np.floor(np.log10(widths)))
        values, counts = np.unique(np.round(widths * power) / power, return_counts=True)
        self.counts.update(dict(zip(values.tolist(), counts.tolist(), strict=True)))

    def sorted(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the distinct widths, rising, and how often each was counted."""
        pairs = sorted(self.counts.items())
        return np.array([pair[0] for pair in pairs]), np.array([float(pair[1]) for pair in pairs])

    def quantile(self, fraction: float) -> float:
        """Return the width that `fraction` (0 to 1) of all widths do not exceed."""
        values, counts = self.sorted()
        reached = np.cumsum(counts) >= fraction * counts.sum() * (1 - 1e-12)
        return float(values[np.argmax(reached)])


def histogram_svg(widths: Widths, unit: str, limit: float | None = None) -> str:
    """Return a histogram of widths, in percent of all measured ones, as SVG.

    A few widths far above all others are counted in the last bar, which says so. Colors are classes
    of the stylesheet, so that it prints and darkens with the page.

    Args:
        widths: The widths; at least one.
        unit: Their unit.
        limit: Greatest width allowed, drawn as a line; None for no line.
    """
    values, counts = widths.sorted()
    end = min(values[-1], max(1.25 * widths.quantile(0.99), 1.2 * (limit or 0.0)))
    end = max(end, 1.1 * (limit or 0.0))
    step = round_length(end * 1.02 / BARS)
    bars = int(end * 1.02 / step) + 1
    index = np.minimum((values / step + 1e-9).astype(int), bars - 1)
    fractions = 100 * np.bincount(index, counts, bars) / counts.sum()
    across, high = (WIDTH - LEFT - RIGHT) / bars, HEIGHT - TOP - BOTTOM
    top = float(fractions.max()) * 1.05
    elements = []
    for fraction in np.arange(0, top, round_length(top / 2)).tolist():
        y = TOP + high * (1 - fraction / top)
        elements.append(
            f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        )
        elements.append(
            f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{fraction:g} %</text>'
        )
    for bar, fraction in enumerate(fractions.tolist()):
        if fraction:
            tall = high * fraction / top
            over = limit is not None and bar * step >= limit * (1 - 1e-9)
            kind, x = "bar over" if over else "bar", LEFT + bar * across + 0.5
            elements.append(
                f'<rect class="{kind}" x="{x:.1f}" '
                f'y="{TOP + high - tall:.1f}" width="{across - 1:.1f}" height="{tall:.1f}"/>'
            )
    wider = " (the last bar: this and wider)" if values[-1] >= bars * step else ""
    elements += _axis(bars, step, across, f"crack width, {unit}{wider}")
    if limit is not None:
        elements += _limit_line(LEFT + limit / step * across, limit, unit)
    told = (
        f"Widths of all cracks: half of them up to {widths.quantile(0.5):g} {unit}, 95 percent up "
        f"to {widths.quantile(0.95):g} {unit}, the widest {values[-1]:g} {unit}."
    )
    return (
        f'<svg class="histogram" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{escape(told)}">{"".join(elements)}</svg>'
    )


def _axis(bars: int, step: float, across: float, title: str) -> list[str]:
    """Return the elements of the axis of widths."""
    base = HEIGHT - BOTTOM
    elements = [f'<line class="axis" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{base}" y2="{base}"/>']
    every = max(1, -(-bars // 10))
    elements += [
        f'<text x="{LEFT + bar * across:.1f}" y="{base + 16}" text-anchor="middle">'
        f"{float(f'{bar * step:.6g}'):g}</text>"
        for bar in range(0, bars + 1, every)
    ]
    middle = (LEFT + WIDTH - RIGHT) / 2
    elements.append(f'<text x="{middle}" y="{HEIGHT - 6}" text-anchor="middle">{title}</text>')
    return elements


def _limit_line(x: float, limit: float, unit: str) -> list[str]:
    """Return the elements of the line at the greatest width allowed."""
    anchor, text_x = ("start", x + 5) if x < WIDTH * 0.75 else ("end", x - 5)
    return [
        f'<line class="limit" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP - 14}" y2="{HEIGHT - BOTTOM}"/>',
        f'<text class="limit" x="{text_x:.1f}" y="{TOP - 6}" text-anchor="{anchor}">'
        f"limit {limit:g} {unit}</text>",
    ]
