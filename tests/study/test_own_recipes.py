"""The recipes of recipes/studies: each is read, and each is trained at tiny size."""

import runpy
from pathlib import Path

import cv2
import numpy as np
import pytest

from fissura.paper.tables import TABLE4
from fissura.study.options import Budget, StudyOptions
from fissura.study.recipe_file import read_recipe
from fissura.study.results import read_results
from fissura.study.runner import study

STUDIES = Path(__file__).parents[2] / "recipes" / "studies"
TOY = Budget(epochs=1, width=2)


def test_the_margin_is_crossed_with_fractions_and_numbers():
    recipe = read_recipe(STUDIES / "margin.py")
    assert (len(recipe.rows), recipe.runs) == (7 * 5, 5)
    steps = {
        row.experiment.config.epochs * -(-(row.experiment.data.training_images or 0) // 8)
        for row in recipe.rows
    }
    assert min(steps) > 0.9 * max(steps), "all see about as many steps"
    names = [row.name for row in recipe.rows]
    assert len(set(names)) == len(names)


def small(tmp_path, name):
    """Write a recipe with few small sets in the place of its own, beside the others."""
    for file in STUDIES.glob("margin*.py"):
        text = file.read_text(encoding="utf-8")
        for old, new in (
            ("EPOCHS = {25: 160, 100: 50, 400: 13}", "EPOCHS = {2: 1, 3: 1, 4: 1}"),
            ("DRAWN, VALIDATION = 800, 100", "DRAWN, VALIDATION = 12, 2"),
            ("FRACTIONS = (0.001, 0.003, 0.01, 0.03, 0.1)", "FRACTIONS = (0.05,)"),
            ("MARGINS = (0.0, 0.5, 1.0, 1.5, 2.0)", "MARGINS = (0.0, 1.0)"),
            ("(fraction, 100)", "(fraction, 3)"),
            ("if images != 100", "if images == 4"),
            ("images, 100)", "images, 2)"),
        ):
            text = text.replace(old, new)
        (tmp_path / file.name).write_text(text, encoding="utf-8")
    return read_recipe(tmp_path / name)


@pytest.mark.slow
def test_the_margin_is_studied_on_panels(tmp_path):
    recipe = small(tmp_path, "margin.py")
    assert len(recipe.rows) == 4
    options = StudyOptions(runs=1, workers=1)
    ended = study(recipe, tmp_path / "out", budget=TOY, options=options)
    assert ended.failed == []
    assert {"margin.md", "margin.tex", "margin.png"} <= {file.name for file in ended.files}
    assert "Only another threshold?" in ended.files[0].read_text(encoding="utf-8")
    for result in read_results(tmp_path / "out" / "runs").values():
        assert result.logits is not None
        assert result.chosen is None or 0 < result.chosen["threshold"] < 1


@pytest.mark.slow
def test_the_margin_is_studied_on_windows_of_real_photos(tmp_path):
    source = tmp_path / "uav_concrete"
    for part in ("images", "masks"):
        (source / part).mkdir(parents=True)
    for number in (10, 70, 130, 190):
        content = np.zeros((448, 448, 3), np.uint8)
        cv2.line(content, (0, number), (447, 447), (255, 255, 255), 5)
        cv2.imwrite(str(source / "images" / f"slide{number}.jpg"), 255 - content)
        cv2.imwrite(str(source / "masks" / f"slide{number}.png"), content[..., 0])
    runpy.run_path(str(STUDIES / "uav_small.py"))["main"](source, tmp_path / "uav")
    written = [len([*(tmp_path / "uav" / s / "images").iterdir()]) for s in ("train", "test")]
    assert written == [27, 9]
    recipe = small(tmp_path, "margin_uav.py")
    assert len(recipe.rows) == 6
    options = StudyOptions(data=tmp_path / "uav", runs=1, workers=1)
    ended = study(recipe, tmp_path / "out", budget=TOY, options=options)
    assert ended.failed == []


def test_losses_are_compared_on_drawn_vessels(tmp_path):
    runpy.run_path(str(STUDIES / "vessels.py"))["main"](tmp_path / "vessels", 8)
    masks = [cv2.imread(str(file), 0) for file in tmp_path.glob("vessels/*/masks/*.png")]
    assert {mask.shape for mask in masks} == {(96, 96)}
    assert set(np.unique(masks)) == {0, 255}
    assert 0.01 < np.mean(masks) / 255 < 0.12
    recipe = read_recipe(STUDIES / "vessels.yaml")
    assert (len(recipe.rows), recipe.runs) == (3, 5)
    options = StudyOptions(data=tmp_path / "vessels", runs=1, workers=1)
    assert study(recipe, tmp_path / "out", budget=TOY, options=options).failed == []


@pytest.mark.slow
def test_a_pretrained_encoder(data_root, tmp_path):
    """The row of Table IV that is not the paper's."""
    options = StudyOptions(data=data_root, runs=1, workers=1, only=("lite_unet/hf",))
    assert study(TABLE4, tmp_path, budget=Budget(epochs=1), options=options).failed == []
