from __future__ import annotations

import csv
import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from fissura.checkpoint import ModelConfig, save_model
from fissura.data.folder import find_pairs
from fissura.data.load import load_split
from fissura.data.protocols import PROTOCOLS
from fissura.errors import InputError
from fissura.evaluation.evaluate import evaluate
from fissura.inference.predictor import Predictor
from fissura.metrics.counts import Counts
from fissura.models import build_model

OPTIONS = {"width": 4}
SMALL = replace(PROTOCOLS["panel128"], name="small", size_hw=(32, 32))
DEEPCRACK = Path(__file__).resolve().parents[3] / "shared" / "data" / "deepcrack"


def write_photos(root, prepared, splits=("train", "test"), n=4):
    for seed, split in enumerate(splits):
        data = prepared(n=n, sizes=((64, 64), (80, 80)), seed=seed)
        for place in ("images", "masks"):
            (root / split / place).mkdir(parents=True)
        for index in range(n):
            name = f"{chr(97 + index)}.png"
            Image.fromarray(data.images[index]).save(root / split / "images" / name)
            mask = Image.fromarray(data.masks[index].astype(np.uint8) * 255)
            mask.save(root / split / "masks" / name)
    return root


def write_run(folder, **config):
    torch.manual_seed(0)
    model = build_model("crackseg", **OPTIONS)
    save_model(folder / "model", model, ModelConfig("crackseg", OPTIONS, **config))
    return folder


@pytest.fixture
def photos(tmp_path, prepared):
    return write_photos(tmp_path / "photos", prepared)


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


def test_report_of_a_run(tmp_path, photos, cache):
    run = write_run(tmp_path / "run", threshold=0.375, threshold_source="validation")
    report = evaluate(run, photos, bootstrap=20, cache_dir=cache, precision="float32", device="cpu")
    assert report.folder == run / "evaluation-photos-test"
    written = json.loads((report.folder / "report.json").read_text())
    assert written == json.loads(json.dumps(report.summary))
    summary = report.summary
    assert summary["images"] == 4
    assert summary["warnings"] == []
    assert summary["headline"] == "at_chosen"
    assert summary["at_chosen"]["source"] == "validation"
    assert summary["model"]["options"] == OPTIONS
    assert summary["data"]["protocol"]["name"] == "native"
    assert "255" in summary["data"]["mask_rule"]
    assert set(summary) > {"machine", "seconds", "created", "versions"}

    data = load_split(find_pairs(photos), "test", PROTOCOLS["native"], cache_dir=cache)
    assert summary["data"]["fingerprint"] == data.fingerprint
    predictor = Predictor.load(run, precision="float32", device="cpu")
    total = Counts()
    for image, mask in zip(data.images, data.masks, strict=True):
        total += Counts.of(predictor.prob(image) >= np.float32(0.375), mask)
    assert summary["at_chosen"]["pooled"]["iou"]["value"] == pytest.approx(total.iou, abs=0.01)
    with (report.folder / "per_image.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == 4


def test_images_prepared_as_in_training_are_not_shrunk_again(tmp_path, photos, cache):
    run = write_run(tmp_path / "run", scale=0.5, protocol=asdict(SMALL))
    report = evaluate(run, photos, bootstrap=5, cache_dir=cache)
    assert report.summary["model"]["scale_of_evaluation"] == 1.0
    assert report.summary["per_image"][0]["height"] == 32
    assert report.summary["at_chosen"] is None
    native = evaluate(run, photos, protocol="native", bootstrap=5, cache_dir=cache)
    assert native.folder == run / "evaluation-photos-test-native"
    assert native.summary["model"]["scale_of_evaluation"] == 0.5
    assert native.summary["per_image"][0]["height"] == 64
    assert "prepared as 'small'" in native.summary["warnings"][0]


def test_a_second_report_gets_a_number_and_a_given_folder_is_kept(tmp_path, photos, cache):
    run = write_run(tmp_path / "run")
    first = evaluate(run, photos, bootstrap=5, cache_dir=cache)
    second = evaluate(run / "model", photos, bootstrap=5, cache_dir=cache)
    assert second.folder == run / "evaluation-photos-test-2"
    third = evaluate(run, photos, bootstrap=5, cache_dir=cache, out=tmp_path / "mine")
    assert third.folder == tmp_path / "mine"
    with pytest.raises(InputError, match="never overwritten"):
        evaluate(run, photos, bootstrap=5, cache_dir=cache, out=tmp_path / "mine")
    for report in (second, third):
        assert report.summary["per_image"] == first.summary["per_image"]


def test_what_a_reader_must_be_warned_of(tmp_path, photos, cache):
    run = write_run(tmp_path / "run")
    (run / "data.json").write_text(json.dumps({"train": ["test/images/b"], "validation": []}))
    options = {"bootstrap": 5, "cache_dir": cache}
    assert "1 of these images" in evaluate(run, photos, **options).summary["warnings"][0]
    train = evaluate(run, photos, split="train", **options).summary
    assert "trained on" in train["warnings"][0]
    given = evaluate(run, photos, threshold=0.4, **options).summary
    assert "given by hand" in given["warnings"][1]
    assert given["at_chosen"]["source"] == "given"


def test_bad_files_are_listed(tmp_path, photos, cache):
    (photos / "test" / "images" / "a.png").write_bytes(b"no picture")
    run = write_run(tmp_path / "run")
    with pytest.raises(InputError, match=r"a\.png"):
        evaluate(run, photos, bootstrap=5, cache_dir=cache)
    summary = evaluate(run, photos, bootstrap=5, cache_dir=cache, skip_bad=True).summary
    assert summary["images"] == 3
    assert [Path(one["file"]).name for one in summary["data"]["skipped"]] == ["a.png"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"threshold": 1.5}, "threshold is 1.5"),
        ({"tolerance": -1.0}, "tolerance is -1"),
        ({"bootstrap": 0}, "resamples is 0"),
        ({"protocol": "huge"}, "no protocol 'huge'.*native"),
        ({"split": "val"}, "no split 'val'"),
    ],
)
def test_options_out_of_range(tmp_path, photos, cache, options, message):
    run = write_run(tmp_path / "run")
    with pytest.raises(InputError, match=message):
        evaluate(run, photos, cache_dir=cache, **options)
    assert list(run.iterdir()) == [run / "model"]


def test_no_model(tmp_path, photos):
    with pytest.raises(InputError, match="holds no trained model"):
        evaluate(tmp_path, photos)


@pytest.mark.slow
@pytest.mark.skipif(not DEEPCRACK.is_dir(), reason=f"{DEEPCRACK} is not on this machine")
def test_real_photos(tmp_path):
    run = write_run(tmp_path / "run", scale=0.25, protocol=asdict(PROTOCOLS["deepcrack96"]))
    report = evaluate(run, DEEPCRACK, bootstrap=100)
    assert report.summary["images"] == 237
    assert report.summary["crack_fraction"] == pytest.approx(0.0602, abs=0.001)
