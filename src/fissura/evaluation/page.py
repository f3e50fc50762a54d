"""The page of an evaluation: a summary as HTML that opens anywhere, with its images inside."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path
from typing import Any

from fissura.evaluation.figures import LOSSLESS, Example, choose_examples, encode, panels
from fissura.evaluation.literature import FIGURES
from fissura.evaluation.score import Scores
from fissura.html.pages import counted, data_address, environment
from fissura.overlay import FALSE_NEGATIVE, FALSE_POSITIVE, TRUE_POSITIVE

SECTIONS = {
    "metrics": "Metrics",
    "thresholds": "Every threshold",
    "literature": "As the literature computes it",
    "images": "Images",
    "method": "How this was computed",
}

# Path of a metric in the summary, its name, and its meaning.
HEADLINE = [
    (("pooled", "recall"), "Recall", "of the true crack pixels, the fraction that the model finds"),
    (("pooled", "precision"), "Precision",
     "of the pixels that the model calls crack, the fraction that is crack"),
    (("pooled", "f1"), "F1", "the two in one number (harmonic mean, also called Dice)"),
    (("pooled", "iou"), "IoU",
     "overlap: pixels that model and truth agree on, over those that either calls crack"),
    (("per_image_mean", "iou"), "IoU, mean of images", "the same, every image counting alike"),
    (("tolerant", "pooled", "f1"), "F1, {tolerance} px tolerance",
     "as F1, but a pixel may lie up to {tolerance} pixels beside the truth"),
    (("cldice", "per_image_mean"), "clDice, mean of images",
     "is the line of the crack found unbroken, whatever its width"),
]  # fmt: skip

KINDS = {
    "best": "Best",
    "median": "Typical (median)",
    "worst": "Worst",
    "false alarm": "False alarms on images without crack",
}


def page(scores: Scores, summary: dict[str, Any], curve_svg: str) -> str:
    """Return the HTML of a report.

    Args:
        scores: Scores of the images.
        summary: Summary that `summarize` returns, with the "model", "data" and "warnings" of
            `evaluate` where there are any.
        curve_svg: The precision-recall curve.
    """
    from markupsafe import Markup

    data = summary.get("data", {})
    headline = summary[summary["headline"]]["pooled"]
    points = [point for point in (summary["at_half"], summary["at_chosen"]) if point is not None]
    tolerance = f"{summary['tolerance_px']:g}"
    template = environment(Path(__file__).parent).get_template("report.html")
    return template.render(
        title=f"Crack segmentation: {data.get('name', 'evaluation')}",
        about=_about(summary),
        sections={
            key: name
            for key, name in SECTIONS.items()
            if key != "literature" or "literature" in summary
        },
        warnings=summary.get("warnings", []),
        summary=summary,
        found=headline["recall"]["value"],
        right=headline["precision"]["value"],
        points=points,
        rows=[
            {
                "name": name.format(tolerance=tolerance),
                "meaning": meaning.format(tolerance=tolerance),
                "values": [_at(point, path) for point in points],
            }
            for path, name, meaning in HEADLINE
        ]
        + _false_alarms(points),
        # An XML declaration in front of the element does not belong into HTML.
        literature=[
            (name, meaning, summary["literature"][path[0]][path[1]])
            for path, name, meaning in FIGURES
            if "literature" in summary
        ],
        curve=Markup(curve_svg[curve_svg.index("<svg") :]),
        headline_threshold=scores.headline.threshold,
        colors={
            "found": TRUE_POSITIVE,
            "false_alarm": FALSE_POSITIVE,
            "missed": FALSE_NEGATIVE,
        },
        kinds=[
            (KINDS[kind], [_example(scores, example) for example in examples])
            for kind, examples in groupby(choose_examples(scores), lambda example: example.kind)
        ],
        provenance=provenance_of(summary),
    )


def _false_alarms(points: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the row of false alarms, where there are images without crack."""
    alarms = [point["false_alarms"] for point in points]
    if not alarms[0]["images"]:
        return []
    least = counted(alarms[0]["least_pixels"], "pixel")
    return [
        {
            "name": "False alarms",
            "meaning": "of the images without crack, the fraction on which the model calls a "
            f"connected component of at least {least} crack",
            "values": [
                one["fraction"]
                | {
                    "note": f"{one['with_alarm']:,} of {counted(one['images'], 'image')}, "
                    f"{counted(one['components'], 'component')}"
                }
                for one in alarms
            ],
        }
    ]


def _about(summary: dict[str, Any]) -> list[str]:
    """Return the facts under the title."""
    data, model = summary.get("data", {}), summary.get("model", {})
    said = [counted(summary["images"], "image")]
    if data:
        said.append(f"{data['split_rule']}, prepared as {data['protocol']['name']}")
    if model:
        said.append(f"model {model['path']} ({model['model']})")
    return said


def _example(scores: Scores, example: Example) -> dict[str, Any]:
    """Return an image as the template shows it."""
    return {
        "name": scores.data.names[example.index],
        "iou": example.iou,
        "panels": [
            {
                "caption": caption,
                "small": max(image.shape) <= LOSSLESS,
                "source": data_address(*encode(image)),
            }
            for caption, image in panels(scores, example.index)
        ],
    }


def provenance_of(summary: dict[str, Any]) -> dict[str, Any]:
    """Return where the metrics come from: model, data, machine.

    Args:
        summary: Of an evaluation.
    """
    entries: dict[str, Any] = {
        f"{room}: {key.replace('_', ' ')}": value
        for room in ("model", "data")
        for key, value in summary.get(room, {}).items()
        if not isinstance(value, dict | list)
    }
    skipped = summary.get("data", {}).get("skipped", [])
    left_out = "; ".join(f"{one['file']} ({one['reason']})" for one in skipped)
    entries["files left out"] = left_out or "none"
    for key in ("versions", "machine", "seconds", "created"):
        if key in summary:
            value = summary[key]
            if isinstance(value, dict):
                value = ", ".join(f"{name} {text}" for name, text in value.items())
            entries[key] = value
    return entries


def _at(point: dict[str, Any], path: tuple[str, ...]) -> dict[str, Any]:
    """Return the metric at a path of the summary."""
    for step in path:
        point = point[step]
    return point
