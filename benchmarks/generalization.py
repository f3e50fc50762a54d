"""How well does a model do on surfaces that it was not trained on, and how often does it cry wolf?

    python benchmarks/generalization.py DATA [MODEL …]

DATA is the folder of the data's README (deepcrack, crack500, …). Every test split at native size
and the model's own threshold; nothing is chosen on these images. The figures, with intervals by
photo, are in results/generalization.json beside this script.
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import time
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from skimage.morphology import skeletonize

from fissura.checkpoint import versions
from fissura.data.folder import find_pairs
from fissura.data.mixtures.images import load_mixture
from fissura.data.mixtures.mixture import read_mixture
from fissura.data.preparation.load import PreparedSet, load_split
from fissura.data.preparation.protocols import PROTOCOLS
from fissura.evaluation.clean import load_clean_photos
from fissura.evaluation.options import EvaluateOptions
from fissura.evaluation.score import ALARM_PIXELS, AtThreshold, Scores, score
from fissura.files import replacing
from fissura.inference.predictor import Predictor
from fissura.metrics.bootstrap import Interval, as_sums, intervals, mean_of_sums
from fissura.metrics.counts import f1, iou
from fissura.metrics.curves import average_precision
from fissura.metrics.matches import match_metrics

RESULTS = Path(__file__).parent / "results" / "generalization.json"
MIXTURE = Path(__file__).parents[1] / "recipes" / "general.yaml"
# Folder below DATA and split. What each model was trained on is in TRAINED.
CRACKED = {
    "deepcrack": ("deepcrack", "test"),
    "crack500": ("crack500", "test"),
    "magnetic_tile": ("magnetic_tile/mt_crack", "all"),
    "shadowcrack": ("research/shadowcrack", "all"),
}
# The groups that recipes/general.yaml keeps out: its model was not trained on them, but its epoch
# and its threshold were chosen on them.
HELD_BACK = ("uav_concrete", "walls", "composites")
CLEAN_HELD_BACK = ("textures", "concrete")
CLEAN = {"magnetic_tile_free": "magnetic_tile/mt_free/images"}
TRAINED = {
    "crackseg-small": ("deepcrack", "crack500"),
    "fissura-general": HELD_BACK + CLEAN_HELD_BACK,
    "fissura-research": ("deepcrack", "crack500", *HELD_BACK, *CLEAN_HELD_BACK),
}
BINS = 16  # of `reliability`
# Trained on as a whole, so that figures on them would say nothing.
WHOLLY = {"fissura-research": ("shadowcrack",)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("models", nargs="*", default=list(TRAINED))
    parser.add_argument("--sets", nargs="*", help="only these sets")
    parser.add_argument("--scale", type=lambda text: text if text == "auto" else float(text))
    parser.add_argument("--every", type=int, default=1, help="every n-th image alone, for a look")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--no-record", action="store_true")
    asked = parser.parse_args()
    sets = {
        name: thinned(data, asked.every)
        for name, data in read_sets(asked.data).items()
        if not asked.sets or name in asked.sets
    }
    found = json.loads(asked.out.read_text(encoding="utf-8")) if asked.out.is_file() else {}
    for model in asked.models:
        label = Path(model).name if asked.scale is None else f"{Path(model).name} ×{asked.scale}"
        judged = {name: data for name, data in sets.items() if name not in WHOLLY.get(model, ())}
        found[label] = measure(Predictor.load(model, scale=asked.scale), judged)
        found[label]["trained_on"] = list(TRAINED.get(model, ()))
        print(table(label, found[label]), flush=True)
    if not asked.no_record:
        with replacing(asked.out) as temporary:
            temporary.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def read_sets(data: Path) -> dict[str, PreparedSet]:
    """The test splits, and what recipes/general.yaml keeps out of the training."""
    native = PROTOCOLS["native"]
    sets = {
        name: load_split(find_pairs(data / folder), split, native)
        for name, (folder, split) in CRACKED.items()
    }
    for name, folder in CLEAN.items():
        sets[name] = load_clean_photos(data / folder, EvaluateOptions(), native)
    _, held = load_mixture(replace(read_mixture(MIXTURE), root=data.resolve()))
    for name in HELD_BACK + CLEAN_HELD_BACK:
        chosen = [i for i, image in enumerate(held.names) if image.startswith(f"{name}/")]
        sets[f"{name} (held back)"] = held.subset(chosen)
    return sets


def thinned(data: PreparedSet, every: int) -> PreparedSet:
    """Every n-th image."""
    return data.subset(range(0, len(data), every))


def measure(predictor: Predictor, sets: dict[str, PreparedSet]) -> dict[str, Any]:
    """Figures of one model on every set, and their macro means."""
    began = time.perf_counter()
    rows = {}
    for name, data in sets.items():
        scores = score(predictor.probs(data.images), data, threshold=predictor.threshold)
        if data.crack_fraction:
            rows[name] = cracked(scores)
        else:
            rows[name] = clean(scores, data)
        print(f"{name}: {rows[name]}"[:150], flush=True)
    means = {}
    for metric in ("iou", "mean_iou", "f1_within_2px", "cldice", "average_precision"):
        values = [row[metric]["value"] for row in rows.values() if metric in row]
        means[metric] = round(float(np.mean(values)), 4) if values else None
    return {
        "threshold": round(predictor.threshold, 4),
        "sets": rows,
        "macro_means": means,
        "seconds": round(time.perf_counter() - began, 1),
        "machine": f"{platform.machine()}, {torch.get_num_threads()} threads, {predictor.dtype}",
        "versions": versions(),
        "date": datetime.now(UTC).date().isoformat(),
    }


def cracked(scores: Scores) -> dict[str, Any]:
    """Figures of a set with cracks, at the model's threshold."""
    point = scores.headline
    return {
        "images": len(scores),
        "iou": one(intervals(point.counts, lambda sums: {"m": iou(sums)})),
        "mean_iou": mean(iou(point.counts)),
        "f1": one(intervals(point.counts, lambda sums: {"m": f1(sums)})),
        "f1_within_2px": matched(point, "f1"),
        "precision_within_2px": matched(point, "precision"),
        "recall_within_2px": matched(point, "recall"),
        "cldice": mean(match_metrics(point.center_line)["f1"]),
        "average_precision": one(
            intervals(
                scores.histograms,
                lambda sums: {"m": np.array([average_precision(table) for table in sums])},
                resamples=200,
            )
        ),
        "oracle_threshold": best_threshold_of(scores),
        "reliability": reliability(scores),
    }


def reliability(scores: Scores) -> list[list[float]]:
    """How often pixels are crack by what the model says: [probability, frequency, pixels] by bins.

    The probability is the mean over the bin's pixels; bins of fewer than 100 are left out.
    """
    levels = (np.arange(256) + 0.5) / 256
    rows = []
    for part in np.split(np.arange(256), BINS):
        table = scores.histograms[..., part].sum(axis=0)
        if (pixels := int(table.sum())) >= 100:
            prob = float((table.sum(axis=0) * levels[part]).sum() / pixels)
            rows.append([round(prob, 4), round(float(table[1].sum() / pixels), 4), pixels])
    return rows


def best_threshold_of(scores: Scores) -> dict[str, float]:
    """The threshold that would have suited the set best: says how far the model's own is off."""
    from fissura.metrics.curves import best_threshold

    best = best_threshold(scores.histograms.sum(axis=0), "iou")
    return {"threshold": round(best.threshold, 4), "iou": round(best.value, 4)}


def clean(scores: Scores, data: PreparedSet) -> dict[str, Any]:
    """False alarms on photos without cracks."""
    point = scores.headline
    lengths = [
        float(np.count_nonzero(skeletonize(scores.prediction(index))))
        for index in range(len(scores))
    ]
    pixels = np.array([mask.size for mask in data.masks])
    per_photo = np.stack([np.array(lengths), pixels / 1e6], axis=1)
    return {
        "images": len(scores),
        "photos_with_alarm": mean((point.alarms > 0).astype(float)),
        "alarm_pixels": ALARM_PIXELS,
        "length_px_per_megapixel": one(
            intervals(per_photo, lambda sums: {"m": sums[..., 0] / sums[..., 1]})
        ),
    }


def matched(point: AtThreshold, name: str) -> dict[str, float]:
    """A tolerant metric, pooled."""
    return one(intervals(point.tolerant, lambda sums: {"m": match_metrics(sums)[name]}))


def mean(values: NDArray[np.float64]) -> dict[str, float]:
    """The mean over images with its interval."""
    return one(intervals(as_sums(values), lambda sums: {"m": mean_of_sums(sums)}))


def one(found: dict[str, Interval]) -> dict[str, float]:
    """The one interval, rounded."""
    interval = found["m"]
    return {
        name: round(value, 4)
        for name, value in vars(interval).items()
        if isinstance(value, float) and not math.isnan(value)
    }


def table(label: str, entry: dict[str, Any]) -> str:
    """The figures of a model, a line per set."""
    lines = [f"{label}, threshold {entry['threshold']:.3f}, {entry['seconds']:.0f} s"]
    for name, row in entry["sets"].items():
        lines.append(f"  {name:28s} " + "  ".join(figures(row)))
    lines.append(f"  macro means: {entry['macro_means']}")
    return "\n".join(lines)


def figures(row: dict[str, Any]) -> Iterable[str]:
    """The values of a row in short."""
    for name, value in row.items():
        if isinstance(value, dict) and "value" in value:
            yield f"{name} {value['value']:.3f}"
    if "oracle_threshold" in row:
        yield "best IoU {iou:.3f} at {threshold:.3f}".format(**row["oracle_threshold"])


if __name__ == "__main__":
    main()
