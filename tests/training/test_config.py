from dataclasses import fields
from pathlib import Path

import pytest
import yaml

from fissura.errors import InputError
from fissura.training.config import (
    TrainOptions,
    loss_options,
    model_options,
    read_config,
    write_config,
)


def test_a_config_comes_back_as_it_was_written(tmp_path):
    config = TrainOptions(loss="dice", width=8, margin="auto", ema=0.99, validation=0.1, patience=5)
    write_config(tmp_path / "config.yaml", Path("photos"), config)
    assert read_config(tmp_path / "config.yaml") == (Path("photos"), config)
    written = yaml.safe_load((tmp_path / "config.yaml").read_text())
    assert set(written) == {"data"} | {field.name for field in fields(TrainOptions)}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": 0}, "--epochs is 0"),
        ({"batch_size": 0}, "--batch-size is 0"),
        ({"crop": 8}, "--crop is 8; it must be at least 16"),
        ({"learning_rate": 0.0}, "--learning-rate"),
        ({"learning_rate": float("nan")}, "--learning-rate"),
        ({"validation": 1.0}, "below 1"),
        ({"validation": -0.1}, "--validation"),
        ({"ema": 1.0}, "--ema"),
        ({"patience": 3}, "--validation 0.2"),
    ],
)
def test_values_out_of_range(options, message):
    with pytest.raises(InputError, match=message):
        TrainOptions(**options)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- a\n- b\n", "not a configuration"),
        ("epochs: 3\n", "not a configuration"),
        ("data: x\ncolor: red\n", "does not know"),
        ("data: [", "not a configuration"),
        ("data: x\nepochs: 0\n", "--epochs is 0"),
    ],
)
def test_a_file_that_is_no_config(tmp_path, text, message):
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(InputError, match=message):
        read_config(tmp_path / "config.yaml")


def test_only_given_options_are_passed_on():
    config = TrainOptions(gamma=0.5, symmetric=False, encoder="resnet18", deep_supervision=True)
    assert loss_options(config) == {"gamma": 0.5, "symmetric": False}
    assert model_options(config) == {"encoder": "resnet18", "deep_supervision": True}
    assert model_options(TrainOptions()) == {}
