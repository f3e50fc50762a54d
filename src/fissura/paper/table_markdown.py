"""The paper's tables in Markdown, with our metrics beside the paper's."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from fissura.paper.losses import parameters
from fissura.study.outputs.exports import write_exports
from fissura.study.outputs.markdown import NONE, count, markdown, mean_sd, number, write_page
from fissura.study.outputs.metrics import metric
from fissura.study.recipe import Found, Recipe, Row
from fissura.study.results import RunResult

# Titles of the columns: metrics that the paper prints, and their names in it; further ones of ours.
MAIN = {"IoU": "iou", "F1": "f1", "Recall": "recall", "Precision": "precision"}
FURTHER = ("IoU, mean of images", "F1 within 2 px", "clDice", "Average precision")
MEANING = (
    "Percent, on the test images: mean ± standard deviation over runs with different seeds, of the "
    "last epoch at threshold 0.5. Δ IoU: our mean less the paper's, in points."
)
GRID_MEANING = (
    "IoU in percent, on the test images: mean ± standard deviation over runs with different seeds, "
    "of the last epoch at threshold 0.5; in brackets the number of runs."
)
STAND_IN = (
    "The paper's metrics are of PanelCrack, which is private. Other images stand in for it here: "
    "differences between losses can be compared, the metrics themselves cannot."
)


def write_table(recipe: Recipe, found: Found, folder: Path) -> list[Path]:
    """Write `folder`/NAME.md: a row per loss, the paper's metrics and ours; and other formats.

    Args:
        recipe: The table.
        found: The results, by the row's name.
        folder: Where to write.

    Returns:
        The page, and the files of `fissura.study.outputs.exports`.
    """
    text = f"{MEANING}\n\n{table_markdown(recipe, found)}"
    page = write_page(folder / f"{recipe.name}.md", recipe.title, text)
    return [page, *write_exports(recipe, found, folder)]


def write_grid(recipe: Recipe, found: Found, folder: Path) -> list[Path]:
    """Write `folder`/NAME.md: IoU, a row per network and a column per loss; and other formats.

    Args:
        recipe: The table; see `grid_markdown` for the names of its rows.
        found: The results, by the row's name.
        folder: Where to write.

    Returns:
        The page, and the files of `fissura.study.outputs.exports`.
    """
    text = f"{GRID_MEANING}\n\n{grid_markdown(recipe, found)}"
    page = write_page(folder / f"{recipe.name}.md", recipe.title, text)
    return [page, *write_exports(recipe, found, folder)]


def table_markdown(recipe: Recipe, found: Found) -> str:
    """Return a recipe's table, and below it a small one of metrics that the paper doesn't have.

    Both once per data set, with its name above them where there are several. A metric that is
    undefined in some of the runs (the precision of a network that calls nothing crack) is the mean
    of the others, and says of how many.

    Args:
        recipe: The table.
        found: The results, by the row's name.
    """
    data = recipe.data_sets()
    blocks = []
    for one in data:
        rows = [row for row in recipe.rows if row.experiment.data == one]
        heading = f"**{one.title}**\n\n" if len(data) > 1 else ""
        if one.panels is not None and any(row.published for row in rows):
            heading += f"{STAND_IN}\n\n"
        blocks.append(heading + _main(rows, found))
        if further := _further(rows, found):
            blocks.append(further)
    return "\n".join(blocks)


def grid_markdown(recipe: Recipe, found: Found) -> str:
    """Return the IoU of every row of a recipe as a grid; the paper's, if any, in lines above ours.

    Args:
        recipe: Its rows have names like "LINE/COLUMN" and labels like "title of the line, title of
            the column".
        found: The results, by the row's name.
    """
    cells = {tuple(row.name.split("/")): row for row in recipe.rows}
    lines = dict.fromkeys(line for line, _ in cells)
    columns = dict.fromkeys(column for _, column in cells)
    named = {name: row.label.rpartition(", ") for name, row in cells.items()}
    titles = {line: named[key][0] for key in cells for line in key[:1]}
    heads = {column: named[key][2] for key in cells for column in key[1:]}
    has_paper = any(row.published for row in recipe.rows)
    table = []
    for line in lines:
        rows = [cells[line, column] for column in columns]
        ours = [_cell(found.get(row.name, [])) for row in rows]
        if any(row.published for row in rows):
            printed = [number(row.published.iou) if row.published else NONE for row in rows]
            table += [[titles[line], "paper", *printed], ["", "here", *ours]]
        else:
            table.append([titles[line], *(["here"] if has_paper else []), *ours])
    first = ["", ""] if has_paper else [""]
    return markdown([*first, *(heads[column] for column in columns)], table, words=len(first))


def _main(rows: list[Row], found: Found) -> str:
    """Return the table of the paper's metrics, where it prints any, beside ours."""
    has_paper = any(row.published for row in rows)
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
            cells += [_paper(row, name) for name in MAIN.values()]
        cells += _metrics(runs, MAIN) if runs else ["not run", *[NONE] * (len(MAIN) - 1)]
        if has_paper:
            cells.append(_difference(row, runs))
        table.append([*cells, "one run" if len(runs) == 1 else str(len(runs))])
    return markdown(head, table, words=2)


def _further(rows: list[Row], found: Found) -> str:
    """Return the table of the metrics that the paper doesn't have; nothing without runs."""
    table = [
        [row.label, parameters(row), *_metrics(found[row.name], FURTHER)]
        for row in rows
        if found.get(row.name)
    ]
    return markdown(["Loss", "Parameters", *FURTHER], table, words=2) if table else ""


def _metrics(runs: list[RunResult], titles: Iterable[str]) -> list[str]:
    """Write mean and spread of each metric."""
    return [mean_sd([metric(run, title) for run in runs]) for title in titles]


def _paper(row: Row, name: str) -> str:
    """Write a metric as the paper prints it, or a dash."""
    value = getattr(row.published, name, None)
    return NONE if value is None else number(value)


def _difference(row: Row, runs: list[RunResult]) -> str:
    """Write our mean IoU less the paper's, or a dash."""
    if row.published is None or not runs:
        return NONE
    ours = 100 * float(np.mean([run.iou for run in runs]))
    return number(ours - row.published.iou, signed=True)


def _cell(runs: list[RunResult]) -> str:
    """Write mean and spread of the IoU, and the number of runs in brackets."""
    if not runs:
        return "not run"
    return f"{mean_sd([run.iou for run in runs])} ({count(len(runs), 'run').removesuffix(' runs')})"
