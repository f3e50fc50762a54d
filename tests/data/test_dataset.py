"""The written synthetic data set: its layout, its record, its refusals."""

import json

import numpy as np
import pytest
from PIL import Image

from fissura.data.synthetic import dataset as module
from fissura.data.synthetic import draw_panel
from fissura.data.synthetic.dataset import synth
from fissura.errors import InputError


def test_layout_and_contents(tmp_path):
    out = tmp_path / "new" / "panels"
    summary = synth(out, count=10, size_hw=(40, 56), test_fraction=0.3, seed=5, progress=True)
    assert (summary.train, summary.test, summary.folder) == (7, 3, out)
    assert {path.name for path in out.iterdir()} == {"train", "test", "centerlines", "synth.json"}
    total = 0
    for split, number in (("train", 7), ("test", 3)):
        images = sorted((out / split / "images").iterdir())
        masks = sorted((out / split / "masks").iterdir())
        assert [path.name for path in images] == [path.name for path in masks]
        assert len(images) == number
        for image, mask in zip(images, masks, strict=True):
            panel = draw_panel(5, int(image.stem.removeprefix("panel_")), size_hw=(40, 56))
            assert np.array_equal(np.asarray(Image.open(image)), panel.image)
            assert np.array_equal(np.asarray(Image.open(mask)), panel.mask * np.uint8(255))
            lines = json.loads((out / "centerlines" / f"{image.stem}.json").read_text())
            assert len(lines) == len(panel.centerline)
            for line, branch in zip(lines, panel.centerline, strict=True):
                assert np.abs(np.array(line) - branch).max() <= 0.00051
            total += panel.mask.sum()
    assert summary.crack_fraction == pytest.approx(total / (10 * 40 * 56))
    record = json.loads((out / "synth.json").read_text())
    assert record["options"] == {
        "count": 10,
        "size_hw": [40, 56],
        "crack_fraction": 0.0315,
        "test_fraction": 0.3,
        "seed": 5,
    }
    assert record["measured"]["crack_fraction"] == summary.crack_fraction
    assert record["versions"].keys() == {"fissura", "numpy", "opencv"}
    assert [path.name for path in out.parent.iterdir()] == ["panels"]


def test_seed_decides_the_split_and_the_paper_split_is_met(tmp_path):
    synth(tmp_path / "a", count=8, size_hw=(32, 32), seed=1)
    synth(tmp_path / "b", count=8, size_hw=(32, 32), seed=1)
    files = {path.relative_to(tmp_path / "a"): path for path in (tmp_path / "a").rglob("*.*")}
    assert len(files) == 8 * 3 + 1
    for name, path in files.items():
        assert path.read_bytes() == (tmp_path / "b" / name).read_bytes()
    assert round(2051 * 0.25) == 513


@pytest.mark.parametrize("test_fraction", [0.0, 1.0])
def test_a_split_may_be_empty(tmp_path, test_fraction):
    summary = synth(tmp_path, count=2, size_hw=(32, 32), test_fraction=test_fraction)
    assert {summary.train, summary.test} == {0, 2}


def test_an_empty_folder_is_used_and_a_full_one_never_touched(tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    synth(out, count=1, size_hw=(32, 32))
    before = {path: path.read_bytes() for path in out.rglob("*.*")}
    with pytest.raises(InputError, match="not empty"):
        synth(out, count=1, size_hw=(32, 32), seed=9)
    assert {path: path.read_bytes() for path in out.rglob("*.*")} == before
    with pytest.raises(InputError, match="is a file"):
        synth(out / "synth.json", count=1)


def test_failure_leaves_nothing_behind(tmp_path, monkeypatch):
    def fail(*_arguments, **_options):
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "draw_panel", fail)
    with pytest.raises(KeyboardInterrupt):
        synth(tmp_path / "out", count=3)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"count": 0}, "at least 1 image"),
        ({"test_fraction": 1.5}, "test_fraction"),
        ({"crack_fraction": 0.9}, "crack_fraction"),
        ({"size_hw": (8, 8)}, "size_hw"),
        ({"seed": -3}, "seed"),
    ],
)
def test_wrong_options_are_named(tmp_path, wrong, words):
    with pytest.raises(InputError, match=words):
        synth(tmp_path / "out", **wrong)
    assert list(tmp_path.iterdir()) == []
