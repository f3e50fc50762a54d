from __future__ import annotations

from math import hypot, sqrt
from statistics import stdev

import pytest

from fissura.paper import tables
from fissura.paper.budgets import reached
from fissura.paper.explanations import explanations, swaps
from fissura.paper.verdicts import judge
from fissura.study.options import Budget
from fissura.study.results import index
from fissura.study.statistics import seeds_needed

TABLE1 = {row.name: row.experiment for row in tables.TABLE1.rows}


def lines(text, start):
    return [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in text.splitlines()
        if line.startswith(start)
    ]


def section(results, title):
    indexed = index(results.values())
    recipes = (tables.TABLE1, tables.TABLE3)
    shown = [table for recipe in recipes for table in reached(recipe, indexed)]
    text = explanations(judge(results, Budget()), shown, indexed)
    (found,) = [one for one in text.split("### ") if one.startswith(title)]
    return found


def test_nothing_is_said_without_runs():
    text = explanations(judge({}, Budget()), [], {})
    assert text.count("There are no runs yet that tell.") == 3


def test_seed_noise_against_the_claim(with_ious, by_key):
    a = with_ious(TABLE1["ours-0.5"], [0.74, 0.75, 0.755, 0.76])
    b = with_ious(TABLE1["hf"], [0.735, 0.751, 0.749, 0.74])
    text = section(by_key(a, b), "Seed noise")
    ((_, rests, paper, chance, each, paired, needed),) = lines(text, "| L_ours (m = 0.5) is above")
    first, second = (100 * stdev(run.iou for run in runs) for runs in (a, b))
    assert rests == "4 seeds, 100 epochs, width 16"
    assert paper == "+0.43"
    assert each == f"{first:.2f}, {second:.2f}"
    assert float(chance) == pytest.approx(hypot(first, second) / sqrt(10), abs=0.006)
    sd = 100 * stdev(x.iou - y.iou for x, y in zip(a, b, strict=True))
    assert float(paired) == pytest.approx(sd, abs=0.006)
    assert int(needed) == seeds_needed(0.43, sd)
    assert "This printed difference is less than twice what chance gives" in text


def test_little_noise_is_said_too(with_ious, by_key):
    a = with_ious(TABLE1["ours-0.5"], [0.75, 0.75, 0.75], images=400, photos=100)
    b = with_ious(TABLE1["hf"], [0.74, 0.74, 0.74], images=400, photos=100)
    assert "No printed difference is so small" in section(by_key(a, b), "Seed noise")


def test_two_seeds_tell_nothing_about_noise(with_ious, by_key):
    results = by_key(*(with_ious(TABLE1[name], [0.7, 0.71]) for name in ("ours-0.5", "hf")))
    assert "There are no runs yet that tell." in section(results, "Seed noise")


def test_masks_and_the_order_of_rows(make_run, by_key):
    shifts = {"hf": -0.01, "ours-0.5": -0.05, "bce": -0.01}
    level = {"hf": 0.70, "ours-0.5": 0.72, "bce": 0.5}
    runs = {
        name: [make_run(TABLE1[name], seed, iou=level[name], other=shift) for seed in range(2)]
        for name, shift in shifts.items()
    }
    strict = make_run(TABLE1["hf"].at(area_threshold=0.5), 0, iou=0.66)
    text = section(by_key(*runs.values(), [strict]), "Mask threshold")
    assert "With masks at 1/2 the IoU moves by −5.00 to −1.00 points; 1 of 3 pairs" in text
    rows = lines(text.split("\n\nWith")[0], "| L_")
    mean = 100 * sum(run.iou for run in runs["hf"]) / 2
    (hf,) = [row for row in rows if row[0] == "L_HF"]
    assert hf[2:] == ["2", f"{mean:.2f}", f"{mean - 1:.2f}", "−1.00", f"{100 * strict.iou:.2f}"]
    assert [row[-1] for row in rows if row[0] != "L_HF"] == ["–", "–"]
    ours = [100 * sum(run.iou for run in runs[name]) / 2 for name in ("hf", "ours-0.5", "bce")]
    far = sum(ours) / 3 - (69.32 + 69.75 + 60.67) / 3
    assert f"the rows lie {far:+.2f} points from the paper's on average" in text.replace("−", "-")


def test_masks_that_were_not_resampled_are_left_out(make_run, by_key):
    results = by_key([make_run(TABLE1["hf"], other=None)])
    assert "There are no runs yet that tell." in section(results, "Mask threshold")


def test_metrics_on_stand_ins_are_not_held_against_the_papers(make_run, by_key):
    (row,) = [row for row in tables.TABLE3.rows if row.name == "hf"]
    text = section(by_key([make_run(row.experiment)]), "Mask threshold")
    assert "there is one row only" in text
    assert "from the paper's on average" not in text


def test_last_epoch_against_best_and_last_five(make_run, by_key):
    curve = [[10, 0.5], [20, 0.6], [96, 0.70], [97, 0.76], [98, 0.71], [99, 0.72], [100, 0.73]]
    flat = [[50, 0.70], [100, 0.74]]
    results = by_key(
        [make_run(TABLE1["hf"], test_curve=curve), make_run(TABLE1["ours-0.5"], test_curve=flat)]
    )
    text = section(results, "The last epoch")
    hf, ours = lines(text, "| L_")
    assert hf[2:] == ["1", "73.00", "72.40", "76.00"]
    assert ours[2:] == ["1", "74.00", "72.00", "74.00"]
    assert (
        "The best recorded epoch would add 0.00 to +3.00 points; the two rows change their order"
        in text
    )
    assert "last five recorded epochs lies −2.00 to −0.60 points from the last." in text


def test_a_curve_without_the_last_epoch_ends_in_the_result(make_run, by_key):
    run = make_run(TABLE1["hf"], test_curve=[[50, 0.9]])
    ((_, _, _, last, _, best),) = lines(section(by_key([run]), "The last epoch"), "| L_HF")
    assert last == f"{100 * run.iou:.2f}"
    assert best == "90.00"


def test_runs_without_a_curve_are_left_out(make_run, by_key):
    results = by_key([make_run(TABLE1["hf"], test_curve=[])])
    assert "There are no runs yet that tell." in section(results, "The last epoch")


def test_swaps():
    assert swaps([3, 2, 1], [1, 2, 3]) == (3, 3)
    assert swaps([1, 1], [1, 2]) == (0, 1)
    assert swaps([1], [1]) == (0, 0)
