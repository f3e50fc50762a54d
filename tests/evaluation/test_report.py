from __future__ import annotations

import csv
import json
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from fissura.errors import InputError
from fissura.evaluation.figures import choose_examples, encode, panels, shrink
from fissura.evaluation.report import Report, headline_metrics, write_report
from fissura.evaluation.score import score
from fissura.evaluation.summary import summarize
from fissura.metrics.counts import iou


class Page(HTMLParser):
    """Open tags must be closed; collects what is referred to."""

    VOID = ("meta", "img", "br", "link")

    def __init__(self):
        super().__init__()
        self.open, self.sources, self.text = [], [], ""

    def handle_starttag(self, tag, attrs):
        if tag not in self.VOID:
            self.open.append(tag)
        self.sources += [value for key, value in attrs if key in ("src", "href")]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


@pytest.mark.parametrize("threshold", [None, 0.375])
def test_report_folder(tmp_path, prepared, guess, threshold):
    data = prepared(n=6, empty=(3,))
    scores = score(guess(data), data, threshold=threshold, source="validation")
    summary = summarize(scores, resamples=20)
    folder = tmp_path / "new" / "report"
    write_report(scores, summary, folder)
    assert sorted(path.name for path in folder.iterdir()) == [
        "per_image.csv",
        "pr_curve.png",
        "pr_curve.svg",
        "report.html",
        "report.json",
    ]
    assert json.loads((folder / "report.json").read_text()) == summary
    with (folder / "per_image.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["name"] for row in rows] == data.names
    assert float(rows[0]["half_iou"]) == summary["per_image"][0]["half_iou"]
    page = Page()
    page.feed((folder / "report.html").read_text())
    assert page.open == []
    # Self-contained: nothing is loaded from elsewhere.
    images = [source for source in page.sources if not source.startswith("#")]
    assert images
    assert all(source.startswith("data:image/") for source in images)
    assert f"{summary['at_half']['pooled']['iou']['value']:.3f}" in page.text
    assert "Worst" in page.text


def test_names_cannot_break_the_page(tmp_path, prepared, guess):
    data = prepared(n=3)
    data.names[:] = ["<script>", "a & b", '"quoted"']
    scores = score(guess(data), data)
    summary = summarize(scores, resamples=5) | {"warnings": ["<b>careful</b>"]}
    write_report(scores, summary, tmp_path / "r")
    html = (tmp_path / "r" / "report.html").read_text()
    assert html.count("<script>") == 1  # ours
    assert "&lt;b&gt;careful" in html


def test_failure_leaves_nothing_behind(tmp_path, data, guess):
    scores = score(guess(data), data)
    with pytest.raises(ValueError, match="JSON"):
        write_report(scores, {"per_image": [], "bad": float("nan")}, tmp_path / "r")
    assert list(tmp_path.iterdir()) == []


def test_the_same_scores_give_the_same_files_and_are_never_overwritten(tmp_path, data, guess):
    scores = score(guess(data), data)
    summary = summarize(scores, resamples=5)
    (tmp_path / "a").mkdir()  # an empty folder is taken
    for name in ("a", "b"):
        write_report(scores, summary, tmp_path / name)
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes(), path.name
    before = (tmp_path / "a" / "report.json").read_bytes()
    with pytest.raises(InputError, match="never overwritten"):
        write_report(scores, summary, tmp_path / "a")
    assert (tmp_path / "a" / "report.json").read_bytes() == before


@pytest.mark.parametrize("n", [1, 2, 3, 5, 9])
def test_examples_are_the_extremes_and_never_twice(prepared, guess, n):
    data = prepared(n=n)
    scores = score(guess(data), data)
    examples = choose_examples(scores)
    indices = [example.index for example in examples]
    assert len(set(indices)) == len(indices)
    assert len(indices) == {1: 1, 2: 2}.get(n, 3 * min(3, n // 3))
    values = iou(scores.half.counts)
    best = [example.iou for example in examples if example.kind == "best"]
    worst = [example.iou for example in examples if example.kind == "worst"]
    assert max(best) == values.max()
    if n > 1:
        assert min(worst) == values.min()
    if n >= 9:
        median = [example.iou for example in examples if example.kind == "median"]
        assert min(median) <= np.median(values) <= max(median)


def test_examples_of_images_without_crack_are_false_alarms(prepared):
    data = prepared(n=3, empty=(0, 1, 2))
    probs = [np.full(mask.shape, 0.2, np.float32) for mask in data.masks]
    probs[1][:4] = 0.9
    examples = choose_examples(score(probs, data))
    assert [(example.kind, example.index) for example in examples] == [("false alarm", 1)]


def test_no_crack_at_all_still_gives_a_report(tmp_path, prepared):
    data = prepared(n=3, empty=(0, 1, 2))
    probs = [np.full(mask.shape, 0.2, np.float32) for mask in data.masks]
    probs[1][:4] = 0.9
    scores = score(probs, data)
    summary = summarize(scores, resamples=5)
    write_report(scores, summary, tmp_path / "r")
    assert dict(headline_metrics(summary))["Recall"] == "undefined"
    page = (tmp_path / "r" / "report.html").read_text()
    assert "undefined" in page
    assert "<b>0.333</b>" in page
    assert "1 of 3 images, 1 component" in page
    assert "at least 20 pixels crack" in page
    said = Report(summary | {"warnings": []}, scores, tmp_path).headline()
    assert "on 1 of 3 images without crack" in said


def test_false_alarms_are_not_mentioned_where_every_image_has_a_crack(tmp_path, data, guess):
    scores = score(guess(data), data)
    summary = summarize(scores, resamples=5) | {"warnings": []}
    write_report(scores, summary, tmp_path / "r")
    assert "False alarms" not in (tmp_path / "r" / "report.html").read_text()
    assert "False alarms" not in Report(summary, scores, tmp_path).headline()


def test_shrinking_keeps_hairlines():
    image = np.full((1000, 2001, 3), 100, np.uint8)
    mask = np.zeros((1000, 2001), bool)
    mask[500, 100:1900] = True
    small, reduced = shrink(image, mask, longest=900)
    assert small.shape == (333, 667, 3)
    assert reduced.shape == (333, 667)
    assert reduced[500 // 3, 100 // 3 : 1900 // 3].all()
    assert shrink(image, mask, longest=2001)[0] is image


def test_images_are_readable(tmp_path, data, guess):
    scores = score(guess(data), data)
    captions = []
    for caption, image in panels(scores, 0):
        captions.append(caption)
        kind, content = encode(image)
        path = tmp_path / f"{caption}.{kind.split('/')[1]}"
        path.write_bytes(content)
        with Image.open(path) as opened:
            np.testing.assert_array_equal(np.asarray(opened), image)
    assert captions == ["image", "truth", "result"]
    assert encode(np.zeros((300, 300, 3), np.uint8))[0] == "image/jpeg"


def test_headline_for_the_terminal(tmp_path, data, guess):
    scores = score(guess(data), data, tolerance=1.5)
    summary = summarize(scores, resamples=5) | {"warnings": ["Mind the gap."]}
    lines = dict(headline_metrics(summary))
    assert list(lines)[:4] == ["Recall", "Precision", "F1", "IoU"]
    assert "F1, 1.5 px tolerance" in lines
    assert lines["IoU"].startswith(f"{summary['at_half']['pooled']['iou']['value']:.4f}  (")
    said = Report(summary, scores, tmp_path).headline()
    assert said.startswith("Warning: Mind the gap.\n7 images, threshold 0.5 (fixed beforehand)")
    assert lines["IoU"] in said
    assert said.endswith("report.html")
