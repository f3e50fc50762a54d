"""Write a summary as one HTML page that opens anywhere: pictures are inside it."""

from __future__ import annotations

import base64
from html import escape
from typing import Any

from fissura.evaluation.pictures import choose_examples, encode, panels
from fissura.evaluation.score import Scores
from fissura.overlay import FALSE_NEGATIVE, FALSE_POSITIVE, TRUE_POSITIVE, Color

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #222; background: #fff;
       max-width: 62rem; margin: 2rem auto; padding: 0 1.2rem; }
h1 { font-size: 1.7rem; margin-bottom: .2rem; } h2 { margin-top: 2.4rem; font-size: 1.25rem; }
.about, .note, td small { color: #666; } .about { margin-top: 0; }
.lead { font-size: 1.15rem; background: #f3f6f9; padding: .8rem 1.1rem; border-radius: 8px; }
.warning { background: #fff4d6; padding: .6rem 1rem; border-radius: 8px; }
table { border-collapse: collapse; width: 100%; }
th { font-weight: 600; } th small { font-weight: 400; color: #666; }
th + th { width: 13rem; }
th, td { text-align: left; vertical-align: top; padding: .45rem .8rem .45rem 0;
         border-bottom: 1px solid #e4e4e4; }
.figure small { color: #666; }
td.figure { white-space: nowrap; font-variant-numeric: tabular-nums; }
.figure b { font-size: 1.1rem; } small { font-size: .82rem; }
svg { max-width: 36rem; width: 100%; height: auto; }
.row { display: grid; grid-template-columns: repeat(3, 1fr); gap: .6rem; margin: .3rem 0 1.4rem; }
.row figure { margin: 0; } .row img { width: 100%; display: block; }
.row img.small { image-rendering: pixelated; } figcaption { font-size: .82rem; color: #666; }
.swatch { display: inline-block; width: .95em; height: .95em; border-radius: 3px;
          vertical-align: -.1em; margin: 0 .35em 0 1em; border: 1px solid #0003; }
details { margin-top: .8rem; } dl { display: grid; grid-template-columns: 13rem 1fr; }
dt { color: #666; } dd { margin: 0; overflow-wrap: anywhere; }
"""

# Figure, its name, and what it says.
HEADLINE = [
    (("pooled", "recall"), "Recall", "of the true crack pixels, the share that the model finds"),
    (("pooled", "precision"), "Precision",
     "of the pixels that the model calls crack, the share that is crack"),
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

    summary:   what `summarize` returns, with the "model", "data" and "warnings" of `evaluate`
               where there are any.
    curve_svg: the precision-recall curve.
    """
    data = summary.get("data", {})
    title = f"Crack segmentation: {data.get('name', 'evaluation')}"
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<style>{STYLE}</style>
</head>
<body>
<h1>{escape(title)}</h1>
<p class="about">{_about(summary)}</p>
{"".join(f'<p class="warning">{escape(text)}</p>' for text in summary.get("warnings", []))}
<p class="lead">{_lead(summary)}</p>
<h2>The figures</h2>
{_table(summary)}
<p class="note">In gray: {summary["bootstrap"]["level"]:.0%} bootstrap intervals, where the figure
could lie with other images of the same kind ({summary["bootstrap"]["resamples"]} resamples of
{escape(summary["bootstrap"]["drawn"])}). Everything is about crack pixels; the background, easy and
large, is not averaged in.</p>
<h2>Every threshold</h2>
<p>The model gives each pixel a probability. A low threshold finds more of the cracks, and more that
is none. Average precision, the area under the curve:
{_figure(summary["average_precision"])}</p>
{_inline(curve_svg)}
{_oracle(summary)}
<h2>Images</h2>
<p>Chosen by IoU at the threshold {scores.headline.threshold:.3g}.
{_swatch(TRUE_POSITIVE)}crack, found {_swatch(FALSE_POSITIVE)}called crack, is none
{_swatch(FALSE_NEGATIVE)}crack, missed</p>
{_examples(scores)}
<h2>How this was computed</h2>
<ul>{"".join(f"<li>{escape(rule)}</li>" for rule in summary["rules"])}</ul>
{_provenance(summary)}
</body>
</html>
"""


def _lead(summary: dict[str, Any]) -> str:
    point = summary[summary["headline"]]
    found, right = point["pooled"]["recall"]["value"], point["pooled"]["precision"]["value"]
    share = f"{summary['crack_fraction']:.2%} of all pixels are crack. "
    if found is None:
        return share + "There is no crack to find, so that recall cannot be told."
    if right is None:
        return share + "The model calls nothing crack."
    return (
        f"{share}Of 100 crack pixels the model finds <b>{100 * found:.0f}</b>; of 100 pixels that "
        f"it calls crack, <b>{100 * right:.0f}</b> are crack."
    )


def _about(summary: dict[str, Any]) -> str:
    data, model = summary.get("data", {}), summary.get("model", {})
    parts = [f"{summary['images']} images"]
    if data:
        parts.append(f"{data['split_rule']}, prepared as {data['protocol']['name']}")
    if model:
        parts.append(f"model {model['path']} ({model['model']})")
    return escape(" · ".join(parts))


def _table(summary: dict[str, Any]) -> str:
    points = [summary["at_half"], summary["at_chosen"]]
    shown = [point for point in points if point is not None]
    heads = "".join(
        f"<th>at threshold {point['threshold']:.3g}<br><small>{point['source_in_words']}</small>"
        "</th>"
        for point in shown
    )
    rows = []
    for path, name, meaning in HEADLINE:
        tolerance = f"{summary['tolerance_px']:g}"
        cells = "".join(f'<td class="figure">{_figure(_at(point, path))}</td>' for point in shown)
        rows.append(
            f"<tr><td><b>{name.format(tolerance=tolerance)}</b><br>"
            f"<small>{meaning.format(tolerance=tolerance)}</small></td>{cells}</tr>"
        )
    note = (
        "" if summary["at_chosen"] else f'<p class="note">{escape(summary["at_chosen_note"])}</p>'
    )
    return f"<table><tr><th></th>{heads}</tr>{''.join(rows)}</table>{note}"


def _oracle(summary: dict[str, Any]) -> str:
    oracle = summary["oracle"]
    return (
        f"<details><summary>Oracle figures</summary><p>{escape(oracle['note'])}</p><p>"
        f"ODS, the best F1 with one threshold ({oracle['ods']['threshold']:.3g}) for all images: "
        f"{_figure(oracle['ods']['f1'])}<br>OIS, each image with its own best threshold: "
        f"{_figure(oracle['ois']['pooled']['f1'])} pooled, "
        f"{_figure(oracle['ois']['per_image_mean']['f1'])} mean of images</p></details>"
    )


def _examples(scores: Scores) -> str:
    blocks: list[str] = []
    shown = ""
    for example in choose_examples(scores):
        if example.kind != shown:
            shown = example.kind
            blocks.append(f"<h3>{KINDS[shown]}</h3>")
        name = escape(scores.data.names[example.index])
        figures = []
        for caption, picture in panels(scores, example.index):
            kind, content = encode(picture)
            small = ' class="small"' if max(picture.shape) <= 256 else ""
            source = f"data:{kind};base64,{base64.b64encode(content).decode()}"
            figures.append(
                f'<figure><img{small} src="{source}" alt="{caption} of {name}">'
                f"<figcaption>{caption}</figcaption></figure>"
            )
        blocks.append(
            f'<div>{name} <small class="note">IoU {example.iou:.3f}</small></div>'
            f'<div class="row">{"".join(figures)}</div>'
        )
    return "".join(blocks)


def _provenance(summary: dict[str, Any]) -> str:
    entries: dict[str, Any] = {}
    for room in ("model", "data"):
        for key, value in summary.get(room, {}).items():
            if not isinstance(value, dict | list):
                entries[f"{room}: {key.replace('_', ' ')}"] = value
    skipped = summary.get("data", {}).get("skipped", [])
    entries["files left out"] = (
        "; ".join(f"{one['file']} ({one['reason']})" for one in skipped) or "none"
    )
    for key in ("versions", "machine", "seconds", "created"):
        if key in summary:
            value = summary[key]
            entries[key] = (
                ", ".join(f"{name} {text}" for name, text in value.items())
                if isinstance(value, dict)
                else value
            )
    listed = "".join(
        f"<dt>{escape(key)}</dt><dd>{escape(str(value))}</dd>" for key, value in entries.items()
    )
    return f"<details><summary>Model, data and machine</summary><dl>{listed}</dl></details>"


def _at(point: dict[str, Any], path: tuple[str, ...]) -> dict[str, Any]:
    for step in path:
        point = point[step]
    return point


def _figure(figure: dict[str, Any]) -> str:
    if figure["value"] is None:
        return "<b>undefined</b>"
    interval = (
        "" if figure["low"] is None else f" <small>{figure['low']:.3f}–{figure['high']:.3f}</small>"
    )
    return f"<b>{figure['value']:.3f}</b>{interval}"


def _swatch(color: Color) -> str:
    return f'<span class="swatch" style="background: rgb{color}"></span>'


def _inline(svg: str) -> str:
    """Leave out what stands before the element: an XML declaration has no place in HTML."""
    return svg[svg.index("<svg") :]
