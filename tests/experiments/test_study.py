"""Studies at toy size: what is missing is trained, once, and what is shown is what was found."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from fissura.checkpoint import load_model
from fissura.errors import InputError
from fissura.experiments.results import read_results
from fissura.experiments.rows import Scale
from fissura.experiments.single import run_folder
from fissura.experiments.study import RECIPES, study, write_page
from fissura.training.config_file import read_config
from fissura.training.loop import train

TOY = Scale(epochs=1, width=2, panels=6)
ROWS = ["bce", "hf", "ours-0.5"]


@pytest.fixture(scope="module")
def done(tmp_path_factory, data_root) -> Path:
    out = tmp_path_factory.mktemp("study")
    ended = study("table1", out, data=data_root, runs=2, only=ROWS, scale=TOY, workers=1)
    assert ended.failed == []
    assert ended.stopped_by is None
    return out


def test_each_run_leaves_one_result_and_a_model(done):
    results = read_results(done / "runs")
    assert len(results) == 6
    for key, result in results.items():
        assert result.test["images"] == 3
        assert result.train["images"] == 6
        tp, fp, fn = result.counts_array().sum(axis=0)
        assert result.iou == pytest.approx(tp / (tp + fp + fn))
        assert [epoch for epoch, _ in result.test_curve] == [1]
        # The curve computes in the training's batches, the result in the predictor's.
        assert result.test_curve[0][1] == pytest.approx(result.iou, abs=0.01)
        _, card = load_model(run_folder(done, key))
        assert card.training["seed"] == result.seed
        assert not (run_folder(done, key) / "state").exists()


def test_the_table_shows_what_was_found(done):
    table = (done / "table1.md").read_text()
    results = read_results(done / "runs").values()
    mean = 100 * sum(r.iou for r in results if r.config["loss"] == "bce") / 2
    assert f"{mean:.2f}" in table
    assert table.count("not run") >= 9


def test_nothing_is_trained_twice(done, data_root):
    before = {file.name: file.stat().st_mtime_ns for file in (done / "runs").iterdir()}
    study("table1", done, data=data_root, runs=2, only=ROWS, scale=TOY, workers=1)
    assert {f.name: f.stat().st_mtime_ns for f in (done / "runs").iterdir()} == before
    # Another recipe needs two of the same rows, and one more.
    study("table4", done, data=data_root, runs=1, scale=TOY, workers=1, only=["crackseg/hf"])
    study("table4", done, data=data_root, runs=1, scale=TOY, workers=1, only=["crackseg/bce-dice"])
    after = {file.name: file.stat().st_mtime_ns for file in (done / "runs").iterdir()}
    assert len(after.keys() - before.keys()) == 1
    assert before.items() <= after.items()


def test_a_run_is_what_train_gives_with_one_thread(done, data_root, tmp_path):
    result = next(iter(read_results(done / "runs").values()))
    _, config = read_config(run_folder(done, result.key) / "config.yaml")
    train(data_root / "deepcrack", out=tmp_path / "alone", options=config, quiet=True)
    ours, alone = (
        load_model(folder)[0].state_dict()
        for folder in (run_folder(done, result.key), tmp_path / "alone")
    )
    assert all(torch.equal(ours[name], alone[name]) for name in alone)


def test_workers_give_the_same_bits_as_one_process(done, data_root, tmp_path):
    study("table1", tmp_path, data=data_root, runs=1, only=ROWS, scale=TOY, workers=2)
    expected = read_results(done / "runs")
    found = read_results(tmp_path / "runs")
    assert len(found) == 3
    for key, result in found.items():
        assert result.counts == expected[key].counts
        assert result.loss == expected[key].loss
        ours, theirs = (load_model(run_folder(where, key))[0] for where in (done, tmp_path))
        for name, weights in ours.state_dict().items():
            assert torch.equal(weights, theirs.state_dict()[name])


def test_weights_that_a_figure_needs_are_trained_again(done, data_root):
    only = ["hf", "ours-0.5"]
    study("fig4", done, data=data_root, runs=1, only=only, scale=TOY, workers=1)
    key = next(k for k in read_results(done / "runs") if "-hybrid-focal-1ep-s0" in k)
    weights = run_folder(done, key) / "model" / "model.safetensors"
    bits = weights.read_bytes()
    weights.unlink()
    files = study("fig4", done, data=data_root, runs=1, only=only, scale=TOY, workers=1).files
    assert weights.read_bytes() == bits
    assert {file.name for file in files} == {"fig4.png", "fig4.svg"}


def test_one_failing_run_does_not_end_the_others(data_root, tmp_path, monkeypatch):
    from fissura.experiments import single

    def fail_at_bce(data, *, config, **options):
        if config.loss == "bce":
            raise InputError("The loss became NaN.")
        return train(data, options=config, **options)

    monkeypatch.setattr(single, "train", fail_at_bce)
    ended = study("table1", tmp_path, data=data_root, runs=1, only=ROWS, scale=TOY, workers=1)
    assert [(bad.run.config.loss, bad.error) for bad in ended.failed] == [
        ("bce", "The loss became NaN.")
    ]
    assert len(read_results(tmp_path / "runs")) == 2


def test_results_of_other_images_are_not_mixed_in(done, tmp_path, data_root):
    import shutil

    shutil.copytree(done / "runs", tmp_path / "study" / "runs")
    other = tmp_path / "data" / "deepcrack"
    shutil.copytree(data_root / "deepcrack", other)
    (other / "test" / "images" / "0.png").write_bytes(
        (other / "test" / "images" / "1.png").read_bytes()
    )
    with pytest.raises(InputError, match="made with other images"):
        study("table1", tmp_path / "study", data=tmp_path / "data", runs=3, scale=TOY, workers=1)


def test_wrong_requests_are_told_in_a_sentence(tmp_path):
    with pytest.raises(InputError, match=r"no study 'table9'. Choose one of: table1"):
        study("table9", tmp_path)
    with pytest.raises(InputError, match=r"no row foo. Its rows are: bce, dice"):
        study("table1", tmp_path, only=["foo"])
    with pytest.raises(InputError, match="--runs is 0"):
        study("table1", tmp_path, runs=0)
    with pytest.raises(InputError, match="DeepCrack-DB in a folder named deepcrack"):
        study("table1", tmp_path, runs=1)


def test_the_page_is_the_same_each_time(done, tmp_path):
    first = write_page(done, tmp_path / "one" / "results.md")
    again = write_page(done, tmp_path / "two" / "results.md")
    for one, two in zip(first, again, strict=True):
        assert one.read_bytes() == two.read_bytes()
    with pytest.raises(InputError, match="holds no results"):
        write_page(tmp_path, tmp_path / "page.md")


def test_the_page_in_the_repository_is_what_its_results_give(tmp_path):
    """`fissura results results --out docs/results.md` changes nothing."""
    root = Path(__file__).parents[2]
    if (figure := root / "docs" / "images" / "fig4.png").exists():
        (tmp_path / "images").mkdir()
        (tmp_path / "images" / "fig4.png").write_bytes(figure.read_bytes())
    write_page(root / "results", tmp_path / "results.md")
    same = (tmp_path / "results.md").read_text() == (root / "docs" / "results.md").read_text()
    assert same, "results/runs has changed: fissura results results --out docs/results.md"


def command(out: Path, root: Path, *options: str) -> list[str]:
    return [
        *(sys.executable, "-m", "fissura.cli", "study", "table1", "--out", str(out)),
        *("--data", str(root), "--runs", "2", "--only", *ROWS, *options),
    ]


def wait_for(condition, seconds: float = 600) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.1)


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_stopped_study_goes_on_to_the_same_bits(data_root, tmp_path, how):
    size = ("--epochs", "12", "--width", "4", "--workers", "2")
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    subprocess.run(command(whole, data_root, *size), check=True)
    with subprocess.Popen(command(cut, data_root, *size)) as process:
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
    subprocess.run(command(cut, data_root, *size), check=True)
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


@pytest.mark.slow
@pytest.mark.parametrize("recipe", [name for name in RECIPES if name != "table4"])
def test_every_recipe_runs_to_its_end(recipe, data_root, tmp_path):
    ended = study(recipe, tmp_path, data=data_root, runs=1, scale=TOY, workers=1)
    assert ended.failed == []
    assert ended.files
    assert all(file.stat().st_size > 0 for file in ended.files)


@pytest.mark.slow
def test_table_4_with_all_its_networks(data_root, tmp_path):
    ended = study("table4", tmp_path, data=data_root, runs=1, scale=TOY, workers=2)
    assert ended.failed == []
    grid = (tmp_path / "table4.md").read_text()
    assert "not run" not in grid
    models = [json.loads(f.read_text())["config"]["model"] for f in (tmp_path / "runs").iterdir()]
    assert {m: models.count(m) for m in set(models)} == {
        "crackseg": 4,
        "efficient_unet": 4,
        "transunet": 4,
    }
