"""Stop, kill and resume real `fissura train` processes; compare with an undisturbed one."""

import json
import os
import random
import signal
import subprocess
import sys
import time

import pytest
from safetensors.torch import load_file

OPTIONS = ["--width", "2", "--batch-size", "4", "--accelerator", "cpu", "--ema", "0.9"]


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


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_saves_in_the_middle_of_an_epoch_and_resumes_to_the_same_bits(
    lines, tmp_path, number
):
    options = ["--epochs", "100", *OPTIONS, "--validation", "0.34"]
    whole = start("train", lines, "--out", tmp_path / "whole", *options)
    stopped = start("train", lines, "--out", tmp_path / "stopped", *options)
    wait_for_epoch(tmp_path / "stopped", stopped, 2)
    stopped.send_signal(number)
    output = stopped.communicate(timeout=60)[0].decode()
    assert stopped.returncode == 128 + number, output
    assert f"fissura train --resume {tmp_path / 'stopped'}" in " ".join(output.split())
    assert len(metrics(tmp_path / "stopped")) < 100
    output = finish("train", "--resume", tmp_path / "stopped")
    assert "Going on after epoch" in output
    output = whole.communicate(timeout=300)[0].decode()
    assert whole.returncode == 0, output
    assert_same_result(tmp_path / "stopped", tmp_path / "whole")


def check_killed_and_resumed(data, tmp_path, *, kills, epochs, seed):
    """Kill a training at random moments, resume it each time, compare with an undisturbed one.

    Every second kill comes at any time from the start of the process on, so that starting and
    resuming are hit too; the others come after the first new epoch.
    """
    rng = random.Random(seed)
    options = ["--epochs", epochs, *OPTIONS]
    run = tmp_path / "killed"
    arguments = ["train", data, "--out", run, *options]
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
    finish("train", data, "--out", tmp_path / "whole", *options)
    assert_same_result(run, tmp_path / "whole")
    assert not list(run.rglob("*.tmp*"))


def test_a_killed_training_resumes_to_the_same_bits(lines, tmp_path):
    check_killed_and_resumed(lines, tmp_path, kills=2, epochs=100, seed=0)


def test_two_processes_train_one_model_and_resume_to_the_same_bits(lines, tmp_path):
    options = ["--epochs", "40", "--devices", "2", *OPTIONS, "--validation", "0.34"]
    finish("train", lines, "--out", tmp_path / "whole", *options)
    # In a session of its own, so that the kill reaches both processes, as a crash would.
    killed = start("train", lines, "--out", tmp_path / "killed", *options, start_new_session=True)
    wait_for_epoch(tmp_path / "killed", killed, 2)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.communicate()
    assert len(metrics(tmp_path / "killed")) < 40
    finish("train", "--resume", tmp_path / "killed")
    assert_same_result(tmp_path / "killed", tmp_path / "whole")


@pytest.mark.slow
def test_twenty_kills_leave_no_trace(lines, tmp_path):
    check_killed_and_resumed(lines, tmp_path, kills=20, epochs=1500, seed=1)
