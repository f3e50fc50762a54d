"""Metrics over all thresholds: precision-recall curve, AP, the best threshold, ODS and OIS.

Everything follows from 256-bin histograms (`fissura.metrics.counts.histograms`), so the thresholds
are k/256 and the metrics are exact for probabilities rounded down to 1/256.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fissura.metrics.counts import (
    BINS,
    METRICS,
    counts_per_threshold,
    f1,
    mean_per_image,
    precision,
    recall,
)

THRESHOLDS: NDArray[np.float64] = np.arange(BINS) / BINS


@dataclass(frozen=True)
class Curve:
    """Precision and recall at each threshold k/256, k = 0 … 255.

    Attributes:
        thresholds: float64 (256,).
        precision: float64 (256,), NaN where nothing is predicted.
        recall: float64 (256,).
    """

    thresholds: NDArray[np.float64]
    precision: NDArray[np.float64]
    recall: NDArray[np.float64]


@dataclass(frozen=True)
class Best:
    """The best value of a metric.

    Attributes:
        value: The metric there.
        threshold: The threshold where it is reached.
        counts: The counts there, int64 (4,).
    """

    value: float
    threshold: float
    counts: NDArray[np.int64]


@dataclass(frozen=True)
class PerImageBest:
    """The best of each image: F1 pooled and averaged, and each image's own.

    Attributes:
        pooled: From the sum of the counts that each image has at its own best threshold.
        mean: The mean of the images' own best values.
        values: The images' best values, float64 (n,).
        thresholds: The thresholds where these are reached, float64 (n,).
        counts: The counts there, int64 (n, 4).
    """

    pooled: float
    mean: float
    values: NDArray[np.float64]
    thresholds: NDArray[np.float64]
    counts: NDArray[np.int64]


def precision_recall_curve(histogram: NDArray[Any]) -> Curve:
    """Return precision and recall at all thresholds, pooled.

    Args:
        histogram: (2, 256), or (n, 2, 256), which is summed over the images.
    """
    counts = counts_per_threshold(_pooled(histogram))
    return Curve(THRESHOLDS.copy(), precision(counts), recall(counts))


def average_precision(histogram: NDArray[Any]) -> NDArray[np.float64]:
    """Return the area under the precision-recall curve as a sum of steps, without interpolation.

    AP = Σ_k (R_k − R_{k+1})·P_k over the thresholds k/256, R_256 = 0. The same as scikit-learn's
    `average_precision_score` of probabilities rounded down to 1/256. NaN where there is no crack
    (scikit-learn: 0).

    Args:
        histogram: (..., 2, 256). For pooled AP give the sum over the images.

    Returns:
        (...).

    >>> from fissura.metrics.counts import histograms
    >>> h = histograms(np.array([0.1, 0.4, 0.35, 0.8]), np.array([0, 0, 1, 1]))
    >>> round(float(average_precision(h)), 4)
    0.8333
    """
    # Exact integers up to the last division: true positives gained at each threshold.
    gained = np.asarray(histogram, np.float64)[..., 1, :]
    at_or_above = np.cumsum(np.asarray(histogram, np.float64)[..., ::-1], axis=-1)[..., ::-1]
    tp, fp = at_or_above[..., 1, :], at_or_above[..., 0, :]
    precisions = np.divide(tp, tp + fp, out=np.zeros_like(tp), where=tp + fp > 0)
    cracks = tp[..., 0]
    total = np.full(cracks.shape, np.nan)
    np.divide((gained * precisions).sum(axis=-1), cracks, out=total, where=cracks > 0)
    return np.asarray(total)


def best_threshold(histogram: NDArray[Any], metric: str = "f1") -> Best:
    """Choose the threshold k/256 with the best pooled F1 or IoU. For validation data.

    (F1 and IoU of pooled counts rise and fall together: the threshold is the same, the value not.)
    Of equally good thresholds the one nearest to 0.5 is taken.

    Args:
        histogram: (2, 256), or (n, 2, 256), which is summed over the images.
        metric: "f1" or "iou".

    Raises:
        ValueError: For another metric.

    >>> from fissura.metrics.counts import histograms
    >>> best_threshold(histograms(np.array([0.1, 0.3, 0.9]), np.array([0, 1, 1]))).threshold
    0.296875
    """
    if metric not in ("f1", "iou"):
        raise ValueError(f'metric is "f1" or "iou"; got {metric!r}.')
    counts = counts_per_threshold(_pooled(histogram))
    values = METRICS[metric](counts)
    k = int(_best_bins(values[None])[0])
    return Best(float(values[k]), float(THRESHOLDS[k]), counts[k].astype(np.int64))


def thresholds_beyond(threshold: float) -> NDArray[np.float32]:
    """Return thresholds beyond that end of the grid k/256 at which a threshold lies.

    Each is 2^-½ times as far from 0 or 1 as the one before, down to what float32 tells from 1.

    Args:
        threshold: The best of the grid.

    Returns:
        Ascending; none where the threshold is not at an end.

    >>> thresholds_beyond(0.5), [round(float(at), 4) for at in thresholds_beyond(255 / 256)[:2]]
    (array([], dtype=float32), [0.9972, 0.998])
    """
    steps = 2.0 ** (-8 - np.arange(1, 31) / 2)
    if threshold <= 1 / BINS:
        return np.sort(steps).astype(np.float32)
    return (1 - steps if threshold >= (BINS - 1) / BINS else steps[:0]).astype(np.float32)


def counts_at_each(
    prob: NDArray[np.float32], target: NDArray[Any], thresholds: NDArray[np.float32]
) -> NDArray[np.int64]:
    """Return the counts at any thresholds, exactly.

    Args:
        prob: In [0, 1], any shape.
        target: The true mask, of the same shape.
        thresholds: Ascending (k,).

    Returns:
        int64 (k, 4): columns tp fp fn tn for 'crack where p ≥ threshold'.

    >>> counts_at_each(np.float32([0.1, 0.9]), np.array([False, True]), np.float32([0.5])).tolist()
    [[1, 0, 0, 1]]
    """
    bins = np.searchsorted(thresholds, prob.ravel(), side="right")
    truth = np.asarray(target, np.bool_).ravel()
    table = np.stack([np.bincount(bins[truth == label], minlength=len(thresholds) + 1)
                      for label in (False, True)])  # fmt: skip
    return counts_per_threshold(table)[1:].astype(np.int64)


def at_end_of_grid(threshold: float) -> bool:
    """Whether a threshold is the last that a search tries at either end, or lies beyond it.

    A threshold chosen there means that the probabilities say little.

    >>> at_end_of_grid(1.0), at_end_of_grid(255 / 256), at_end_of_grid(0.0)
    (True, False, True)
    """
    return not thresholds_beyond(0.0)[0] < threshold < thresholds_beyond(1.0)[-1]


def ods(histogram: NDArray[Any]) -> Best:
    """Return the optimal data-set scale: the best pooled F1 that one threshold for all can reach.

    An oracle where the images are test images: the threshold is chosen with the truth in hand.

    Args:
        histogram: (n, 2, 256) or (2, 256).

    Source: Arbeláez, Maire, Fowlkes, Malik, 'Contour detection and hierarchical image
    segmentation', TPAMI 2011; differs in that pixels are compared in place, with no tolerance.
    """
    return best_threshold(histogram, "f1")


def ois(histograms: NDArray[Any]) -> PerImageBest:
    """Return the optimal image scale: the best F1 when each image may choose its own threshold.

    An oracle, always: no threshold that knows the truth of its image exists in use. An image
    without crack takes the highest threshold. `pooled` sums the counts of all images at their own
    thresholds (Arbeláez et al. 2011; without tolerance), `mean` averages the images' best F1, as
    much of the crack literature does; the two differ.

    Args:
        histograms: (n, 2, 256), of one image each.
    """
    counts = counts_per_threshold(histograms)
    values = f1(counts)
    bins = _best_bins(values)
    bins[histograms[:, 1].sum(axis=-1) == 0] = BINS - 1
    images = np.arange(len(counts))
    chosen = counts[images, bins].astype(np.int64)
    best = values[images, bins]
    return PerImageBest(
        pooled=float(f1(chosen.sum(axis=0))),
        mean=mean_per_image(best),
        values=best,
        thresholds=THRESHOLDS[bins],
        counts=chosen,
    )


def _pooled(histogram: NDArray[Any]) -> NDArray[Any]:
    return histogram.sum(axis=0) if histogram.ndim == 3 else histogram


def _best_bins(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """Find the bin of the best value in each row (n, 256), ties going to the nearest to 0.5."""
    nearest_first = np.argsort(np.abs(np.arange(BINS) - BINS // 2), kind="stable")
    ranked = np.nan_to_num(values, nan=-1.0)[:, nearest_first]
    return nearest_first[np.argmax(ranked, axis=1)].astype(np.int64)
