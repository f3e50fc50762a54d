"""The page on the margin: its numbers beside those computed here, and its answers."""

from __future__ import annotations

import re
import runpy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from fissura.study.results import read_result, write_result

ROOT = Path(__file__).parents[2]
STUDIES = ROOT / "recipes" / "studies"
SEEDS = 5


@pytest.fixture(scope="module")
def script():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(STUDIES)
        return runpy.run_path(str(STUDIES / "margin_page.py"))


@pytest.fixture(scope="module")
def folder(make_run, tmp_path_factory):
    """Runs in which m = 1 gives 3 points at 0.5, as many at 0.1 % as at 10 %, and nothing else."""
    made = tmp_path_factory.mktemp("margin")
    recipe = runpy.run_path(str(STUDIES / "margin.py"))["RECIPE"]
    for row in recipe.rows:
        margin = float(row.name.rpartition("/m")[2])
        if row.experiment.data.training_images != 100 or margin not in (0.0, 1.0):
            continue
        for seed in range(SEEDS):
            run = make_run(row.experiment, seed, iou=0.5 + 0.03 * (margin == 1))
            noise = np.random.default_rng([seed, len(row.name)]).normal(0, 0.001, 3)
            shift = {"crack": 1.0 - 0.5 * margin + noise[0], "background": -5.0}
            write_result(
                made / "runs",
                replace(
                    run,
                    chosen={"threshold": 0.7, "iou": 0.6 + noise[1], "counts": run.counts},
                    metrics={**run.metrics, "average_precision": 0.8 + noise[2]},
                    logits={"train": shift, "test": {"crack": 0.0, "background": -5.0}},
                ),
            )
    return made


@pytest.fixture(scope="module")
def page(script, folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("page") / "margin.md"
    script["main"](folder, out)
    assert (out.parent / "images" / "margin-rare.png").stat().st_size > 10_000
    return out.read_text(encoding="utf-8")


def cells(page, heading):
    """The lines of the table under a bold heading, without its head."""
    text = page.split(f"**{heading}**\n\n", 1)[1]
    return [line.strip("| ").split(" | ") for line in text.split("\n\n")[0].splitlines()[2:]]


def test_the_answers_are_those_of_the_runs(page):
    answers = page.split("## What was found")[1].split("\n## ")[0]
    assert "IoU at 0.5: higher than without for m = 1 (p at most 0.05" in answers
    assert "IoU at the chosen threshold: no margin differs from none" in answers
    assert "Average precision: no margin differs from none" in answers
    assert "Shift of crack logits: lower than without for m = 1" in answers
    rho, p = re.search(r"m = 1: ρ = (\S+), p = (\S+?)\.\s", answers).groups()
    assert abs(float(rho.replace("−", "-"))) < 0.5
    assert float(p) > 0.05


def test_a_gain_and_its_interval_are_the_mean_over_paired_seeds(page, script, folder):
    (question,) = script["questions"](folder)
    runs = question.runs[1.0]
    gains = [100 * (runs[1.0][seed].iou - runs[0.0][seed].iou) for seed in range(SEEDS)]
    reach = stats.sem(gains) * stats.t.ppf(0.975, SEEDS - 1)
    mean = np.mean(gains)
    (line,) = [line for line in cells(page, "One by one") if line[:2] == ["1", "1"]]
    expected = f"{mean:+.2f} ({mean - reach:.2f} to {mean + reach:.2f})"
    assert line[2] == expected.replace("-", "−")
    assert line[-1] == str(SEEDS)
    (line,) = [line for line in cells(page, "One by one") if line[:2] == ["1", "0"]]
    shift = np.mean([runs[0.0][seed].logits["train"]["crack"] for seed in range(SEEDS)])
    assert line[5] == f"{shift:.2f}"
    (line,) = cells(page, "Over all of these")
    assert line[-1] == str(SEEDS * len(question.runs))


def test_the_same_runs_give_the_same_bytes(page, script, folder, tmp_path):
    script["main"](folder, tmp_path / "margin.md")
    assert (tmp_path / "margin.md").read_text(encoding="utf-8") == page


def test_what_was_not_learned_is_said(page, script, folder, tmp_path):
    assert "nothing was learned" not in page
    for file in (folder / "runs").glob("panels-0.1pc-*"):
        run = read_result(file)
        write_result(tmp_path / "runs", replace(run, metrics={**run.metrics, "iou": 0.0}))
    for file in (folder / "runs").glob("panels-10pc-*"):
        write_result(tmp_path / "runs", read_result(file))
    (question,) = script["questions"](tmp_path)
    assert script["unlearned"](question).startswith("At 0.1 nothing was learned")
    assert question.learned == [10.0]
    assert len(question.pooled("IoU at 0.5", 1.0)) == SEEDS


def test_without_runs_the_user_is_told(script, tmp_path):
    (tmp_path / "runs").mkdir()
    with pytest.raises(Exception, match="holds no runs"):
        script["main"](tmp_path, tmp_path / "margin.md")


def test_the_page_in_the_repository_is_what_its_runs_give(script, tmp_path):
    """`python recipes/studies/margin_page.py results/margin docs/margin.md` changes nothing."""
    script["main"](ROOT / "results" / "margin", tmp_path / "margin.md")
    assert (tmp_path / "margin.md").read_bytes() == (ROOT / "docs" / "margin.md").read_bytes()
