"""`summarize`: the metrics of a set, pooled and per image, each with its interval."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fissura.evaluation.literature import describe_literature, literature_sums
from fissura.evaluation.score import ALARM_PIXELS, AtThreshold, Scores
from fissura.metrics.bootstrap import Interval, as_sums, differences, intervals, mean_of_sums
from fissura.metrics.counts import METRICS, counts_per_threshold, f1, iou
from fissura.metrics.curves import average_precision, ods
from fissura.metrics.matches import match_metrics

LEVEL = 0.95

RULES = [
    "Pooled metrics add up the pixels of all images first; per-image means compute the metric of "
    "each image and average. A large crack weighs more in the first, each image the same in the "
    "second.",
    "Everything is about the crack class; background is not averaged in.",
    "Nothing to find and nothing predicted: precision, recall, F1, IoU and clDice are 1.",
    "Crack in the truth, nothing predicted: precision is undefined, the others are 0.",
    "No crack in the truth, something predicted: recall is undefined, the others are 0.",
    "Undefined metrics are null here; a per-image mean leaves those images out and says over how "
    "many images it is taken.",
    "Thresholds are k/256, k = 0 … 255; a pixel is crack where its probability is at least the "
    "threshold.",
    "An image without crack has a false alarm where the model calls a connected component of at "
    f"least {ALARM_PIXELS} pixels crack.",
    "clDice per image is the usual one; pooled clDice adds up centerline pixels first.",
]

ORACLE_NOTE = (
    "Chosen on these very images with the truth in hand: a bound that a perfect choice of "
    "threshold could reach, not the performance of the model in use. Not to be compared with "
    "metrics at a threshold that was fixed beforehand."
)
SOURCES = {
    "fixed": "fixed beforehand",
    "validation": "chosen on validation images during training",
    "given": "given by the user",
    "map": "the likeliest class of each pixel",
}
NOT_CHOSEN = (
    "The model was trained without validation images, so there is no threshold that was chosen "
    "on data; `fissura train --validation 0.1` sets images aside for it."
)

# Counts that are summed over images, and the metrics that follow from the sums.
Summed = tuple[NDArray[Any], Callable[[NDArray[np.float64]], Mapping[str, NDArray[np.float64]]]]


def summarize(
    scores: Scores, *, resamples: int = 1000, seed: int = 0, literature: bool = False
) -> dict[str, Any]:
    """Return all metrics of a set as a nested dictionary that JSON can hold (NaN as None).

    Every metric is {"value", "low", "high"}, with the ends of a 95 % percentile bootstrap interval
    over images. Where several images show one thing (`data.groups`: crops of one photo), the groups
    are drawn, since their images are not independent.

    Args:
        scores: Scores of the images.
        resamples: Number of bootstrap resamples.
        seed: Seed of these resamples.
        literature: Whether to add "literature", see `fissura.evaluation.literature`.

    Returns:
        A dictionary with the keys images, groups, crack_fraction, tolerance_px, bootstrap,
        headline, at_half, at_chosen (None where there is none), at_chosen_note, average_precision,
        oracle, rules and per_image, and literature where it is asked for.
    """
    clean = scores.histograms[:, 1].sum(axis=1) == 0
    summed = _overall(scores)
    if literature:
        summed |= literature_sums(scores.histograms)
    for name, point in (("at_half", scores.half), ("at_chosen", scores.chosen)):
        if point is not None:
            for key, each in _at_threshold(point, clean).items():
                summed[f"{name}.{key}"] = each
    found = _intervals(summed, scores.data.groups, resamples, seed)
    points = {
        name: None if point is None else _describe(point, clean, found, name)
        for name, point in (("at_half", scores.half), ("at_chosen", scores.chosen))
    }
    groups = len(set(scores.data.groups))
    return {
        "images": len(scores),
        "groups": groups,
        "crack_fraction": scores.data.crack_fraction,
        "tolerance_px": scores.tolerance,
        "bootstrap": {
            "resamples": resamples,
            "seed": seed,
            "level": LEVEL,
            "drawn": "images"
            if groups == len(scores)
            else f"{groups} photos, the images of one photo together",
        },
        "headline": "at_chosen" if scores.chosen else "at_half",
        **points,
        "at_chosen_note": SOURCES[scores.chosen.source] if scores.chosen else NOT_CHOSEN,
        "average_precision": _plain(found["average_precision.ap"]),
        "oracle": _describe_oracle(scores, found),
        **(
            {"literature": describe_literature(scores.histograms, _nested(found, "literature."))}
            if literature
            else {}
        ),
        "rules": RULES,
        "per_image": [
            {key: _json(value) for key, value in row.items()} for row in scores.per_image()
        ],
    }


def _overall(scores: Scores) -> dict[str, Summed]:
    """Return the metrics that belong to no single threshold."""

    def best(sums: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
        counts = counts_per_threshold(sums)
        return {"f1": f1(counts).max(axis=-1), "iou": iou(counts).max(axis=-1)}

    def pooled(sums: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
        return {"f1": f1(sums), "iou": iou(sums)}

    return {
        "average_precision": (scores.histograms, lambda sums: {"ap": average_precision(sums)}),
        "ods": (scores.histograms, best),
        "ois.pooled": (scores.oracle.counts, pooled),
        "ois.per_image_mean.f1": _mean(scores.oracle.values),
    }


def _at_threshold(point: AtThreshold, clean: NDArray[np.bool_]) -> dict[str, Summed]:
    """Return the metrics at one threshold: pooled, and the means over images."""
    summed: dict[str, Summed] = {
        "pooled": (
            point.counts,
            lambda sums: {name: metric(sums) for name, metric in METRICS.items()},
        ),
        "tolerant.pooled": (point.tolerant, match_metrics),
        "cldice.pooled": (point.center_line, lambda sums: {"": match_metrics(sums)["f1"]}),
        "cldice.per_image_mean": _mean(match_metrics(point.center_line)["f1"]),
    }
    if clean.any():
        alarmed = np.where(clean, point.alarms > 0, np.nan)
        summed["false_alarms.fraction"] = _mean(alarmed)
    for name, metric in METRICS.items():
        summed[f"per_image_mean.{name}"] = _mean(metric(point.counts))
    for name, values in match_metrics(point.tolerant).items():
        summed[f"tolerant.per_image_mean.{name}"] = _mean(values)
    return summed


def _mean(values: NDArray[np.float64]) -> Summed:
    """Return the mean over the images where a value is defined, as a function of sums."""
    return as_sums(values), lambda sums: {"": mean_of_sums(sums)}


def _intervals(
    summed: dict[str, Summed], groups: list[str], resamples: int, seed: int
) -> dict[str, Interval]:
    """Bootstrap all metrics with the same draws."""
    table, metrics = _side_by_side(summed, groups)
    return intervals(table, metrics, resamples=resamples, seed=seed, level=LEVEL)


def paired_differences(
    a: Scores, b: Scores, *, at_half: bool = False, resamples: int = 1000, seed: int = 0
) -> dict[str, Interval]:
    """Return the difference a − b in every metric, paired: both models see the same draws.

    Args:
        a: Scores of one model.
        b: Scores of another on the same images.
        at_half: Compare at the threshold 0.5 instead of each model's headline.
        resamples: Number of draws of the photos, each with all its images.
        seed: Of the draws.

    Returns:
        The differences by the metric's path, such as "pooled.iou", with 95 % intervals.
    """
    clean = a.histograms[:, 1].sum(axis=1) == 0
    (table_a, metrics), (table_b, _) = (
        _side_by_side(
            _at_threshold(one.half if at_half else one.headline, clean)
            | {"average_precision": _overall(one)["average_precision"]},
            one.data.groups,
        )
        for one in (a, b)
    )
    return differences(table_a, table_b, metrics, resamples=resamples, seed=seed, level=LEVEL)


def _side_by_side(
    summed: dict[str, Summed], groups: list[str]
) -> tuple[NDArray[np.float64], Callable[[NDArray[np.float64]], dict[str, NDArray[np.float64]]]]:
    """Lay the columns of all metrics side by side, a row per photo; return how to read them."""
    _, group = np.unique(np.array(groups), return_inverse=True)
    flat = [np.asarray(array, np.float64).reshape(len(array), -1) for array, _ in summed.values()]
    table = np.zeros((group.max() + 1, sum(columns.shape[1] for columns in flat)))
    np.add.at(table, group, np.concatenate(flat, axis=1))

    def metrics(sums: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
        values, start = {}, 0
        for (name, (array, compute)), columns in zip(summed.items(), flat, strict=True):
            stop = start + columns.shape[1]
            own = sums[:, start:stop].reshape(len(sums), *array.shape[1:])
            start = stop
            for key, value in compute(own).items():
                values[f"{name}.{key}".rstrip(".")] = value
        return values

    return table, metrics


def _describe(
    point: AtThreshold, clean: NDArray[np.bool_], found: dict[str, Interval], name: str
) -> dict[str, Any]:
    """Return all metrics at one threshold, nested."""
    counts = point.counts.sum(axis=0)
    described: dict[str, Any] = {
        "threshold": point.threshold,
        "source": point.source,
        "source_in_words": SOURCES[point.source],
        "crack_fraction_predicted": float((counts[0] + counts[1]) / counts.sum()),
        "counts": dict(zip(("tp", "fp", "fn", "tn"), counts.tolist(), strict=True)),
        **_nested(found, f"{name}."),
    }
    # Photos without crack, and those of them on which the model finds one all the same.
    described["false_alarms"] = {
        "images": int(np.count_nonzero(clean)),
        "with_alarm": int(np.count_nonzero(point.alarms)),
        "components": int(point.alarms.sum()),
        "least_pixels": ALARM_PIXELS,
        **described.get("false_alarms", {"fraction": None}),
    }
    defined = {key: metric(point.counts) for key, metric in METRICS.items()}
    for key, values in defined.items():
        described["per_image_mean"][key]["images"] = int(np.count_nonzero(~np.isnan(values)))
    for key, values in match_metrics(point.tolerant).items():
        described["tolerant"]["per_image_mean"][key]["images"] = int(
            np.count_nonzero(~np.isnan(values))
        )
    return described


def _describe_oracle(scores: Scores, found: dict[str, Interval]) -> dict[str, Any]:
    """Return the metrics at the best thresholds in hindsight, nested."""
    best = _nested(found, "ods.")
    return {
        "note": ORACLE_NOTE,
        "ods": {"threshold": ods(scores.histograms).threshold, **best},
        "ois": _nested(found, "ois."),
    }


def _nested(found: dict[str, Interval], prefix: str) -> dict[str, Any]:
    """Turn "a.b.c" under a prefix into dictionaries in dictionaries."""
    nested: dict[str, Any] = {}
    for name, interval in found.items():
        if name.startswith(prefix):
            *path, last = name.removeprefix(prefix).split(".")
            inner = nested
            for step in path:
                inner = inner.setdefault(step, {})
            inner[last] = _plain(interval)
    return nested


def _plain(interval: Interval) -> dict[str, float | None]:
    """Return a metric and the ends of its interval, as JSON can hold them."""
    return {
        "value": _json(interval.value),
        "low": _json(interval.low),
        "high": _json(interval.high),
    }


def _json(value: Any) -> Any:
    """Return a value as JSON can hold it: None for NaN."""
    return None if isinstance(value, float) and np.isnan(value) else value
