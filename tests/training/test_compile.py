"""`--compile` in real processes: what it changes, and what it says where it can't work."""

import json
import os
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file

from fissura.errors import InputError
from fissura.training.options import TrainOptions
from fissura.training.processes.start import start_fabric

OPTIONS = ["--width", "2", "--epochs", "2", "--batch-size", "6", "--accelerator", "cpu"]


def train(*arguments, **environment):
    return subprocess.run(
        [sys.executable, "-m", "fissura.cli", "train", *map(str, arguments)],
        env=os.environ | {"OMP_NUM_THREADS": "1"} | environment,
        capture_output=True,
        text=True,
    )


def test_the_reason_why_it_does_not_work_is_told(monkeypatch):
    def fail(function):
        raise RuntimeError("No working C++ compiler found\nand so on")

    monkeypatch.setattr(torch, "compile", fail)
    config = TrainOptions(compile=True, accelerator="cpu")
    with pytest.raises(InputError, match=r"not work here: No working C\+\+ compiler found\. On a"):
        start_fabric(config)


@pytest.mark.slow
def test_without_a_compiler_it_says_so_before_training(lines, tmp_path):
    nowhere = {"CXX": "/nowhere/g++", "TORCHINDUCTOR_CACHE_DIR": str(tmp_path / "cache")}
    done = train(lines, "--out", tmp_path / "run", "--compile", *OPTIONS, **nowhere)
    assert done.returncode == 2
    assert "--compile does not work here" in done.stderr
    assert "C++ compiler" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_compiled_training_is_the_same_training(lines, tmp_path):
    precise = [*OPTIONS, "--precision", "float32"]
    for name, more in (("plain", []), ("compiled", ["--compile"])):
        done = train(lines, "--out", tmp_path / name, *precise, *more)
        assert done.returncode == 0, done.stderr
    plain, compiled = (
        [
            json.loads(line)["loss"]
            for line in (tmp_path / name / "metrics.jsonl").read_text().splitlines()
        ]
        for name in ("plain", "compiled")
    )
    assert compiled == pytest.approx(plain, rel=1e-3)
    ours, theirs = (
        load_file(tmp_path / name / "model" / "model.safetensors") for name in ("compiled", "plain")
    )
    assert ours.keys() == theirs.keys()
