"""The benchmarks' shared parts, and that the page follows from the committed figures."""

import json
import runpy
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from fissura.metrics.counts import histograms

ROOT = Path(__file__).parent.parent
SCRIPTS = sorted((ROOT / "benchmarks").glob("*.py"))


@pytest.fixture
def shared(monkeypatch) -> SimpleNamespace:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    for name in ("side_by_side", "situations", "page"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    import page
    import side_by_side

    return SimpleNamespace(**vars(side_by_side) | {"page": page.page})


def test_the_page_is_what_the_results_give(shared):
    assert (ROOT / "docs" / "performance.md").read_text() == shared.page()


def test_the_page_of_measuring_is_what_its_results_give(shared):
    from measurement_page import page

    results = json.loads((ROOT / "benchmarks" / "results" / "measurement.json").read_text())
    assert (ROOT / "docs" / "measurement.md").read_text() == page(results)
    clean = [*results["bars"]["rows"], *results["arcs"]["rows"]]
    for row in clean:
        if row["width"] >= 1.5:  # what the project asks of itself
            assert row["mae"] <= 0.25
            assert row["length_mae"] <= 0.02


def test_a_result_becomes_json_and_a_page_with_its_ratio(shared, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("side_by_side.RESULTS", tmp_path)
    result = shared.Result("How fast?", unit="images", work={"small": 10})
    result.seconds = {"small": {"ours": [1.0, 2.0, 9.0], "peer": [6.0, 7.0, 5.0], "copy": [1.0]}}
    result.goals = [
        shared.Goal("small", "ours", "peer", at_least=4),
        shared.Goal("small", "ours", "copy", at_most=2.5),
    ]
    asked = shared.arguments("How fast?").parse_args(["--device", "cpu"])
    shared.finish("loss", result, asked)
    shared.finish("loss", result, asked)  # measured again, it replaces the entry
    printed = capsys.readouterr().out
    assert "ours against peer: 3.00× (at least 4: missed)" in printed
    assert list(json.loads((tmp_path / "loss.json").read_text())) == ["cpu"]
    page = shared.page(tmp_path)
    assert "| small | ours | peer | 3.00× (at least 4: missed) |" in page
    assert "| small | ours | copy | 2.00 times it (at most 2.5: met) |" in page
    assert "| ours | 2000 ms (1000 to 9000) | 5 |" in page
    assert "Not measured yet: `python benchmarks/train.py`" in page


def test_no_record_leaves_the_figures_alone(shared, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("side_by_side.RESULTS", tmp_path)
    asked = shared.arguments("?").parse_args(["--device", "cpu", "--no-record"])
    shared.finish("loss", shared.Result("?"), asked)
    assert not list(tmp_path.iterdir())


def test_ways_are_timed_in_turn(shared):
    calls: list[str] = []
    ways = {name: (lambda name=name: calls.append(name)) for name in "ab"}
    seconds = shared.in_turn(ways, repeats=3, warmup=2, device=torch.device("cpu"))
    assert calls == ["a"] * 3 + ["b"] * 3 + ["a", "b"] * 3
    assert all(len(values) == 3 and min(values) > 0 for values in seconds.values())


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_every_script_can_be_read(shared, script):
    runpy.run_path(str(script), run_name="not main")


def test_the_entries_of_a_study_of_version_0_1_are_read(tmp_path):
    read = runpy.run_path(str(ROOT / "benchmarks" / "study.py"), run_name="not main")["read"]
    file = tmp_path / "study.json"
    file.write_text('{"cpu": {"runs": 4, "together": 2}, "cuda": {"workers": 1}}')
    assert read(file) == {"cpu": {"runs": 4, "workers": 2}, "cuda": {"workers": 1}}


def test_situations_are_timed_in_turn_and_stand_side_by_side(shared, tmp_path, monkeypatch):
    import situations

    monkeypatch.setattr(situations, "SITUATIONS", {"alone": (), "beside": (situations.BUSY,)})
    monkeypatch.setattr("side_by_side.RESULTS", tmp_path)
    order = []
    ways = {name: lambda name=name: order.append(name) for name in ("ours", "peer")}
    timed = situations.in_situations(ways, seconds=0)
    assert {s: {w: len(v) for w, v in ways.items()} for s, ways in timed.items()} == {
        situation: {"ours": 2, "peer": 2} for situation in ("alone", "beside")
    }
    assert order == ["ours", "peer"] * 7  # a trial, then three rounds in two situations
    result = shared.Result("How fast?", goals=[shared.Goal("small", "ours", "peer")])
    result.situations["small"] = {
        "alone": {"ours": [1.0, 2.0], "peer": [4.0, 8.0]},
        "beside": {"ours": [2.0], "peer": [2.0]},
    }
    shared.finish("loss", result, shared.arguments("How fast?").parse_args(["--device", "cpu"]))
    page = shared.page(tmp_path)
    assert "| small | alone | beside |" in page
    assert "| **ours** against peer | 4.00× | 1.00× |" in page
    assert "| case | ours | against | ratio |" not in page  # that is of cases timed alone


def test_a_model_that_means_what_it_says_lies_on_the_diagonal(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    from generalization import reliability

    rng = np.random.default_rng(0)
    prob = rng.random((2, 300, 300)).astype(np.float32)
    masks = rng.random(prob.shape) < prob
    counted = [histograms(each, mask) for each, mask in zip(prob, masks, strict=True)]
    rows = reliability(SimpleNamespace(histograms=np.stack(counted)))
    assert len(rows) == 16
    assert sum(pixels for *_, pixels in rows) == prob.size
    for said, found, _ in rows:
        assert found == pytest.approx(said, abs=0.025)
    sure = [
        histograms(np.minimum(each * 0.4, 1), mask) for each, mask in zip(prob, masks, strict=True)
    ]
    rows = reliability(SimpleNamespace(histograms=np.stack(sure)))
    assert [round(found / said, 1) for said, found, _ in rows[1:6]] == [2.5] * 5
