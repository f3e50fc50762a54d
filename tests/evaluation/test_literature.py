from __future__ import annotations

import json

import numpy as np
import pytest

from fissura.errors import InputError
from fissura.evaluation.options import EvaluateOptions
from fissura.evaluation.report import Report, write_report
from fissura.evaluation.score import score
from fissura.evaluation.summary import summarize


def slow(probs, masks):
    """ODS, OIS and mIoU pixel by pixel, from the definitions that published code has."""
    f1_at, mean_iou_at = [], []
    for k in range(256):
        f1s, mean_ious = [], []
        for prob, mask in zip(probs, masks, strict=True):
            tp = fp = fn = tn = 0
            for p, truth in zip(prob.ravel().tolist(), mask.ravel().tolist(), strict=True):
                found = p >= k / 256
                tp += found and truth
                fp += found and not truth
                fn += truth and not found
                tn += not truth and not found
            precision = 1.0 if tp + fp == 0 else tp / (tp + fp)
            recall = 0.0 if tp + fn == 0 else tp / (tp + fn)
            both = precision + recall
            f1s.append(0.0 if both == 0 else 2 * precision * recall / both)
            crack = tp / (tp + fp + fn) if tp + fp + fn else 0.0
            background = tn / (tn + fp + fn) if tn + fp + fn else 0.0
            mean_ious.append((crack + background) / 2)
        f1_at.append(f1s)
        mean_iou_at.append(mean_ious)
    return {
        "ods": max(sum(one) / len(one) for one in f1_at),
        "ois": sum(max(one) for one in zip(*f1_at, strict=True)) / len(probs),
        "miou": max(sum(one) / len(one) for one in mean_iou_at),
    }


@pytest.mark.parametrize("empty", [(), (1,)])
def test_figures_are_those_of_the_slow_reference(prepared, guess, empty):
    data = prepared(n=3, sizes=((12, 15), (14, 11)), empty=empty)
    probs = guess(data)
    block = summarize(score(probs, data), resamples=20, literature=True)["literature"]
    wanted = slow(probs, data.masks)
    assert block["ods"]["f1"]["value"] == pytest.approx(wanted["ods"], abs=1e-12)
    assert block["ois"]["f1"]["value"] == pytest.approx(wanted["ois"], abs=1e-12)
    assert block["miou"]["mean_iou"]["value"] == pytest.approx(wanted["miou"], abs=1e-12)
    assert block["images_without_crack"] == len(empty)


def test_thresholds_are_those_of_the_greatest_means(prepared, guess):
    data = prepared(n=4)
    probs = guess(data)
    block = summarize(score(probs, data), resamples=5, literature=True)["literature"]
    at = block["ods"]["threshold"]
    f1s = []
    for prob, mask in zip(probs, data.masks, strict=True):
        tp = np.count_nonzero((prob >= at) & mask)
        f1s.append(2 * tp / (np.count_nonzero(prob >= at) + np.count_nonzero(mask)))
    assert block["ods"]["f1"]["value"] == pytest.approx(np.mean(f1s))
    assert block["ois"]["f1"]["value"] >= block["ods"]["f1"]["value"]


def test_intervals_hold_the_figures(prepared, guess):
    data = prepared(n=9)
    block = summarize(score(guess(data), data), resamples=100, literature=True)["literature"]
    for one in (block["ods"]["f1"], block["ois"]["f1"], block["miou"]["mean_iou"]):
        assert one["low"] <= one["value"] <= one["high"]


def test_a_model_that_finds_nothing_has_half_the_miou(prepared):
    data = prepared(n=3)
    nothing = [np.zeros(mask.shape, np.float32) for mask in data.masks]
    block = summarize(score(nothing, data), resamples=5, literature=True)["literature"]
    background = [1 - mask.mean() for mask in data.masks]
    assert block["miou"]["mean_iou"]["value"] == pytest.approx(np.mean(background) / 2)


def test_the_block_stands_apart_and_only_where_it_is_asked_for(tmp_path, prepared, guess):
    data = prepared(n=5, empty=(2,))
    scores = score(guess(data), data)
    plain = summarize(scores, resamples=10)
    assert "literature" not in plain
    asked = summarize(scores, resamples=10, literature=True)
    block = asked.pop("literature")
    assert asked == plain  # the honest figures are what they were
    asked["literature"] = block
    summary = asked | {"warnings": []}
    write_report(scores, summary, tmp_path / "report")
    html = (tmp_path / "report" / "report.html").read_text(encoding="utf-8")
    assert 'id="literature"' in html
    assert "1 of these images show no crack" in html
    lines = Report(summary, scores, tmp_path).headline().splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("As the literature"))
    assert [line.split()[0] for line in lines[start + 1 : start + 4]] == ["ODS", "OIS", "mIoU"]
    json.dumps(summary, allow_nan=False)
    write_report(scores, plain | {"warnings": []}, tmp_path / "plain")
    assert "literature" not in (tmp_path / "plain" / "report.html").read_text(encoding="utf-8")


def test_photos_without_crack_have_no_such_figures():
    with pytest.raises(InputError, match="--literature"):
        EvaluateOptions(literature=True, clean=True)
