"""The files of a comparison of models: page, JSON, table of images and scatter plots."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from fissura.evaluation.figures import LOSSLESS, encode, rendered, shrink
from fissura.evaluation.report import write_per_image
from fissura.evaluation.score import Scores
from fissura.html.pages import counted, data_address, environment
from fissura.metrics.counts import iou
from fissura.overlay import (
    FALSE_NEGATIVE,
    FALSE_POSITIVE,
    SKY_BLUE,
    TRUE_POSITIVE,
    error_overlay,
    hexadecimal,
)

SECTIONS = {
    "differences": "Differences",
    "images": "Image by image",
    "examples": "Where they differ most",
    "method": "How this was computed",
}

# Path of a metric, its name, and its meaning.
COMPARED = {
    "pooled.iou": ("IoU", "overlap of prediction and truth, pixels of all images together"),
    "per_image_mean.iou": ("IoU, mean of images", "the same, every image counting alike"),
    "pooled.f1": ("F1", "recall and precision in one number"),
    "pooled.recall": ("Recall", "of the true crack pixels, the fraction found"),
    "pooled.precision": ("Precision", "of the pixels called crack, the fraction that is crack"),
    "tolerant.pooled.f1": ("F1 with tolerance", "as F1, a few pixels beside the truth allowed"),
    "cldice.per_image_mean": ("clDice, mean of images", "is the line of the crack found unbroken"),
    "average_precision.ap": ("Average precision", "over all thresholds: how well the probabilities "
                             "rank crack above background"),
}  # fmt: skip


def write_comparison(folder: Path, summary: dict[str, Any], scores: dict[str, Scores]) -> None:
    """Write comparison.html, comparison.json, per_image.csv and a scatter plot of each pair.

    Args:
        folder: The new folder, in which the models' own reports lie already.
        summary: What `compare_models` found.
        scores: Scores of each model, by its name.
    """
    text = json.dumps(summary, indent=2, allow_nan=False, ensure_ascii=False)
    (folder / "comparison.json").write_text(text + "\n", encoding="utf-8")
    write_per_image(folder, summary["per_image"])
    plots = []
    for pair in summary["pairs"]:
        drawn = draw_scatter(pair["a"], scores[pair["a"]], pair["b"], scores[pair["b"]])
        for suffix, content in drawn.items():
            (folder / f"scatter-{pair['a']}-{pair['b']}.{suffix}").write_bytes(content)
        plots.append(drawn["svg"].decode())
    html = comparison_page(summary, scores, plots)
    (folder / "comparison.html").write_text(html, encoding="utf-8")


def comparison_page(summary: dict[str, Any], scores: dict[str, Scores], plots: list[str]) -> str:
    """Return the HTML of a comparison, with its images inside.

    Args:
        summary: What `compare_models` found.
        scores: Scores of each model, by its name.
        plots: The scatter plot of each pair, as SVG.
    """
    from markupsafe import Markup

    data = summary["data"]
    template = environment(Path(__file__).parent).get_template("compare.html")
    return template.render(
        title=f"Models compared: {data['name']}",
        about=[
            counted(summary["images"], "image"),
            f"{data['split_rule']}, prepared as {data['protocol']['name']}",
            counted(len(scores), "model"),
        ],
        sections=SECTIONS,
        summary=summary,
        metrics=COMPARED,
        values={
            name: {path: _value(report, path) for path in COMPARED}
            for name, report in summary["models"].items()
        },
        thresholds={name: report[report["headline"]] for name, report in summary["models"].items()},
        pairs=[
            {
                **pair,
                "plot": Markup(plot[plot.index("<svg") :]),
                "examples": [
                    (_better(pair, side), [_example(pair, scores, name) for name in names])
                    for side, names in pair["most_different"].items()
                    if names
                ],
            }
            for pair, plot in zip(summary["pairs"], plots, strict=True)
        ],
        colors={
            "found": TRUE_POSITIVE,
            "false_alarm": FALSE_POSITIVE,
            "missed": FALSE_NEGATIVE,
        },
    )


def draw_scatter(a: str, one: Scores, b: str, other: Scores) -> dict[str, bytes]:
    """Draw the IoU of each image under two models, as bytes of files by suffix: "svg" and "png".

    Args:
        a: Name of one model, on the upright axis.
        one: Its scores.
        b: Name of the other, on the level axis.
        other: Its scores.
    """
    from matplotlib.figure import Figure

    x, y = iou(other.headline.counts), iou(one.headline.counts)
    figure = Figure(figsize=(5.4, 5.4), layout="constrained")
    axes = figure.add_subplot()
    axes.plot([0, 1], [0, 1], color="0.7", linewidth=1, zorder=0)
    axes.plot(x, y, "o", markersize=5, alpha=0.65, clip_on=False,
              markerfacecolor=hexadecimal(SKY_BLUE),
              markeredgecolor="black", markeredgewidth=0.5)  # fmt: skip
    axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
    axes.set_xlabel(f"IoU of an image, {b}")
    axes.set_ylabel(f"IoU of the same image, {a}")
    axes.text(0.02, 0.98, f"{a} better: {np.count_nonzero(y > x)}", va="top", fontsize=9)
    axes.text(0.98, 0.02, f"{b} better: {np.count_nonzero(x > y)}", ha="right", fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)
    return rendered(figure)


def _value(report: dict[str, Any], path: str) -> dict[str, Any]:
    """Return a metric of a model's report by its path in a comparison."""
    if path == "average_precision.ap":
        return report["average_precision"]
    value = report[report["headline"]]
    for step in path.split("."):
        value = value[step]
    return value


def _better(pair: dict[str, Any], side: str) -> str:
    """Return the heading of the images on which one side is the better."""
    return f"{pair[side]} better than {pair['b' if side == 'a' else 'a']}"


def _example(pair: dict[str, Any], scores: dict[str, Scores], name: str) -> dict[str, Any]:
    """Return an image as the template shows it: as it is, and with the errors of both models."""
    models = (pair["a"], pair["b"])
    index = scores[models[0]].data.names.index(name)
    data = scores[models[0]].data
    image, truth, *preds = shrink(
        data.images[index],
        data.masks[index],
        *(scores[model].prediction(index) for model in models),
    )
    drawn = [("image", image)]
    for model, pred in zip(models, preds, strict=True):
        value = float(iou(scores[model].headline.counts[index]))
        drawn.append((f"{model}: IoU {value:.3f}", error_overlay(image, pred, truth)))
    return {
        "name": name,
        "panels": [
            {
                "caption": caption,
                "small": max(picture.shape) <= LOSSLESS,
                "source": data_address(*encode(picture)),
            }
            for caption, picture in drawn
        ],
    }
