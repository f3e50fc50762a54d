"""What a study found: a table of metrics, and each row compared with the baseline."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fissura.study.data import DataSet
from fissura.study.outputs.markdown import (
    NONE,
    count,
    mean_sd,
    number,
    write_page,
    written_could_show,
    written_interval,
    written_p,
)
from fissura.study.outputs.metrics import metric
from fissura.study.outputs.tables import Table
from fissura.study.outputs.thresholds import READING as READING_THRESHOLDS
from fissura.study.outputs.thresholds import threshold_table
from fissura.study.recipe import Found, Recipe, Row
from fissura.study.statistics import Comparison, compare, holm, smallest_p

SHOWN = ("IoU", "F1", "Recall", "Precision", "F1 within 2 px", "clDice")

MEANING = """\
Percent, on the test images, of the crack class: mean ± standard deviation over runs with different
seeds, after the last epoch, at threshold 0.5, from the counts of all images."""

READING = """\
Each row less the baseline, in points of IoU, seed by seed: runs of one seed have the same initial
weights, batches and augmentation. The interval is a bootstrap over seeds and test photos; p is of
Wilcoxon's exact signed-rank test over the seeds (the sign test where differences are equal or 0),
after Holm's correction for all rows of the table. 'Could show' is the smallest true difference that
so many seeds with this spread would show at p ≤ 0.05 in 8 of 10 studies (paired t test)."""


@dataclass(frozen=True)
class Section:
    """What a study found on one data set.

    Attributes:
        data: The data set.
        rows: The rows of the recipe on it.
        baseline: The row that the others are compared with.
        compared: Their comparisons with it, by the row's name; those with a seed in common.
        adjusted: The p of each, after Holm's correction for all of them.
    """

    data: DataSet
    rows: list[Row]
    baseline: Row
    compared: dict[str, Comparison]
    adjusted: dict[str, float]

    def metrics(self, found: Found) -> Table:
        """Return the means with their spread.

        Args:
            found: The results, by the row's name.
        """
        table = []
        for row in self.rows:
            runs = found.get(row.name, [])
            cells = ["not run", *[NONE] * (len(SHOWN) - 1)]
            if runs:
                cells = [mean_sd([metric(run, title) for run in runs]) for title in SHOWN]
            table.append([row.label, *cells, str(len(runs))])
        title = f"{self.data.title}: percent, mean ± standard deviation over seeds"
        return Table(title, ["", *SHOWN, "Runs"], table)

    def paired(self) -> Table | None:
        """Return the paired differences from the baseline; None where no seed has both."""
        if not self.compared:
            return None
        labels = {row.name: row.label for row in self.rows}
        table = [
            [
                labels[name],
                number(100 * one.mean, signed=True),
                number(100 * one.sd) if one.n > 1 else NONE,
                written_interval(one),
                written_could_show(one),
                written_p(self.adjusted[name]).removeprefix("p = ") if one.n > 1 else NONE,
                str(one.n),
            ]
            for name, one in self.compared.items()
        ]
        head = [
            "",
            "Δ IoU",
            "Standard deviation",
            "95 % interval",
            "Could show",
            "p, Holm",
            "Seeds",
        ]
        title = (
            f"{self.data.title}: IoU less that of {self.baseline.label}, seed by seed, in points"
        )
        return Table(title, head, table)

    def thresholds(self, found: Found) -> Table | None:
        """Return the comparison at other thresholds; None where no run has chosen one.

        Args:
            found: The results, by the row's name.
        """
        return threshold_table(self.data.title, self.rows, self.baseline, found)


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
    found_sections = sections(recipe, found)
    written = []
    for one in found_sections:
        heading = f"## {one.data.title}\n\n" if len(found_sections) > 1 else ""
        paired = _paired(one) + _thresholds(one, found)
        written.append(heading + one.metrics(found).markdown() + (f"\n{paired}" if paired else ""))
    return "\n".join(written)


def sections(recipe: Recipe, found: Found) -> list[Section]:
    """Return what a study found on each data set of a recipe.

    Args:
        recipe: The rows.
        found: The results, by the row's name.

    Raises:
        InputError: Two rows were not tested on the same images.
    """
    made = []
    for data in recipe.data_sets():
        rows = [row for row in recipe.rows if row.experiment.data == data]
        baseline = _baseline(recipe, data)
        compared = {
            row.name: comparison
            for row in rows
            if row.name != baseline.name and found.get(row.name) and found.get(baseline.name)
            for comparison in [compare(found[row.name], found[baseline.name])]
            if comparison is not None
        }
        adjusted = holm([comparison.p for comparison in compared.values()])
        made.append(
            Section(data, rows, baseline, compared, dict(zip(compared, adjusted, strict=True)))
        )
    return made


def _baseline(recipe: Recipe, data: DataSet) -> Row:
    """Return the row that others of its data set are compared with.

    The recipe's baseline is a row of one data set; in others it is the row with the same label.
    """
    rows = [row for row in recipe.rows if row.experiment.data == data]
    labels = [row.label for row in recipe.rows if row.name == recipe.baseline]
    return next((row for row in rows if row.label in labels), rows[0])


def _thresholds(section: Section, found: Found) -> str:
    """Return the comparison at other thresholds; nothing where no run has chosen one."""
    table = section.thresholds(found)
    if table is None:
        return ""
    return f"\n**Only another threshold?**\n\n{READING_THRESHOLDS}\n\n{table.markdown()}"


def _paired(section: Section) -> str:
    """Return the paired differences with how to read them; nothing where no seed has both."""
    table = section.paired()
    if table is None:
        return ""
    fewest = min(one.n for one in section.compared.values())
    weak = (
        f"\nWith {count(fewest, 'seed')} the test cannot give a p below {smallest_p(fewest):.2g}, "
        "whatever the difference; 6 seeds are the fewest that can give p ≤ 0.05.\n"
        if smallest_p(fewest) > 0.05
        else ""
    )
    title = f"**Compared with {section.baseline.label}**"
    return f"{title}\n\n{READING}\n\n{table.markdown()}{weak}"
