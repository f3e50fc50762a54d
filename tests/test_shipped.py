"""The models that come with the package: they load, say what they are, and find cracks."""

import json
from pathlib import Path

import numpy as np
import pytest

from fissura.checkpoint import find_model, load_model
from fissura.data.synthetic import draw_panel
from fissura.inference.predictor import Predictor
from fissura.metrics.matches import match_metrics
from fissura.metrics.tolerant import tolerant_matches
from fissura.shipped import DEFAULT, MODELS, shipped


@pytest.mark.parametrize("name", MODELS)
def test_card_and_weights_are_there_and_small(name):
    model = shipped(name)
    assert model.bytes <= 12e6
    assert find_model(Path(name)) == model.folder
    assert ("non-commercial" in model.terms) == (name != "fissura-general")
    for part in ("Terms", "Figures", "Known failures", "Out of its domain"):
        assert f"## {part}" in model.card
    assert (model.folder / "failures.jpg").is_file()
    assert (model.folder / "calibration.png").is_file() == (name != "crackseg-small")
    network, config = load_model(Path(name))
    assert config.threshold == model.threshold
    weights = network.state_dict().values()
    assert all(bool(weight.isfinite().all()) for weight in weights)


def test_a_folder_of_that_name_comes_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / DEFAULT).mkdir()
    for name in ("config.json", "model.safetensors"):
        (tmp_path / DEFAULT / name).write_text("{}")
    assert find_model(Path(DEFAULT)).resolve() == tmp_path / DEFAULT


@pytest.mark.parametrize("name", MODELS)
def test_it_finds_cracks_that_it_has_never_seen(name):
    predictor = Predictor.load(name, device="cpu", precision="float32")
    matches = np.zeros(4, np.int64)
    for index in range(6):
        panel = draw_panel(77, index, size_hw=(192, 192))
        found = predictor(panel.image).mask
        matches += tolerant_matches(found, panel.mask, radius=2.0)
    assert match_metrics(matches)["f1"] > 0.6


def test_the_general_model_was_trained_on_free_data_alone():
    model = shipped("fissura-general")
    _, config = load_model(Path("fissura-general"))
    assert "terms" not in config.training  # so that commands have nothing to print
    assert not {"deepcrack", "crack500", "magnetic_tile"} & set(config.training["data"])
    for name in config.training["data"]:
        assert f"- `{name}`: " in model.card


@pytest.mark.parametrize("name", ["fissura-general", "fissura-research"])
def test_the_card_of_a_mixture_says_what_was_measured(name):
    recorded = Path(__file__).parents[1] / "benchmarks" / "results" / "generalization.json"
    figures = json.loads(recorded.read_text(encoding="utf-8"))[name]["sets"]
    card = shipped(name).card
    for row in figures.values():
        measured = row.get("iou") or row["length_px_per_megapixel"]
        digits = 3 if "iou" in row else 0
        assert f"{measured['value']:.{digits}f}" in card


def test_the_card_says_what_was_measured():
    """The figures of the card are those that the recipe recorded."""
    recorded = Path(__file__).parents[1] / "recipes" / "crackseg_small.json"
    figures = json.loads(recorded.read_text())
    card = shipped("crackseg-small").card
    for name, summary in figures.items():
        value = summary["at_chosen"]["pooled"]["iou"]["value"]
        assert f"| {name} | {value:.3f} (" in card
