"""Pooled over processes, every loss has the value and the gradient of the whole batch."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from fissura.losses import LOSSES, pool, sum_over_ranks

SCRIPT = Path(__file__).with_name("ranks.py")


@pytest.mark.slow
def test_two_processes_have_every_loss_of_the_whole_batch(tmp_path):
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-W", "error", SCRIPT, tmp_path / "meet"]
    processes = [
        subprocess.Popen([*command, str(rank), "2"], env=environment, text=True,
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for rank in (0, 1)
    ]  # fmt: skip
    said = [process.communicate(timeout=200) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], said
    assert int(said[0][0]) > 200


@pytest.mark.parametrize("over", ["global", "rank"])
def test_alone_nothing_changes_to_the_bit(over):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 1, 8, 8, generator=generator)
    target = torch.rand(2, 1, 8, 8, generator=generator) < 0.3
    for loss in LOSSES.values():
        assert torch.equal(pool(over)(loss)(logits, target), loss(logits, target))


def test_another_word_is_refused():
    with pytest.raises(ValueError, match="over"), pool("all"):
        pass


def test_a_sum_needs_processes():
    with pytest.raises(ValueError, match="process group"):
        sum_over_ranks(torch.zeros(2))
