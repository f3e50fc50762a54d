import json
from dataclasses import replace
from pathlib import Path

import pytest

from fissura.errors import InputError
from fissura.study.data import DataSet
from fissura.study.experiment import Experiment, Run
from fissura.study.results import RunResult, read_result, read_results, write_result
from fissura.training.options import TrainOptions

COMMITTED = sorted((Path(__file__).parents[2] / "results" / "runs").glob("*.json"))

RESULT = RunResult(
    key="deepcrack-bce-100ep-s0-abc",
    seed=0,
    identity={"data": "deepcrack", "loss": "bce"},
    config={"loss": "bce", "epochs": 100},
    train={"images": 300, "groups": 200, "crack_fraction": 0.04, "fingerprint": "a"},
    test={"images": 2, "groups": 2, "crack_fraction": 0.06, "fingerprint": "b"},
    metrics={"iou": 0.7},
    other_masks=None,
    test_curve=[[10, 0.5], [20, 0.6]],
    counts=[[1, 2, 3], [4, 5, 6]],
    groups=[0, 1],
    loss=0.25,
    seconds={"train": 1.0, "evaluate": 2.0},
    precision="bfloat16",
    versions={"torch": "2.15"},
    machine="a machine",
    date="2026-11-23",
)


def test_what_is_written_is_read_again(tmp_path):
    write_result(tmp_path, RESULT)
    other = replace(RESULT, key="deepcrack-bce-100ep-s1-abc", seed=1)
    write_result(tmp_path, other)
    assert read_results(tmp_path) == {RESULT.key: RESULT, other.key: other}
    assert RESULT.counts_array().sum(axis=0).tolist() == [5, 7, 9]
    # An entry per line, for people and for version control.
    assert len((tmp_path / f"{RESULT.key}.json").read_text().splitlines()) == 22


def test_a_folder_that_does_not_exist_has_no_results(tmp_path):
    assert read_results(tmp_path / "runs") == {}


@pytest.mark.parametrize("content", ["", "{}", "[1]", '{"format": 1}', '{"format": 2}', "nonsense"])
def test_other_files_are_told_in_a_sentence(tmp_path, content):
    file = tmp_path / "x.json"
    file.write_text(content)
    with pytest.raises(InputError, match=r"x\.json"):
        read_result(file)


def test_entries_of_a_later_version_are_passed_over(tmp_path):
    write_result(tmp_path, RESULT)
    file = tmp_path / f"{RESULT.key}.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"more": 1}))
    assert read_result(file) == RESULT


def test_files_of_version_0_1_are_read(tmp_path):
    write_result(tmp_path, RESULT)
    file = tmp_path / f"{RESULT.key}.json"
    old = json.loads(file.read_text(encoding="utf-8"))
    old["figures"] = old.pop("metrics")
    for images in (old["train"], old["test"]):
        images["crack_share"] = images.pop("crack_fraction")
    file.write_text(json.dumps(old), encoding="utf-8")
    assert read_result(file) == RESULT


def test_committed_results_are_read_and_have_the_key_of_today():
    """An option renamed, or a default changed, would have their trainings done again."""
    assert len(COMMITTED) >= 45
    for file in COMMITTED:
        result = read_result(file)
        config = TrainOptions(**result.config)
        run = Run(Experiment(DataSet(result.identity["data"]), config), result.seed)
        assert result.identity == run.experiment.identity()
        assert file.stem == result.key == run.key
        assert 0 <= result.iou < 1
        assert 0 < result.train["crack_fraction"] < 0.2
