"""Tables and numbers in Markdown: means with their spread, intervals, p values."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from fissura.files import replacing
from fissura.study.statistics import Comparison, could_show

NONE = "–"


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]], *, words: int = 1) -> str:
    """Return a Markdown table; the first columns are words, set left, the others numbers.

    Args:
        head: Titles of the columns.
        rows: Cells, as many in each row as in the head.
        words: Number of columns of words.

    >>> print(markdown(["Loss", "IoU"], [["L_bce", "60.67"]]), end="")
    | Loss | IoU |
    |:--|--:|
    | L_bce | 60.67 |
    """
    rule = "|" + "".join(":--|" if column < words else "--:|" for column in range(len(head)))
    lines = [_line(head), rule, *(_line(row) for row in rows)]
    return "\n".join(lines) + "\n"


def number(value: float, *, signed: bool = False) -> str:
    """Write percent or points with two digits, and a true minus sign.

    Args:
        value: The number.
        signed: Whether a plus sign is written, too.

    >>> number(69.75), number(-0.2), number(0.43, signed=True)
    ('69.75', '−0.20', '+0.43')
    """
    written = f"{value:+.2f}" if signed else f"{value:.2f}"
    if written.strip("+-") == "0.00":
        return "0.00"
    return written.replace("-", "−")


def mean_sd(values: Sequence[float | None]) -> str:
    """Write the mean of fractions, and their standard deviation if there are several, in percent.

    >>> mean_sd([0.7, 0.72]), mean_sd([0.7]), mean_sd([0.7, 0.72, None]), mean_sd([None])
    ('71.00 ± 1.41', '70.00', '71.00 ± 1.41 (2 of 3)', 'undefined')
    """
    defined = [100 * value for value in values if value is not None]
    if not defined:
        return "undefined"
    spread = f" ± {number(float(np.std(defined, ddof=1)))}" if len(defined) > 1 else ""
    of_all = "" if len(defined) == len(values) else f" ({len(defined)} of {len(values)})"
    return number(float(np.mean(defined))) + spread + of_all


def count(number_of: int, one: str) -> str:
    """Write a number with its noun.

    >>> count(1, "run"), count(3, "seed")
    ('one run', '3 seeds')
    """
    return f"one {one}" if number_of == 1 else f"{number_of} {one}s"


def written_p(p: float) -> str:
    """Write a p value.

    >>> written_p(0.25), written_p(0.03125), written_p(0.0002)
    ('p = 0.25', 'p = 0.031', 'p < 0.001')
    """
    return "p < 0.001" if p < 0.001 else f"p = {p:.2g}"


def written_interval(comparison: Comparison) -> str:
    """Write the 95 % interval in points, or a dash where there is none."""
    if np.isnan(comparison.low):
        return NONE
    return f"{number(100 * comparison.low)} to {number(100 * comparison.high)}"


def written_could_show(comparison: Comparison) -> str:
    """Write in points what so many seeds with this spread could show, or a dash for one seed."""
    return number(100 * could_show(comparison.n, comparison.sd)) if comparison.n > 1 else NONE


def write_page(file: Path, title: str, text: str) -> Path:
    """Write a Markdown file with a title, whole or not at all; return its path."""
    with replacing(file) as temporary:
        temporary.write_text(f"# {title}\n\n{text}", encoding="utf-8")
    return file


def _line(cells: Sequence[str]) -> str:
    """Return a line of a table."""
    return f"| {' | '.join(cells)} |"
