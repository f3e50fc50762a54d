"""The report of a model of several classes: its folder, its page, its lines for a terminal."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fissura.evaluation.classes import ClassScores
from fissura.evaluation.figures import EACH, LOSSLESS, draw_curve, encode
from fissura.evaluation.page import provenance_of
from fissura.evaluation.report import refuse_existing, write_per_image
from fissura.files import new_folder
from fissura.html.pages import counted, data_address, environment
from fissura.inference.classes import is_class
from fissura.metrics.counts import iou
from fissura.overlay import Color, class_color, overlay

SECTIONS = {
    "metrics": "Metrics",
    "confusion": "What is taken for what",
    "thresholds": "Every threshold",
    "images": "Images",
    "method": "How this was computed",
}
KINDS = {"best": "Best", "median": "Typical (median)", "worst": "Worst"}
IGNORED: Color = (128, 128, 128)
# Path of a metric in the summary of a class, and its name.
COLUMNS = [
    (("at_map", "pooled", "recall"), "Recall"),
    (("at_map", "pooled", "precision"), "Precision"),
    (("at_map", "pooled", "f1"), "F1"),
    (("at_map", "pooled", "iou"), "IoU"),
    (("at_map", "tolerant", "pooled", "f1"), "F1, {tolerance} px tolerance"),
    (("at_map", "cldice", "per_image_mean"), "clDice, mean of images"),
    (("average_precision",), "Average precision"),
]


@dataclass(frozen=True, eq=False)
class ClassReport:
    """The outcome of an evaluation of a model of several classes.

    Attributes:
        summary: All metrics and where they come from, as in `report.json`.
        scores: Arrays per image and class, from which the metrics follow.
        folder: Folder that the report was written into.
    """

    summary: dict[str, Any]
    scores: ClassScores
    folder: Path

    def headline(self) -> str:
        """Return the most important metrics in a few lines, for a terminal."""
        summary = self.summary
        lines = [f"Warning: {text}" for text in summary["warnings"]]
        how = "½ or more" if summary["overlapping"] else "the likeliest class of each pixel"
        lines.append(
            f"{counted(summary['images'], 'image')}, {how}; in brackets: "
            f"{summary['bootstrap']['level']:.0%} interval"
        )
        for name, one in summary["classes"].items():
            pooled = one["at_map"]["pooled"]
            lines.append(
                f"  {name:<16} IoU {_text(pooled['iou'])}  F1 {_text(pooled['f1'])}  "
                f"recall {_text(pooled['recall'], short=True)}  "
                f"precision {_text(pooled['precision'], short=True)}"
            )
        mean = summary["mean"]["iou"]
        lines.append(f"  {'mean':<16} IoU {'undefined' if mean is None else f'{mean:.4f}'}")
        lines.append(f"The report is {self.folder / 'report.html'}")
        return "\n".join(lines)


def write_class_report(scores: ClassScores, summary: dict[str, Any], folder: Path) -> None:
    """Write report.json, report.html, per_image.csv, and of each class pr_curve-CLASS.svg and .png.

    The folder appears whole or not at all.

    Raises:
        InputError: The folder exists and holds anything.
    """
    refuse_existing(folder)
    with new_folder(folder) as temporary:
        curves = {}
        for name, of_class in scores.by_class.items():
            drawn = draw_curve(of_class, name)
            curves[name] = drawn["svg"].decode()
            for suffix, content in drawn.items():
                (temporary / f"pr_curve-{name}.{suffix}").write_bytes(content)
        text = json.dumps(summary, indent=2, allow_nan=False, ensure_ascii=False)
        (temporary / "report.json").write_text(text + "\n", encoding="utf-8")
        html = class_page(scores, summary, curves)
        (temporary / "report.html").write_text(html, encoding="utf-8")
        write_per_image(temporary, summary["per_image"])


def class_page(scores: ClassScores, summary: dict[str, Any], curves: dict[str, str]) -> str:
    """Return the HTML of a report on several classes.

    Args:
        scores: Scores of the images.
        summary: From `fissura.evaluation.classes.summarize_classes`, with the "model", "data" and
            "warnings" of `evaluate` where there are any.
        curves: The precision-recall curve of each class as SVG.
    """
    from markupsafe import Markup

    data, model = summary.get("data", {}), summary.get("model", {})
    about = [counted(summary["images"], "image")]
    if data:
        about.append(f"{data['split_rule']}, prepared as {data['protocol']['name']}")
    if model:
        about.append(f"model {model['path']} ({model['model']})")
    tolerance = f"{summary['tolerance_px']:g}"
    confusion = summary["confusion"]
    template = environment(Path(__file__).parent).get_template("classes.html")
    return template.render(
        title=f"{', '.join(summary['class_names'])}: {data.get('name', 'evaluation')}",
        about=about,
        sections={k: v for k, v in SECTIONS.items() if k != "confusion" or confusion},
        warnings=summary.get("warnings", []),
        summary=summary,
        columns=[name.format(tolerance=tolerance) for _, name in COLUMNS],
        rows=[
            {
                "name": name,
                "color": class_color(number),
                "fraction": one["fraction"],
                "values": [_at(one, path) for path, _ in COLUMNS],
            }
            for number, (name, one) in enumerate(summary["classes"].items())
        ],
        confusion=confusion and _fractions(confusion),
        curves={name: Markup(svg[svg.index("<svg") :]) for name, svg in curves.items()},
        ignored=IGNORED if scores.data.valid is not None else None,
        kinds=[
            (KINDS[kind], [_example(scores, index, value) for index, value in examples])
            for kind, examples in choose(scores)
        ],
        provenance=provenance_of(summary),
    )


def choose(scores: ClassScores) -> list[tuple[str, list[tuple[int, float]]]]:
    """Choose the best, the median and the worst images by the mean IoU of their classes.

    Args:
        scores: Scores of the images.

    Returns:
        Kind and images, each by its index and mean IoU; no image twice.
    """
    counts = np.stack([one.half.counts for one in scores.by_class.values()], axis=1)
    there = counts[:, :, :3].sum(axis=2) > 0
    shown = np.flatnonzero(there.any(axis=1))
    values = np.array([iou(counts[index][there[index]]).mean() for index in shown])
    order = [(int(shown[at]), float(values[at])) for at in np.argsort(-values, kind="stable")]
    each = min(EACH, max(1, len(order) // 3))
    middle = max(0, (len(order) - each) // 2)
    wanted = {"best": order[:each], "median": order[middle : middle + each], "worst": order[-each:]}
    taken: set[int] = set()
    chosen = []
    for kind, examples in wanted.items():
        fresh = [(index, value) for index, value in examples if index not in taken]
        taken |= {index for index, _ in fresh}
        if fresh:
            chosen.append((kind, fresh))
    return chosen


def _example(scores: ClassScores, index: int, value: float) -> dict[str, Any]:
    """Return an image as the template shows it: as it is, with the truth, with the prediction."""
    data, image = scores.data, scores.data.images[index]
    valid = None if data.valid is None else data.valid[index]
    truth, found = data.masks[index], scores.maps[index]
    panels = [
        ("image", image),
        ("truth", _painted(scores, image, truth, valid)),
        ("predicted", _painted(scores, image, found, valid)),
    ]
    return {
        "name": data.names[index],
        "iou": value,
        "panels": [
            {
                "caption": caption,
                "small": max(drawn.shape) <= LOSSLESS,
                "source": data_address(*encode(drawn)),
            }
            for caption, drawn in panels
        ],
    }


def _painted(
    scores: ClassScores,
    image: NDArray[np.uint8],
    map_: NDArray[np.uint8],
    valid: NDArray[np.bool_] | None,
) -> NDArray[np.uint8]:
    """Paint the classes of a map over an image, and gray where no pixel counts."""
    for number in range(len(scores.data.classes)):
        mask = is_class(map_, number, overlapping=scores.data.overlapping)
        image = overlay(image, mask, class_color(number), alpha=0.6, outline=0)
    return image if valid is None else overlay(image, ~valid, IGNORED, alpha=0.7, outline=0)


def _fractions(confusion: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the rows of the table of confusions, as fractions of each true class."""
    rows = []
    for name, pixels in zip(confusion["classes"], confusion["pixels"], strict=True):
        total = sum(pixels)
        rows.append(
            {"name": name, "total": total, "values": [p / total if total else None for p in pixels]}
        )
    return rows


def _at(one: dict[str, Any], path: tuple[str, ...]) -> dict[str, Any]:
    """Return the metric at a path of the summary of a class."""
    for step in path:
        one = one[step]
    return one


def _text(metric: dict[str, float | None], *, short: bool = False) -> str:
    """Return a metric, with its interval where there is one and it is wanted."""
    if metric["value"] is None:
        return "undefined"
    if short or metric["low"] is None:
        return f"{metric['value']:.4f}"
    return f"{metric['value']:.4f} ({metric['low']:.4f} to {metric['high']:.4f})"
