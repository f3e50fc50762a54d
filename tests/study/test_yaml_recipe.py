from pathlib import Path

import pytest

from fissura.errors import InputError
from fissura.study.recipe_file import read_recipe

EXAMPLES = Path(__file__).parents[2] / "examples"
GOOD = """
title: Losses and networks
losses:
  plain: {loss: bce-dice}
  ours: {loss: hybrid-focal-margin, margin: 0.5}
networks: [crackseg, efficient-unet]
data:
  bridges: {crop: 128}
  drawn: {panels: 0.03, count: 40, training_images: 10, validation_images: 5}
seeds: 4
options: {epochs: 7, learning-rate: 1e-4}
baseline: bridges/crackseg ours
"""


def recipe(tmp_path, text):
    file = tmp_path / "mine.yaml"
    file.write_text(text, encoding="utf-8")
    return read_recipe(file)


def test_everything_is_crossed(tmp_path):
    read = recipe(tmp_path, GOOD)
    rows = {row.name: row.experiment for row in read.rows}
    assert (read.name, read.title, read.runs) == ("mine", "Losses and networks", 4)
    assert read.baseline == "bridges/crackseg ours"
    assert list(rows)[:4] == [
        "bridges/crackseg plain",
        "bridges/crackseg ours",
        "bridges/efficient-unet plain",
        "bridges/efficient-unet ours",
    ]
    assert len(rows) == 8
    one = rows["bridges/efficient-unet ours"]
    assert (one.config.model, one.config.loss, one.config.margin) == (
        "efficient-unet", "hybrid-focal-margin", 0.5,
    )  # fmt: skip
    assert {row.config.epochs for row in rows.values()} == {7}
    assert {row.config.learning_rate for row in rows.values()} == {1e-4}
    drawn = next(one for one in read.data_sets() if one.panels)
    assert (drawn.training_images, drawn.validation_images) == (10, 5)


def test_a_list_of_losses_on_the_folder_behind_data(tmp_path):
    read = recipe(tmp_path, "losses: [bce, dice]")
    assert [(row.name, row.experiment.config.loss) for row in read.rows] == [
        ("bce", "bce"),
        ("dice", "dice"),
    ]
    assert read.rows[0].experiment.data.folder == "."
    assert read.runs == 10


def test_the_example_is_that_of_python():
    ours, python = (read_recipe(EXAMPLES / f"compare_losses.{end}") for end in ("yaml", "py"))
    assert ours.rows == python.rows
    assert ours.runs == 3


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("losses: [bce", "cannot be read as YAML"),
        ("3", "is no recipe"),
        ("title: x", "neither `losses:` nor `networks:`"),
        ("losses: [bce]\nepochs: 3", r"entries that a recipe does not have: epochs\. .*options"),
        ("losses: [bce, bce]", "losses names bce twice"),
        ("losses: [nonsense]", "loss is 'nonsense', but must be"),
        ("losses: {a: {lass: bce}}", "options that this Fissura does not know: lass"),
        ("losses: {a: 3}", "losses: a must have entries"),
        ("losses: [bce]\nseeds: many", "seeds is 'many', but must be the number"),
        ("losses: [bce]\ndata: {a: {size: 3}}", "data set a has entries that it cannot have: size"),
        ("losses: [bce]\ndata: {a: {panels: few}}", "the data set a needs numbers"),
        ("losses: [bce]\nbaseline: dice", "baseline 'dice' of .* is none of its rows: bce"),
        ("losses: [bce]\noptions: {epochs: 0}", "--epochs is 0"),
    ],
)
def test_another_file_is_told_in_a_sentence(tmp_path, text, told):
    with pytest.raises(InputError, match=told) as refused:
        recipe(tmp_path, text)
    assert "mine.yaml" in str(refused.value)
