import csv

import numpy as np
import pytest
from PIL import Image

from fissura.study.data import DataSet
from fissura.study.outputs.exports import write_exports
from fissura.study.recipe import Recipe, cross
from fissura.study.statistics import compare

DATA = [DataSet("bridges"), DataSet("tiles", "Tiles & bricks")]
ROWS = {"bce": {"loss": "bce"}, "dice_50%": {"loss": "dice"}, "late": {"loss": "focal"}}
RECIPE = Recipe(title="Two losses", name="two", rows=cross(ROWS, DATA))


@pytest.fixture(scope="module")
def found(with_ious):
    return {
        row.name: with_ious(row.experiment, [0.7 + 0.01 * index, 0.72, 0.71 + 0.02 * index])
        for index, row in enumerate(RECIPE.rows)
        if not row.name.endswith("late")
    }


@pytest.fixture(scope="module")
def folder(found, tmp_path_factory):
    folder = tmp_path_factory.mktemp("exports")
    names = [file.name for file in write_exports(RECIPE, found, folder)]
    assert names == ["two.csv", "two_runs.csv", "two.tex", "two_seeds.png", "two_seeds.svg"]
    return folder


def read(file):
    with file.open(newline="", encoding="utf-8") as opened:
        return list(csv.DictReader(opened))


def test_the_csv_has_the_numbers_of_the_comparison(folder, found):
    lines = read(folder / "two.csv")
    assert [line["row"] for line in lines] == [row.name for row in RECIPE.rows]
    line = lines[1]
    comparison = compare(found["bridges/dice_50%"], found["bridges/bce"])
    ious = [run.iou for run in found["bridges/dice_50%"]]
    assert float(line["iou_mean"]) == pytest.approx(np.mean(ious), abs=1e-6)
    assert float(line["iou_sd"]) == pytest.approx(np.std(ious, ddof=1), abs=1e-6)
    assert float(line["iou_difference"]) == pytest.approx(comparison.mean, abs=1e-6)
    assert float(line["iou_difference_low"]) == pytest.approx(comparison.low, abs=1e-6)
    assert (line["baseline"], line["paired_seeds"]) == ("bridges/bce", "3")
    assert (lines[2]["runs"], lines[2]["iou_mean"], lines[2]["p"]) == ("0", "", "")


def test_each_run_has_its_line(folder, found):
    lines = read(folder / "two_runs.csv")
    assert len(lines) == sum(map(len, found.values()))
    run = found["tiles/bce"][2]
    (line,) = [line for line in lines if line["key"] == run.key]
    assert float(line["iou"]) == pytest.approx(run.iou, abs=1e-6)
    assert (line["data"], line["row"], line["seed"]) == ("tiles", "tiles/bce", "2")


def test_the_latex_has_both_tables_of_each_data_set(folder):
    text = (folder / "two.tex").read_text(encoding="utf-8")
    assert text.count(r"\begin{tabular}") == text.count(r"\end{tabular}") == 4
    assert r"dice\_50\% &" in text
    assert r"Tiles \& bricks" in text
    assert r"\label{tab:two-tiles-paired}" in text


def test_the_figure_shows_something(folder):
    with Image.open(folder / "two_seeds.png") as image:
        assert len(image.convert("RGB").getcolors(2**24)) > 10


def test_without_runs_there_is_nothing_to_write(tmp_path):
    assert write_exports(RECIPE, {}, tmp_path) == []
    assert not list(tmp_path.iterdir())
