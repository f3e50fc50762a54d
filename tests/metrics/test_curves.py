from __future__ import annotations

import math

import numpy as np
import pytest
import sklearn.metrics
import torch
import torchmetrics.functional.classification as peers

from fissura.metrics.counts import Counts, histograms, pixel_counts
from fissura.metrics.curves import (
    average_precision,
    best_threshold,
    counts_at_each,
    ods,
    ois,
    precision_recall_curve,
    thresholds_beyond,
)


def images(seed, n=4, size=300):
    generator = np.random.default_rng(seed)
    for _ in range(n):
        target = generator.random(size) < generator.uniform(0.02, 0.3)
        prob = generator.random(size) * 0.8 + 0.2 * target * generator.random()
        yield prob.astype(np.float32), target


def quantized(prob):
    return np.minimum(np.floor(prob * 256), 255) / 256


@pytest.mark.parametrize("seed", range(6))
def test_average_precision_equals_scikit_learn(seed):
    (prob, target), *_ = images(seed, size=[50, 300, 5000][seed % 3])
    theirs = sklearn.metrics.average_precision_score(target, quantized(prob))
    assert float(average_precision(histograms(prob, target))) == pytest.approx(theirs, abs=1e-12)


def test_average_precision_equals_torchmetrics():
    (prob, target), *_ = images(0)
    theirs = peers.binary_average_precision(
        torch.tensor(quantized(prob)), torch.tensor(target).int()
    )
    assert float(average_precision(histograms(prob, target))) == pytest.approx(
        theirs.item(), abs=1e-6
    )


def test_average_precision_of_many_and_of_none():
    stack = np.stack([histograms(*image) for image in images(1)])
    each = average_precision(stack)
    assert each.shape == (4,)
    assert float(each[2]) == float(average_precision(stack[2]))
    nothing = histograms(np.array([0.2, 0.9]), np.array([False, False]))
    assert math.isnan(float(average_precision(nothing)))


@pytest.mark.parametrize("seed", range(3))
def test_curve_equals_scikit_learn_and_torchmetrics(seed):
    (prob, target), *_ = images(seed)
    curve = precision_recall_curve(histograms(prob, target))
    precision, recall, thresholds = sklearn.metrics.precision_recall_curve(target, quantized(prob))
    k = (thresholds * 256).astype(int)
    np.testing.assert_allclose(curve.precision[k], precision[:-1], atol=1e-12)
    np.testing.assert_allclose(curve.recall[k], recall[:-1], atol=1e-12)
    theirs = peers.binary_precision_recall_curve(
        torch.tensor(prob),
        torch.tensor(target).int(),
        thresholds=torch.tensor(curve.thresholds, dtype=torch.float32),
    )
    predicted = ~np.isnan(curve.precision)
    np.testing.assert_allclose(curve.precision[predicted], theirs[0][:-1][predicted], atol=1e-6)
    np.testing.assert_allclose(curve.recall, theirs[1][:-1], atol=1e-6)


def counts_by_comparison(prob, target, k):
    return Counts.of(prob >= np.float32(k / 256), target)


@pytest.mark.parametrize("seed", range(3))
def test_ods_and_ois_by_hand(seed):
    several = list(images(seed))
    stack = np.stack([histograms(*drawn) for drawn in several])
    table = [[counts_by_comparison(*drawn, k) for k in range(256)] for drawn in several]
    pooled = [sum((row[k] for row in table), Counts()).f1 for k in range(256)]
    found = ods(stack)
    assert found.value == max(pooled)
    assert pooled[round(found.threshold * 256)] == max(pooled)

    per_image = ois(stack)
    best = [max(row, key=lambda counts: counts.f1) for row in table]
    np.testing.assert_array_equal(per_image.values, [counts.f1 for counts in best])
    assert per_image.mean == pytest.approx(np.mean([counts.f1 for counts in best]))
    chosen = [row[round(t * 256)] for row, t in zip(table, per_image.thresholds, strict=True)]
    assert per_image.pooled == sum(chosen, Counts()).f1
    assert [counts.f1 for counts in chosen] == [counts.f1 for counts in best]
    # Not a law for pooled F1, but of the mean: nobody loses by choosing for himself.
    at_ods = [row[round(found.threshold * 256)].f1 for row in table]
    assert per_image.mean >= np.mean(at_ods)


def test_best_threshold_for_iou_is_that_for_f1():
    stack = np.stack([histograms(*image) for image in images(3)])
    by_f1, by_iou = best_threshold(stack), best_threshold(stack, "iou")
    assert by_f1.threshold == by_iou.threshold
    assert by_iou.value == pytest.approx(by_f1.value / (2 - by_f1.value))
    assert Counts.from_array(by_f1.counts).f1 == by_f1.value
    with pytest.raises(ValueError, match="metric"):
        best_threshold(stack, "accuracy")


@pytest.mark.parametrize("end", [1 / 256, 255 / 256])
def test_counts_beyond_the_grid_equal_comparisons(end):
    rng = np.random.default_rng(0)
    small = 2.0 ** -rng.uniform(6, 26, 500)
    prob = (small if end < 0.5 else 1 - small).astype(np.float32)
    target = rng.random(500) < 0.4
    thresholds = thresholds_beyond(end)
    assert (np.diff(thresholds) > 0).all()
    assert (thresholds < end if end < 0.5 else thresholds > end).all()
    expected = [pixel_counts(prob >= at, target) for at in thresholds]
    np.testing.assert_array_equal(counts_at_each(prob, target, thresholds), expected)


def test_ties_go_to_the_middle():
    confident = histograms(np.array([0.01, 0.99]), np.array([False, True]))
    assert best_threshold(confident).threshold == 0.5
    low = histograms(np.array([0.01, 0.25]), np.array([False, True]))
    assert best_threshold(low).threshold == 0.25


def test_oracle_of_an_image_without_crack():
    quiet = histograms(np.array([0.1, 0.7]), np.array([False, False]))
    loud = histograms(np.array([0.1, 1.0]), np.array([False, False]))
    found = ois(np.stack((quiet, loud)))
    assert found.values.tolist() == [1.0, 0.0]
    assert found.counts.tolist() == [[0, 0, 0, 2], [0, 1, 0, 1]]


def test_perfect_and_reversed():
    target = np.array([True] * 10 + [False] * 90)
    assert float(average_precision(histograms(target * 1.0, target))) == 1.0
    worst = float(average_precision(histograms(1.0 - target, target)))
    assert worst == pytest.approx(0.1)
