from __future__ import annotations

import math

import numpy as np
import pytest

from fissura.metrics.bootstrap import Interval, as_sums, differences, intervals, mean_of_sums
from fissura.metrics.counts import f1, iou, mean_per_image


def figures(sums):
    return {"iou": iou(sums), "f1": f1(sums)}


def random_counts(n=30, seed=0):
    return np.random.default_rng(seed).integers(1, 200, (n, 4))


def test_equals_a_slow_loop():
    counts = random_counts()
    found = intervals(counts, figures, resamples=250, seed=7)
    generator = np.random.default_rng(7)
    values = []
    for _ in range(250):
        times = generator.multinomial(30, np.full(30, 1 / 30))
        values.append(float(iou(np.repeat(counts, times, axis=0).sum(axis=0))))
    assert found["iou"].value == pytest.approx(float(iou(counts.sum(axis=0))))
    assert found["iou"].low == pytest.approx(np.quantile(values, 0.025))
    assert found["iou"].high == pytest.approx(np.quantile(values, 0.975))


def test_mean_per_image_equals_a_slow_loop():
    values = np.random.default_rng(1).random(20)
    values[[3, 9]] = np.nan
    found = intervals(as_sums(values), lambda sums: {"m": mean_of_sums(sums)}, resamples=150)["m"]
    assert found.value == pytest.approx(mean_per_image(values))
    generator = np.random.default_rng(0)
    drawn = []
    for _ in range(150):
        times = generator.multinomial(20, np.full(20, 1 / 20))
        drawn.append(mean_per_image(np.repeat(values, times)))
    assert found.low == pytest.approx(np.quantile(drawn, 0.025))


def test_covers_the_truth_about_as_often_as_it_says():
    generator = np.random.default_rng(3)
    hits = 0
    for trial in range(200):
        values = generator.normal(0.6, 0.1, 40)
        found = intervals(
            as_sums(values), lambda s: {"m": mean_of_sums(s)}, resamples=200, seed=trial
        )["m"]
        hits += found.low <= 0.6 <= found.high
    assert 0.88 <= hits / 200 <= 0.99


def test_seeded():
    counts = random_counts()
    assert intervals(counts, figures, seed=1) == intervals(counts, figures, seed=1)
    assert intervals(counts, figures, seed=1) != intervals(counts, figures, seed=2)


def test_paired_differences():
    counts = random_counts()
    same = differences(counts, counts, figures)
    assert same["iou"] == Interval(0.0, 0.0, 0.0)
    better = counts + np.array([20, 0, 0, 0])
    paired = differences(better, counts, figures)["iou"]
    assert 0 < paired.low < paired.value < paired.high
    # Pairing takes out what both have in common: much narrower than two intervals side by side.
    one = intervals(counts, figures)["iou"]
    assert paired.high - paired.low < (one.high - one.low) / 2
    with pytest.raises(ValueError, match="same images"):
        differences(counts, counts[:5], figures)


def test_undefined_resamples_and_few_images():
    values = np.array([0.5, np.nan, np.nan])
    found = intervals(as_sums(values), lambda sums: {"m": mean_of_sums(sums)})["m"]
    assert found == Interval(0.5, 0.5, 0.5)
    single = intervals(random_counts(1), figures)["iou"]
    assert math.isnan(single.low)
    assert math.isnan(single.high)
    assert 0 < single.value < 1
    with pytest.raises(ValueError, match="no image"):
        intervals(random_counts(0), figures)
    with pytest.raises(ValueError, match="level"):
        intervals(random_counts(), figures, level=1.0)
