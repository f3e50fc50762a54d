"""The paper's tables with our figures beside the paper's, in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fissura.experiments.results import RunResult
from fissura.experiments.rows import Found, Recipe, Row
from fissura.files import replacing

# Title of the column, and where the figure lies in `RunResult.figures`.
MAIN = {
    "IoU": ("iou",),
    "F1": ("f1",),
    "Recall": ("recall",),
    "Precision": ("precision",),
}
FURTHER = {
    "IoU, mean of images": ("per_image_mean", "iou"),
    "F1 within 2 px": ("tolerant", "f1"),
    "clDice": ("cldice",),
    "Average precision": ("average_precision",),
}
MEANING = (
    "Percent, on the test images: mean ± standard deviation over runs with different seeds, of the "
    "last epoch at threshold 0.5. Δ IoU: our mean less the paper's figure, in points."
)
GRID_MEANING = (
    "IoU in percent, on the test images: mean ± standard deviation over runs with different seeds, "
    "of the last epoch at threshold 0.5; in brackets the number of runs."
)
STAND_IN = (
    "The paper's figures are of PanelCrack, which is private. Other images stand in for it here: "
    "differences between losses can be compared, the figures themselves cannot."
)
NONE = "–"


def write_table(recipe: Recipe, found: Found, folder: Path) -> list[Path]:
    """Write `folder`/NAME.md: a row per loss, the paper's figures and ours; return its path."""
    return [_write(recipe, f"{MEANING}\n\n{table_markdown(recipe, found)}", folder)]


def write_grid(recipe: Recipe, found: Found, folder: Path) -> list[Path]:
    """Write `folder`/NAME.md: IoU, a row per network and a column per loss; return its path."""
    return [_write(recipe, f"{GRID_MEANING}\n\n{grid_markdown(recipe, found)}", folder)]


def table_markdown(recipe: Recipe, found: Found) -> str:
    """Return a recipe's table, and below it a small one of figures that the paper doesn't have.

    Both once per data set, with its name above them where there are several. A figure that is
    undefined in some of the runs (the precision of a network that calls nothing crack) is the mean
    of the others, and says of how many.
    """
    data = list(dict.fromkeys(row.experiment.data for row in recipe.rows))
    blocks = []
    for one in data:
        rows = [row for row in recipe.rows if row.experiment.data == one]
        heading = f"**{one.title}**\n\n" if len(data) > 1 else ""
        if one.panels is not None and any(row.paper for row in rows):
            heading += f"{STAND_IN}\n\n"
        blocks.append(heading + _main(rows, found))
        if further := _further(rows, found):
            blocks.append(further)
    return "\n".join(blocks)


def grid_markdown(recipe: Recipe, found: Found) -> str:
    """Return the IoU of every row of a recipe as a grid; the paper's, if any, in lines above ours.

    A row's name is "LINE/COLUMN", its label "title of the line, title of the column".
    """
    cells = {tuple(row.name.split("/")): row for row in recipe.rows}
    lines = dict.fromkeys(line for line, _ in cells)
    columns = dict.fromkeys(column for _, column in cells)
    named = {name: row.label.rpartition(", ") for name, row in cells.items()}
    titles = {line: named[key][0] for key in cells for line in key[:1]}
    heads = {column: named[key][2] for key in cells for column in key[1:]}
    has_paper = any(row.paper for row in recipe.rows)
    table = []
    for line in lines:
        rows = [cells[line, column] for column in columns]
        if has_paper:
            printed = [number(row.paper.iou) if row.paper else NONE for row in rows]
            table.append([titles[line], "paper", *printed])
        ours = [_cell(found.get(row.name, [])) for row in rows]
        table.append(["", "here", *ours] if has_paper else [titles[line], *ours])
    first = ["", ""] if has_paper else [""]
    return markdown([*first, *(heads[column] for column in columns)], table, words=len(first))


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]], *, words: int = 1) -> str:
    """Return a Markdown table; the first `words` columns are words, the others numbers.

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
    share = "" if len(defined) == len(values) else f" ({len(defined)} of {len(values)})"
    return number(float(np.mean(defined))) + spread + share


def count(number_of: int, one: str) -> str:
    """Write a number with its noun.

    >>> count(1, "run"), count(3, "seed")
    ('one run', '3 seeds')
    """
    return f"one {one}" if number_of == 1 else f"{number_of} {one}s"


def parameters(row: Row) -> str:
    """Return a row's parameters, or a dash."""
    return row.parameters or NONE


def _main(rows: list[Row], found: Found) -> str:
    has_paper = any(row.paper for row in rows)
    head = ["Loss", "Parameters"]
    if has_paper:
        head += [f"{title}, paper" for title in MAIN]
    head += [f"{title}, here" for title in MAIN]
    head += ["Δ IoU", "Runs"] if has_paper else ["Runs"]
    table = []
    for row in rows:
        runs = found.get(row.name, [])
        cells = [row.label, parameters(row)]
        if has_paper:
            cells += [_paper(row, path[0]) for path in MAIN.values()]
        cells += _figures(runs, MAIN) if runs else ["not run", *[NONE] * (len(MAIN) - 1)]
        if has_paper:
            cells.append(_difference(row, runs))
        table.append([*cells, "one run" if len(runs) == 1 else str(len(runs))])
    return markdown(head, table, words=2)


def _further(rows: list[Row], found: Found) -> str:
    table = [
        [row.label, parameters(row), *_figures(found[row.name], FURTHER)]
        for row in rows
        if found.get(row.name)
    ]
    return markdown(["Loss", "Parameters", *FURTHER], table, words=2) if table else ""


def _figures(runs: list[RunResult], paths: dict[str, tuple[str, ...]]) -> list[str]:
    return [mean_sd([_at(run.figures, path) for run in runs]) for path in paths.values()]


def _at(figures: Any, path: tuple[str, ...]) -> float | None:
    for step in path:
        figures = figures[step]
    return figures


def _paper(row: Row, name: str) -> str:
    value = getattr(row.paper, name, None)
    return NONE if value is None else number(value)


def _difference(row: Row, runs: list[RunResult]) -> str:
    if row.paper is None or not runs:
        return NONE
    ours = 100 * float(np.mean([run.iou for run in runs]))
    return number(ours - row.paper.iou, signed=True)


def _cell(runs: list[RunResult]) -> str:
    if not runs:
        return "not run"
    return f"{mean_sd([run.iou for run in runs])} ({count(len(runs), 'run').removesuffix(' runs')})"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _write(recipe: Recipe, text: str, folder: Path) -> Path:
    file = folder / f"{recipe.name}.md"
    with replacing(file) as temporary:
        temporary.write_text(f"# {recipe.title}\n\n{text}")
    return file
