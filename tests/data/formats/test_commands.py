"""The commands as a person meets them: convert, and train and evaluate on annotations."""

import json

import pytest

from fissura.cli import run

from .layouts import LAYOUTS


@pytest.fixture
def walls(drawn, tmp_path):
    LAYOUTS["coco"](tmp_path / "walls", drawn)
    return tmp_path / "walls"


def test_convert_says_what_it_wrote_and_what_was_lost(walls, tmp_path, capsys):
    assert run(["convert", str(walls), str(tmp_path / "out"), "--to", "yolo"]) == 0
    told = capsys.readouterr()
    assert told.out == (
        "5 images of COCO (annotations/instances_default.json) written to "
        f"{tmp_path / 'out'} as yolo.\n"
    )
    assert "There are no images for 'val', which YOLO wants" in told.err
    assert run(["convert", str(walls), str(tmp_path / "out"), "--to", "yolo"]) == 2
    assert "out exists already. Give a new folder." in capsys.readouterr().err


def test_what_is_left_out_is_named_and_the_status_says_so(walls, tmp_path, capsys):
    (walls / "images/wall_3.jpg").unlink()
    command = ["convert", str(walls), str(tmp_path / "out"), "--to", "labelme"]
    assert run(command) == 2
    assert "the image wall_3.jpg is missing" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    assert run([*command, "--skip-bad", "--no-copy-photos"]) == 1
    told = capsys.readouterr()
    assert told.out.startswith("4 images of COCO")
    assert "Left out:" in told.err
    assert "the image wall_3.jpg is missing" in told.err
    assert not list((tmp_path / "out").rglob("*.jpg"))


def test_training_and_evaluation_say_what_is_crack(walls, tmp_path, capsys):
    options = ["--width", "2", "--epochs", "1", "--batch-size", "4", "--accelerator", "cpu"]
    command = ["train", str(walls), "--out", str(tmp_path / "run"), *options]
    assert run([*command, "--validation", "0"]) == 0
    told = " ".join("".join(capsys.readouterr()).split())
    assert "annotations of COCO (annotations/instances_default.json). Crack is what is" in told
    report = ["--out", str(tmp_path / "report"), "--split", "all", "--bootstrap", "9"]
    assert run(["evaluate", str(tmp_path / "run"), str(walls), *report]) == 0
    summary = json.loads((tmp_path / "report/report.json").read_text())
    assert any("rust counts as background" in warning for warning in summary["warnings"])
    assert run([*command[:2], "--labels", "mold", "--out", str(tmp_path / "other")]) == 2
    assert "has no label mold. Its labels are crack and rust." in capsys.readouterr().err
    assert run([*command[:2], "--line-width", "0", "--out", str(tmp_path / "other")]) == 2
    assert "--line-width is 0.0; it is a width in pixels, above 0." in capsys.readouterr().err
