import importlib.util
from pathlib import Path

import pytest

from fissura.study.recipe_file import read_recipe

EXAMPLES = Path(__file__).parents[1] / "examples"


def example(name):
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_loss_falls_in_a_plain_loop():
    losses = example("losses_in_a_loop").main()
    assert losses[-1] < 0.5 * losses[0]


def test_train_and_predict(tmp_path):
    prediction = example("train_and_predict").main(tmp_path, count=8, epochs=1)
    assert prediction.mask.shape == (64, 64)
    assert (tmp_path / "run" / "model" / "model.safetensors").is_file()


def test_inspect_a_folder(tmp_path):
    cracks = example("inspect_a_folder").main(tmp_path)
    assert (tmp_path / "report" / "report.html").is_file()
    rows = (tmp_path / "report" / "cracks.csv").read_text(encoding="utf-8").splitlines()
    assert len(rows) == 1 + cracks > 1


def test_a_recipe_of_ones_own_can_be_read():
    # Its study runs in tests/study.
    name = "compare_losses"
    recipe = read_recipe(EXAMPLES / f"{name}.py")
    assert [row.name for row in recipe.rows] == ["BCE + Dice", "hybrid focal margin"]


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.stem)
def test_each_example_is_tested_and_listed(path):
    assert f'"{path.stem}"' in Path(__file__).read_text(encoding="utf-8")
    assert f"examples/{path.name}" in (EXAMPLES / "README.md").read_text(encoding="utf-8")
