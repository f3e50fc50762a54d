from __future__ import annotations

import json

import numpy as np
import pytest
import sklearn.metrics

from fissura.evaluation.score import score
from fissura.evaluation.summary import summarize
from fissura.metrics.counts import iou


def test_metrics_equal_scikit_learn(data, guess):
    probs = guess(data)
    summary = summarize(score(probs, data, threshold=0.375), resamples=50)
    truth = np.concatenate([mask.ravel() for mask in data.masks])
    prob = np.concatenate([prob.ravel() for prob in probs])
    for name, at in (("at_half", 0.5), ("at_chosen", 0.375)):
        pooled, pred = summary[name]["pooled"], prob >= at
        assert pooled["iou"]["value"] == pytest.approx(sklearn.metrics.jaccard_score(truth, pred))
        assert pooled["f1"]["value"] == pytest.approx(sklearn.metrics.f1_score(truth, pred))
        assert pooled["recall"]["value"] == pytest.approx(sklearn.metrics.recall_score(truth, pred))
        mean = np.mean(
            [
                sklearn.metrics.jaccard_score(mask.ravel(), (prob >= at).ravel())
                for mask, prob in zip(data.masks, probs, strict=True)
            ]
        )
        assert summary[name]["per_image_mean"]["iou"]["value"] == pytest.approx(mean)
        assert summary[name]["crack_fraction_predicted"] == pytest.approx(pred.mean())
    quantized = np.floor(prob * 256) / 256
    ap = sklearn.metrics.average_precision_score(truth, quantized)
    assert summary["average_precision"]["value"] == pytest.approx(ap, abs=1e-12)
    precision, recall, _ = sklearn.metrics.precision_recall_curve(truth, quantized)
    best = (2 * precision * recall / np.maximum(precision + recall, 1e-9)).max()
    assert summary["oracle"]["ods"]["f1"]["value"] == pytest.approx(best)
    assert summary["crack_fraction"] == pytest.approx(truth.mean())


def figures(node):
    """Every {"value", "low", "high"} of a nested dictionary."""
    if isinstance(node, dict):
        if "low" in node:
            yield node
        for inner in node.values():
            yield from figures(inner)


def test_every_metric_has_an_interval_around_it(data, guess):
    summary = summarize(score(guess(data), data, threshold=0.375), resamples=200)
    found = list(figures(summary))
    # At two thresholds: 4 pooled, 4 means, 3 + 3 tolerant, 2 clDice; AP, 2 ODS, 3 OIS.
    assert len(found) == 2 * (4 + 4 + 6 + 2) + 6
    for figure in found:
        assert figure["low"] <= figure["value"] <= figure["high"]


def test_oracle_is_never_worse(data, guess):
    summary = summarize(score(guess(data), data, threshold=0.375), resamples=10)
    oracle = summary["oracle"]
    for name in ("at_half", "at_chosen"):
        assert summary[name]["pooled"]["f1"]["value"] <= oracle["ods"]["f1"]["value"]
        mean = summary[name]["per_image_mean"]["f1"]["value"]
        assert mean <= oracle["ois"]["per_image_mean"]["f1"]["value"]
    assert "truth in hand" in oracle["note"]


def test_no_chosen_threshold_is_null_and_says_why(data, guess):
    summary = summarize(score(guess(data), data), resamples=10)
    assert summary["at_chosen"] is None
    assert "without validation" in summary["at_chosen_note"]
    assert summary["headline"] == "at_half"


def test_empty_masks_are_null_and_counted(prepared):
    data = prepared(n=6, empty=(1, 4))
    nothing = [np.zeros(mask.shape, np.float32) for mask in data.masks]
    summary = summarize(score(nothing, data), resamples=20)
    means = summary["at_half"]["per_image_mean"]
    # Both images without crack are right; elsewhere precision is undefined.
    assert means["precision"] == {"value": 1.0, "low": 1.0, "high": 1.0, "images": 2}
    assert means["iou"]["value"] == pytest.approx(2 / 6)
    assert means["iou"]["images"] == 6
    assert summary["at_half"]["pooled"]["precision"]["value"] is None
    assert summary["at_half"]["pooled"]["recall"]["value"] == 0
    assert summary["per_image"][0]["half_precision"] is None
    assert summary["per_image"][1]["half_precision"] == 1
    json.dumps(summary, allow_nan=False)


def test_images_of_one_photo_are_drawn_together(prepared, guess):
    single = prepared(n=5, sizes=((24, 31),))
    double = single.subset([0, 0, 1, 1, 2, 2, 3, 3, 4, 4])
    probs = guess(single)
    twice = [prob for prob in probs for _ in range(2)]
    one = summarize(score(probs, single), resamples=300)
    two = summarize(score(twice, double), resamples=300)
    # Copies of the same images tell nothing new, and the interval knows it.
    assert two["at_half"]["pooled"] == one["at_half"]["pooled"]
    assert (two["images"], two["groups"]) == (10, 5)
    assert "one photo together" in two["bootstrap"]["drawn"]


def test_same_seed_same_summary(data, guess):
    one, two = (summarize(score(guess(data), data), resamples=30, seed=3) for _ in range(2))
    assert one == two


def test_summary_and_scores_agree(data, guess):
    scores = score(guess(data), data)
    summary = summarize(scores, resamples=10)
    assert summary["at_half"]["pooled"]["iou"]["value"] == pytest.approx(
        float(iou(scores.half.counts.sum(axis=0)))
    )


def test_a_single_image_has_no_interval(prepared, guess):
    data = prepared(n=1)
    summary = summarize(score(guess(data), data), resamples=10)
    figure = summary["at_half"]["pooled"]["iou"]
    assert figure["value"] > 0
    assert figure["low"] is None
