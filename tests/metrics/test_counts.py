from __future__ import annotations

import math

import numpy as np
import pytest
import sklearn.metrics
import torch
import torchmetrics.functional.classification as peers
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fissura.metrics.counts import (
    METRICS,
    Counts,
    counts_at,
    counts_per_threshold,
    f1,
    histograms,
    iou,
    mean_per_image,
    precision,
    recall,
    threshold_bin,
)

masks = hnp.arrays(bool, st.tuples(st.integers(1, 6), st.integers(1, 6)))
pairs = masks.flatmap(lambda mask: st.tuples(st.just(mask), hnp.arrays(bool, mask.shape)))


def random_pair(seed, n=400, dtype=np.float32):
    generator = np.random.default_rng(seed)
    target = generator.random(n) < 0.2
    prob = np.clip(generator.random(n) * 0.7 + 0.3 * target, 0, 1).astype(dtype)
    return prob, target


@given(pairs)
def test_counts_by_hand(pair):
    pred, target = pair
    table = [0, 0, 0, 0]
    for p, t in zip(pred.ravel().tolist(), target.ravel().tolist(), strict=True):
        table[{(True, True): 0, (True, False): 1, (False, True): 2, (False, False): 3}[p, t]] += 1
    counts = Counts.of(pred, target)
    assert [counts.tp, counts.fp, counts.fn, counts.tn] == table
    assert Counts.from_array(counts.array) == counts


@given(pairs)
def test_identities(pair):
    pred, target = pair
    counts, swapped = Counts.of(pred, target), Counts.of(target, pred)
    assert counts.tp + counts.fp + counts.fn + counts.tn == pred.size
    assert counts.f1 == swapped.f1
    assert counts.iou == swapped.iou
    assert (counts.precision == swapped.recall) or math.isnan(counts.precision)
    assert counts.f1 == pytest.approx(2 * counts.iou / (1 + counts.iou))
    inverted = Counts.of(~pred, ~target)
    assert (inverted.tp, inverted.fp) == (counts.tn, counts.fn)


@given(pairs, hnp.arrays(bool, (6, 6)))
def test_mask_is_the_same_as_leaving_pixels_out(pair, valid):
    pred, target = pair
    valid = valid[: pred.shape[0], : pred.shape[1]]
    assert Counts.of(pred, target, valid) == Counts.of(pred[valid], target[valid])
    prob = pred * 0.7
    np.testing.assert_array_equal(
        histograms(prob, target, valid), histograms(prob[valid], target[valid])
    )


@pytest.mark.parametrize("seed", range(5))
def test_figures_equal_scikit_learn_and_torchmetrics(seed):
    prob, target = random_pair(seed)
    pred = prob >= 0.5
    counts = Counts.of(pred, target)
    tn, fp, fn, tp = sklearn.metrics.confusion_matrix(target, pred).ravel()
    assert (counts.tp, counts.fp, counts.fn, counts.tn) == (tp, fp, fn, tn)
    theirs = peers.binary_confusion_matrix(torch.tensor(pred).int(), torch.tensor(target).int())
    assert theirs.tolist() == [[counts.tn, counts.fp], [counts.fn, counts.tp]]
    assert counts.precision == pytest.approx(sklearn.metrics.precision_score(target, pred))
    assert counts.recall == pytest.approx(sklearn.metrics.recall_score(target, pred))
    assert counts.f1 == pytest.approx(sklearn.metrics.f1_score(target, pred))
    assert counts.iou == pytest.approx(sklearn.metrics.jaccard_score(target, pred))
    jaccard = peers.binary_jaccard_index(torch.tensor(pred).int(), torch.tensor(target).int())
    assert counts.iou == pytest.approx(jaccard.item(), abs=1e-6)


def nan_equal(value, expected):
    return math.isnan(value) if math.isnan(expected) else value == expected


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        (Counts(0, 0, 0, 9), (1, 1, 1, 1)),
        (Counts(0, 0, 4, 5), (math.nan, 0, 0, 0)),
        (Counts(0, 3, 0, 6), (0, math.nan, 0, 0)),
        (Counts(0, 3, 2, 4), (0, 0, 0, 0)),
        (Counts(9, 0, 0, 0), (1, 1, 1, 1)),
        (Counts(), (math.nan,) * 4),
    ],
)
def test_rules_for_empty_masks(counts, expected):
    values = (counts.precision, counts.recall, counts.f1, counts.iou)
    assert all(nan_equal(v, e) for v, e in zip(values, expected, strict=True)), values


def test_counts_add_up():
    parts = [Counts(1, 2, 3, 4), Counts(10, 20, 30, 40)]
    assert sum(parts, Counts()) == Counts(11, 22, 33, 44)


def test_figures_of_many_at_once():
    counts = np.random.default_rng(0).integers(0, 9, (3, 5, 4))
    for name, figure in METRICS.items():
        values = figure(counts)
        assert values.shape == (3, 5)
        for index in np.ndindex(3, 5):
            assert nan_equal(values[index], getattr(Counts.from_array(counts[index]), name))


def test_mean_leaves_undefined_images_out():
    assert mean_per_image(np.array([np.nan, 0.25, 0.75])) == 0.5
    assert math.isnan(mean_per_image(np.array([np.nan])))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("seed", range(3))
def test_counts_at_every_threshold_equal_comparisons(seed, dtype):
    prob, target = random_pair(seed, dtype=dtype)
    # Exact multiples of 1/256, the ends, and their next neighbors.
    special = (np.arange(257) / 256).astype(dtype)
    prob = np.concatenate((prob, special, np.clip(np.nextafter(special, dtype(0)), 0, 1)))
    target = np.concatenate((target, np.arange(514) % 3 == 0))
    table = counts_per_threshold(histograms(prob, target))
    for k in range(256):
        expected = Counts.of(prob >= dtype(k / 256), target).array
        np.testing.assert_array_equal(table[k], expected)
        np.testing.assert_array_equal(counts_at(histograms(prob, target), k / 256), expected)


def test_tables_of_many_images():
    pairs = [random_pair(seed) for seed in range(3)]
    stack = np.stack([histograms(*pair) for pair in pairs])
    assert stack.dtype == np.int64
    assert counts_per_threshold(stack).shape == (3, 256, 4)
    assert counts_at(stack, 0.5).shape == (3, 4)
    for row, pair in zip(counts_per_threshold(stack), pairs, strict=True):
        np.testing.assert_array_equal(row, counts_per_threshold(histograms(*pair)))


@given(st.floats(0, 1))
def test_threshold_bin_is_the_nearest(threshold):
    k = threshold_bin(threshold)
    assert abs(k / 256 - threshold) <= min(abs(j / 256 - threshold) for j in range(256))


def test_thresholds_of_512_pixels_wide_images_of_any_shape():
    prob = np.full((2, 1, 4, 3), 0.5, np.float32)
    table = histograms(prob, np.ones((2, 1, 4, 3), np.uint8))
    assert table[1, 128] == 24
    assert table.sum() == 24


@pytest.mark.parametrize(
    ("prob", "message"),
    [([0.1, 1.01], r"\[0, 1\]"), ([-0.1, 1], r"\[0, 1\]"), ([np.nan, 0], "NaN")],
)
def test_probabilities_outside_their_range(prob, message):
    with pytest.raises(ValueError, match=message):
        histograms(np.array(prob), np.array([True, False]))


def test_wrong_shapes_and_options():
    three, four = np.zeros(3), np.zeros(4, bool)
    with pytest.raises(ValueError, match="one shape"):
        histograms(three, four)
    with pytest.raises(ValueError, match="one shape"):
        Counts.of(three, four)
    with pytest.raises(ValueError, match="columns"):
        iou(np.zeros((4, 3)))
    with pytest.raises(ValueError, match="threshold"):
        threshold_bin(1.5)
    for figure in (precision, recall, f1, iou):
        assert figure(np.zeros((2, 4))).shape == (2,)
