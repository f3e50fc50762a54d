"""`Table`: a table of a study in words and numbers, as Markdown and as LaTeX."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fissura.study.outputs.markdown import markdown

# What LaTeX writes for characters that have a meaning of their own, or that its fonts may lack.
IN_LATEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\ensuremath{<}",
    ">": r"\ensuremath{>}",
    "|": r"\ensuremath{|}",
    '"': r"\textquotedbl{}",
    "±": r"\ensuremath{\pm}",
    "−": r"\ensuremath{-}",
    "–": "--",
    "×": r"\ensuremath{\times}",
    "≤": r"\ensuremath{\leq}",
    "≥": r"\ensuremath{\geq}",
    "Δ": r"\ensuremath{\Delta}",
    "γ": r"\ensuremath{\gamma}",
    "δ": r"\ensuremath{\delta}",
    "λ": r"\ensuremath{\lambda}",
}
HAT = "\u0302"  # the accent on a γ̂, a character of its own


@dataclass(frozen=True)
class Table:
    """A table of a study.

    Attributes:
        title: What it shows, in one sentence or less.
        head: Titles of the columns.
        rows: Cells, as many in each row as in the head.
        words: Number of columns of words, which stand left of the numbers.
    """

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    words: int = 1

    def markdown(self) -> str:
        """Return the table in Markdown, without its title."""
        return markdown(self.head, self.rows, words=self.words)

    def latex(self, label: str) -> str:
        r"""Return the table in LaTeX, as a floating `table` with the rules of `booktabs`.

        A table that is wider than the line is scaled to it; a narrower one stays as it is. It needs
        `\usepackage{booktabs,graphicx}`, and `\usepackage[T1]{fontenc}` where LaTeX is older than
        2020. Characters of other alphabets are written as they are, in UTF-8.

        Args:
            label: Name for `\ref`, without `tab:`.

        >>> table = Table("Losses, 100 %", ["Loss", "IoU"], [["BCE & Dice", "70.1 ± 0.2"]])
        >>> print(table.latex("losses"), end="")
        \begin{table}
          \centering
          \caption{Losses, 100 \%}
          \label{tab:losses}
          \resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%
          \begin{tabular}{lr}
            \toprule
            Loss & IoU \\
            \midrule
            BCE \& Dice & 70.1 \ensuremath{\pm} 0.2 \\
            \bottomrule
          \end{tabular}}
        \end{table}
        """
        columns = "l" * self.words + "r" * (len(self.head) - self.words)
        lines = [
            r"\begin{table}",
            r"  \centering",
            rf"  \caption{{{latex_text(self.title)}}}",
            rf"  \label{{tab:{label}}}",
            r"  \resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%",
            rf"  \begin{{tabular}}{{{columns}}}",
            r"    \toprule",
            _line(self.head),
            r"    \midrule",
            *(_line(row) for row in self.rows),
            r"    \bottomrule",
            r"  \end{tabular}}",
            r"\end{table}",
        ]
        return "\n".join(lines) + "\n"


def latex_text(text: str) -> str:
    r"""Return text as LaTeX writes it.

    Args:
        text: A line of plain text.

    >>> latex_text("L_HF, γ̂ = 2, 5 %")
    'L\\_HF, \\ensuremath{\\hat{\\gamma}} = 2, 5 \\%'
    """
    written: list[str] = []
    for character in text:
        if character == HAT and written:
            plain = written.pop().removeprefix(r"\ensuremath{").removesuffix("}")
            written.append(rf"\ensuremath{{\hat{{{plain}}}}}")
        else:
            written.append(IN_LATEX.get(character, character))
    return "".join(written)


def _line(cells: Sequence[str]) -> str:
    """Return a row; a cell in brackets must not be taken for an option of the line before."""
    written = [latex_text(cell) for cell in cells]
    if written and written[0].startswith("["):
        written[0] = "{}" + written[0]
    return f"    {' & '.join(written)} " + r"\\"
