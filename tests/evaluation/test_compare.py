from __future__ import annotations

import csv
import json
import re
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from PIL import Image

from fissura.checkpoint import ModelConfig, save_model
from fissura.cli import run as command
from fissura.data.preparation.protocols import PROTOCOLS
from fissura.errors import InputError
from fissura.evaluation.compare import compare_models, most_different
from fissura.evaluation.options import EvaluateOptions
from fissura.evaluation.score import score
from fissura.evaluation.summary import paired_differences
from fissura.metrics.bootstrap import differences
from fissura.metrics.counts import iou, mean_per_image
from fissura.models import build_model

OPTIONS = EvaluateOptions(bootstrap=20, device="cpu", precision="float32")


@pytest.fixture
def photos(tmp_path, prepared):
    root = tmp_path / "photos"
    data = prepared(n=5, sizes=((48, 64),))
    for index, (image, mask) in enumerate(zip(data.images, data.masks, strict=True)):
        for place, content in (("images", image), ("masks", mask.astype(np.uint8) * 255)):
            (root / "test" / place).mkdir(parents=True, exist_ok=True)
            Image.fromarray(content).save(root / "test" / place / f"{index}.png")
    return root


def model(folder, seed, **config):
    torch.manual_seed(seed)
    network = build_model("crackseg", width=2)
    save_model(folder / "model", network, ModelConfig("crackseg", {"width": 2}, **config))
    return folder


def test_differences_are_those_of_the_reports(photos, tmp_path):
    runs = [model(tmp_path / name, seed) for seed, name in enumerate("abc")]
    found = compare_models(runs, photos, options=OPTIONS, out=tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "a", "b", "c", "comparison.html", "comparison.json", "per_image.csv",
        *(f"scatter-{pair}.{end}" for pair in ("a-b", "a-c", "b-c") for end in ("png", "svg")),
    ]  # fmt: skip
    summary = json.loads((tmp_path / "out" / "comparison.json").read_text(encoding="utf-8"))
    assert summary["pairs"] == found.summary["pairs"]
    assert [(pair["a"], pair["b"]) for pair in summary["pairs"]] == [
        ("a", "b"), ("a", "c"), ("b", "c"),
    ]  # fmt: skip
    pair = summary["pairs"][1]
    reports = [json.loads((tmp_path / "out" / n / "report.json").read_text()) for n in "ac"]
    for path in ("pooled.iou", "per_image_mean.iou", "tolerant.pooled.f1"):
        values = []
        for report in reports:
            value = report["at_half"]
            for step in path.split("."):
                value = value[step]
            values.append(value["value"])
        one = pair["differences"][path]
        assert one["value"] == pytest.approx(values[0] - values[1])
        assert one["low"] <= one["value"] <= one["high"]
    counted = [pair[f"images_{side}"] for side in ("a_better", "b_better", "alike")]
    assert sum(counted) == summary["images"] == 5
    with (tmp_path / "out" / "per_image.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for index, row in enumerate(rows):
        expected = iou(found.reports["b"].scores.half.counts[index])
        assert float(row["b iou"]) == pytest.approx(float(expected))


def test_the_page_holds_all_and_loads_nothing(photos, tmp_path):
    runs = [model(tmp_path / name, seed) for seed, name in enumerate(["<one>", "two"])]
    compare_models(runs, photos, options=OPTIONS, out=tmp_path / "out")
    html = (tmp_path / "out" / "comparison.html").read_text(encoding="utf-8")
    assert "<one>" not in html
    assert "&lt;one&gt; less two" in html
    sources = re.findall(r'src="([^"]{0,40})', html)
    assert sources
    assert all(source.startswith("data:image/") for source in sources)


def test_the_same_draws_for_both(prepared, guess):
    data = prepared(n=7, groups=[*"aabbccd"])
    a, b = (score(guess(data, seed), data) for seed in (1, 2))
    found = paired_differences(a, b, resamples=200, seed=3)
    sums = [
        np.array(
            [one.half.counts[[g == group for g in data.groups]].sum(axis=0) for group in "abcd"]
        )
        for one in (a, b)
    ]
    expected = differences(*sums, lambda s: {"iou": iou(s)}, resamples=200, seed=3)["iou"]
    assert found["pooled.iou"] == expected
    gain = mean_per_image(iou(a.half.counts)) - mean_per_image(iou(b.half.counts))
    assert found["per_image_mean.iou"].value == pytest.approx(gain)
    nothing = paired_differences(a, a, resamples=20)
    assert {(one.value, one.low, one.high) for one in nothing.values()} == {(0.0, 0.0, 0.0)}


def test_the_images_that_differ_most(prepared, guess):
    data = prepared(n=9)
    a, b = (score(guess(data, seed), data) for seed in (1, 2))
    gain = iou(a.half.counts) - iou(b.half.counts)
    chosen = most_different(a, b, each=2)
    assert [gain[index] for index in chosen["a"]] == sorted(gain[gain > 0])[::-1][:2]
    assert [gain[index] for index in chosen["b"]] == sorted(gain[gain < 0])[:2]
    assert most_different(a, a) == {"a": [], "b": []}


def test_models_of_two_preparations_are_judged_on_whole_photos(photos, tmp_path):
    small = replace(PROTOCOLS["panel128"], name="small", size_hw=(32, 32))
    runs = [model(tmp_path / "a", 0), model(tmp_path / "b", 1, protocol=asdict(small))]
    found = compare_models(runs, photos, options=OPTIONS, out=tmp_path / "out")
    assert "prepared differently" in found.summary["warnings"][0]
    assert found.summary["data"]["protocol"]["name"] == "native"


def test_wrong_requests_are_told_in_a_sentence(photos, tmp_path, capsys):
    a = model(tmp_path / "a", 0)
    with pytest.raises(InputError, match="two models or more"):
        compare_models([a], photos)
    with pytest.raises(InputError, match="named twice"):
        compare_models([a, a / "model"], photos)
    b = model(tmp_path / "b", 0, training={"ignore": 255})
    with pytest.raises(InputError, match="different values of --ignore"):
        compare_models([a, b], photos)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()
    with pytest.raises(InputError, match="exists already"):
        compare_models([a, model(tmp_path / "c", 1)], photos, out=tmp_path / "full")
    assert command(["evaluate", str(a), str(b), str(photos)]) == 2
    assert "MODEL MODEL --data DATA" in capsys.readouterr().err


def test_the_command(photos, tmp_path, capsys):
    runs = [str(model(tmp_path / name, seed)) for seed, name in enumerate("ab")]
    given = ["--out", str(tmp_path / "out"), "--bootstrap", "20", "--device", "cpu"]
    assert command(["evaluate", *runs, "--data", str(photos), *given]) == 0
    told = capsys.readouterr().out
    assert re.search(r"a less b: IoU [+-]0\.\d{4}  \([+-]", told)
    assert (tmp_path / "out" / "comparison.html").is_file()
    # One model with its photos by name is one evaluation.
    given[1] = str(tmp_path / "alone")
    assert command(["evaluate", runs[0], "--data", str(photos), *given]) == 0
    assert (tmp_path / "alone" / "report.html").is_file()
