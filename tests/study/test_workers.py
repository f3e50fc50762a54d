import os
import signal

import pytest
import torch

from fissura.errors import InputError
from fissura.paper.data import DEEPCRACK
from fissura.study.experiment import Run, experiment
from fissura.study.one_run import Ended, claimed
from fissura.study.options import Budget
from fissura.study.workers import Job, _Worker, run_in_workers

TOY = Budget(epochs=2, width=2)


def jobs(data_root, *losses: dict, seeds: int = 1) -> list[Job]:
    return [
        Job(Run(TOY.of(experiment(DEEPCRACK, **options)), seed), data_root / "deepcrack")
        for seed in range(seeds)
        for options in losses
    ]


def test_a_run_that_another_process_finished_is_left_alone(data_root, tmp_path):
    wanted = jobs(data_root, {"loss": "bce"})
    ends: list[Ended] = []
    for _ in range(2):
        run_in_workers(wanted, tmp_path, workers=1, report=ends.append)
    assert ends[0].result is not None
    assert ends[1] == Ended(wanted[0].run)


def test_the_number_of_threads_is_given_back(data_root, tmp_path):
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        run_in_workers([], tmp_path, workers=1, report=lambda ended: None)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_a_claim_is_let_go_when_its_process_dies(tmp_path):
    child = os.fork()
    if child == 0:
        with claimed(tmp_path, "run"):
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    with claimed(tmp_path, "run"):
        pass


def test_a_worker_that_dies_is_told_in_a_sentence(data_root, tmp_path):
    worker = _Worker(tmp_path)
    try:
        worker.job = jobs(data_root, {"loss": "bce"})[0]
        worker.process.kill()
        with pytest.raises(InputError, match=r"deepcrack-bce.* died .*-9.*fewer --workers"):
            worker.take()
    finally:
        worker.close()
