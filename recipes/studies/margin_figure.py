"""The figure of a question about the margin: gains and shift, with intervals over seeds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from margin_runs import Question
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fissura.overlay import CLASS_COLORS
from fissura.study.outputs.figure_files import rgb
from fissura.study.outputs.thresholds import seed_interval


def draw(question: Question, measures: Sequence[str]) -> Figure:
    """Draw each measure less that of m = 0 against the axis, a line for each margin.

    Args:
        question: The question.
        measures: Names of four of its measures; those of logits have the word in them.
    """
    figure = Figure(figsize=(7.6, 5.4), layout="constrained")
    panels = figure.subplots(2, 2, sharex=True).ravel()
    for position, (name, axes) in enumerate(zip(measures, panels, strict=True)):
        draw_measure(axes, question, name)
        axes.set_title(f"{'abcd'[position]}  {name}", fontsize=8.5, fontweight="bold", loc="left")
        unit = "logits" if "logits" in name else "points"
        axes.set_ylabel(f"less that of m = 0 ({unit})", fontsize=7.5)
    for axes in panels[2:]:
        axes.set_xlabel(question.axis, fontsize=7.5)
    lines, labels = panels[0].get_legend_handles_labels()
    figure.legend(lines, labels, loc="outside upper center", ncols=len(labels), fontsize=7.5,
                  frameon=False)  # fmt: skip
    return figure


def draw_measure(axes: Axes, question: Question, name: str) -> None:
    """Draw one measure: means with 95 % intervals over seeds."""
    axes.axhline(0, color="0.6", linewidth=0.8, zorder=0)
    axes.set_xscale("log")
    positions = list(question.runs)
    width = 1 + 0.06 * len(question.margins)
    for order, margin in enumerate(question.margins):
        drawn = [(x, gains) for x in positions if (gains := question.gains(name, x, margin))]
        means = [float(np.mean(gains)) for _, gains in drawn]
        reach = [np.nan_to_num(np.mean(gains) - seed_interval(gains)[0]) for _, gains in drawn]
        apart = width ** (order / max(len(question.margins) - 1, 1) - 0.5)
        axes.errorbar(
            [x * apart for x, _ in drawn], means, yerr=reach, label=f"m = {margin:g}",
            color=rgb(CLASS_COLORS[(0, 1, 4, 5)[order % 4]]), marker="osD^"[order % 4],
            markersize=4.5, markeredgecolor="black", markeredgewidth=0.6, linewidth=1.0,
            elinewidth=0.9, capsize=2,
        )  # fmt: skip
    axes.set_xticks(positions, [f"{x:g}" for x in positions])
    axes.minorticks_off()
    axes.tick_params(labelsize=7.5)
    axes.spines[["top", "right"]].set_visible(False)
