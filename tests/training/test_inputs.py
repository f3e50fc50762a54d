import csv
import shutil

import cv2
import numpy as np
import pytest
import torch

from fissura.data.preparation.protocols import choose_protocol
from fissura.errors import InputError
from fissura.losses import bce_loss, hybrid_focal_margin_loss, recommended_margin
from fissura.training.inputs import choose_crop, choose_loss, read_inputs
from fissura.training.options import TrainOptions
from fissura.training.train import train


def test_a_loss_gets_the_options_that_were_given_and_its_own_defaults():
    logits, target = torch.randn(2, 1, 4, 4), torch.randint(0, 2, (2, 1, 4, 4))
    loss, given = choose_loss(TrainOptions(margin=1.5, delta=0.6), 0.05)
    assert given == {"margin": 1.5, "delta": 0.6}
    expected = hybrid_focal_margin_loss(logits, target, margin=1.5, delta=0.6)
    assert torch.equal(loss(logits, target), expected)
    plain, given = choose_loss(TrainOptions(loss="bce"), 0.05)
    assert given == {}
    assert torch.equal(plain(logits, target), bce_loss(logits, target))


@pytest.mark.parametrize("share", [0.01, 0.05, 0.2])
def test_margin_auto_follows_the_crack_fraction(share):
    _, given = choose_loss(TrainOptions(margin="auto"), share)
    assert given["margin"] == recommended_margin(share)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (TrainOptions(loss="bce", margin=1.0), r"bce does not have the option --margin"),
        (TrainOptions(loss="dice", gamma_hat=2.0), "--gamma-hat"),
        (TrainOptions(loss="bce", margin="auto"), "--margin"),
        (TrainOptions(delta=2.0), "delta must be between 0 and 1"),
    ],
)
def test_options_that_a_loss_cannot_take(config, message):
    with pytest.raises(InputError, match=message):
        choose_loss(config, 0.05)


def test_the_area_threshold_is_a_knob():
    assert choose_protocol("deepcrack96").area_threshold == 0.125
    assert choose_protocol("deepcrack96", 0.5).area_threshold == 0.5
    with pytest.raises(InputError, match="no protocol 'deepcrack'"):
        choose_protocol("deepcrack")
    with pytest.raises(InputError, match=r"area threshold is 1.5"):
        choose_protocol("deepcrack96", 1.5)


def test_validation_images_come_out_of_the_training_images(lines):
    inputs = read_inputs(lines, TrainOptions(validation=0.25))
    assert inputs.validation is not None
    assert (len(inputs.train), len(inputs.validation)) == (9, 3)
    assert not set(inputs.train.names) & set(inputs.validation.names)
    other = read_inputs(lines, TrainOptions(validation=0.25, seed=1))
    assert other.validation is not None
    assert other.validation.names != inputs.validation.names


def test_a_folders_own_validation_split_is_used(lines, tmp_path):
    shutil.copytree(lines, tmp_path / "data")
    shutil.copytree(lines / "test", tmp_path / "data" / "val")
    inputs = read_inputs(tmp_path / "data", TrainOptions(validation=0.25))
    assert inputs.validation is not None
    assert (len(inputs.train), len(inputs.validation)) == (12, 4)
    assert read_inputs(tmp_path / "data", TrainOptions()).validation_rule == inputs.validation_rule
    assert read_inputs(tmp_path / "data", TrainOptions(validation=0.0)).validation is None


def test_a_fifth_is_set_aside_unless_told_otherwise(lines):
    inputs = read_inputs(lines, TrainOptions())
    assert inputs.validation is not None
    assert (len(inputs.train), len(inputs.validation)) == (10, 2)
    assert (
        inputs.validation.names
        == read_inputs(lines, TrainOptions(validation=0.2)).record()["validation"]
    )
    assert inputs.validation_rule.startswith("20% of the training images")


def test_too_few_images_to_validate(lines, tmp_path):
    for part in ("images", "masks"):
        (tmp_path / "train" / part).mkdir(parents=True)
        shutil.copy(lines / "train" / part / "0.png", tmp_path / "train" / part)
    with pytest.raises(InputError, match="cannot be split into train and val"):
        read_inputs(tmp_path, TrainOptions(validation=0.5))
    inputs = read_inputs(tmp_path, TrainOptions())
    assert (len(inputs.train), inputs.validation) == (1, None)
    assert inputs.validation_rule.startswith("none, since")


@pytest.mark.parametrize("own_split", [True, False])
def test_validation_images_without_any_crack_choose_nothing(lines, tmp_path, own_split):
    shutil.copytree(lines, tmp_path / "data")
    masks = tmp_path / "data" / "train" / "masks"
    if own_split:
        shutil.copytree(lines / "train", tmp_path / "data" / "val")
        masks = tmp_path / "data" / "val" / "masks"
    chosen = read_inputs(lines, TrainOptions(validation=0.25)).validation.names
    for file in masks.iterdir():
        if own_split or f"train/images/{file.stem}" in chosen:
            cv2.imwrite(str(file), np.zeros((48, 48), np.uint8))
    number = 12 if own_split else 3
    with pytest.raises(InputError, match=f"None of the {number} validation images shows a crack"):
        read_inputs(tmp_path / "data", TrainOptions(validation=0.25))
    assert len(read_inputs(tmp_path / "data", TrainOptions(validation=0.0)).train) == 12
    if own_split:  # without being asked, a training goes on without
        inputs = read_inputs(tmp_path / "data", TrainOptions())
        assert inputs.validation is None
        assert "none shows a crack" in inputs.validation_rule


def test_bad_files_are_named_or_skipped_and_listed(lines, tmp_path):
    shutil.copytree(lines, tmp_path / "data")
    (tmp_path / "data/train/images/3.png").write_bytes(b"broken")
    (tmp_path / "data/train/masks/5.png").unlink()
    with pytest.raises(InputError, match=r"--skip-bad"):
        read_inputs(tmp_path / "data", TrainOptions())
    config = TrainOptions(width=2, epochs=1, accelerator="cpu", skip_bad=True)
    train(tmp_path / "data", out=tmp_path / "run", options=config, quiet=True)
    with (tmp_path / "run" / "skipped.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert sorted(row["file"].rsplit("/", 1)[-1] for row in rows) == ["3.png", "5.png"]
    assert all(row["reason"] for row in rows)


def test_crops_where_images_differ_or_are_large(lines, tmp_path):
    inputs = read_inputs(lines, TrainOptions(validation=0.0))
    assert choose_crop(TrainOptions(), inputs.train) is None
    assert choose_crop(TrainOptions(crop=32), inputs.train) == 32
    shutil.copytree(lines, tmp_path / "data")
    for part in ("images", "masks"):
        path = tmp_path / "data" / "train" / part / "0.png"
        picture = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        cv2.imwrite(str(path), np.concatenate([picture, picture]))
    inputs = read_inputs(tmp_path / "data", TrainOptions(validation=0.0))
    assert choose_crop(TrainOptions(), inputs.train) == 256
