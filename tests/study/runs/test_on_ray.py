"""A study on a local Ray cluster has the bits of one in worker processes."""

import pytest
import torch

from fissura.checkpoint import load_model
from fissura.study.options import Budget, StudyOptions
from fissura.study.results import read_results
from fissura.study.runner import study
from fissura.study.runs.one_run import run_folder


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # Ray's own, while it starts and ends
def test_runs_are_those_of_worker_processes(done, lines, recipe, tmp_path):
    pytest.importorskip("ray")
    options = StudyOptions(data=lines, runs=2, ray="local")
    ended = study(recipe, tmp_path, budget=Budget(epochs=1, width=2), options=options)
    assert (ended.failed, ended.stopped_by) == ([], None)
    ours, theirs = (
        {result.key: result for result in read_results(folder / "runs").values()}
        for folder in (tmp_path, done)
    )
    assert ours.keys() == theirs.keys()
    for key, result in ours.items():
        assert result.counts == theirs[key].counts
        one, other = (load_model(run_folder(out, key))[0].state_dict() for out in (tmp_path, done))
        assert all(torch.equal(one[name], other[name]) for name in other)
