"""Pixel counts and what follows from them: precision, recall, F1 and IoU of the crack class.

Arrays of counts have the columns tp, fp, fn, tn in their last dimension; everything before it is
free, so that one image, a set of images, 256 thresholds or 1000 resamples are one call.

Empty masks follow one rule everywhere, for an image and for a whole set:

* no crack in the truth and none predicted: precision, recall, F1 and IoU are 1;
* crack in the truth, none predicted: precision is undefined (NaN), recall, F1 and IoU are 0;
* none in the truth, crack predicted: recall is undefined (NaN), precision, F1 and IoU are 0;
* no pixels at all: everything is NaN.

NaN is never turned into 0 on the way; `mean_per_image` leaves undefined images out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

COLUMNS = ("tp", "fp", "fn", "tn")
BINS = 256


def precision(counts: NDArray[Any]) -> NDArray[np.float64]:
    """Return the fraction of the predicted crack pixels that is crack: tp / (tp + fp).

    Args:
        counts: (..., 4), columns tp fp fn tn.

    Returns:
        (...); see the module for empty masks.

    >>> float(precision(np.array([6, 2, 4, 88])))
    0.75
    """
    tp, fp, _, _ = _columns(counts)
    return _ratio(tp, tp + fp, counts)


def recall(counts: NDArray[Any]) -> NDArray[np.float64]:
    """Return the fraction of the true crack pixels that is found: tp / (tp + fn).

    Args:
        counts: (..., 4), columns tp fp fn tn.

    Returns:
        (...); see the module for empty masks.

    >>> float(recall(np.array([6, 2, 4, 88])))
    0.6
    """
    tp, _, fn, _ = _columns(counts)
    return _ratio(tp, tp + fn, counts)


def f1(counts: NDArray[Any]) -> NDArray[np.float64]:
    """Return the harmonic mean of precision and recall: 2·tp / (2·tp + fp + fn), also called Dice.

    Args:
        counts: (..., 4), columns tp fp fn tn.

    Returns:
        (...); see the module for empty masks.

    >>> round(float(f1(np.array([6, 2, 4, 88]))), 4)
    0.6667
    """
    tp, fp, fn, _ = _columns(counts)
    return _ratio(2 * tp, 2 * tp + fp + fn, counts)


def iou(counts: NDArray[Any]) -> NDArray[np.float64]:
    """Return the intersection over union of the crack class: tp / (tp + fp + fn), or Jaccard index.

    Background is not averaged in ('mIoU' elsewhere often is the mean of both classes).

    Args:
        counts: (..., 4), columns tp fp fn tn.

    Returns:
        (...); see the module for empty masks.

    >>> float(iou(np.array([6, 2, 4, 88])))
    0.5
    """
    tp, fp, fn, _ = _columns(counts)
    return _ratio(tp, tp + fp + fn, counts)


METRICS: dict[str, Callable[[NDArray[Any]], NDArray[np.float64]]] = {
    "precision": precision,
    "recall": recall,
    "f1": f1,
    "iou": iou,
}


def mean_per_image(values: NDArray[Any]) -> float:
    """Return the mean over the images for which a metric is defined; NaN where there is none.

    Args:
        values: (n,), one value per image, NaN where it is undefined.

    >>> mean_per_image(np.array([0.5, np.nan, 1.0]))
    0.75
    """
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if defined.size else float("nan")


def pixel_counts(
    pred: NDArray[Any], target: NDArray[Any], mask: NDArray[Any] | None = None
) -> NDArray[np.int64]:
    """Compare two masks pixel by pixel.

    Args:
        pred: The predicted mask, bool or 0/1, any shape.
        target: The true mask, of the same shape.
        mask: The valid mask, of the same shape, true where a pixel counts; None: everywhere.

    Returns:
        int64 (4,), the columns tp fp fn tn.

    >>> pixel_counts(np.array([True, True, False]), np.array([True, False, False])).tolist()
    [1, 1, 0, 1]
    """
    _same_shape("pred", pred, target, mask)
    pred, target = _as_bool(pred), _as_bool(target)
    if mask is not None:
        valid = _as_bool(mask)
        pred, target = pred[valid], target[valid]
    tp = np.count_nonzero(pred & target)
    fp, fn = np.count_nonzero(pred) - tp, np.count_nonzero(target) - tp
    return np.array([tp, fp, fn, pred.size - tp - fp - fn], np.int64)


def histograms(
    prob: NDArray[Any], target: NDArray[Any], mask: NDArray[Any] | None = None
) -> NDArray[np.int64]:
    """Count the probabilities of background and of crack pixels in 256 bins.

    Bin = min(floor(256·p), 255), exact in every float type, so that p ≥ k/256 ⟺ bin ≥ k for
    k = 0 … 255: the counts at all these thresholds follow from the histogram with nothing lost.

    Args:
        prob: Floats in [0, 1], any shape.
        target: The true mask, of the same shape, bool or 0/1.
        mask: The valid mask, of the same shape, true where a pixel counts; None: everywhere.

    Returns:
        int64 (2, 256), row 0 background, row 1 crack.

    Raises:
        ValueError: Where a probability lies outside [0, 1] or is NaN.

    >>> h = histograms(np.array([0.1, 0.5, 0.9]), np.array([False, True, True]))
    >>> int(h[0, 25]), int(h[1, 128]), int(h[1, 230])
    (1, 1, 1)
    """
    _same_shape("prob", prob, target, mask)
    truth = _as_bool(target)
    if mask is not None:
        valid = _as_bool(mask)
        prob, truth = prob[valid], truth[valid]
    # Written so that NaN fails too.
    if prob.size and not (prob.min() >= 0 and prob.max() <= 1):
        raise ValueError("prob must lie in [0, 1] and hold no NaN.")
    # A product with a power of two is exact, and the cast of a positive number is its floor.
    bins = np.minimum(prob * prob.dtype.type(BINS), BINS - 1).astype(np.uint8)
    crack = np.bincount(bins[truth], minlength=BINS)
    background = np.bincount(bins.ravel(), minlength=BINS) - crack
    return np.stack((background, crack)).astype(np.int64)


def counts_per_threshold(histogram: NDArray[Any]) -> NDArray[Any]:
    """Turn histograms into the counts at all 256 thresholds k/256, by one cumulative sum.

    Args:
        histogram: (..., 2, 256) as `histograms` returns it, or sums of such.

    Returns:
        (..., 256, 4): at [..., k, :] the columns tp fp fn tn for 'crack where p ≥ k/256'.

    >>> h = histograms(np.array([0.1, 0.5, 0.9]), np.array([False, True, True]))
    >>> counts_per_threshold(h)[128].tolist()
    [2, 0, 0, 1]
    """
    at_or_above = np.cumsum(histogram[..., ::-1], axis=-1)[..., ::-1]
    below = at_or_above[..., :1] - at_or_above
    fp, tp = at_or_above[..., 0, :], at_or_above[..., 1, :]
    tn, fn = below[..., 0, :], below[..., 1, :]
    return np.stack((tp, fp, fn, tn), axis=-1)


def threshold_bin(threshold: float) -> int:
    """Return the k of 0 … 255 whose threshold k/256 lies nearest to `threshold`.

    Raises:
        ValueError: Where the threshold lies outside [0, 1].

    >>> threshold_bin(0.5), threshold_bin(0.3), threshold_bin(1.0)
    (128, 77, 255)
    """
    if not 0 <= threshold <= 1:
        raise ValueError(f"A threshold lies in [0, 1]; got {threshold}.")
    return min(round(threshold * BINS), BINS - 1)


def counts_at(histogram: NDArray[Any], threshold: float) -> NDArray[Any]:
    """Return the counts at one threshold, rounded to the nearest k/256.

    Args:
        histogram: (..., 2, 256) as `histograms` returns it, or sums of such.
        threshold: In [0, 1].

    Returns:
        (..., 4), the columns tp fp fn tn.

    >>> h = histograms(np.array([0.1, 0.5, 0.9]), np.array([False, True, True]))
    >>> counts_at(h, 0.75).tolist()
    [1, 0, 1, 1]
    """
    k = threshold_bin(threshold)
    above, below = histogram[..., k:].sum(axis=-1), histogram[..., :k].sum(axis=-1)
    return np.stack((above[..., 1], above[..., 0], below[..., 1], below[..., 0]), axis=-1)


def _same_shape(
    name: str, values: NDArray[Any], target: NDArray[Any], mask: NDArray[Any] | None
) -> None:
    if values.shape != target.shape or (mask is not None and mask.shape != target.shape):
        raise ValueError(
            f"{name}, target and mask must be of one shape; got {values.shape}, {target.shape}"
            + ("." if mask is None else f" and {mask.shape}.")
        )


def _columns(counts: NDArray[Any]) -> tuple[Any, ...]:
    if counts.ndim == 0 or counts.shape[-1] != len(COLUMNS):
        raise ValueError(f"counts needs the columns tp fp fn tn last; its shape is {counts.shape}.")
    return tuple(np.moveaxis(counts, -1, 0))


def _ratio(numerator: Any, denominator: Any, counts: NDArray[Any]) -> NDArray[np.float64]:
    """Quotient under the module's rule for empty masks."""
    tp, fp, fn, tn = _columns(counts)
    value = np.full(np.shape(denominator), np.nan)
    np.divide(numerator, denominator, out=value, where=denominator > 0)
    both_empty = (tp + fp + fn == 0) & (tn > 0)
    return np.asarray(np.where(both_empty, 1.0, value))


def _as_bool(values: NDArray[Any]) -> NDArray[np.bool_]:
    return values if values.dtype == np.bool_ else values > 0.5


@dataclass(frozen=True)
class Counts:
    """The four pixel counts of one image or of many, with the metrics that follow from them.

    Counts add up (`a + b`, `sum(list_of_counts, Counts())`): summed counts give pooled metrics.

    Attributes:
        tp: Crack pixels that were found.
        fp: Background pixels that were taken for crack.
        fn: Crack pixels that were missed.
        tn: Background pixels that were left alone.

    >>> counts = Counts.of(np.array([True, True, False]), np.array([True, False, False]))
    >>> counts
    Counts(tp=1, fp=1, fn=0, tn=1)
    >>> (counts + counts).precision
    0.5
    """

    tp: int = 0
    fp: int = 0
    fn: int = 0
    tn: int = 0

    @classmethod
    def of(
        cls, pred: NDArray[Any], target: NDArray[Any], mask: NDArray[Any] | None = None
    ) -> Counts:
        """Compare two masks, as `pixel_counts` does."""
        return cls.from_array(pixel_counts(pred, target, mask))

    @classmethod
    def from_array(cls, counts: NDArray[Any]) -> Counts:
        """Take the columns tp fp fn tn of an array (4,)."""
        tp, fp, fn, tn = (int(value) for value in counts)
        return cls(tp, fp, fn, tn)

    @property
    def array(self) -> NDArray[np.int64]:
        """The counts as int64 (4,)."""
        return np.array([self.tp, self.fp, self.fn, self.tn], np.int64)

    @property
    def precision(self) -> float:
        """Return tp / (tp + fp), as `precision` does."""
        return float(precision(self.array))

    @property
    def recall(self) -> float:
        """Return tp / (tp + fn), as `recall` does."""
        return float(recall(self.array))

    @property
    def f1(self) -> float:
        """Return 2·tp / (2·tp + fp + fn), as `f1` does."""
        return float(f1(self.array))

    @property
    def iou(self) -> float:
        """Return tp / (tp + fp + fn), as `iou` does."""
        return float(iou(self.array))

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            self.tp + other.tp, self.fp + other.fp, self.fn + other.fn, self.tn + other.tn
        )
