"""Two processes on this machine train as one, with every loss."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from fissura.data.synthetic.dataset import synth

SCRIPT = Path(__file__).with_name("ranks.py")
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node"]
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1"}


@pytest.mark.slow
def test_two_processes_train_as_one_with_every_loss(tmp_path):
    synth(tmp_path / "data", count=18, size_hw=(32, 40), crack_fraction=0.08, seed=0)
    for processes in (1, 2):
        command = [*TORCHRUN, str(processes), SCRIPT, tmp_path]
        subprocess.run(command, env=ENVIRONMENT, check=True, timeout=500)
    one, two = (
        json.loads((tmp_path / f"{processes}.json").read_text(encoding="utf-8"))
        for processes in (1, 2)
    )
    assert len(one) == len(two) > 13
    assert two.pop("rank") != pytest.approx(one.pop("rank"), rel=1e-3)
    for name, (*losses, background, crack) in one.items():
        assert two[name][:-2] == pytest.approx(losses, rel=1e-6), name
        assert two[name][-2:] == [background, crack]
