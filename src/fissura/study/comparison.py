"""The page of a study: a table of metrics, and each row compared with the baseline."""

from __future__ import annotations

from pathlib import Path

from fissura.study.data import DataSet
from fissura.study.markdown import (
    NONE,
    count,
    markdown,
    mean_sd,
    number,
    write_page,
    written_interval,
    written_p,
)
from fissura.study.recipe import Found, Recipe, Row
from fissura.study.results import RunResult
from fissura.study.statistics import Comparison, compare, holm, smallest_p

# Title of the column, and the names that lead to the metric in `RunResult.metrics`.
METRICS = {
    "IoU": ("iou",),
    "F1": ("f1",),
    "Recall": ("recall",),
    "Precision": ("precision",),
    "F1 within 2 px": ("tolerant", "f1"),
    "clDice": ("cldice",),
}

MEANING = """\
Percent, on the test images, of the crack class: mean ± standard deviation over runs with different
seeds, after the last epoch, at threshold 0.5, from the counts of all images."""

READING = """\
Each row less the baseline, in points of IoU, seed by seed: runs of one seed have the same initial
weights, batches and augmentation. The interval is a bootstrap over seeds and test photos; p is of
Wilcoxon's exact signed-rank test over the seeds (the sign test where differences are equal or 0),
after Holm's correction for all rows of the table."""


def write_comparison(recipe: Recipe, found: Found, folder: Path) -> list[Path]:
    """Write `folder`/NAME.md: metrics with their spread, and the paired comparison.

    Args:
        recipe: What was trained.
        found: The results, by the row's name.
        folder: Where to write.

    Returns:
        The file.

    Raises:
        InputError: Two rows were not tested on the same images.
    """
    text = comparison_markdown(recipe, found)
    return [write_page(folder / f"{recipe.name}.md", recipe.title, f"{MEANING}\n\n{text}")]


def comparison_markdown(recipe: Recipe, found: Found) -> str:
    """Return both tables of each data set, under its name where there are several.

    Args:
        recipe: The rows.
        found: The results, by the row's name.
    """
    data = recipe.data_sets()
    sections = []
    for one in data:
        rows = [row for row in recipe.rows if row.experiment.data == one]
        heading = f"## {one.title}\n\n" if len(data) > 1 else ""
        paired = _paired(rows, _baseline(recipe, one), found)
        sections.append(heading + _metrics(rows, found) + (f"\n{paired}" if paired else ""))
    return "\n".join(sections)


def metric(result: RunResult, path: tuple[str, ...]) -> float | None:
    """Return a metric of a run; None where it is undefined.

    Args:
        result: The run.
        path: Names that lead to it in `RunResult.metrics`, such as ("tolerant", "f1").
    """
    value = result.metrics
    for step in path:
        value = value[step]
    return value  # pyright: ignore[reportReturnType]


def _metrics(rows: list[Row], found: Found) -> str:
    """Return the table of means with their spread."""
    table = []
    for row in rows:
        runs = found.get(row.name, [])
        cells = ["not run", *[NONE] * (len(METRICS) - 1)]
        if runs:
            cells = [mean_sd([metric(run, path) for run in runs]) for path in METRICS.values()]
        table.append([row.label, *cells, str(len(runs))])
    return markdown(["", *METRICS, "Runs"], table)


def _baseline(recipe: Recipe, data: DataSet) -> Row:
    """Return the row that others of its data set are compared with.

    The recipe's baseline is a row of one data set; in others it is the row with the same label.
    """
    rows = [row for row in recipe.rows if row.experiment.data == data]
    labels = [row.label for row in recipe.rows if row.name == recipe.baseline]
    return next((row for row in rows if row.label in labels), rows[0])


def _paired(rows: list[Row], baseline: Row, found: Found) -> str:
    """Return the table of paired differences from the baseline; nothing where no seed has both."""
    compared = {
        row.label: comparison
        for row in rows
        if row.name != baseline.name and found.get(row.name) and found.get(baseline.name)
        for comparison in [compare(found[row.name], found[baseline.name])]
        if comparison is not None
    }
    if not compared:
        return ""
    adjusted = holm([comparison.p for comparison in compared.values()])
    table = [
        [label, number(100 * one.mean, signed=True), _spread(one), written_interval(one),
         written_p(p).removeprefix("p = ") if one.n > 1 else NONE, str(one.n)]
        for (label, one), p in zip(compared.items(), adjusted, strict=True)
    ]  # fmt: skip
    head = ["", "Δ IoU", "Standard deviation", "95 % interval", "p, Holm", "Seeds"]
    fewest = min(one.n for one in compared.values())
    weak = (
        f"\nWith {count(fewest, 'seed')} the test cannot give a p below {smallest_p(fewest):.2g}, "
        "whatever the difference; 6 seeds are the fewest that can give p ≤ 0.05.\n"
        if smallest_p(fewest) > 0.05
        else ""
    )
    title = f"**Compared with {baseline.label}**"
    return f"{title}\n\n{READING}\n\n{markdown(head, table)}{weak}"


def _spread(comparison: Comparison) -> str:
    """Write the standard deviation of the paired differences, or a dash for one seed."""
    return number(100 * comparison.sd) if comparison.n > 1 else NONE
