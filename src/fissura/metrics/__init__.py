"""Metrics of crack masks, in NumPy: from pixel counts to curves, topology and intervals.

counts     tp, fp, fn, tn → precision, recall, F1, IoU; 256-bin histograms of probabilities
curves     precision-recall curve, AP, ODS, OIS, the best threshold of validation data
matches    counts that differ seen from the prediction and seen from the truth
tolerant   precision, recall, F1 that forgive a few pixels of displacement
topology   clDice: is the crack's centerline found, unbroken
bootstrap  intervals over images, and of the difference between two models

>>> import numpy as np
>>> from fissura import metrics
>>> pred, target = np.array([[True, True, False]]), np.array([[True, False, False]])
>>> float(metrics.iou(metrics.pixel_counts(pred, target)))
0.5
"""

from fissura.metrics.bootstrap import Interval, as_sums, differences, intervals, mean_of_sums
from fissura.metrics.counts import (
    Counts,
    counts_at,
    counts_per_threshold,
    f1,
    histograms,
    iou,
    mean_per_image,
    pixel_counts,
    precision,
    recall,
)
from fissura.metrics.curves import (
    Best,
    Curve,
    PerImageBest,
    average_precision,
    best_threshold,
    ods,
    ois,
    precision_recall_curve,
)
from fissura.metrics.matches import match_metrics
from fissura.metrics.tolerant import tolerant_matches
from fissura.metrics.topology import centerline_matches, cl_dice

__all__ = [
    "Best",
    "Counts",
    "Curve",
    "Interval",
    "PerImageBest",
    "as_sums",
    "average_precision",
    "best_threshold",
    "centerline_matches",
    "cl_dice",
    "counts_at",
    "counts_per_threshold",
    "differences",
    "f1",
    "histograms",
    "intervals",
    "iou",
    "match_metrics",
    "mean_of_sums",
    "mean_per_image",
    "ods",
    "ois",
    "pixel_counts",
    "precision",
    "precision_recall_curve",
    "recall",
    "tolerant_matches",
]
