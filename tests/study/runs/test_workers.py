import os
import signal

import pytest
import torch

from fissura.errors import InputError
from fissura.paper.data import DEEPCRACK
from fissura.study.experiment import Run, experiment
from fissura.study.options import Budget
from fissura.study.recipe import at_budget
from fissura.study.results import read_results
from fissura.study.runs.one_run import Advanced, Ended, claimed, run_folder
from fissura.study.runs.workers import Job, _Worker, run_in_workers

TOY = Budget(epochs=1, width=2)


def test_a_run_that_another_process_finished_is_left_alone(data_root, tmp_path):
    run = Run(at_budget(experiment(DEEPCRACK, loss="bce"), TOY), 0)
    ends: list[Ended] = []
    for _ in range(2):
        job = Job(run, data_root / "deepcrack")
        run_in_workers([job], tmp_path, workers=1, report=ends.append)
    assert ends[0].result is not None
    assert ends[1] == Ended(run)


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


def test_a_worker_gives_the_bits_of_this_process_and_its_death_is_told(
    done, recipe, lines, tmp_path
):
    """tests/study/test_runner.py compares those of this process with `fissura train`."""
    job = Job(Run(at_budget(recipe.rows[0].experiment, TOY).at(accelerator="cpu"), 1), lines)
    worker = _Worker(tmp_path)
    try:
        worker.give(job)
        assert worker.take() == Advanced(job.run.key, 1)
        ended = worker.take()
        assert isinstance(ended, Ended)
        result = ended.result
        assert result is not None
        expected = read_results(done / "runs")[job.run.key]
        assert (result.counts, result.loss) == (expected.counts, expected.loss)
        ours, theirs = (
            (run_folder(study, result.key) / "model" / "model.safetensors").read_bytes()
            for study in (tmp_path, done)
        )
        assert ours == theirs
        worker.job = job
        worker.process.kill()
        with pytest.raises(InputError, match=r"data-bce-dice.* died .*-9.*fewer --workers"):
            worker.take()
    finally:
        worker.close()
