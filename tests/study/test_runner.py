"""Studies at toy size: each missing run is trained, once, and the files show the results."""

import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from fissura.checkpoint import load_model
from fissura.errors import InputError
from fissura.study.data import DataSet
from fissura.study.options import Budget, StudyOptions
from fissura.study.recipe import cross
from fissura.study.results import read_results
from fissura.study.runner import study
from fissura.study.runs import one_run
from fissura.study.runs.one_run import run_folder
from fissura.training.config_file import read_config
from fissura.training.train import train

TOY = Budget(epochs=1, width=2)
EXAMPLE = Path(__file__).parents[2] / "examples" / "compare_losses.py"


def options(data, **others):
    return StudyOptions(**{"data": data, "runs": 2, "workers": 1, **others})


def times(folder):
    return {file.name: file.stat().st_mtime_ns for file in (folder / "runs").iterdir()}


def test_each_run_leaves_one_result_and_a_model(done):
    results = read_results(done / "runs")
    assert len(results) == 4
    assert {result.config["epochs"] for result in results.values()} == {1}
    assert {result.config["model"] for result in results.values()} == {"crackseg"}  # left open
    for key, result in results.items():
        assert (result.train["images"], result.test["images"]) == (12, 4)
        tp, fp, fn = result.counts_array().sum(axis=0)
        assert result.iou == pytest.approx(tp / (tp + fp + fn))
        assert [epoch for epoch, _ in result.test_curve] == [1]
        # The curve computes in the training's batches, the result in the predictor's.
        assert result.test_curve[0][1] == pytest.approx(result.iou, abs=0.01)
        assert result.chosen is None
        assert result.logits is not None
        for part in ("train", "test"):
            assert set(result.logits[part]) == {"crack", "background"}
        _, card = load_model(run_folder(done, key))
        assert card.training["seed"] == result.seed
        assert not (run_folder(done, key) / "state").exists()


def test_nothing_is_trained_twice(done, lines, recipe):
    before = times(done)
    study(recipe, done, budget=TOY, options=options(lines))
    assert times(done) == before
    # Another recipe that shares a row with this one.
    other = replace(recipe, name="other", rows=recipe.rows[1:])
    files = study(other, done, budget=TOY, options=options(lines)).files
    assert times(done) == before
    assert files[0] == done / "other.md"


def test_a_run_is_what_train_gives_with_one_thread(done, lines, tmp_path):
    result = next(iter(read_results(done / "runs").values()))
    _, config = read_config(run_folder(done, result.key) / "config.yaml")
    train(lines, out=tmp_path / "alone", options=config, quiet=True)
    ours, alone = (
        load_model(folder)[0].state_dict()
        for folder in (run_folder(done, result.key), tmp_path / "alone")
    )
    assert all(torch.equal(ours[name], alone[name]) for name in alone)


@pytest.mark.slow
def test_workers_give_the_same_bits_as_one_process(done, lines, recipe, tmp_path):
    study(recipe, tmp_path, budget=TOY, options=options(lines, runs=1, workers=2))
    expected = read_results(done / "runs")
    found = read_results(tmp_path / "runs")
    assert len(found) == 2
    for key, result in found.items():
        assert result.counts == expected[key].counts
        assert result.loss == expected[key].loss
        ours, theirs = (load_model(run_folder(where, key))[0] for where in (done, tmp_path))
        for name, weights in ours.state_dict().items():
            assert torch.equal(weights, theirs.state_dict()[name])


def test_weights_that_a_figure_needs_are_trained_again(done, lines, recipe, tmp_path):
    shutil.copytree(done, tmp_path / "study")
    key = next(iter(read_results(done / "runs")))
    weights = run_folder(tmp_path / "study", key) / "model" / "model.safetensors"
    bits = weights.read_bytes()
    shutil.rmtree(run_folder(tmp_path / "study", key))
    figure = replace(recipe, needs_weights=True, show=lambda recipe, found, folder: [])
    study(figure, tmp_path / "study", budget=TOY, options=options(lines))
    assert weights.read_bytes() == bits


def test_one_failing_run_does_not_end_the_others(done, lines, recipe, tmp_path, monkeypatch):
    def fail_at_seed_1(data, *, options, **others):
        if options.seed == 1:
            raise InputError("The loss became NaN.")
        return train(data, options=options, **others)

    monkeypatch.setattr(one_run, "train", fail_at_seed_1)
    wanted = options(lines, only=("BCE + Dice",))
    ended = study(recipe, tmp_path, budget=TOY, options=wanted)
    assert [(bad.run.seed, bad.error) for bad in ended.failed] == [(1, "The loss became NaN.")]
    assert len(read_results(tmp_path / "runs")) == 1
    assert "not run" in ended.files[0].read_text(encoding="utf-8")


def test_results_of_other_images_are_not_mixed_in(done, lines, recipe, tmp_path):
    shutil.copytree(done / "runs", tmp_path / "study" / "runs")
    shutil.copytree(lines, tmp_path / "data")
    images = tmp_path / "data" / "test" / "images"
    shutil.copy(images / "1.png", images / "0.png")
    with pytest.raises(InputError, match="made with other images"):
        study(recipe, tmp_path / "study", budget=TOY, options=options(tmp_path / "data", runs=3))


def test_wrong_requests_are_told_in_a_sentence(recipe, tmp_path):
    with pytest.raises(InputError, match=r"no row foo. Its rows are: BCE \+ Dice, hybrid"):
        study(recipe, tmp_path, options=StudyOptions(only=("foo",)))
    with pytest.raises(InputError, match="on your own images"):
        study(recipe, tmp_path)
    with pytest.raises(InputError, match="nowhere is no folder"):
        study(recipe, tmp_path, options=options(tmp_path / "nowhere"))
    named = replace(recipe, rows=cross({"bce": {"loss": "bce"}}, [DataSet("bridges")]))
    with pytest.raises(InputError, match="bridges in a folder named bridges"):
        study(named, tmp_path, options=options(tmp_path))
    with pytest.raises(InputError, match="--runs is 0"):
        StudyOptions(runs=0)


def command(out: Path, data: Path, *size: str) -> list[str]:
    return [
        *(sys.executable, "-m", "fissura.cli", "study", str(EXAMPLE), "--out", str(out)),
        *("--data", str(data), *size),
    ]


@pytest.mark.slow
def test_the_command(lines, tmp_path):
    size = ("--epochs", "1", "--width", "2", "--runs", "1", "--only", "BCE + Dice")
    done = subprocess.run(
        command(tmp_path, lines, *size, "--workers", "1"), check=True, capture_output=True
    )
    assert b"Losses on my photos: 1 of 1 run to do." in done.stdout
    assert (tmp_path / "compare_losses.md").is_file()


def wait_for(condition, seconds: float = 600) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.1)


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_stopped_study_goes_on_to_the_same_bits(lines, tmp_path, how):
    size = ("--epochs", "12", "--width", "4", "--runs", "3", "--workers", "2")
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    subprocess.run(command(whole, lines, *size), check=True)
    with subprocess.Popen(command(cut, lines, *size)) as process:
        try:
            wait_for(lambda: len(read_results(cut / "runs")) >= 1)
            time.sleep(0.5)
            process.send_signal(how)
            status = process.wait(timeout=120)
        finally:
            process.kill()
    assert status == (-9 if how == signal.SIGKILL else 128 + how)
    # The workers of a killed study notice within a second or so.
    wait_for(lambda: not workers_of(cut))
    assert len(read_results(cut / "runs")) < 6
    subprocess.run(command(cut, lines, *size), check=True)
    expected, found = (read_results(folder / "runs") for folder in (whole, cut))
    assert expected.keys() == found.keys()
    for key, result in expected.items():
        assert found[key].counts == result.counts
        assert found[key].loss == result.loss
        assert found[key].test_curve == result.test_curve


def workers_of(study_folder: Path) -> list[int]:
    """Processes that hold a run of the study: those with one of its lock files open."""
    holders = []
    for process in Path("/proc").iterdir():
        if process.name.isdigit() and int(process.name) != os.getpid():
            try:
                open_files = [str(link.readlink()) for link in (process / "fd").iterdir()]
            except OSError:
                continue
            if any(name.startswith(str(study_folder)) for name in open_files):
                holders.append(int(process.name))
    return holders
