"""Fig. 3: the best margin against the fraction of crack pixels."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fissura.errors import InputError
from fissura.losses import recommended_margin
from fissura.overlay import REDDISH_PURPLE, SKY_BLUE, VERMILION
from fissura.paper.data import CRACK500, DEEPCRACK
from fissura.paper.losses import HYBRID, PLAIN_HYBRID, ours
from fissura.study.data import panels
from fissura.study.experiment import experiment
from fissura.study.outputs.figure_files import rgb, save_figure
from fissura.study.recipe import Found, Recipe, Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MARGINS = (0.0, 0.5, 1.0, 1.5, 2.0)
FRACTIONS = (0.01, 0.03, 0.05, 0.07, 0.10)
# By the first word of a row's name, which holds for any number of panels; each with the parameters
# of L_ours that the paper gives it. Most of these are runs of the tables.
DATA = {
    **{f"panels-{100 * fraction:g}pc": (panels(fraction), HYBRID) for fraction in FRACTIONS},
    DEEPCRACK.name: (DEEPCRACK, HYBRID),
    CRACK500.name: (CRACK500, PLAIN_HYBRID),
}

COLUMNS = 3
SMALL = 7.5  # points
RECOMMENDED: dict[str, Any] = {
    "color": rgb(REDDISH_PURPLE),
    "linestyle": "--",
    "linewidth": 1.6,
}


@dataclass(frozen=True)
class Sweep:
    """The margins that were tried on one data set.

    Attributes:
        title: Of the data set.
        crack_fraction: Of its training pixels, as measured.
        iou: Pooled test IoU by margin and seed.
    """

    title: str
    crack_fraction: float
    iou: dict[float, dict[int, float]]

    def gains(self, margin: float, over: float = 0.0) -> NDArray[np.float64]:
        """Return by how many points of IoU a margin beats another, for each seed of both.

        Args:
            margin: The one.
            over: The other.
        """
        ours, theirs = self.iou[margin], self.iou[over]
        seeds = sorted(ours.keys() & theirs.keys())
        return 100 * np.array([ours[seed] - theirs[seed] for seed in seeds])

    @property
    def margins(self) -> list[float]:
        """The margins that share a seed with m = 0, so that the gain over it is known."""
        return [margin for margin in sorted(self.iou) if self.gains(margin).size]

    @property
    def best(self) -> float:
        """The margin with the largest mean gain, the smallest of several."""
        return max(self.margins, key=lambda margin: self.gains(margin).mean())

    @property
    def near_best(self) -> list[float]:
        """The best margin, and those that it beats by at most the spread of that over seeds.

        The spread is the standard deviation of the paired differences; unknown for one seed.
        """
        found = [self.best]
        for margin in self.margins:
            lead = self.gains(self.best, over=margin)
            if margin != self.best and lead.size > 1 and lead.mean() <= lead.std(ddof=1):
                found.append(margin)
        return sorted(found)


def margin_of(row: Row) -> float:
    """Return the margin of a row; the hybrid focal loss is L_ours without one."""
    config = row.experiment.config
    if config.loss == "hybrid-focal":
        return 0.0
    if not isinstance(config.margin, float | int):
        raise ValueError(f"The row {row.name} has no number for its margin: {config.margin}.")
    return float(config.margin)


def find_sweeps(recipe: Recipe, found: Found) -> tuple[list[Sweep], list[str]]:
    """Sort results by data set, rarest cracks first.

    Args:
        recipe: Rows of several margins on each data set.
        found: The results, by the row's name.

    Returns:
        The sweeps, and the titles of the data sets that have none: without m = 0, or without any
        other margin of the same seed, there is nothing to compare.
    """
    data = {row.experiment.data.name: row.experiment.data for row in recipe.rows}
    sweeps, missing = [], []
    for name, data_set in data.items():
        rows = [row for row in recipe.rows if row.experiment.data.name == name]
        iou = {
            margin_of(row): {result.seed: result.iou for result in found[row.name]}
            for row in rows
            if found.get(row.name)
        }
        results = [result for row in rows for result in found.get(row.name, [])]
        fractions = [result.train["crack_fraction"] for result in results]
        sweep = Sweep(data_set.title, float(np.mean(fractions)) if fractions else 0.0, iou)
        if 0.0 in iou and len(sweep.margins) > 1:
            sweeps.append(sweep)
        else:
            missing.append(data_set.title)
    return sorted(sweeps, key=lambda sweep: sweep.crack_fraction), missing


def plot_margins(recipe: Recipe, found: Found, folder: Path) -> list[Path]:
    """Draw Fig. 3 as `folder`/NAME.png and .svg, with the data sets that have results.

    A panel for each data set: the gain in test IoU over m = 0 with the same seed, its mean and
    standard deviation over seeds, against the margin. Last, the best margin against the fraction
    of crack, beside the paper's recommendation.

    Args:
        recipe: Rows of several margins on each data set.
        found: The results, by the row's name.
        folder: Where to write.

    Returns:
        The files.

    Raises:
        InputError: No data set has results for m = 0 and another margin.
    """
    sweeps, missing = find_sweeps(recipe, found)
    if not sweeps:
        raise InputError(
            f"There is nothing to draw for {recipe.name}: no data set has results for m = 0 and "
            f"for another margin with the same seed. Make some with `fissura study {recipe.name}`."
        )
    return save_figure(draw_margins(sweeps, missing), folder, recipe.name)


def draw_margins(sweeps: list[Sweep], missing: list[str]) -> Figure:
    """Draw a panel for each sweep, and one for all.

    Args:
        sweeps: One per data set.
        missing: Titles of data sets without results, named beneath.
    """
    from matplotlib.figure import Figure

    # The last panel takes what its row has left, if that is most of it, or a row of its own.
    alone = len(sweeps) % COLUMNS != 1
    rows = -(-len(sweeps) // COLUMNS) + alone
    figure = Figure(figsize=(7.6, 0.9 + 2.1 * rows), layout="constrained")
    grid = figure.add_gridspec(rows, COLUMNS)
    shared = None
    for index, sweep in enumerate(sweeps):
        row, column = divmod(index, COLUMNS)
        axes = figure.add_subplot(grid[row, column], sharey=shared)
        shared = shared or axes
        _draw_sweep(axes, sweep, chr(ord("a") + index))
        if column == 0:
            axes.set_ylabel("IoU gain over m = 0\n(points)", fontsize=SMALL)
        axes.tick_params(labelleft=column == 0)
    last = figure.add_subplot(grid[-1, 0 if alone else 1 :])
    _draw_best(last, sweeps)
    _draw_key(figure, missing)
    return figure


def _draw_sweep(axes: Axes, sweep: Sweep, letter: str) -> None:
    """Draw the gains on one data set."""
    axes.axhline(0, color="0.6", linewidth=0.8, zorder=0)
    axes.axvline(recommended_margin(sweep.crack_fraction), **RECOMMENDED, zorder=0)
    gains = {margin: sweep.gains(margin) for margin in sweep.margins}
    axes.plot(list(gains), [gain.mean() for gain in gains.values()], color="0.75", zorder=1)
    for margin, gain in gains.items():
        best = margin == sweep.best
        axes.errorbar(
            margin,
            gain.mean(),
            # At m = 0 there is nothing to spread.
            yerr=gain.std(ddof=1) if gain.size > 1 and margin else None,
            fmt="D" if best else "o",
            markersize=6.5 if best else 5.5,
            color="black",
            markerfacecolor="white" if gain.size == 1 else rgb(VERMILION if best else SKY_BLUE),
            markeredgewidth=1.4 if gain.size == 1 else 0.8,
            markeredgecolor=rgb(VERMILION) if best and gain.size == 1 else "black",
            capsize=2.5,
            elinewidth=1.1,
        )
    sizes = {gain.size for gain in gains.values()}
    seeds = "1 seed" if sizes == {1} else f"{'–'.join(map(str, _ends(sizes)))} seeds"
    baseline = 100 * np.mean(list(sweep.iou[0.0].values()))
    axes.set_title(
        f"{letter}  {sweep.title}\n", fontsize=SMALL + 1, fontweight="bold", loc="left", pad=3
    )
    axes.text(
        0, 1.03, f"{100 * sweep.crack_fraction:.1f} % crack, IoU {baseline:.1f} at m = 0",
        transform=axes.transAxes, fontsize=SMALL, va="bottom",
    )  # fmt: skip
    axes.set_xlabel(f"margin m ({seeds})", fontsize=SMALL)
    _plain(axes)


def _draw_best(axes: Axes, sweeps: list[Sweep]) -> None:
    """Draw the best margins against the fraction of crack."""
    percents = [100 * sweep.crack_fraction for sweep in sweeps]
    edge = 1.12 * max(10.0, *percents)
    drawn = np.linspace(0, edge, 500)
    axes.plot(drawn, [recommended_margin(percent / 100) for percent in drawn], **RECOMMENDED)
    top = max(max(sweep.margins) for sweep in sweeps)
    for index, (x, sweep) in enumerate(zip(_apart(percents, 0.03 * edge), sweeps, strict=True)):
        single = sweep.gains(sweep.best).size == 1
        near = sweep.near_best
        axes.plot([x] * len(sweep.margins), sweep.margins, "o", color="0.8", markersize=3)
        axes.plot([x] * len(near), near, color="black", linewidth=1.1)
        axes.plot([x] * len(near), near, "o", markersize=5.5, markerfacecolor=rgb(SKY_BLUE),
                  markeredgecolor="black", markeredgewidth=0.8)  # fmt: skip
        axes.plot(x, sweep.best, "D", markersize=6.5, markeredgewidth=1.4 if single else 0.8,
                  markerfacecolor="white" if single else rgb(VERMILION),
                  markeredgecolor=rgb(VERMILION) if single else "black")  # fmt: skip
        axes.text(x, 1.07 * top, chr(ord("a") + index), fontsize=SMALL + 1, fontweight="bold",
                  ha="center", va="bottom")  # fmt: skip
    axes.set(xlim=(0, edge), ylim=(-0.08 * top, 1.2 * top))
    axes.set_xlabel("crack in the training pixels (%)", fontsize=SMALL)
    axes.set_ylabel("margin m", fontsize=SMALL)
    axes.set_title("Best margin", fontsize=SMALL + 1, fontweight="bold", loc="left", pad=3)
    _plain(axes)


def _draw_key(figure: Figure, missing: list[str]) -> None:
    """Draw the legend above, and explain beneath the marks and the missing data sets."""
    from matplotlib.lines import Line2D

    def mark(shape: str, face: Any) -> Line2D:
        return Line2D([], [], marker=shape, linestyle="", markerfacecolor=face, markersize=6,
                      markeredgecolor="black", markeredgewidth=1.0)  # fmt: skip

    entries = {
        "mean over seeds": mark("o", rgb(SKY_BLUE)),
        "best mean": mark("D", rgb(VERMILION)),
        "one seed only": mark("o", "white"),
        "paper's recommendation": Line2D([], [], **RECOMMENDED),
    }
    figure.legend(
        list(entries.values()), list(entries), loc="outside upper center", ncols=len(entries),
        fontsize=SMALL, frameon=False,
    )  # fmt: skip
    words = (
        "Each margin against m = 0 of the same seed; bars: ± 1 standard deviation of that "
        "difference over seeds. Best margin: those joined to the best lie within one standard "
        "deviation of it, the gray ones were tried too; data sets that would cover one another "
        "are moved apart."
    )
    if missing:
        words += f" No results yet: {'; '.join(missing)}."
    figure.supxlabel(textwrap.fill(words, 125), fontsize=SMALL - 0.5, x=0.01, ha="left")


def _apart(values: list[float], least: float) -> list[float]:
    """Move ascending values up so that each lies at `least` above the one before."""
    moved: list[float] = []
    for value in values:
        moved.append(max(value, moved[-1] + least) if moved else value)
    return moved


def _plain(axes: Axes) -> None:
    """Take the frame away above and on the right."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=SMALL)


def _ends(sizes: set[int]) -> list[int]:
    """Return the smallest and the largest, once where they are the same."""
    return sorted({min(sizes), max(sizes)})


FIG3 = Recipe(
    name="fig3",
    title="Fig. 3: margin against fraction of crack",
    rows=[
        Row(
            f"{name}/m{margin:g}",
            f"{data.title}, m = {margin:g}",
            experiment(data, **ours(margin, hybrid)),
        )
        for name, (data, hybrid) in DATA.items()
        for margin in MARGINS
    ],
    show=plot_margins,
)
