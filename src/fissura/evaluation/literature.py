"""`literature`: ODS, OIS and mIoU as papers on cracks compute them, to be put beside theirs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fissura.metrics.counts import counts_per_threshold
from fissura.metrics.curves import THRESHOLDS

# Path of a figure below "literature" in the summary, its name, and how it is computed.
FIGURES = [
    (("ods", "f1"), "ODS", "F1 of each image at one threshold for all, averaged over the images; "
     "the greatest of these means"),
    (("ois", "f1"), "OIS", "the greatest F1 of each image, averaged over the images"),
    (("miou", "mean_iou"), "mIoU", "mean of the IoU of crack and of background of each image, "
     "averaged over the images; the greatest of these means"),
]  # fmt: skip
NOTE = (
    "As papers on cracks compute them: thresholds are chosen on these very images with the truth "
    "in hand, and the background is averaged into the mIoU, so that a model that finds nothing has "
    "almost 0.5. For a comparison with published figures alone; none of them says how the model "
    "does on a new photo."
)

# Sums over images, and the figures that follow from them, as `fissura.evaluation.summary` has them.
Summed = tuple[NDArray[Any], Callable[[NDArray[np.float64]], Mapping[str, NDArray[np.float64]]]]


def f1_of_each(histograms: NDArray[Any]) -> NDArray[np.float64]:
    """Return the F1 of each image at each threshold, by the rule of the literature.

    F1 = 2·tp / (2·tp + fp + fn), and 0 where that is 0/0: an image without crack counts 0,
    whatever is predicted. (`fissura.metrics.f1` has 1 there where nothing is predicted.)

    Args:
        histograms: (n, 2, 256), `fissura.metrics.histograms` of each image.

    Returns:
        (n, 256), at the thresholds k/256.
    """
    tp, fp, fn, _ = np.moveaxis(counts_per_threshold(histograms).astype(np.float64), -1, 0)
    return _ratio(2 * tp, 2 * tp + fp + fn)


def mean_iou_of_each(histograms: NDArray[Any]) -> NDArray[np.float64]:
    """Return the mean of the IoU of crack and of background, of each image at each threshold.

    ½·(tp / (tp + fp + fn) + tn / (tn + fp + fn)), a fraction of 0/0 being 0.

    Args:
        histograms: As for `f1_of_each`.

    Returns:
        (n, 256), at the thresholds k/256.
    """
    tp, fp, fn, tn = np.moveaxis(counts_per_threshold(histograms).astype(np.float64), -1, 0)
    return (_ratio(tp, tp + fp + fn) + _ratio(tn, tn + fp + fn)) / 2


def literature_sums(histograms: NDArray[Any]) -> dict[str, Summed]:
    """Return the figures as functions of sums over images, so that they have intervals.

    Args:
        histograms: As for `f1_of_each`.
    """
    number = np.ones((len(histograms), 1))
    each_f1 = f1_of_each(histograms)

    def greatest(name: str) -> Callable[[NDArray[np.float64]], dict[str, NDArray[np.float64]]]:
        return lambda sums: {name: (sums[:, :-1] / sums[:, -1:]).max(axis=-1)}

    return {
        "literature.ods": (np.hstack([each_f1, number]), greatest("f1")),
        "literature.ois": (np.hstack([each_f1.max(axis=1)[:, None], number]), greatest("f1")),
        "literature.miou": (
            np.hstack([mean_iou_of_each(histograms), number]),
            greatest("mean_iou"),
        ),
    }


def describe_literature(
    histograms: NDArray[Any], figures: dict[str, dict[str, Any]]
) -> dict[str, Any]:
    """Return the block of the summary.

    Args:
        histograms: As for `f1_of_each`.
        figures: The figures with their intervals: ods, ois and miou.
    """
    best = {
        "ods": THRESHOLDS[int(np.argmax(f1_of_each(histograms).mean(axis=0)))],
        "miou": THRESHOLDS[int(np.argmax(mean_iou_of_each(histograms).mean(axis=0)))],
    }
    return {
        "note": NOTE,
        "images_without_crack": int(np.count_nonzero(histograms[:, 1].sum(axis=-1) == 0)),
        **{
            name: ({"threshold": float(best[name])} if name in best else {}) | own
            for name, own in figures.items()
        },
    }


def _ratio(numerator: NDArray[np.float64], denominator: NDArray[np.float64]) -> NDArray[np.float64]:
    """Quotient, 0 where the denominator is."""
    value = np.zeros_like(denominator)
    np.divide(numerator, denominator, out=value, where=denominator > 0)
    return value
