"""Two processes on this machine train as one, with every loss, and end together."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from fissura.data.synthetic.dataset import synth

SCRIPT = Path(__file__).with_name("ranks.py")
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node"]
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1"}
COMMAND = [sys.executable, "-m", "fissura.cli", "train"]
OPTIONS = ["--width", "4", "--batch-size", "4", "--epochs", "6", "--accelerator", "cpu"]
OPTIONS += ["--precision", "float32", "--optimizer", "sgd"]  # Adam grows rounding errors

pytestmark = pytest.mark.slow


def by_torchrun(processes, *words):
    subprocess.run([*TORCHRUN, str(processes), *words], env=ENVIRONMENT, check=True, timeout=500)


def results(folder, processes):
    return json.loads((folder / f"{processes}.json").read_text(encoding="utf-8"))


def test_two_processes_train_as_one_with_every_loss(tmp_path):
    synth(tmp_path / "data", count=18, size_hw=(32, 40), crack_fraction=0.08, seed=0)
    for processes in (1, 2):
        by_torchrun(processes, SCRIPT, tmp_path, "losses")
    one, two = results(tmp_path, 1), results(tmp_path, 2)
    assert len(one) == len(two) > 13
    assert two.pop("rank") != pytest.approx(one.pop("rank"), rel=1e-3)
    for name, (*losses, background, crack) in one.items():
        assert two[name][:-2] == pytest.approx(losses, rel=1e-6), name
        assert two[name][-2:] == [background, crack]


def test_two_processes_have_the_golden_curve(tmp_path):
    synth(tmp_path / "data", count=16, size_hw=(48, 48), crack_fraction=0.06, seed=0)
    by_torchrun(2, SCRIPT, tmp_path, "golden")
    committed = json.loads(SCRIPT.with_name("golden.json").read_text(encoding="utf-8"))
    for precision, early in [("float32", 5e-3), ("bfloat16", 2e-2)]:
        losses = results(tmp_path, 2)[precision]
        assert losses[:4] == pytest.approx(committed[precision][:4], rel=early)
        assert losses == pytest.approx(committed[precision], rel=0.07)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("several") / "data"
    synth(folder, count=14, size_hw=(32, 40), crack_fraction=0.08, seed=0)
    return folder


@pytest.fixture(scope="module")
def one_run(data):
    """The lines of metrics of the training by one process."""
    words = [*COMMAND, data, "--out", data.parent / "one", *OPTIONS]
    subprocess.run(words, env=ENVIRONMENT, check=True, timeout=300)
    return metrics(data.parent / "one")


def metrics(run):
    file = run / "metrics.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def assert_same(run, one_run):
    """A training by others has the metrics of the one process, but for rounding."""
    for line, expected in zip(metrics(run), one_run, strict=True):
        assert line["loss"] == pytest.approx(expected["loss"], rel=5e-3)
        iou = expected["validation"]["iou_at_half"]
        assert line["validation"]["iou_at_half"] == pytest.approx(iou, abs=0.01)


def start(*words):
    return subprocess.Popen(
        [str(word) for word in words], env=ENVIRONMENT, text=True, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def after_epochs(process, run, count):
    while len(metrics(run)) < count:
        assert process.poll() is None
        time.sleep(0.02)


@pytest.mark.parametrize("way", ["launched", "torchrun"])
def test_a_stopped_training_goes_on_with_another_number_of_processes(way, data, one_run, tmp_path):
    run, launched = tmp_path / "run", way == "launched"
    words = ["train", data, "--out", run, *OPTIONS]
    if launched:
        process = start(*COMMAND, *words[1:], "--devices", "2")
    else:
        process = start(*TORCHRUN, "2", "-m", "fissura.cli", *words)
    after_epochs(process, run, 2)
    os.killpg(process.pid, signal.SIGINT)  # as Ctrl-C in a terminal
    said, _ = process.communicate(timeout=100)
    assert len(re.findall("Stopped. Go on with: fissura train --resume", said)) == 1
    if launched:
        assert process.returncode == 130
        assert "Traceback" not in said
    assert len(metrics(run)) < 6
    other = "1" if launched else "2"
    words = [*COMMAND, "--resume", run, "--devices", other]
    subprocess.run(words, env=ENVIRONMENT, check=True, timeout=300)
    assert yaml.safe_load((run / "config.yaml").read_text())["devices"] == int(other)
    assert_same(run, one_run)


PROGRAM = """
import os, sys
from fissura.errors import InputError
from fissura.training.train import train
from fissura.training.options import TrainOptions

def fail(session, epoch):
    if session.fabric.global_rank == 1:
        if sys.argv[3] == "kill":
            os.kill(os.getpid(), 9)
        raise InputError("This disk is full.")

options = TrainOptions(width=4, batch_size=4, epochs=5, devices=2, accelerator="cpu")
try:
    train(sys.argv[1], out=sys.argv[2], options=options, quiet=True, on_epoch=fail)
except InputError as error:
    print(error)
    sys.exit(2)
"""


@pytest.mark.parametrize(
    ("how", "sentence"),
    [("error", "This disk is full.\n"), ("kill", "Another process of this training has ended")],
)
def test_what_ends_one_process_ends_all_with_one_sentence(how, sentence, data, tmp_path):
    program = tmp_path / "program.py"
    program.write_text(PROGRAM, encoding="utf-8")
    process = start(sys.executable, program, data, tmp_path / "run", how)
    said, _ = process.communicate(timeout=100)
    assert process.returncode == 2
    assert said.startswith(sentence)
    assert said.count("\n") == 1


ENDED = """
import sys
from torch import distributed
from fissura.training.train import train
from fissura.training.options import TrainOptions

options = TrainOptions(width=4, batch_size=4, epochs=1, devices=2, accelerator="cpu")
train(sys.argv[1], out=sys.argv[2], options=options, quiet=True)
sys.exit(3 if distributed.is_initialized() else 0)
"""


def test_no_process_is_left_in_a_group_after_the_training(data, tmp_path):
    program = tmp_path / "program.py"
    program.write_text(ENDED, encoding="utf-8")
    process = start(sys.executable, program, data, tmp_path / "run")
    said, _ = process.communicate(timeout=100)
    assert (process.returncode, said) == (0, "")


def test_what_is_wrong_for_all_is_said_once(tmp_path):
    process = start(*COMMAND, tmp_path / "nowhere", "--devices", "2", "--accelerator", "cpu")
    said, _ = process.communicate(timeout=100)
    assert process.returncode == 2
    assert said.count("does not exist") == said.count("\n") == 1
