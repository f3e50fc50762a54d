"""The runs of a study as tasks of a Ray cluster."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from fissura.errors import InputError, first_line
from fissura.memory import keep_freed_memory
from fissura.spread.cluster import cluster
from fissura.spread.options import SpreadOptions
from fissura.study.runs.one_run import Ended, execute
from fissura.study.runs.workers import Job, one_thread

MOST_DEATHS = 4  # of tasks over one run; each goes on from the run's last state


def run_on_ray(
    jobs: Sequence[Job], study: Path, address: str, *, gpu: bool, report: Callable[[Ended], None]
) -> None:
    """Do all jobs as Ray's tasks, of one processor or one GPU each.

    Runs have the bits that they have in worker processes. A task that dies is started again, and
    its run goes on from its last state in the study's folder, which all machines have to share.
    Ctrl-C ends the tasks; the same call later goes on.

    Args:
        jobs: The runs to do.
        study: Folder of the study.
        address: Of the cluster, as `SpreadOptions.ray`.
        gpu: Whether each run needs a GPU.
        report: Called as each run ends.

    Raises:
        InputError: Ray is not installed, there is no cluster, or a task died too often.
    """
    with cluster(SpreadOptions(ray=address)) as ray:
        task: Any = ray.remote(
            num_cpus=1, num_gpus=1 if gpu else 0, max_retries=MOST_DEATHS, max_calls=1
        )(_do)
        waiting = {task.remote(job, study.absolute(), Path.cwd()): job for job in jobs}
        while waiting:
            (done, *_), _ = ray.wait(list(waiting), num_returns=1)
            job = waiting.pop(done)
            try:
                ended = ray.get(done)
            except ray.exceptions.RayError as error:
                reason = first_line(error)
                raise InputError(
                    f"The task that trained {job.run.key} died {MOST_DEATHS + 1} times ({reason}). "
                    "Start the study again; it goes on where it stood."
                ) from error
            report(ended)


def _do(job: Job, study: Path, folder: Path) -> Ended:
    """Do a run in a task of its own process."""
    os.chdir(folder)
    keep_freed_memory()
    with one_thread():
        return execute(job.run, job.data, study, again=job.again)
