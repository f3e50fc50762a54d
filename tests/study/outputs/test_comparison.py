import math
import re

import numpy as np
import pytest

from fissura.errors import InputError
from fissura.study.data import DataSet
from fissura.study.outputs.comparison import comparison_markdown, write_comparison
from fissura.study.recipe import Recipe, collect, cross
from fissura.study.results import index, read_results
from fissura.study.statistics import compare, could_show

LOSSES = {"bce": {"loss": "bce"}, "dice": {"loss": "dice"}, "focal": {"loss": "focal"}}
DATA = DataSet("bridges")
RECIPE = Recipe(title="Three losses", name="three", rows=cross(LOSSES, [DATA]))


def tables(text):
    """Each table of a page as a list of dicts, one per row."""
    found = []
    for block in re.findall(r"(?:^\|.*\n?)+", text, re.MULTILINE):
        head, _, *rows = (
            [cell.strip() for cell in line.strip("|").split("|")] for line in block.splitlines()
        )
        found.append([dict(zip(head, row, strict=True)) for row in rows])
    return found


def results(with_ious, recipe=RECIPE, **ious):
    rows = {row.name: row.experiment for row in recipe.rows}
    return {name: with_ious(rows[name], values) for name, values in ious.items()}


def test_spread_and_paired_comparison(with_ious):
    found = results(with_ious, bce=[0.7, 0.71, 0.72], dice=[0.74, 0.76, 0.75])
    metrics, paired = tables(comparison_markdown(RECIPE, found))
    assert [line[""] for line in metrics] == ["bce", "dice", "focal"]
    ious = 100 * np.array([run.iou for run in found["dice"]])
    assert metrics[1]["IoU"] == f"{ious.mean():.2f} ± {ious.std(ddof=1):.2f}"
    assert [line["Runs"] for line in metrics] == ["3", "3", "0"]
    assert metrics[2]["IoU"] == "not run"
    comparison = compare(found["dice"], found["bce"])
    (line,) = paired
    assert line[""] == "dice"
    assert line["Δ IoU"] == f"{100 * comparison.mean:+.2f}"
    assert line["Standard deviation"] == f"{100 * comparison.sd:.2f}"
    assert line["95 % interval"].startswith(f"{100 * comparison.low:.2f}".replace("-", "−"))
    assert (line["p, Holm"], line["Seeds"]) == ("0.25", "3")
    assert line["Could show"] == f"{100 * could_show(3, comparison.sd):.2f}"


def test_p_is_corrected_for_all_rows_and_few_seeds_are_said(with_ious):
    found = results(with_ious, bce=[0.7, 0.71, 0.72], dice=[0.74, 0.76, 0.75], focal=[0.8] * 3)
    text = comparison_markdown(RECIPE, found)
    assert [line["p, Holm"] for line in tables(text)[1]] == ["0.5", "0.5"]
    assert "With 3 seeds the test cannot give a p below 0.25" in text
    many = results(with_ious, bce=[0.7 + 0.001 * i for i in range(6)], dice=[0.8] * 6)
    assert "cannot give a p" not in comparison_markdown(RECIPE, many)


def test_one_seed_has_no_spread(with_ious):
    found = results(with_ious, bce=[0.7], dice=[0.75])
    _, (line,) = tables(comparison_markdown(RECIPE, found))
    assert line["Standard deviation"] == line["95 % interval"] == line["p, Holm"] == "–"
    assert math.isnan(compare(found["dice"], found["bce"]).low)


def test_another_baseline_and_several_data_sets(with_ious):
    recipe = Recipe(
        title="", rows=cross(LOSSES, [DATA, DataSet("tiles", "Tiles")]), baseline="bridges/dice"
    )
    found = {row.name: with_ious(row.experiment, [0.7, 0.72]) for row in recipe.rows}
    text = comparison_markdown(recipe, found)
    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == ["bridges", "Tiles"]
    assert text.count("**Compared with dice**") == 2
    assert [line[""] for line in tables(text)[3]] == ["bce", "focal"]


def test_without_the_baseline_nothing_is_compared(with_ious):
    text = comparison_markdown(RECIPE, results(with_ious, dice=[0.7, 0.72]))
    assert len(tables(text)) == 1
    assert "Compared" not in text


def test_other_test_images_are_refused(make_run, tmp_path):
    runs = [make_run(row.experiment) for row in RECIPE.rows[:2]]
    wrong = make_run(RECIPE.rows[1].experiment, test={**runs[1].test, "fingerprint": "other"})
    with pytest.raises(InputError, match="not tested on the same images"):
        write_comparison(RECIPE, {"bce": runs[:1], "dice": [wrong]}, tmp_path)


def test_the_file_of_a_real_study(done, recipe):
    text = (done / "compare_losses.md").read_text(encoding="utf-8")
    assert text.startswith("# Losses on my photos\n\n")
    metrics, paired = tables(text)
    assert [line[""] for line in metrics] == ["BCE + Dice", "hybrid focal margin"]
    assert [line[""] for line in paired] == ["hybrid focal margin"]
    found = index(read_results(done / "runs").values())
    assert not collect(recipe, found)  # at 40 epochs
    assert {line["Runs"] for line in metrics} == {"2"}
