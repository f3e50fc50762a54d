from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import sklearn.metrics

from fissura.evaluation.score import score
from fissura.metrics.counts import Counts
from fissura.metrics.tolerant import tolerant_matches
from fissura.metrics.topology import centerline_matches


def test_every_image_equals_a_direct_comparison(data, guess):
    probs = guess(data)
    scores = score(iter(probs), data, threshold=0.375, source="validation", tolerance=1.0)
    assert scores.chosen is not None
    assert scores.headline is scores.chosen
    for point, at in ((scores.half, 0.5), (scores.chosen, 0.375)):
        assert point.threshold == at
        for index, (prob, mask) in enumerate(zip(probs, data.masks, strict=True)):
            pred = prob >= np.float32(at)
            assert point.counts[index].tolist() == Counts.of(pred, mask).array.tolist()
            assert point.tolerant[index].tolist() == tolerant_matches(pred, mask, 1.0).tolist()
            assert point.center_line[index].tolist() == centerline_matches(pred, mask).tolist()
            if at == 0.375:
                np.testing.assert_array_equal(scores.prediction(index), pred)


def test_table_of_images_equals_scikit_learn(data, guess):
    probs = guess(data)
    rows = score(probs, data).per_image()
    assert [row["name"] for row in rows] == data.names
    for row, prob, mask in zip(rows, probs, data.masks, strict=True):
        truth, pred = mask.ravel(), (prob >= 0.5).ravel()
        assert (row["height"], row["width"]) == mask.shape
        assert row["crack_fraction"] == pytest.approx(mask.mean())
        assert row["half_iou"] == pytest.approx(sklearn.metrics.jaccard_score(truth, pred))
        best = max(Counts.of(prob >= k / 256, mask).f1 for k in range(256))
        assert row["oracle_f1"] == pytest.approx(best)
        assert not any(key.startswith("chosen") for key in row)


def test_without_a_chosen_threshold_the_headline_is_at_half(data, guess):
    scores = score(guess(data), data)
    assert scores.chosen is None
    assert scores.headline is scores.half
    assert scores.half.source == "fixed"


def test_threshold_goes_to_the_nearest_bin(data, guess):
    scores = score(guess(data), data, threshold=0.3)
    assert scores.headline.threshold == 77 / 256
    assert scores.headline.source == "given"


def test_probabilities_must_fit_the_masks(data, guess):
    probs = guess(data)
    with pytest.raises(ValueError, match="image 1"):
        score([probs[0], probs[1].T, *probs[2:]], data)
    with pytest.raises(ValueError, match="6 probability maps for 7"):
        score(probs[:-1], data)
    with pytest.raises(ValueError, match="More than 7"):
        score([*probs, probs[0]], data)
    with pytest.raises(ValueError, match="for 0 images"):
        score([], data.subset([]))


def test_pixels_without_a_label_count_nowhere(data, guess):
    rng = np.random.default_rng(3)
    valid = [rng.random(mask.shape) < 0.6 for mask in data.masks]
    known = [mask & here for mask, here in zip(data.masks, valid, strict=True)]
    data = replace(data, masks=known, valid=valid)
    probs = guess(data)
    # Whatever a model says there, nothing changes.
    other = [np.where(v, p, 1 - p) for p, v in zip(probs, valid, strict=True)]
    for masked in (score(probs, data), score(other, data)):
        for index, (prob, mask, here) in enumerate(zip(probs, known, valid, strict=True)):
            counts = Counts.of(prob[here] >= 0.5, mask[here]).array.tolist()
            assert masked.half.counts[index].tolist() == counts
            assert masked.half.counts[index].sum() == here.sum()
            expected = tolerant_matches(prob >= 0.5, mask, 2.0, here)
            assert masked.half.tolerant[index].tolist() == expected.tolist()
            assert not masked.prediction(index)[~here].any()
    row = masked.per_image()[0]
    assert row["crack_fraction"] == pytest.approx(known[0].sum() / valid[0].sum())
