import math

import pytest

from fissura.errors import InputError
from fissura.study.experiment import Run
from fissura.study.options import Budget, StudyOptions
from fissura.study.recipe import at_budget
from fissura.study.runner import study
from fissura.study.runs import cost
from fissura.study.runs.cost import Cost, Timed, estimate, time_kind, written_costs
from fissura.study.runs.curve import curve_epochs
from fissura.study.runs.one_run import Advanced, run_folder
from fissura.study.runs.progress import Clock
from fissura.study.runs.workers import Job


@pytest.fixture
def jobs(recipe, lines):
    rows = [at_budget(row.experiment, Budget(epochs=10, width=2)) for row in recipe.rows]
    return [Job(Run(row.at(accelerator="cpu"), seed), lines) for seed in (0, 1) for row in rows]


def test_a_run_costs_its_steps_and_its_judgings():
    timed = Timed(step=2.0, steps=3, judging=10.0, validating=1.0)
    judged = len(curve_epochs(10)) + 2
    assert timed.seconds(10) == 10 * (3 * 2 + 1) + judged * 10
    # With nine epochs done, the last one, its judging, the result and the logits are left.
    assert timed.seconds(10, 9) == 7 + 3 * 10


def test_a_kind_is_timed_once_and_counts_what_is_there(jobs, tmp_path, monkeypatch):
    asked = []
    timed = Timed(step=1.0, steps=2, judging=0.0, validating=0.0)
    monkeypatch.setattr(cost, "time_kind", lambda job: asked.append(job) or timed)
    begun = run_folder(tmp_path, jobs[0].run.key)
    begun.mkdir(parents=True)
    begun.joinpath("metrics.jsonl").write_text('{"epoch": 1}\n{"epoch": 2}\n', encoding="utf-8")
    found = estimate(jobs, tmp_path)
    assert len(asked) == 1
    assert [one.seconds for one in found] == [16.0, 20.0, 20.0, 20.0]
    assert [one.done for one in found] == [2, 0, 0, 0]


def test_a_real_step_is_timed(jobs, tmp_path):
    timed = time_kind(jobs[0])
    assert timed.steps == 1
    assert timed.step > 0
    assert timed.judging > 0
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_timed_is_said(jobs, tmp_path, monkeypatch):
    def fail(job):
        raise InputError("The loss has no such option.")

    monkeypatch.setattr(cost, "time_kind", fail)
    found = estimate(jobs, tmp_path)
    assert all(math.isnan(one.seconds) for one in found)
    assert written_costs(found, 2) == [
        "  Your data, crackseg, 10 epochs: 4 runs; a step could not be timed"
    ]


def test_minutes_of_a_run_and_of_all(jobs, monkeypatch):
    monkeypatch.setattr("os.getloadavg", lambda: (0.1, 0.1, 0.1), raising=False)
    costs = [Cost(job, "Tiles, crackseg", 600.0) for job in jobs]
    each, total = written_costs(costs, 2)
    assert each == "  Tiles, crackseg: 4 runs, 10.0 minutes each"
    busy = (1000.0, 0.1, 0.1)
    monkeypatch.setattr("os.getloadavg", lambda: busy, raising=False)
    assert "others are at work here (load 1000.0" in written_costs(costs, 2)[-1]
    assert "In all 40.0 minutes of computing, about 20.0 minutes with 2 at once" in total


def test_the_clock_counts_epochs_of_all_runs(jobs, monkeypatch):
    now = [100.0]
    monkeypatch.setattr("fissura.study.runs.progress.time.monotonic", lambda: now[0])
    clock = Clock([Cost(job, "", 600.0) for job in jobs], workers=2)
    assert clock.left() == "0 of 4 runs, about 20.0 minutes left"
    now[0] += 600  # twice as slow as was reckoned
    clock.advance(Advanced(jobs[0].run.key, 5))
    clock.advance(Advanced(jobs[1].run.key, 5))
    assert clock.fraction() == pytest.approx(0.25)
    assert clock.left() == "0 of 4 runs, about 30.0 minutes left"
    for job in jobs[:3]:
        clock.end(job.run.key)
    assert clock.fraction() == pytest.approx(0.75)
    assert clock.left().startswith("3 of 4 runs, about 3.3 minutes")
    clock.end(jobs[3].run.key)
    assert clock.left() == "4 of 4 runs"


def test_an_estimate_trains_nothing(recipe, lines, tmp_path, capsys):
    options = StudyOptions(data=lines, runs=2, workers=2, estimate=True)
    ended = study(recipe, tmp_path, budget=Budget(epochs=1, width=2), options=options)
    assert (ended.files, ended.failed, ended.stopped_by) == ([], [], None)
    assert not (tmp_path / "runs").exists()
    told = capsys.readouterr().out
    assert "Your data, crackseg, 1 epoch of 1 step of" in told
    assert "with 2 at once" in told
