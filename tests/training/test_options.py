from dataclasses import fields
from pathlib import Path

import pytest
import yaml

from fissura.errors import InputError
from fissura.training.config_file import read_config, write_config
from fissura.training.options import TrainOptions, loss_options, model_options


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
        ({"validation": 0.0, "patience": 3}, "--validation 0.2"),
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
        ("data: [", "cannot be read as YAML"),
        ("data: x\nepochs: 0\n", "config.yaml: --epochs is 0"),
        ("data: x\nepochs: many\n", "epochs is 'many', but must be a whole number"),
        ("data: x\nepochs: true\n", "epochs is True"),
        ("data: x\nlearning_rate: fast\n", "learning_rate is 'fast', but must be a number"),
        ("data: x\nloss: l2\n", "loss is 'l2', but must be bce or"),
        ("data: x\naugment: 3\n", "augment is 3, but must be true or false"),
        ("data: x\nmargin: none\n", "must be a number or auto or empty"),
    ],
)
def test_a_file_that_is_no_config(tmp_path, text, message):
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(InputError, match=message):
        read_config(tmp_path / "config.yaml")


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ("learning_rate: 1e-4", "learning_rate", 1e-4),  # text to YAML
        ("learning-rate: 5.e-4", "learning_rate", 5e-4),
        ("weight_decay: 1E-6", "weight_decay", 1e-6),
        ("clip_norm: 1e0", "clip_norm", 1.0),
        ("warmup_epochs: 2", "warmup_epochs", 2.0),
        ("margin: auto", "margin", "auto"),
        ("margin: 1e-1", "margin", 0.1),
        ("crop:", "crop", None),
    ],
)
def test_numbers_are_numbers_however_they_are_written(tmp_path, text, name, value):
    file = tmp_path / "config.yaml"
    file.write_text(f"data: photos\n{text}\n", encoding="utf-8")
    read = getattr(read_config(file)[1], name)
    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize(
    ("batch", "processes", "better"),
    [(1, {"devices": 2}, 2), (3, {"devices": 2}, 4), (16, {"devices": 3, "nodes": 2}, 18)],
)
def test_every_process_gets_an_equal_part_of_a_batch(batch, processes, better):
    with pytest.raises(InputError, match=f"equal parts .* --batch-size {better}\\."):
        TrainOptions(batch_size=batch, pool="rank", **processes)
    TrainOptions(batch_size=better, **processes)


def test_only_given_options_are_passed_on():
    config = TrainOptions(gamma=0.5, symmetric=False, encoder="resnet18", deep_supervision=True)
    assert loss_options(config) == {"gamma": 0.5, "symmetric": False}
    assert model_options(config) == {"encoder": "resnet18", "deep_supervision": True}
    assert model_options(TrainOptions()) == {}
