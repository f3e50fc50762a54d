"""Jobs: photos of one request, from the upload to the results, each within a folder of its own."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import tempfile
import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from fissura.errors import InputError
from fissura.serve.errors import HttpError
from fissura.serve.inspecting import Answered, Asked, inspect_upload
from fissura.serve.metrics import Metrics
from fissura.serve.options import ServeOptions
from fissura.serve.uploads import Upload
from fissura.serve.worker import Worker

State = Literal["queued", "running", "done", "failed"]

PREFIX = "fissura-serve-"
LONGEST_RETRY = 120  # seconds
KEPT = 4  # finished jobs that are kept, times the length of the queue


@dataclass(eq=False)
class Job:
    """Photos of one request.

    Attributes:
        id: What it is asked for by; nobody guesses it.
        folder: Everything of it on disk: photos/, results/.
        asked: How the photos are inspected.
        uploads: Photos that may be decoded.
        refused: Names and sentences of those that may not, or could not.
        futures: Outcomes of `uploads`.
        began: Monotonic time of its request.
        ended: Monotonic time of its end; None until then.
        done: Photos that were inspected, in the order of `uploads`.
        packed: The zip of all results, where it was asked for.
    """

    id: str
    folder: Path
    asked: Asked = field(default_factory=Asked)
    uploads: list[Upload] = field(default_factory=list)
    refused: list[dict[str, str]] = field(default_factory=list)
    futures: list[Future[Answered]] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)
    ended: float | None = None
    done: list[Answered] = field(default_factory=list)
    packed: Path | None = None

    @property
    def photos(self) -> Path:
        """Folder of the photos."""
        return self.folder / "photos"

    @property
    def results(self) -> Path:
        """Folder of the results."""
        return self.folder / "results"

    @property
    def state(self) -> State:
        """How far it is."""
        if self.ended is not None:
            return "done" if self.done else "failed"
        begun = any(future.running() or future.done() for future in self.futures)
        return "running" if begun else "queued"

    def answer(self, worker: Worker) -> dict[str, Any]:
        """Return what is told of its photos."""
        return {
            "model": worker.name,
            "terms": worker.predictor.config.training.get("terms"),
            "photos": [one.answer for one in self.done],
            "errors": self.refused,
        }


class Jobs:
    """All jobs of one app.

    Args:
        worker: Computes.
        options: The queue's length, and how long jobs may take and are kept.
        metrics: Counts photos.
    """

    def __init__(self, worker: Worker, options: ServeOptions, metrics: Metrics) -> None:
        self.worker, self.options, self.metrics = worker, options, metrics
        sweep()
        self.root = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-"))
        self._jobs: dict[str, Job] = {}
        self._open: set[str] = set()
        self._lock = threading.Lock()
        self._seconds = 1.0  # that a job took of late
        metrics.watch("fissura_jobs_open", "Jobs that are uploaded, wait or run", self.open_jobs)
        metrics.watch("fissura_jobs_kept", "Jobs whose results are kept", lambda: len(self._jobs))
        metrics.watch("fissura_tasks_waiting", "Tasks that wait", lambda: worker.waiting)

    def open_jobs(self) -> int:
        """Return the number of jobs that are uploaded, wait or run."""
        return len(self._open)

    def open(self) -> Job:
        """Open a job before anything of its photos is taken.

        Raises:
            HttpError: 429 where as many are open as the queue holds.
        """
        self._expire()
        with self._lock:
            if len(self._open) >= self.options.queue:
                # A job of late took so long, its time in the queue included.
                wait = min(max(round(self._seconds), 1), LONGEST_RETRY)
                raise HttpError(
                    429,
                    f"{len(self._open)} inspections are under way, which is the most that is taken "
                    f"here at once. Try again in about {wait} s.",
                    {"Retry-After": str(wait)},
                )
            job = Job(secrets.token_urlsafe(16), self.root)
            job.folder = self.root / job.id
            self._jobs[job.id] = job
            self._open.add(job.id)
        for folder in (job.photos, job.results):
            folder.mkdir(parents=True)
        return job

    def start(self, job: Job) -> None:
        """Have the photos of a job inspected, once they are all there."""
        job.futures = [
            inspect_upload(self.worker, upload, job.results, job.asked, self.options.job_seconds)
            for upload in job.uploads
        ]
        remaining = [len(job.futures)]
        lock = threading.Lock()

        def one_less(_: Future[Answered]) -> None:
            with lock:
                remaining[0] -= 1
                last = not remaining[0]
            if last:
                self._finish(job)

        if not job.futures:
            self._finish(job)
        for future in job.futures:
            future.add_done_callback(one_less)

    def _finish(self, job: Job) -> None:
        """Take down the outcomes of a job, and make room for the next."""
        for upload, future in zip(job.uploads, job.futures, strict=True):
            cancelled = future.cancelled()
            error = None if cancelled else future.exception()
            if cancelled or error is not None:
                job.refused.append({"photo": upload.name, "error": sentence_of(error, upload)})
            else:
                job.done.append(future.result())
            outcome = "cancelled" if cancelled else "failed" if error else "inspected"
            self.metrics.photos.labels(outcome).inc()
        job.ended = time.monotonic()
        with self._lock:
            self._open.discard(job.id)
            self._seconds = 0.9 * self._seconds + 0.1 * (job.ended - job.began)

    def get(self, name: str) -> Job:
        """Return a job.

        Raises:
            HttpError: 404 where there is none, or none any more.
        """
        self._expire()
        job = self._jobs.get(name)
        if job is None or name not in self._jobs:
            raise HttpError(404, "There is no such job; its results may have been deleted by now.")
        return job

    def drop(self, job: Job) -> None:
        """Forget a job: what waits of it is cancelled, its files are deleted."""
        for future in job.futures:
            future.cancel()
        with self._lock:
            self._jobs.pop(job.id, None)
            self._open.discard(job.id)
        running = [future for future in job.futures if not future.done()]
        if running:  # its files are in use
            running[-1].add_done_callback(lambda _: shutil.rmtree(job.folder, ignore_errors=True))
        else:
            shutil.rmtree(job.folder, ignore_errors=True)

    def close(self) -> None:
        """Forget all jobs, and delete everything."""
        for job in list(self._jobs.values()):
            self.drop(job)
        shutil.rmtree(self.root, ignore_errors=True)

    def _expire(self) -> None:
        """Forget jobs whose results nobody has fetched in time, and the oldest of too many."""
        now = time.monotonic()
        ended = [(job.ended, job) for job in list(self._jobs.values()) if job.ended is not None]
        ended.sort(key=lambda pair: pair[0])
        surplus = len(ended) - KEPT * self.options.queue
        for index, (at, job) in enumerate(ended):
            if index < surplus or now - at > self.options.keep_seconds:
                self.drop(job)


def sentence_of(error: BaseException | None, upload: Upload) -> str:
    """Say why a photo could not be inspected, without telling places on the server."""
    if error is None:
        return f"{upload.name}: was cancelled."
    if isinstance(error, TimeoutError):
        return f"{upload.name}: waited too long for its turn. Try again later."
    if isinstance(error, InputError):
        folder = f"{upload.file.parent}{os.sep}"
        return str(error).replace(str(upload.file), upload.name).replace(folder, "")
    if isinstance(error, MemoryError):
        return f"{upload.name}: is too large for the memory of this server."
    return f"{upload.name}: could not be inspected ({type(error).__name__})."


def sweep() -> None:
    """Delete what servers that were killed have left in the folder for temporary files."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        number = folder.name.removeprefix(PREFIX).partition("-")[0]
        with contextlib.suppress(OSError):
            own = not hasattr(os, "getuid") or folder.stat().st_uid == os.getuid()
            if folder.is_dir() and own and number.isdecimal() and not _runs(int(number)):
                shutil.rmtree(folder, ignore_errors=True)


def _runs(process: int) -> bool:
    """Whether a process is there."""
    if process == os.getpid():
        return True  # of this very server, or of another app in it
    if os.name == "nt":
        return True  # cannot be asked without harm; Windows clears its temporary files itself
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
