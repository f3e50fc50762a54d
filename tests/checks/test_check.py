import json
import shutil

import cv2
import numpy as np
import pytest

import fissura
from fissura.checks.quick import quick_findings
from fissura.cli import run as run_command
from fissura.training.inputs import read_inputs
from fissura.training.options import TrainOptions


def kinds(checked):
    return {finding.kind: finding for finding in checked.findings}


def test_a_good_set_has_no_serious_finding(clean, tmp_path, capsys):
    assert run_command(["check", str(clean), "--out", str(tmp_path / "out")]) == 0
    told = capsys.readouterr().out
    assert "25 photos" in told
    assert f"fissura train {clean} --margin auto --start fissura-general --batch-size 4" in told
    summary = json.loads((tmp_path / "out" / "check.json").read_text(encoding="utf-8"))
    assert summary["thickness_percentiles_px"]["50"] == pytest.approx(6, abs=1)
    assert summary["split"] == {"train": 16, "val": 4, "test": 5}
    page = (tmp_path / "out" / "check.html").read_text(encoding="utf-8")
    assert page.count("data:image/") == 12
    assert "http" not in page.partition("<main>")[2].partition("<script>")[0]


def test_the_split_is_the_one_that_training_makes(clean, tmp_path):
    checked = fissura.check(clean, out=tmp_path / "out")
    inputs = read_inputs(clean, TrainOptions())
    parts = {image["name"]: image["part"] for image in checked.summary["images"]}
    assert {name for name, part in parts.items() if part == "train"} == set(inputs.train.names)
    assert inputs.validation is not None
    assert {name for name, part in parts.items() if part == "val"} == set(inputs.validation.names)


def test_what_is_wrong_with_a_set_is_told(clean, surfaces, write, tmp_path):
    pairs = list(surfaces[:20])
    pairs[4] = (pairs[4][0], np.roll(pairs[4][1], 12, 0))  # a mask that is off
    pairs[7] = (pairs[7][0], pairs[7][1][::-1])  # a mask upside down
    pairs[9] = (pairs[9][0], np.zeros_like(pairs[9][1]))
    pairs += [(pairs[2][0][:, ::-1], pairs[2][1][:, ::-1])]  # a mirrored copy
    data = write(tmp_path / "data", pairs)
    (data / "images" / "lonely.png").write_bytes((data / "images" / "a.png").read_bytes())
    (data / "images" / "broken.jpg").write_bytes(b"no photo")
    (data / "images" / "film.mov").write_bytes(b"")
    found = kinds(checked := fissura.check(data, out=tmp_path / "out"))
    assert found["mask off"].files == ("images/e",)
    assert "12 pixels up" in found["mask off"].text
    assert found["mask turned"].files == ("images/h",)
    assert "mirrored top to bottom" in found["mask turned"].text
    assert found["no crack"].files == ("images/j",)
    pair = found.get("leak") or found["copies"]
    assert pair.files == ("images/c ~ images/u (mirrored left to right)",)
    assert set(found["files"].files) == {"images/lonely.png", "images/broken.jpg"}
    assert "1 .mov" in found["unread"].text
    assert [finding.kind for finding in checked.serious] == [
        finding.kind for finding in checked.findings if finding.weight >= 1
    ]


def test_a_set_whose_masks_are_all_off_or_too_wide_is_told_as_one(surfaces, write, tmp_path):
    off = [(image, np.roll(mask, (2, 3), (0, 1))) for image, mask in surfaces[:10]]
    found = kinds(fissura.check(write(tmp_path / "off", off), out=tmp_path / "a"))
    assert "2 pixels up and 3 pixels to the left" in found["all masks off"].text
    square = np.ones((3, 3), np.uint8)
    wide = [
        (image, cv2.dilate(mask.astype(np.uint8), square, iterations=3) > 0)
        for image, mask in surfaces[:10]
    ]
    found = kinds(fissura.check(write(tmp_path / "wide", wide), out=tmp_path / "b"))
    assert "wider on each side" in found["too wide"].text
    assert "all masks off" not in found


def test_leaks_between_the_folders_of_a_split_by_name_and_by_look(clean, tmp_path):
    for split, names in (("train", "abcdefgh"), ("test", "ijklm")):
        for part in ("images", "masks"):
            (tmp_path / "data" / split / part).mkdir(parents=True)
            for name in names:
                shutil.copy(clean / part / f"{name}.png", tmp_path / "data" / split / part)
    for part in ("images", "masks"):
        test = tmp_path / "data" / "test" / part
        shutil.copy(clean / part / "b.png", test / "other.png")
        (tmp_path / "data" / "train" / part / "c.png").rename(
            tmp_path / "data" / "train" / part / "wall_tile1.png"
        )
        (test / "i.png").rename(test / "wall_tile2.png")
    found = kinds(fissura.check(tmp_path / "data", out=tmp_path / "out"))
    assert found["leak"].files == ("train/images/b ~ test/images/other",)
    assert found["leak by name"].files == ("train/images/wall_tile1 ~ test/images/wall_tile2",)


def test_statuses_and_json_for_programs(clean, tmp_path, capsys):
    out = ["--out", str(tmp_path / "out"), "--json"]
    assert run_command(["check", str(clean), *out]) == 0
    assert json.loads(capsys.readouterr().out)["photos"] == 25
    assert (
        run_command(["check", str(tmp_path / "out"), "--out", str(tmp_path / "b"), "--json"]) == 2
    )
    assert "holds no images" in json.loads(capsys.readouterr().out)["unusable"]
    assert run_command(["check", str(clean), "--out", str(tmp_path / "out")]) == 2
    assert "never overwritten" in capsys.readouterr().err
    assert not (tmp_path / "b").exists()


def test_training_tells_the_weightiest_findings(surfaces, write, tmp_path, capsys):
    pairs = [*surfaces[:11], surfaces[0]]
    data = write(tmp_path / "data" / "train", pairs)
    options = TrainOptions(width=2, epochs=1, batch_size=4, accelerator="cpu")
    inputs = read_inputs(data.parent, options)
    told = [finding.kind for finding in quick_findings(inputs.train, inputs.validation)]
    assert told
    assert set(told) <= {"leak", "copies"}
    fissura.train(data.parent, out=tmp_path / "run", options=options)
    printed = " ".join(capsys.readouterr().out.split())
    assert "Look at it: 1 pair of nearly the same picture" in printed
    assert f"fissura check {data.parent}" in printed


def test_the_options_of_the_check_are_those_of_the_training(surfaces, write, tmp_path):
    data = write(tmp_path / "my data", surfaces[:8])
    for file in (data / "masks").iterdir():  # classes 1 and 2, and pixels without a label
        mask = cv2.imread(str(file), 0) // 255
        mask[:, 80:] *= 2
        mask[:10] = 255
        cv2.imwrite(str(file), mask)
    options = fissura.CheckOptions(classes="crack,joint", ignore=255, validation=0.0)
    checked = fissura.check(data, options=options, out=tmp_path / "out")
    assert "--validation 0.0 --ignore 255 --classes crack,joint" in checked.command
    assert checked.command.startswith(f"fissura train '{data}'")
    assert checked.summary["split"]["val"] == 0
    assert 0.01 < checked.summary["crack_fraction"] < 0.2


def with_classes(data, overlapping=False):
    """Masks of crack to the left and joint to the right; as index masks, or as a folder of each."""
    for file in sorted((data / "masks").iterdir()):
        crack = cv2.imread(str(file), 0) // 255
        joint = crack.copy()
        crack[:, 80:] = 0
        joint[:, :80] = 0
        if not overlapping:
            cv2.imwrite(str(file), crack + 2 * joint)
            continue
        file.unlink()
        for name, mask in {"crack": crack, "joint": joint, "damage": crack}.items():
            (data / "masks" / name).mkdir(exist_ok=True)
            cv2.imwrite(str(data / "masks" / name / file.name), mask * 255)
    return data


def test_each_class_has_its_amounts(surfaces, write, tmp_path, capsys):
    data = with_classes(write(tmp_path / "data", surfaces[:8]))
    (data / "masks" / "a.png").write_bytes((data / "masks" / "b.png").read_bytes())
    options = fissura.CheckOptions(classes="crack,joint", validation=0.0)
    checked = fissura.check(data, options=options, out=tmp_path / "out")
    told = checked.summary["classes"]
    assert list(told) == ["crack", "joint"]
    values = [cv2.imread(str(file), 0) for file in (data / "masks").iterdir()]
    assert told["joint"]["fraction"] == np.mean([mask == 2 for mask in values])
    assert sum(told["crack"]["photos"].values()) == 8
    assert 3 <= told["crack"]["thickness_px"] <= 7
    assert checked.summary["overlaps_iou"] == {}
    page = (tmp_path / "out" / "check.html").read_text(encoding="utf-8")
    assert "<td>joint</td>" in page
    words = ["check", str(data), "--classes", "crack,joint", "--out", str(tmp_path / "again")]
    assert run_command(words) in (0, 1)
    printed = capsys.readouterr().out
    assert "joint: " in printed
    assert "marked pixels" in printed


def test_classes_that_lack_or_are_the_same_are_told(surfaces, write, tmp_path):
    data = with_classes(write(tmp_path / "data" / "train", surfaces[:8]), overlapping=True)
    with_classes(write(tmp_path / "data" / "test", surfaces[8:14]), overlapping=True)
    for file in (data / "masks" / "joint").iterdir():
        cv2.imwrite(str(file), np.zeros((160, 160), np.uint8))
    options = fissura.CheckOptions(classes="crack,joint,damage", overlapping=True, validation=0.0)
    checked = fissura.check(data.parent, options=options, out=tmp_path / "out")
    kinds = {finding.kind: finding.text for finding in checked.findings}
    assert "No training photo shows joint" in kinds["class missing"]
    assert "crack and damage mark nearly the same pixels (IoU 1.00)" in kinds["same class"]
    assert checked.summary["overlaps_iou"]["crack ~ damage"] == 1.0
