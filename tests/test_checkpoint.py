import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from fissura.checkpoint import ModelConfig, load_model, save_model, versions
from fissura.errors import InputError
from fissura.models import build_model

CONFIG = ModelConfig(
    model="crackseg",
    options={"width": 2},
    scale=0.25,
    threshold=0.4,
    crack_fraction=0.05,
    protocol={"name": "deepcrack96"},
    versions=versions(),
)


@pytest.fixture
def saved(tmp_path):
    model = build_model("crackseg", width=2).eval()
    save_model(tmp_path / "run" / "model", model, CONFIG)
    return tmp_path / "run", model


def test_a_model_comes_back_with_its_weights_and_its_description(saved):
    run, model = saved
    for path in (run, run / "model"):
        loaded, config = load_model(path)
        assert config == CONFIG
        assert not loaded.training
        image = torch.randn(1, 3, 20, 20)
        assert torch.equal(loaded(image), model(image))


def test_no_pickle_is_in_a_model_folder(saved):
    run, _ = saved
    assert {path.name for path in (run / "model").iterdir()} == {"config.json", "model.safetensors"}


def test_a_folder_without_a_model(tmp_path):
    with pytest.raises(InputError, match=r"holds no trained model.*fissura train"):
        load_model(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "cannot be read as JSON"),
        ("[]", "not a model description"),
        ('{"format": 99}', "not a model description"),
        ('{"format": 1, "color": "red"}', "unknown entries color"),
        (
            '{"format": 1, "model": "crackseg", "options": {}, "threshold_source": "."}',
            "_source is",
        ),
        (
            '{"format": 1, "model": "crackseg", "options": {}, "auto_scale": 1}',
            "auto_scale is 1, and must be true or false",
        ),
        (
            '{"format": 1, "model": "crackseg", "options": {}, "overlapping": "no"}',
            "overlapping is 'no', and must be true or false",
        ),
    ],
)
def test_a_bad_description(saved, text, message):
    run, _ = saved
    (run / "model" / "config.json").write_text(text)
    with pytest.raises(InputError, match=message):
        load_model(run)


def test_weights_of_another_network(saved):
    run, _ = saved
    path = run / "model" / "config.json"
    values = json.loads(path.read_text())
    path.write_text(json.dumps(values | {"options": {"width": 3}}))
    with pytest.raises(InputError, match=r"model.safetensors cannot be loaded"):
        load_model(run)


def test_saving_again_replaces_the_model(saved):
    run, model = saved
    save_model(run / "model", model, replace(CONFIG, threshold=0.7))
    assert load_model(run)[1].threshold == 0.7


def test_a_model_that_is_not_there_is_an_error_that_says_what_is_missing(saved, tmp_path):
    run, _ = saved
    (tmp_path / "runs").mkdir()
    run = run.rename(tmp_path / "runs" / "a")
    cases = {
        tmp_path / "nothing": r"There is no model .*nothing.*crackseg-small",
        Path("Crackseg-large"): r"There is no model Crackseg-large.*crackseg-small",
        tmp_path / "runs": r"models below it: .*runs/a\. Give one",
        run / "model" / "model.safetensors": r"is a file.*Give the folder .*model\.$",
        tmp_path: r"holds no trained model",
    }
    for path, words in cases.items():
        for given in (path, str(path)):
            with pytest.raises(InputError, match=words):
                load_model(given)
    (run / "config.yaml").write_text("loss: bce")
    (run / "model" / "model.safetensors").unlink()
    with pytest.raises(InputError, match=r"not complete: .*model\.safetensors is missing"):
        load_model(run)
    (run / "model" / "config.json").unlink()
    with pytest.raises(InputError, match=r"The run .*a has no model.*--resume"):
        load_model(run)
