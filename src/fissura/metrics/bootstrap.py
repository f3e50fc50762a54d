"""Intervals of metrics: how far they would move had other images of the same kind been in the set.

Percentile bootstrap over images: the images are drawn again, with replacement, and the metric is
computed anew, a thousand times. The interval says nothing about other training seeds, and it takes
the images as independent: several crops of one photo make it too narrow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Metrics = Callable[[NDArray[np.float64]], Mapping[str, NDArray[np.float64]]]


@dataclass(frozen=True)
class Interval:
    """A metric with its bootstrap interval.

    Attributes:
        value: The metric of the images as they are.
        low: The lower end; NaN with fewer than two images.
        high: The upper end; NaN with fewer than two images.
    """

    value: float
    low: float
    high: float


def intervals(
    per_image: NDArray[Any],
    metrics: Metrics,
    *,
    resamples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> dict[str, Interval]:
    """Bootstrap metrics that follow from sums over images.

    Resamples in which a metric is undefined (NaN) are left out.

    Args:
        per_image: (n, ...), the summands, an image each: counts (n, 4), histograms (n, 2, 256), …
        metrics: Takes b such sums, (b, ...), and returns the metrics by name, each (b,).
        resamples: How many times the images are drawn again.
        seed: Of the draws; the same seed and n give the same draws for any metric.
        level: Coverage, in (0, 1); the interval's ends are the quantiles (1 ∓ level)/2.

    Returns:
        The interval of each metric.

    Raises:
        ValueError: Where there is no image, or an argument is out of range.

    >>> from fissura.metrics.counts import iou
    >>> counts = np.array([[8, 1, 1, 90], [5, 5, 0, 90], [9, 0, 1, 90]])
    >>> found = intervals(counts, lambda sums: {"iou": iou(sums)}, resamples=100)["iou"]
    >>> round(found.value, 3), round(found.low, 3), round(found.high, 3)
    (0.733, 0.6, 0.9)
    """
    _check(len(per_image), resamples, level)
    values = metrics(per_image.sum(axis=0, dtype=np.float64)[None])
    drawn = _drawn_metrics([per_image], metrics, resamples, seed)[0]
    return {
        name: _interval(float(value[0]), drawn[name], level, len(per_image))
        for name, value in values.items()
    }


def differences(
    per_image_a: NDArray[Any],
    per_image_b: NDArray[Any],
    metrics: Metrics,
    *,
    resamples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> dict[str, Interval]:
    """Bootstrap the difference a − b of two models on the same images, in the same order.

    Both models see the same draws, so that what makes an image hard for both cancels out; an
    interval that holds 0 means that these images do not tell the two apart.

    Args:
        per_image_a: As `per_image` of `intervals`, of the one model.
        per_image_b: The same of the other model.
        metrics: As in `intervals`, and so are the others.
        resamples: See there.
        seed: See there.
        level: See there.

    Raises:
        ValueError: Where the shapes differ, and as `intervals` does.
    """
    if per_image_a.shape != per_image_b.shape:
        raise ValueError(
            "Paired models need the same images; got the shapes "
            f"{per_image_a.shape} and {per_image_b.shape}."
        )
    _check(len(per_image_a), resamples, level)
    a, b = (
        metrics(per_image.sum(axis=0, dtype=np.float64)[None])
        for per_image in (per_image_a, per_image_b)
    )
    drawn_a, drawn_b = _drawn_metrics([per_image_a, per_image_b], metrics, resamples, seed)
    return {
        name: _interval(
            float(a[name][0] - b[name][0]), drawn_a[name] - drawn_b[name], level, len(per_image_a)
        )
        for name in a
    }


def as_sums(values: NDArray[Any]) -> NDArray[np.float64]:
    """Turn a metric per image (n,) into (n, 2) summands of their mean, for `intervals`.

    NaN, an undefined value, becomes (0, 0). The mean is `mean_of_sums`.
    """
    defined = ~np.isnan(values)
    return np.stack((np.where(defined, values, 0.0), defined), axis=-1).astype(np.float64)


def mean_of_sums(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean from sums of `as_sums`: (..., 2) → (...), NaN where nothing was defined.

    >>> float(mean_of_sums(as_sums(np.array([0.5, np.nan, 1.0])).sum(axis=0)))
    0.75
    """
    total, defined = sums[..., 0], sums[..., 1]
    mean = np.full(total.shape, np.nan)
    np.divide(total, defined, out=mean, where=defined > 0)
    return mean


def _draws(n: int, resamples: int, seed: int) -> Iterator[NDArray[np.float64]]:
    """Yield how often each image was drawn, (b, n) at a time, to bound the memory."""
    generator = np.random.default_rng(seed)
    chances = np.full(n, 1 / n)
    for start in range(0, resamples, 100):
        rows = min(100, resamples - start)
        yield generator.multinomial(n, chances, size=rows).astype(np.float64)


def _drawn_metrics(
    sets: list[NDArray[Any]], metrics: Metrics, resamples: int, seed: int
) -> list[dict[str, NDArray[np.float64]]]:
    """Metrics of each set under the same draws, each (resamples,)."""
    flat = [np.asarray(one, np.float64).reshape(len(one), -1) for one in sets]
    collected: list[dict[str, list[NDArray[np.float64]]]] = [{} for _ in sets]
    for draw in _draws(len(sets[0]), resamples, seed):
        for one, rows, into in zip(sets, flat, collected, strict=True):
            sums = (draw @ rows).reshape(len(draw), *one.shape[1:])
            for name, values in metrics(sums).items():
                into.setdefault(name, []).append(values)
    return [{name: np.concatenate(parts) for name, parts in into.items()} for into in collected]


def _interval(value: float, drawn: NDArray[np.float64], level: float, n: int) -> Interval:
    defined = drawn[~np.isnan(drawn)]
    if n < 2 or not defined.size:
        return Interval(value, float("nan"), float("nan"))
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return Interval(value, float(low), float(high))


def _check(n: int, resamples: int, level: float) -> None:
    if n == 0:
        raise ValueError("There is no image to draw from.")
    if resamples < 1 or not 0 < level < 1:
        raise ValueError(
            f"resamples is at least 1 and level lies in (0, 1); got {resamples} and {level}."
        )
