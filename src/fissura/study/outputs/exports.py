"""What a study found, for other programs: CSV files, tables in LaTeX, and a figure."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fissura.files import replacing
from fissura.overlay import SKY_BLUE, VERMILION
from fissura.study.outputs.comparison import Section, sections, write_comparison
from fissura.study.outputs.figure_files import rgb, save_figure
from fissura.study.outputs.metrics import METRICS, column, metric
from fissura.study.recipe import Found, Recipe
from fissura.study.results import RunResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SMALL = 8  # points


def write_study(recipe: Recipe, found: Found, folder: Path) -> list[Path]:
    """Write all that a study found: the page of `write_comparison` and what `write_exports` writes.

    Args:
        recipe: The rows.
        found: The results, by the row's name.
        folder: Where to write.

    Returns:
        The files.

    Raises:
        InputError: Two rows were not tested on the same images.
    """
    return [*write_comparison(recipe, found, folder), *write_exports(recipe, found, folder)]


def write_exports(recipe: Recipe, found: Found, folder: Path) -> list[Path]:
    """Write what a study found as CSV, LaTeX and a figure; nothing where nothing has run.

    NAME.csv has a line per row of the recipe: mean and standard deviation of each metric, and the
    paired difference from the baseline. NAME_runs.csv has a line per run. NAME.tex has both tables
    of each data set with booktabs and graphicx, to be read by LaTeX's input. NAME_seeds.png and
    .svg show each run and each difference. Metrics are fractions of 1 in the CSV files, percent
    elsewhere.

    Args:
        recipe: The rows.
        found: The results, by the row's name.
        folder: Where to write.

    Returns:
        The files.

    Raises:
        InputError: Two rows were not tested on the same images.
    """
    if not found:
        return []
    parts = sections(recipe, found)
    name = recipe.name
    lines = [line for part in parts for line in _lines(part, found)]
    runs = [line for part in parts for line in _run_lines(part, found)]
    tables = [
        table.latex(f"{name}-{part.data.name}-{kind}")
        for part in parts
        for kind, table in (
            ("metrics", part.metrics(found)),
            ("paired", part.paired()),
            ("thresholds", part.thresholds(found)),
        )
        if table is not None
    ]
    tex = folder / f"{name}.tex"
    with replacing(tex) as temporary:
        head = f"% {recipe.title}\n% In the preamble: \\usepackage{{booktabs,graphicx}}\n\n"
        temporary.write_text(head + "\n".join(tables), encoding="utf-8")
    return [
        _write_csv(folder / f"{name}.csv", lines),
        _write_csv(folder / f"{name}_runs.csv", runs),
        tex,
        *save_figure(draw_seeds(parts, found), folder, f"{name}_seeds"),
    ]


def draw_seeds(parts: Sequence[Section], found: Found) -> Figure:
    """Draw each run's IoU, and beside it each row's paired difference from the baseline.

    Args:
        parts: What was found on each data set; those without runs are left out.
        found: The results, by the row's name.
    """
    from matplotlib.figure import Figure

    drawn = [part for part in parts if any(found.get(row.name) for row in part.rows)]
    heights = [0.9 + 0.28 * len(part.rows) for part in drawn]
    figure = Figure(figsize=(7.6, 0.5 + sum(heights)), layout="constrained")
    grid = figure.add_gridspec(len(drawn), 2, height_ratios=heights)
    for index, part in enumerate(drawn):
        left = figure.add_subplot(grid[index, 0])
        right = figure.add_subplot(grid[index, 1], sharey=left)
        _draw_runs(left, part, found)
        _draw_differences(right, part)
        for axes in (left, right):
            axes.spines[["top", "right"]].set_visible(False)
            axes.tick_params(labelsize=SMALL)
        right.tick_params(labelleft=False)
    return figure


def _draw_runs(axes: Axes, part: Section, found: Found) -> None:
    """Draw a mark for each run's IoU, and a line at the mean of each row."""
    for position, row in enumerate(part.rows):
        values = [100 * run.iou for run in found.get(row.name, [])]
        if values:
            axes.plot([np.mean(values)] * 2, [position - 0.3, position + 0.3], color="black")
        axes.plot(
            values,
            [position] * len(values),
            "o",
            markersize=4.5,
            markerfacecolor=rgb(SKY_BLUE),
            markeredgecolor="black",
            markeredgewidth=0.6,
        )
    axes.set_yticks(range(len(part.rows)), [row.label for row in part.rows])
    axes.set_ylim(len(part.rows) - 0.4, -0.6)
    axes.set_title(part.data.title, fontsize=SMALL + 1, fontweight="bold", loc="left")
    axes.set_xlabel("IoU of each run and their mean (%)", fontsize=SMALL)


def _draw_differences(axes: Axes, part: Section) -> None:
    """Draw the mean difference of each row from the baseline, with its interval."""
    axes.axvline(0, color="0.6", linewidth=0.8, zorder=0)
    for position, row in enumerate(part.rows):
        one = part.compared.get(row.name)
        if one is None:
            continue
        axes.plot([100 * value for value in one.differences], [position] * one.n, "o",
                  markersize=2.5, color="0.6")  # fmt: skip
        if not np.isnan(one.low):
            axes.plot([100 * one.low, 100 * one.high], [position] * 2, color="black")
        axes.plot(100 * one.mean, position, "D", markersize=5, markerfacecolor=rgb(VERMILION),
                  markeredgecolor="black", markeredgewidth=0.6)  # fmt: skip
    axes.set_xlabel(
        f"IoU less that of {part.baseline.label}, paired by\nseed: mean and 95 % interval (points)",
        fontsize=SMALL,
    )


def _lines(part: Section, found: Found) -> list[dict[str, Any]]:
    """Return the lines of NAME.csv on a data set."""
    lines = []
    for row in part.rows:
        runs = found.get(row.name, [])
        line: dict[str, Any] = {
            "data": part.data.name,
            "row": row.name,
            "label": row.label,
            "runs": len(runs),
        }
        for title in METRICS:
            name = column(title)
            values = [value for run in runs if (value := metric(run, title)) is not None]
            line[f"{name}_mean"] = _rounded(float(np.mean(values))) if values else ""
            line[f"{name}_sd"] = _rounded(float(np.std(values, ddof=1))) if len(values) > 1 else ""
        one = part.compared.get(row.name)
        line |= {
            "baseline": part.baseline.name,
            "iou_difference": _rounded(one.mean) if one else "",
            "iou_difference_sd": _rounded(one.sd) if one else "",
            "iou_difference_low": _rounded(one.low) if one else "",
            "iou_difference_high": _rounded(one.high) if one else "",
            "p": _rounded(one.p) if one else "",
            "p_holm": _rounded(part.adjusted[row.name]) if one else "",
            "paired_seeds": one.n if one else "",
        }
        lines.append(line)
    return lines


def _run_lines(part: Section, found: Found) -> list[dict[str, Any]]:
    """Return the lines of NAME_runs.csv on a data set."""
    return [
        {"data": part.data.name, "row": row.name, "seed": run.seed, "key": run.key} | _metrics(run)
        for row in part.rows
        for run in found.get(row.name, [])
    ]


def _metrics(run: RunResult) -> dict[str, Any]:
    """Return the metrics of a run by the names of their columns; empty where undefined."""
    values = {column(title): metric(run, title) for title in METRICS}
    if run.chosen is not None:
        values |= {"threshold": run.chosen["threshold"], "iou_at_threshold": run.chosen["iou"]}
    else:
        values |= {"threshold": None, "iou_at_threshold": None}
    for part in ("train", "test"):
        values[f"crack_logit_{part}"] = run.logits[part]["crack"] if run.logits else None
    return {name: "" if value is None else _rounded(value) for name, value in values.items()}


def _rounded(value: float) -> float | str:
    """Return a number with six digits after the point, and nothing for NaN."""
    return "" if np.isnan(value) else round(value, 6)


def _write_csv(file: Path, lines: Sequence[Mapping[str, Any]]) -> Path:
    """Write lines of one kind with a head, whole or not at all; return the file."""
    with replacing(file) as temporary, temporary.open("w", newline="", encoding="utf-8") as opened:
        writer = csv.DictWriter(opened, list(lines[0]))
        writer.writeheader()
        writer.writerows(lines)
    return file
