from dataclasses import replace

import pytest

from fissura.errors import InputError
from fissura.study.data import OWN_DATA, DataSet, panels
from fissura.study.options import Budget
from fissura.study.recipe import Recipe, cross
from fissura.study.recipe_file import read_recipe

LOSSES = {"bce": {"loss": "bce"}, "dice": {"loss": "dice"}}
GOOD = """
from fissura.study.recipe import Recipe, cross
RECIPE = Recipe(title="Two", rows=cross({"a": {"loss": "bce"}, "b": {"loss": "dice"}}))
"""


def test_rows_are_crossed_with_data_sets():
    rows = cross(LOSSES, [DataSet("bridges"), panels(0.03, 20)], epochs=7)
    assert [row.name for row in rows] == [
        *("bridges/bce", "bridges/dice", "panels-3pc-20/bce", "panels-3pc-20/dice"),
    ]
    assert [row.label for row in rows] == ["bce", "dice"] * 2
    assert {row.experiment.config.epochs for row in rows} == {7}
    assert [row.experiment.config.protocol for row in rows] == ["native"] * 2 + ["panel128"] * 2
    assert cross(LOSSES)[0].experiment.data == OWN_DATA


def test_a_row_beats_the_options_of_all_rows():
    (row,) = cross({"own": {"loss": "bce", "epochs": 3}}, epochs=7)
    assert row.experiment.config.epochs == 3


def test_a_budget_changes_what_it_names_alone():
    rows = cross(
        {"one": {"loss": "bce"}, "two": {"loss": "bce", "model": "transunet"}},
        [panels(0.03, 200)],
        epochs=7,
    )
    recipe = Recipe(title="", rows=rows)
    assert recipe.at(Budget()) == recipe
    ours, other = recipe.at(Budget(width=4, panels=10, pretrained=True)).rows
    assert (ours.experiment.config.width, ours.experiment.config.pretrained) == (4, False)
    assert (other.experiment.config.width, other.experiment.config.pretrained) == (None, True)
    assert {row.experiment.config.epochs for row in (ours, other)} == {7}
    assert ours.experiment.data.name == "panels-3pc-10"


def test_a_file_is_read(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(GOOD, encoding="utf-8")
    recipe = read_recipe(file)
    assert recipe.name == "mine"
    assert [row.name for row in recipe.rows] == ["a", "b"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (None, "There is no file"),
        ("RECIPE = 3", "does not define RECIPE"),
        ("x = 1", "does not define RECIPE"),
        ("1 / 0", "fails with ZeroDivisionError: division by zero"),
        ("def (", "fails with SyntaxError"),
        (GOOD.replace("loss", "lass"), "no option lass. Its options are"),
        (GOOD.replace('"b"', '"a"') + "RECIPE = Recipe(title='', rows=[])", "has no rows"),
        (GOOD + "RECIPE = Recipe(title='', rows=[*RECIPE.rows] * 2)", "several rows named a, b"),
        (GOOD + "import dataclasses\nRECIPE = dataclasses.replace(RECIPE, baseline='c')",
         "The baseline 'c' of .* is none of its rows: a, b"),
        (GOOD.replace("cross({", "cross(data=[DataSet('my/set')], rows={").replace(
            "import", "import DataSet,", 1), "gives its name to files"),
    ],
)  # fmt: skip
def test_another_file_is_told_in_a_sentence(tmp_path, text, told):
    file = tmp_path / "mine.py"
    if text is not None:
        file.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=told) as refused:
        read_recipe(file)
    assert "mine.py" in str(refused.value)


def test_a_data_set_has_its_name_as_its_title():
    assert DataSet("bridges").title == "bridges"
    assert replace(DataSet("bridges"), title="Bridges").title == "Bridges"
