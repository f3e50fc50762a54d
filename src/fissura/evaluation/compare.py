"""`compare_models`: trained models on the same labeled photos, compared image by image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fissura.checkpoint import config_of
from fissura.errors import InputError
from fissura.evaluation.compare_page import COMPARED, write_comparison
from fissura.evaluation.evaluate import evaluate
from fissura.evaluation.options import EvaluateOptions
from fissura.evaluation.report import Report, refuse_existing
from fissura.evaluation.score import Scores
from fissura.evaluation.summary import paired_differences
from fissura.files import new_folder
from fissura.html.pages import counted
from fissura.metrics.bootstrap import Interval
from fissura.metrics.counts import iou

DEFAULTS = EvaluateOptions()
MOST_DIFFERENT = 3  # images that are shown of each side of a pair


@dataclass(frozen=True, eq=False)
class ModelComparison:
    """The outcome of a comparison of models.

    Attributes:
        summary: Everything that comparison.json holds.
        reports: The report of each model, by its name in the comparison.
        folder: Folder that all was written into.
    """

    summary: dict[str, Any]
    reports: dict[str, Report]
    folder: Path

    def headline(self) -> str:
        """Return the differences in a few lines, for a terminal."""
        lines = [f"Warning: {text}" for text in self.summary["warnings"]]
        images = counted(self.summary["images"], "image")
        lines.append(f"{images}; in brackets: 95 % interval of the paired difference")
        for name, report in self.reports.items():
            point = report.summary[report.summary["headline"]]
            value = point["pooled"]["iou"]["value"]
            lines.append(f"  {name}: IoU {value:.4f} at threshold {point['threshold']:.3g}")
        for pair in self.summary["pairs"]:
            one = pair["differences"]["pooled.iou"]
            lines.append(f"  {pair['a']} less {pair['b']}: IoU {written_difference(one)}")
        lines.append(f"The report is {self.folder / 'comparison.html'}")
        return "\n".join(lines)


def compare_models(
    models: Sequence[str | Path],
    data: str | Path,
    *,
    options: EvaluateOptions = DEFAULTS,
    out: str | Path | None = None,
    cache_dir: Path | None = None,
) -> ModelComparison:
    """Compare trained models on the same labeled photos, and write a report.

    Each model is evaluated as by `fissura.evaluate`, at the threshold of its own training and at
    0.5. For each two, every metric's difference has a 95 % bootstrap interval over photos, drawn
    alike for both, so that what makes a photo hard for both cancels out. It does not say how the
    difference would be with other training seeds; `fissura study` does.

    Args:
        models: Run folders, model folders, or names that `fissura models` lists; two or more.
        data: Folder with photos and masks.
        options: See `EvaluateOptions`. Where the models were trained on images that were prepared
            differently, and `protocol` is not given, it is native, and a warning says so.
        out: Folder for the report, new or empty. Unless given: `comparison-DATA-SPLIT` below the
            current folder, with a number where that exists.
        cache_dir: Folder of the prepared images, as in `fissura.data.preparation.load.load_split`.

    Returns:
        All differences, the report of each model, and the folder that holds comparison.html,
        comparison.json, per_image.csv, the scatter plots, and a folder with the report of each
        model.

    Raises:
        InputError: A model or the data cannot be used, the models do not see the same images, or
            `out` holds anything already.
    """
    if len(models) < 2:
        raise InputError("A comparison needs two models or more.")
    paths = dict(zip(_names([Path(model) for model in models]), models, strict=True))
    data = Path(data)
    chosen, notes = _same_protocol(list(models), options)
    if out is not None:
        refuse_existing(Path(out))
    split = "clean" if options.clean else options.split
    folder = Path(out) if out is not None else _free(f"comparison-{data.resolve().name}-{split}")
    with new_folder(folder) as temporary:
        reports = {}
        for name, model in paths.items():
            report = evaluate(
                model, data, options=chosen, out=temporary / name, cache_dir=cache_dir
            )
            if not isinstance(report, Report):
                raise InputError(
                    f"{model} tells several classes, and only models that tell crack are compared. "
                    "Evaluate it alone."
                )
            reports[name] = _sharing(report, reports, folder / name)
        summary = _summarize(reports, notes, chosen)
        write_comparison(temporary, summary, {n: one.scores for n, one in reports.items()})
    return ModelComparison(summary, reports, folder)


def most_different(a: Scores, b: Scores, each: int = MOST_DIFFERENT) -> dict[str, list[int]]:
    """Choose the images on which two models differ most in IoU, at each one's own threshold.

    Args:
        a: Scores of one model.
        b: Scores of the other.
        each: Number of images of each kind.

    Returns:
        Indices of the images on which "a" is the better, and of those on which "b" is, the largest
        difference first. Images on which both do alike are in neither.
    """
    gain = iou(a.headline.counts) - iou(b.headline.counts)
    order = np.argsort(-gain, kind="stable")
    return {
        "a": [int(index) for index in order if gain[index] > 0][:each],
        "b": [int(index) for index in order[::-1] if gain[index] < 0][:each],
    }


def written_difference(one: dict[str, float | None]) -> str:
    """Write a difference with its interval.

    >>> written_difference({"value": 0.012, "low": -0.003, "high": 0.027})
    '+0.0120  (-0.0030 to +0.0270): these images do not tell the two apart'
    """
    if one["value"] is None:
        return "undefined"
    text = f"{one['value']:+.4f}"
    if one["low"] is None or one["high"] is None:
        return text
    text += f"  ({one['low']:+.4f} to {one['high']:+.4f})"
    if one["low"] <= 0 <= one["high"]:
        text += ": these images do not tell the two apart"
    return text


def _names(models: list[Path]) -> list[str]:
    """Name each model by its folder; with the folder above where two are called alike."""
    parts = [[*model.resolve().parts[1:]] or [str(model)] for model in models]
    parts = [own[:-1] if own[-1] == "model" and len(own) > 1 else own for own in parts]
    for length in range(1, 1 + max(map(len, parts))):
        names = ["-".join(own[-length:]) for own in parts]
        if len(set(names)) == len(names):
            return names
    raise InputError("The same model is named twice. Give two models or more, each once.")


def _same_protocol(
    models: list[str | Path], options: EvaluateOptions
) -> tuple[EvaluateOptions, list[str]]:
    """Return options by which all models see the same images, and what was decided for it."""
    configs = [config_of(model) for model in models]
    ignored = {config.training.get("ignore") for config in configs}
    if options.ignore is None and len(ignored) > 1:
        raise InputError(
            "The models were trained with different values of --ignore. Give the value of the "
            "masks' pixels without a label, which then counts for all of them: --ignore 255."
        )
    if options.protocol is not None or all(one.protocol == configs[0].protocol for one in configs):
        return options, []
    note = (
        "The models were trained on images that were prepared differently. So all are judged on "
        "whole photos, as with --protocol native."
    )
    return replace(options, protocol="native"), [note]


def _sharing(report: Report, before: dict[str, Report], folder: Path) -> Report:
    """Return a report that shares its images with the first one, which must be the same."""
    if not before:
        return replace(report, folder=folder)
    first = next(iter(before.values()))
    prints = [one.summary["data"]["fingerprint"] for one in (first, report)]
    if prints[0] != prints[1]:
        raise InputError(
            f"{report.summary['model']['path']} was judged on other images than "
            f"{first.summary['model']['path']}, so that they cannot be compared."
        )
    scores = replace(report.scores, data=first.scores.data)
    return replace(report, scores=scores, folder=folder)


def _summarize(
    reports: dict[str, Report], notes: list[str], options: EvaluateOptions
) -> dict[str, Any]:
    """Return everything that comparison.json holds."""
    first = next(iter(reports.values()))
    warnings = notes + [
        f"{name}: {text}" for name, one in reports.items() for text in one.summary["warnings"]
    ]
    names = first.scores.data.names
    values = {name: _ious(one.scores.headline.counts) for name, one in reports.items()}
    return {
        "format": 1,
        "warnings": warnings,
        "images": len(first.scores),
        "groups": first.summary["groups"],
        "bootstrap": first.summary["bootstrap"],
        "data": first.summary["data"],
        "metrics": {path: name for path, (name, _) in COMPARED.items()},
        "models": {
            name: {key: value for key, value in one.summary.items() if key != "per_image"}
            for name, one in reports.items()
        },
        "pairs": [_pair(a, b, reports, options) for a, b in combinations(reports, 2)],
        "per_image": [
            {"name": name, "group": first.scores.data.groups[index]}
            | {f"{model} iou": own[index] for model, own in values.items()}
            for index, name in enumerate(names)
        ],
    }


def _pair(a: str, b: str, reports: dict[str, Report], options: EvaluateOptions) -> dict[str, Any]:
    """Return the comparison of two models."""
    one, other = reports[a].scores, reports[b].scores

    def described(at_half: bool) -> dict[str, Any]:
        found = paired_differences(
            one, other, at_half=at_half, resamples=options.bootstrap, seed=options.seed
        )
        return {name: _plain(interval) for name, interval in found.items()}

    gain = iou(one.headline.counts) - iou(other.headline.counts)
    shown = most_different(one, other)
    return {
        "a": a,
        "b": b,
        "differences": described(at_half=False),
        "differences_at_half": described(at_half=True),
        "images_a_better": int(np.count_nonzero(gain > 0)),
        "images_b_better": int(np.count_nonzero(gain < 0)),
        "images_alike": int(np.count_nonzero(gain == 0)),
        "most_different": {
            side: [one.data.names[index] for index in indices] for side, indices in shown.items()
        },
    }


def _ious(counts: NDArray[np.int64]) -> list[float]:
    """Return the IoU of each image, which is defined for all (`fissura.evaluation.summary`)."""
    return [float(value) for value in iou(counts)]


def _plain(interval: Interval) -> dict[str, float | None]:
    """Return a difference as JSON can hold it."""
    values = {"value": interval.value, "low": interval.low, "high": interval.high}
    return {name: None if np.isnan(value) else float(value) for name, value in values.items()}


def _free(stem: str) -> Path:
    """Return a folder of this name, with a number where it exists."""
    folder, number = Path(stem), 1
    while folder.exists():
        number += 1
        folder = Path(f"{stem}-{number}")
    return folder
