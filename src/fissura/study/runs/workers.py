"""Worker processes of one thread each, which do the runs of a study."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path

import torch

from fissura.errors import InputError
from fissura.memory import keep_freed_memory
from fissura.study.experiment import Run
from fissura.study.runs.one_run import Advanced, Ended, execute
from fissura.training.stop import StopRequest, stop_on_signals


@dataclass(frozen=True)
class Job:
    """A run to do.

    Attributes:
        run: The run.
        data: Folder of its images.
        again: Whether a run that has its result is trained all the same, for its weights.
    """

    run: Run
    data: Path
    again: bool = False


def run_in_workers(
    jobs: Sequence[Job],
    study: Path,
    *,
    workers: int,
    report: Callable[[Ended], None],
    advance: Callable[[Advanced], None] = lambda news: None,
) -> int | None:
    """Do all jobs in worker processes, in their order as workers become free.

    Each worker computes with one thread, so that a run has the bits that `fissura train` has with
    one thread, in whatever company. SIGINT or SIGTERM stops the workers with the state of their
    runs saved; the same call later goes on from there.

    Args:
        jobs: The runs to do.
        study: Folder of the study.
        workers: Number of processes; 1 does the jobs in this process.
        report: Called as each run ends.
        advance: Called after each epoch of a run.

    Returns:
        The number of the signal that stopped it, or None.

    Raises:
        InputError: A worker died.
    """
    with stop_on_signals() as request:
        if workers == 1:
            with one_thread():
                return _one_after_another(jobs, study, request, report, advance)
        pool = [_Worker(study) for _ in range(min(workers, len(jobs)))]
        try:
            _hand_out(pool, list(jobs), request, report, advance)
        finally:
            for worker in pool:
                worker.close()
    return request.signal


def _one_after_another(
    jobs: Sequence[Job],
    study: Path,
    request: StopRequest,
    report: Callable[[Ended], None],
    advance: Callable[[Advanced], None],
) -> int | None:
    """Do all jobs in this process; return the number of the signal that stopped it, or None."""
    for job in jobs:
        ended = execute(job.run, job.data, study, again=job.again, advance=advance)
        # While it trains, the training has the signals; otherwise they come here.
        if (stopped_by := ended.stopped_by or request.signal) is not None:
            return stopped_by
        report(ended)
    return None


def _hand_out(
    pool: list[_Worker],
    jobs: list[Job],
    request: StopRequest,
    report: Callable[[Ended], None],
    advance: Callable[[Advanced], None],
) -> None:
    """Give each free worker the next job until none is left and all are idle."""
    waiting = jobs[::-1]
    while request.signal is None:
        for worker in pool:
            if worker.job is None and waiting:
                worker.give(waiting.pop())
        busy = {worker.connection: worker for worker in pool if worker.job is not None}
        if not busy:
            return
        # A signal does not end the wait, so it must not be long.
        for connection in wait(list(busy), timeout=0.5):
            assert isinstance(connection, Connection)
            news = busy[connection].take()
            if isinstance(news, Advanced):
                advance(news)
            else:
                report(news)


class _Worker:
    """A process that does one job after another, as seen from the study's process."""

    def __init__(self, study: Path) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, study), daemon=True)
        with _single_threaded_children():
            self.process.start()
        theirs.close()
        self.job: Job | None = None

    def give(self, job: Job) -> None:
        """Hand the process a job."""
        self.job = job
        self.connection.send(job)

    def take(self) -> Ended | Advanced:
        """Return the news of the job, or how it ended; a process that died is not replaced."""
        assert self.job is not None
        job, self.job = self.job, None
        try:
            news = self.connection.recv()
            if isinstance(news, Advanced):
                self.job = job
            return news
        except EOFError:
            self.process.join()
            raise InputError(
                f"The process that trained {job.run.key} died (exit status "
                f"{self.process.exitcode}; −9 is often a lack of memory). Start the study again "
                "with fewer --workers; it goes on where it stood."
            ) from None

    def close(self) -> None:
        """End the process: at once where it is idle, else with its training's state saved."""
        if self.job is not None and self.process.is_alive():
            self.process.terminate()
        self.connection.close()
        self.process.join()


def _serve(connection: Connection, study: Path) -> None:
    """Do jobs as they come, until the study's process closes the connection or is gone."""
    # A terminal's Ctrl-C goes to a whole process group; this one hears of it from the study alone.
    if hasattr(os, "setpgrp"):  # not on Windows
        os.setpgrp()
    torch.set_num_threads(1)
    keep_freed_memory()
    threading.Thread(target=_stop_with_parent, daemon=True).start()
    while True:
        try:
            job = connection.recv()

            def advance(news: Advanced) -> None:
                # Where nobody listens any more, `_stop_with_parent` ends the training in order.
                with suppress(OSError):
                    connection.send(news)

            connection.send(execute(job.run, job.data, study, again=job.again, advance=advance))
        except (EOFError, OSError):
            return


def _stop_with_parent() -> None:
    """Ask this process to stop, state saved, once the study's process has been killed."""
    parent = multiprocessing.parent_process()
    while parent is not None and parent.is_alive():
        time.sleep(1)
    os.kill(os.getpid(), signal.SIGTERM)


@contextmanager
def _single_threaded_children() -> Iterator[None]:
    """Start processes whose libraries read that they have one thread."""
    before = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ["OMP_NUM_THREADS"]
        else:
            os.environ["OMP_NUM_THREADS"] = before


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute with one thread, then with as many as before."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
