"""Shards of an inspection, merged, give the bytes of one run; what doesn't belong is refused."""

import json
import os
import shutil
import subprocess
import sys

import cv2
import numpy as np
import pytest
import torch

from fissura.checkpoint import ModelConfig, save_model
from fissura.data.synthetic import draw_panel
from fissura.errors import InputError
from fissura.files import OutputOptions
from fissura.inference.options import PredictOptions
from fissura.inspection.options import InspectOptions
from fissura.inspection.pipeline import inspect, measure_files
from fissura.inspection.shards import merge
from fissura.measurement.options import ResolutionOptions
from fissura.models import build_model
from fissura.spread.options import SpreadOptions

CPU = PredictOptions(device="cpu", precision="float32")
MM = ResolutionOptions(mm_per_pixel=0.2)
MOMENT = "1795600000"
PHOTOS = 7


@pytest.fixture(autouse=True)
def _moment(monkeypatch):
    """The report and the GeoPackage tell when they were made."""
    monkeypatch.setenv("SOURCE_DATE_EPOCH", MOMENT)


def make_model(folder, seed=0):
    torch.manual_seed(seed)
    card = ModelConfig(model="crackseg", options={"width": 2}, threshold=0.5)
    save_model(folder, build_model("crackseg", width=2), card)
    (folder / "card.md").write_text("# A card\n")
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return make_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Photos of several sizes in two folders, one of which is no picture."""
    root = tmp_path_factory.mktemp("photos")
    for number in range(PHOTOS):
        size = (40 + 8 * (number % 3), 56 + 8 * (number % 4))
        image = draw_panel(2, number, size_hw=size, crack_fraction=0.1).image
        file = root / ("deck" if number % 2 else "pier 1") / f"{number}.png"
        file.parent.mkdir(exist_ok=True)
        cv2.imwrite(str(file), image[..., ::-1])
    (root / "deck" / "bad.jpg").write_bytes(b"this is no picture")
    return root


@pytest.fixture(scope="module")
def extras(tmp_path_factory):
    """Rules, a heading, and a table with what is known of some photos."""
    folder = tmp_path_factory.mktemp("extras")
    (folder / "limits.yaml").write_text("max_width_px: 3\n")
    (folder / "report.yaml").write_text("title: Bridge 12\nnotes: Wet\nsignatures: [A, B]\n")
    (folder / "table.csv").write_text("file,mm_per_pixel,element,wind\n3.png,0.5,arch,low\n")
    return folder


def given(extras, **changes):
    inspecting = InspectOptions(table=extras / "table.csv", report=extras / "report.yaml")
    common = {"resolution": MM, "predicting": CPU, "inspecting": inspecting}
    return common | {"limits": extras / "limits.yaml"} | changes


@pytest.fixture(scope="module")
def one_run(photos, model, extras, tmp_path_factory):
    out = tmp_path_factory.mktemp("one") / "out"
    os.environ["SOURCE_DATE_EPOCH"] = MOMENT
    done = inspect(photos, out, model=model, **given(extras))
    assert (done.photos, len(done.failures)) == (PHOTOS, 1)
    assert done.failing
    assert done.cracks > 10
    return out, done


def contents(out):
    return {
        path.relative_to(out).as_posix(): path.read_bytes()
        for path in out.rglob("*")
        if path.is_file()
    }


def same_bytes(one, other):
    """Compare folders; records are archives whose entries tell the time, and are left out."""
    first, second = contents(one), contents(other)
    assert first.keys() == second.keys()
    differing = {name for name in first if first[name] != second[name]}
    assert {name for name in differing if not name.startswith("measured/")} == set()


def run_shards(count, photos, model, root, extras):
    folders = [root / f"shard {index}" for index in range(1, count + 1)]
    for index, folder in enumerate(folders, start=1):
        spreading = SpreadOptions(shard=f"{index}/{count}")
        done = inspect(photos, folder, model=model, spreading=spreading, **given(extras))
        assert done.shard == f"{index}/{count}"
        assert done.report is None
        assert not (folder / "cracks.csv").exists()
    return folders


@pytest.fixture(scope="module")
def three(photos, model, extras, tmp_path_factory):
    """Three shards, which tests must not change."""
    return run_shards(3, photos, model, tmp_path_factory.mktemp("three"), extras)


def check_merged(out, folders, one_run):
    done = merge(out, folders[::-1])
    same_bytes(out, one_run[0])
    expected = one_run[1]
    for name in ("photos", "cracks", "failing", "edited", "model"):
        assert getattr(done, name) == getattr(expected, name)
    assert [one.reason for one in done.failures] == [one.reason for one in expected.failures]


def test_merged_shards_are_one_run_byte_for_byte_without_the_photos(
    photos, three, one_run, tmp_path
):
    away = photos.rename(photos.with_name("elsewhere"))
    try:
        check_merged(tmp_path / "merged", three, one_run)
    finally:
        away.rename(photos)


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 2, 4])
def test_any_number_of_shards_gives_the_same(count, photos, model, extras, one_run, tmp_path):
    folders = run_shards(count, photos, model, tmp_path, extras)
    check_merged(tmp_path / "merged", folders, one_run)


def test_a_merged_folder_is_gone_on_from(photos, model, extras, three, one_run, tmp_path):
    out = tmp_path / "merged"
    merge(out, three)
    mask = out / "masks" / "deck" / "1.png"
    done = inspect(photos, out, model=model, output=OutputOptions(resume=True), **given(extras))
    same_bytes(out, one_run[0])
    # Editing a mask leaves the shard's as it was: editors write a file of their own.
    mask.unlink()
    cv2.imwrite(str(mask), np.zeros((48, 56), np.uint8))
    again = merge(out, three, output=OutputOptions(resume=True))
    assert again.photos == done.photos
    assert not cv2.imread(str(mask), 0).any()


def test_other_limits_judge_again(three, one_run, tmp_path):
    limits = tmp_path / "limits.yaml"
    limits.write_text("max_cracks: 1000\n")
    assert merge(tmp_path / "merged", three, limits=limits).failing == []
    assert one_run[1].failing


def test_measured_masks(one_run, tmp_path):
    masks = one_run[0] / "masks"
    whole = measure_files(masks, tmp_path / "whole", kind="mask")
    folders = [tmp_path / f"{index}" for index in (1, 2)]
    for index, folder in enumerate(folders, start=1):
        spreading = SpreadOptions(shard=f"{index}/2")
        assert measure_files(masks, folder, kind="mask", spreading=spreading).shard
    merged = merge(tmp_path / "merged", folders)
    assert (merged.photos, merged.report) == (whole.photos, None)
    same_bytes(tmp_path / "merged", tmp_path / "whole")


def test_more_shards_than_photos(model, tmp_path):
    (tmp_path / "photos").mkdir()
    image = draw_panel(2, 1, size_hw=(48, 64), crack_fraction=0.1).image
    cv2.imwrite(str(tmp_path / "photos" / "a.png"), image[..., ::-1])
    folders = [tmp_path / f"{index}" for index in (1, 2, 3)]
    for index, folder in enumerate(folders, start=1):
        spreading = SpreadOptions(shard=f"{index}/3")
        inspect(tmp_path / "photos", folder, model=model, predicting=CPU, spreading=spreading)
    assert merge(tmp_path / "merged", folders).photos == 1


def test_a_missing_shard_is_named(three, tmp_path):
    with pytest.raises(InputError, match=r"Shard 2/3 is missing.*--shard 2/3"):
        merge(tmp_path / "merged", [three[0], three[2]])
    words = [sys.executable, "-m", "fissura.cli", "merge", tmp_path / "merged", three[1]]
    found = subprocess.run(list(map(str, words)), capture_output=True, text=True, check=False)
    assert found.returncode == 2
    assert "Shards 1/3, 3/3 are missing" in found.stderr
    assert not (tmp_path / "merged").exists()


def changed(folder, tmp_path, **fields):
    """A copy of a shard that says something else of itself."""
    copy = tmp_path / "changed"
    shutil.copytree(folder, copy)
    stored = json.loads((copy / "shard.json").read_text())
    stored["options"] |= fields.pop("options", {})
    (copy / "shard.json").write_text(json.dumps(stored | fields))
    return copy


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"options": {"threshold": 0.3}}, "different options .threshold."),
        ({"model": "another"}, "different models"),
        ({"digest": "another"}, "different photos"),
        ({"count": 4}, "different numbers, 1/3 and 2/4"),
        ({"command": "predict"}, "different commands"),
        ({"index": 1}, "both shard 1/3"),
        ({"own": [1]}, "damaged"),
        ({"format": 99}, "another version"),
    ],
)
def test_what_does_not_belong_together_is_refused(fields, words, three, tmp_path):
    wrong = changed(three[1], tmp_path, **fields)
    with pytest.raises(InputError, match=words):
        merge(tmp_path / "merged", [three[0], wrong, three[2]])


def test_another_model_under_the_same_name_is_refused(photos, three, extras, tmp_path):
    other = make_model(tmp_path / "model", seed=1)
    spreading = SpreadOptions(shard="2/3")
    inspect(photos, tmp_path / "2", model=other, spreading=spreading, **given(extras))
    with pytest.raises(InputError, match="different models"):
        merge(tmp_path / "merged", [three[0], tmp_path / "2", three[2]])


def test_a_stopped_shard_is_not_merged_and_goes_on(photos, model, extras, three, one_run, tmp_path):
    copy = tmp_path / "2"
    shutil.copytree(three[1], copy)
    (copy / "shard.json").unlink()
    record = next((copy / "measured").rglob("*.npz"))
    record.unlink()
    with pytest.raises(InputError, match=r"no finished shard.*--resume"):
        merge(tmp_path / "merged", [three[0], copy, three[2]])
    resume = {"output": OutputOptions(resume=True), "spreading": SpreadOptions(shard="2/3")}
    inspect(photos, copy, model=model, **resume, **given(extras))
    merge(tmp_path / "merged", [three[0], copy, three[2]])
    same_bytes(tmp_path / "merged", one_run[0])
    resume["spreading"] = SpreadOptions(shard="3/3")
    with pytest.raises(InputError, match=r"other settings .shard"):
        inspect(photos, copy, model=model, **resume, **given(extras))
