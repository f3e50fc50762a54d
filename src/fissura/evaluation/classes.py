"""Models of several classes: each class scored by itself, and what is taken for what."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fissura.data.preparation.load import PreparedSet
from fissura.evaluation.score import ALARM_PIXELS, AtThreshold, Scores, count_components
from fissura.evaluation.summary import summarize
from fissura.inference.classes import channel_of, is_class, map_of
from fissura.metrics.counts import histograms, pixel_counts
from fissura.metrics.tolerant import tolerant_matches
from fissura.metrics.topology import centerline_matches

RULES = [
    "Each class is judged by itself, as crack or not is: its pixels against all others.",
    "A pixel belongs to the likeliest class, the background among them; where classes overlap, to "
    "each whose probability is ½ or more. No threshold is chosen.",
    "Means over the classes leave out the background, and count each class alike. A class that is "
    "neither in the masks nor predicted has no part in them.",
    "Average precision needs no threshold: it goes through all of them.",
    "Pooled metrics add up the pixels of all images first; per-image means compute the metric of "
    "each image and average.",
    "Of an image or a set: a class that is neither there nor predicted has 1 of everything. One "
    "that is there and not predicted has no precision, and 0 of the rest; one that is predicted "
    "and not there has no recall, and 0 of the rest. Means leave undefined metrics out.",
]


@dataclass(frozen=True, eq=False)
class ClassScores:
    """The counts and predictions of a set of images with several classes.

    Attributes:
        data: The images, with their names and masks.
        by_class: Of each class the scores of the images, as of crack or not.
        maps: The predicted map of each image, see `fissura.inference.classes.ClassPrediction`;
            0 where a pixel does not count.
        confusion: int64 (k + 1, k + 1): pixels by their true class (rows) and the predicted one
            (columns), the background first; None where classes overlap.
    """

    data: PreparedSet
    by_class: dict[str, Scores]
    maps: list[NDArray[np.uint8]]
    confusion: NDArray[np.int64] | None

    def __len__(self) -> int:
        return len(self.maps)


def score_classes(
    probs: Iterable[NDArray[np.float32]], data: PreparedSet, *, tolerance: float = 2.0
) -> ClassScores:
    """Compare probabilities of several classes with the masks of a set, image by image.

    Args:
        probs: As many arrays float32 (h, w, c) as `data` has masks, see
            `fissura.inference.classes.ClassPrediction`; an iterator serves.
        data: The images and the truth.
        tolerance: Tolerance of the tolerant metrics, in pixels.

    Returns:
        The scores of all images.

    Raises:
        ValueError: The probabilities don't fit the masks, or there are no images.
    """
    count = len(data.classes)
    tables: list[list[NDArray[np.int64]]] = [[] for _ in range(count)]
    found: list[list[tuple[NDArray[np.int64], ...]]] = [[] for _ in range(count)]
    bits: list[list[NDArray[np.uint8]]] = [[] for _ in range(count)]
    maps: list[NDArray[np.uint8]] = []
    confusion = np.zeros((count + 1, count + 1), np.int64)
    for index, prob in enumerate(probs):
        if index >= len(data) or prob.shape[:2] != data.masks[index].shape:
            raise ValueError(f"The probabilities of image {index} do not fit its mask.")
        valid = None if data.valid is None else data.valid[index]
        whole, truth = map_of(prob, overlapping=data.overlapping), data.masks[index]
        maps.append(whole if valid is None else np.where(valid, whole, np.uint8(0)))
        if not data.overlapping:
            pairs = (truth.astype(np.int64) * (count + 1) + whole)[
                slice(None) if valid is None else valid
            ]
            confusion += np.bincount(pairs.ravel(), minlength=confusion.size).reshape(
                confusion.shape
            )
        for number, name in enumerate(data.classes):
            target = data.is_class(truth, name)
            pred = is_class(whole, number, overlapping=data.overlapping)
            channel = channel_of(data.classes, data.overlapping, name)
            tables[number].append(histograms(prob[:, :, channel], target, valid))
            counted = pred if valid is None else pred & valid
            alarms = 0 if target.any() else count_components(counted, ALARM_PIXELS)
            found[number].append(
                (
                    pixel_counts(pred, target, valid),
                    tolerant_matches(pred, target, tolerance, valid),
                    centerline_matches(pred, target, valid),
                    np.array(alarms, np.int64),
                )
            )
            bits[number].append(np.packbits(counted))
    if len(maps) != len(data) or not maps:
        raise ValueError(f"{len(maps)} predictions for {len(data)} images; needs one each.")
    by_class = {}
    for number, name in enumerate(data.classes):
        counts, tolerant, lines, alarms = (
            np.stack(each) for each in zip(*found[number], strict=True)
        )
        by_class[name] = Scores(
            data=data.of_class(name),
            histograms=np.stack(tables[number]),
            half=AtThreshold(
                0.5, "fixed" if data.overlapping else "map", counts, tolerant, lines, alarms
            ),
            chosen=None,
            tolerance=tolerance,
            predictions=bits[number],
        )
    return ClassScores(data, by_class, maps, None if data.overlapping else confusion)


def summarize_classes(
    scores: ClassScores, *, resamples: int = 1000, seed: int = 0
) -> dict[str, Any]:
    """Return all metrics of a set with several classes, as JSON can hold them.

    Args:
        scores: Scores of the images.
        resamples: Number of bootstrap resamples of each class.
        seed: Seed of these resamples.

    Returns:
        A dictionary with the keys images, groups, classes (of each its fraction, at_map with its
        metrics, average_precision, oracle), mean, confusion (None where classes overlap),
        tolerance_px, bootstrap, rules and per_image.
    """
    classes, rows = {}, None
    summary: dict[str, Any] = {}
    for name, of_class in scores.by_class.items():
        summary = summarize(of_class, resamples=resamples, seed=seed)
        classes[name] = {
            "fraction": summary["crack_fraction"],
            "at_map": summary["at_half"],
            "average_precision": summary["average_precision"],
            "oracle": summary["oracle"],
        }
        own = summary["per_image"]
        rows = rows or [
            {key: row[key] for key in ("name", "group", "height", "width")} for row in own
        ]
        for row, values in zip(rows, own, strict=True):
            row |= {
                f"{name}_{key}": values["half_" + key]
                for key in ("recall", "precision", "f1", "iou")
            }
    confusion = None
    if scores.confusion is not None:
        confusion = {
            "classes": ["background", *scores.data.classes],
            "pixels": scores.confusion.tolist(),
            "meaning": "rows are the true classes, columns the predicted ones",
        }
    return {
        "images": summary["images"],
        "groups": summary["groups"],
        "class_names": list(scores.data.classes),
        "overlapping": scores.data.overlapping,
        "classes": classes,
        "mean": _means(classes),
        "confusion": confusion,
        "tolerance_px": summary["tolerance_px"],
        "bootstrap": summary["bootstrap"],
        "rules": RULES,
        "per_image": rows,
    }


def _means(classes: dict[str, dict[str, Any]]) -> dict[str, float | None]:
    """The means over the classes that are there or predicted; None where a metric has none."""
    there = [
        one["at_map"]["pooled"]
        for one in classes.values()
        if one["at_map"]["counts"]["tp"]
        + one["at_map"]["counts"]["fp"]
        + one["at_map"]["counts"]["fn"]
    ]
    means: dict[str, float | None] = {}
    for metric in ("precision", "recall", "f1", "iou"):
        values = [one[metric]["value"] for one in there if one[metric]["value"] is not None]
        means[metric] = sum(values) / len(values) if values else None
    return means
