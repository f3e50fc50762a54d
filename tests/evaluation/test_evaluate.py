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
from fissura.data.preparation.load import load_split
from fissura.data.preparation.protocols import PROTOCOLS
from fissura.errors import InputError
from fissura.evaluation import report as report_module
from fissura.evaluation.evaluate import evaluate as evaluate_with
from fissura.evaluation.options import EvaluateOptions
from fissura.evaluation.score import count_components
from fissura.evaluation.warnings import warnings_for
from fissura.inference.predictor import Predictor
from fissura.metrics.counts import Counts
from fissura.models import build_model
from fissura.shipped import shipped_folder

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


def evaluate(model, data, *, cache_dir=None, out=None, **options):
    return evaluate_with(
        model, data, options=EvaluateOptions(**options), out=out, cache_dir=cache_dir
    )


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


@pytest.mark.usefixtures("_no_page")
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


@pytest.fixture
def _no_page(monkeypatch):
    """Reports without drawings and page, which take most of the time."""
    monkeypatch.setattr(report_module, "draw_curve", lambda scores: {"svg": b"", "png": b""})
    monkeypatch.setattr(report_module, "page", lambda *parts: "")


@pytest.mark.usefixtures("_no_page")
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


@pytest.mark.usefixtures("_no_page")
def test_a_reader_is_warned(tmp_path, photos, cache):
    run = write_run(tmp_path / "run")
    (run / "data.json").write_text(json.dumps({"train": ["test/images/b"], "validation": []}))
    options = {"bootstrap": 5, "cache_dir": cache}
    assert "1 of these images" in evaluate(run, photos, **options).summary["warnings"][0]
    assert evaluate(run, photos, split="train", **options).summary["warnings"] == []
    given = evaluate(run, photos, threshold=0.4, **options).summary
    assert "given by hand" in given["warnings"][1]
    assert given["at_chosen"]["source"] == "given"


@pytest.mark.usefixtures("_no_page")
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
        ({"threshold": 1.5}, "--threshold is 1.5"),
        ({"tolerance": -1.0}, "--tolerance is -1"),
        ({"bootstrap": 0}, "--bootstrap is 0"),
        ({"split": "val"}, "no split 'val'"),
    ],
)
def test_options_out_of_range(tmp_path, photos, cache, options, message):
    run = write_run(tmp_path / "run")
    with pytest.raises(InputError, match=message):
        evaluate(run, photos, cache_dir=cache, **options)
    assert list(run.iterdir()) == [run / "model"]


@pytest.mark.usefixtures("_no_page")
@pytest.mark.parametrize("masks", [False, True], ids=["photos alone", "empty masks"])
def test_false_alarms_are_measured_on_clean_photos(tmp_path, cache, prepared, masks):
    data = prepared(n=4, sizes=((64, 64), (80, 80)))
    for index, image in enumerate(data.images):
        for name, pixels in (("images", image), ("masks", np.zeros(image.shape[:2], np.uint8))):
            if name == "images" or masks:
                file = tmp_path / "clean" / name / f"{index}.png"
                file.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels).save(file)
    run = write_run(tmp_path / "run")
    report = evaluate(run, tmp_path / "clean", clean=True, bootstrap=20, cache_dir=cache)
    summary = json.loads((report.folder / "report.json").read_text(encoding="utf-8"))
    predictor = Predictor.load(run)
    found = [count_components(predictor.prob(image) >= 0.5, 20) for image in data.images]
    alarms = summary["at_half"]["false_alarms"]
    assert alarms["images"] == 4
    assert alarms["with_alarm"] == np.count_nonzero(found)
    assert alarms["components"] == sum(found)
    assert alarms["fraction"]["value"] == np.count_nonzero(found) / 4
    assert [row["half_false_alarms"] for row in summary["per_image"]] == found
    assert summary["average_precision"]["value"] is None
    assert f"on {np.count_nonzero(found)} of 4 images without crack" in report.headline()
    assert summary["warnings"] == []
    with pytest.raises(InputError):
        evaluate(run, tmp_path / "clean", cache_dir=cache)


def test_clean_photos_whose_masks_mark_a_crack_are_refused(tmp_path, photos):
    run = write_run(tmp_path / "run")
    with pytest.raises(InputError, match=r"a\.png marks something"):
        evaluate(run, photos, clean=True)


@pytest.mark.parametrize(
    ("training", "folder", "split", "warned"),
    [
        ({"data": "DeepCrack, CRACK500, synthetic panels"}, "my_bridge", "all", False),
        ({"data": "DeepCrack, CRACK500, synthetic panels"}, "DeepCrack", "train", True),
        ({}, "my_bridge", "all", True),
        ({}, "my_bridge", "val", True),
        ({}, "my_bridge", "test", False),
    ],
)
def test_warned_of_images_that_a_model_may_know_only_where_it_may(
    tmp_path, data, training, folder, split, warned
):
    config = ModelConfig("crackseg", OPTIONS, training=training)
    (tmp_path / "run" / "model").mkdir(parents=True)
    (tmp_path / "run" / "model" / "config.json").touch()
    native = PROTOCOLS["native"]
    found = warnings_for(
        tmp_path / "run",
        config,
        tmp_path / folder,
        data,
        native,
        native,
        EvaluateOptions(split=split),
    )
    assert len(found) == warned


@pytest.mark.usefixtures("_no_page")
def test_a_report_never_goes_into_the_installed_package(tmp_path, photos, cache, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for model in ("crackseg-small", shipped_folder("crackseg-small")):
        report = evaluate(model, photos, bootstrap=2, cache_dir=cache)
        assert report.folder.absolute().parent == tmp_path
        assert report.folder.name.startswith("evaluation-crackseg")
    assert not list(shipped_folder("crackseg-small").parent.glob("evaluation*"))


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


@pytest.mark.usefixtures("_no_page")
def test_a_model_that_takes_each_photo_at_its_own_scale_is_judged_so(
    tmp_path, photos, cache, monkeypatch
):
    run = write_run(tmp_path / "run", auto_scale=True)
    monkeypatch.setattr(Predictor, "scale_by_windows", lambda own, read, size_hw: 2.0)
    options = {"device": "cpu", "precision": "float32"}
    summary = evaluate(run, photos, bootstrap=5, cache_dir=cache, **options).summary
    assert summary["model"]["scale_of_evaluation"] == "auto"
    twice = Predictor.load(run, scale=2.0, **options)
    data = load_split(find_pairs(photos), "test", PROTOCOLS["native"], cache_dir=cache)
    total = Counts()
    for image, mask in zip(data.images, data.masks, strict=True):
        total += Counts.of(twice.prob(image) >= 0.5, mask)
    assert summary["at_half"]["pooled"]["iou"]["value"] == pytest.approx(total.iou, abs=1e-3)
