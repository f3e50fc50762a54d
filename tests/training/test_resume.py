"""Stopped, crashed and killed trainings, resumed and compared with undisturbed ones."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from functools import cache

import pytest
import torch
from safetensors.torch import load_file

from fissura.cli import run as run_command
from fissura.training import loop, run_folder

OPTIONS = ["--width", "2", "--batch-size", "4", "--accelerator", "cpu", "--ema", "0.9"]


def options(validated=False):
    return ["--epochs", "3", *OPTIONS, "--validation", "0.34" if validated else "0"]


def fissura(*arguments):
    """Run a command in this process and return its status."""
    return run_command([*map(str, arguments)])


def after(calls, place, name, monkeypatch, act):
    """Have `act` called at the end of so many calls of a function."""
    real, made = getattr(place, name), []

    def call(*arguments, **keywords):
        result = real(*arguments, **keywords)
        made.append(name)
        if len(made) == calls:
            act()
        return result

    monkeypatch.setattr(place, name, call)


def command(*arguments):
    return [sys.executable, "-m", "fissura.cli", *map(str, arguments)]


def start(*arguments, **options):
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        command(*arguments),
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        **options,
    )


def finish(*arguments):
    process = start(*arguments)
    output = process.communicate(timeout=300)[0].decode()
    assert process.returncode == 0, output
    return output


def wait_for_epoch(run, process, epoch):
    for _ in range(1200):
        path = run / "metrics.jsonl"
        if path.exists() and len(path.read_text().splitlines()) >= epoch:
            return
        assert process.poll() is None, process.communicate()[0].decode()
        time.sleep(0.05)
    raise AssertionError("the training made no progress")


def metrics(run):
    """The lines of metrics.jsonl without the times, which differ from run to run."""
    path = run / "metrics.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    return [(line["epoch"], line["step"], line["loss"], line.get("validation")) for line in lines]


def assert_same_result(run, other):
    ours, theirs = (load_file(path / "model" / "model.safetensors") for path in (run, other))
    assert ours.keys() == theirs.keys()
    assert all((ours[name] == theirs[name]).all() for name in ours)
    assert metrics(run) == metrics(other)
    assert (run / "model/config.json").read_text() == (other / "model/config.json").read_text()


@pytest.fixture(scope="module")
def whole(lines, tmp_path_factory):
    """Undisturbed trainings of three epochs, by whether they validate; each done once."""
    folder = tmp_path_factory.mktemp("whole")

    @cache
    def run(validated):
        out = folder / f"{validated}"
        assert fissura("train", lines, "--out", out, *options(validated)) == 0
        return out

    return run


@pytest.mark.parametrize(
    "number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)]
)
def test_a_stop_saves_in_the_middle_of_an_epoch_and_resumes_to_the_same_bits(
    lines, whole, tmp_path, monkeypatch, capsys, number
):
    run = tmp_path / "stopped"
    after(3, loop, "train_step", monkeypatch, lambda: signal.raise_signal(number))
    assert fissura("train", lines, "--out", run, *options(validated=True)) == 128 + number
    assert f"Go on with: fissura train --resume {run}\n" in capsys.readouterr().out
    position = torch.load(run / "state" / "state.pt")["position"]
    assert (position["epoch"], position["step"]) == (1, 1)
    assert len(metrics(run)) == 1
    monkeypatch.undo()
    assert fissura("train", "--resume", run) == 0
    assert "Going on after epoch 1 of 3." in capsys.readouterr().out
    assert_same_result(run, whole(validated=True))


class Crash(BaseException):
    """Ends a training in this process at once, as far as that is possible."""


def crash():
    raise Crash


@pytest.mark.parametrize(
    ("calls", "place", "name", "epochs_saved"),
    [
        (1, loop, "train_step", None),  # before there is a state
        (2, run_folder, "append_metrics", 1),  # a line of an epoch without a state
        (3, loop, "save_model", 2),  # a model that is newer than the state
        (2, torch, "save", 1),  # a state that is written, but not yet in its place
    ],
)
def test_a_training_that_crashed_anywhere_resumes_to_the_same_bits(
    lines, whole, tmp_path, monkeypatch, calls, place, name, epochs_saved
):
    run = tmp_path / "crashed"
    # A state is saved after every epoch, however little time that has taken.
    monkeypatch.setattr(run_folder.StateWriter, "due", lambda self, least: least < 60)
    after(calls, place, name, monkeypatch, crash)
    with pytest.raises(Crash):
        fissura("train", lines, "--out", run, *options())
    monkeypatch.undo()
    state = run_folder.load_state(run)
    assert (state and state["position"]["epoch"]) == epochs_saved
    assert fissura("train", "--resume", run) == 0
    assert_same_result(run, whole(validated=False))


# Dies while it writes its second state, with half a file in the folder.
KILLED = """
import os, signal, sys
import torch
from fissura.cli import main

save, written = torch.save, []

def save_or_die(state, file):
    written.append(file)
    if len(written) == 2:
        file.write(b"half a state")
        file.flush()
        os.kill(os.getpid(), signal.SIGKILL)
    save(state, file)

torch.save = save_or_die
sys.exit(main())
"""


@pytest.mark.slow  # crashes within this process are quick, and tell most of it
def test_a_killed_training_resumes_to_the_same_bits(lines, whole, tmp_path):
    run = tmp_path / "killed"
    arguments = ["train", lines, "--out", run, *options()]
    process = subprocess.run(
        [sys.executable, "-c", KILLED, *map(str, arguments)],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=300,
        check=False,
    )
    assert process.returncode == -signal.SIGKILL, process.stdout.decode()
    assert list(run.rglob("*.tmp*"))
    assert fissura("train", "--resume", run) == 0
    assert_same_result(run, whole(validated=False))
    assert not list(run.rglob("*.tmp*"))


# --- with kills at any time, in real processes ------------------------------------------------


def check_killed_and_resumed(data, tmp_path, *, kills, epochs, seed):
    """Kill a training at random moments, resume it each time, compare with an undisturbed one.

    Every second kill comes at any time from the start of the process on, so that starting and
    resuming are hit too; the others come after the first new epoch.
    """
    rng = random.Random(seed)
    chosen = ["--epochs", epochs, *OPTIONS, "--validation", "0"]
    run = tmp_path / "killed"
    arguments = ["train", data, "--out", run, *chosen]
    for kill in range(kills):
        process = start(*arguments)
        if kill % 2 == 0:
            wait_for_epoch(run, process, len(metrics(run)) + 1)
            time.sleep(rng.uniform(0, 1.5))
        else:
            time.sleep(rng.uniform(0, 6))
        assert process.poll() is None, "the training ended before the kill: give it more epochs"
        process.kill()
        process.communicate()
        arguments = ["train", "--resume", run]
    assert len(metrics(run)) > 0
    finish(*arguments)
    finish("train", data, "--out", tmp_path / "whole", *chosen)
    assert_same_result(run, tmp_path / "whole")
    assert not list(run.rglob("*.tmp*"))


@pytest.mark.slow
def test_two_processes_train_one_model_and_resume_to_the_same_bits(lines, tmp_path):
    chosen = ["--epochs", "40", "--devices", "2", *OPTIONS, "--validation", "0.34"]
    finish("train", lines, "--out", tmp_path / "whole", *chosen)
    # In a session of its own, so that the kill reaches both processes, as a crash would.
    killed = start("train", lines, "--out", tmp_path / "killed", *chosen, start_new_session=True)
    wait_for_epoch(tmp_path / "killed", killed, 2)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.communicate()
    assert len(metrics(tmp_path / "killed")) < 40
    finish("train", "--resume", tmp_path / "killed")
    assert_same_result(tmp_path / "killed", tmp_path / "whole")


@pytest.mark.slow
def test_twenty_kills_leave_no_trace(lines, tmp_path):
    check_killed_and_resumed(lines, tmp_path, kills=20, epochs=1500, seed=1)
