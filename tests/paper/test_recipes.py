import json

import pytest

from fissura.paper.recipes import RECIPES
from fissura.study.experiment import Run
from fissura.study.options import Budget, StudyOptions
from fissura.study.runner import study

TOY = Budget(epochs=1, width=2, panels=6)


def test_every_experiment_of_a_recipe_is_named_once():
    for recipe in RECIPES.values():
        assert len({row.name for row in recipe.rows}) == len(recipe.rows)
        assert len({Run(row.experiment, 0).key for row in recipe.rows}) == len(recipe.rows)


def test_figures_and_table_4_share_their_runs_with_the_tables():
    def keys(name: str, budget: Budget) -> set[str]:
        return {Run(row.experiment, 0).key for row in RECIPES[name].at(budget).rows}

    for budget in (Budget(), Budget(epochs=3, width=8)):
        assert keys("fig4", budget) < keys("table1", budget)
        # BceDice, HF, aUF and ours of CrackSeg.
        assert len(keys("table4", budget) & keys("table1", budget)) == 4
        # HF (m = 0) and three margins of DeepCrack-DB, three margins of CRACK500.
        assert len(keys("fig3", budget) & (keys("table1", budget) | keys("table2", budget))) == 7


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in RECIPES if name != "table4"])
def test_every_recipe_runs_to_its_end(name, data_root, tmp_path):
    options = StudyOptions(data=data_root, runs=1, workers=1)
    ended = study(RECIPES[name], tmp_path, budget=TOY, options=options)
    assert ended.failed == []
    assert ended.files
    assert all(file.stat().st_size > 0 for file in ended.files)


@pytest.mark.slow
def test_table_4_with_all_its_networks(data_root, tmp_path):
    options = StudyOptions(data=data_root, runs=1, workers=2)
    ended = study(RECIPES["table4"], tmp_path, budget=TOY, options=options)
    assert ended.failed == []
    grid = (tmp_path / "table4.md").read_text(encoding="utf-8")
    assert "not run" not in grid
    models = [json.loads(f.read_text())["config"]["model"] for f in (tmp_path / "runs").iterdir()]
    assert {m: models.count(m) for m in set(models)} == {
        "crackseg": 4,
        "efficient_unet": 4,
        "transunet": 4,
    }
