"""One run of a study: it is trained, then judged, and leaves a result file."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from fissura.errors import InputError
from fissura.study.experiment import Run
from fissura.study.results import RunResult, write_result
from fissura.study.runs.curve import TestCurve
from fissura.study.runs.judge import score_run
from fissura.training.session import Session
from fissura.training.train import resume, train


@dataclass(frozen=True)
class Ended:
    """The end of a run: a result, an error, or the signal that stopped it.

    Attributes:
        run: The run.
        result: Its result.
        error: Why it failed.
        stopped_by: Number of the signal that stopped it.

    The last three are None where another process had finished the run meanwhile.
    """

    run: Run
    result: RunResult | None = None
    error: str | None = None
    stopped_by: int | None = None


@dataclass(frozen=True)
class Advanced:
    """News of a run under way.

    Attributes:
        key: Of the run.
        epochs: Epochs done.
    """

    key: str
    epochs: int


def result_file(study: Path, key: str) -> Path:
    """Return the file of a run's result."""
    return study / "runs" / f"{key}.json"


def run_folder(study: Path, key: str) -> Path:
    """Return the folder in which a run trains and its model stays."""
    return study / "trained" / key


def execute(
    run: Run,
    data: Path,
    study: Path,
    *,
    again: bool = False,
    advance: Callable[[Advanced], None] | None = None,
) -> Ended:
    """Train one run, or go on with it, judge it and write its result.

    The training is that of `fissura train` with the same options, in a run folder of its own. A
    run that another process is at is waited for. An error that the user could mend, and a loss that
    becomes NaN, end this run alone.

    Args:
        run: The run.
        data: Folder of its images.
        study: Folder of the study.
        again: Train it even where its result is there, for its weights.
        advance: Called after each epoch.

    Returns:
        The end of the run: a result, an error, or the signal that stopped it.
    """
    with claimed(study, run.key, again=again) as to_do:
        if not to_do:
            return Ended(run)
        folder = run_folder(study, run.key)
        curve = TestCurve(run.config, data, folder)

        def watch(session: Session, epoch: int) -> None:
            curve(session, epoch)
            if advance is not None:
                advance(Advanced(run.key, epoch))

        try:
            if (folder / "config.yaml").exists():
                outcome = resume(folder, quiet=True, on_epoch=watch)
            else:
                outcome = train(data, out=folder, options=run.config, quiet=True, on_epoch=watch)
            if outcome.stopped_by is not None:
                return Ended(run, stopped_by=outcome.stopped_by)
            return Ended(run, conclude(run, data, study))
        except (InputError, OSError, RuntimeError) as error:
            return Ended(run, error=str(error))


def conclude(run: Run, data: Path, study: Path) -> RunResult:
    """Judge a finished training on the test images and write its result.

    The state that a training under way needs is removed.

    Args:
        run: The run.
        data: Folder of its images.
        study: Folder of the study.
    """
    folder = run_folder(study, run.key)
    result = score_run(run, data, folder)
    write_result(study / "runs", result)
    shutil.rmtree(folder / "state", ignore_errors=True)
    return result


@contextmanager
def claimed(study: Path, key: str, *, again: bool = False) -> Iterator[bool]:
    """Hold a run for this process; wait while another has it. A process that dies lets go.

    Args:
        study: Folder of the study.
        key: Of the run.
        again: Whether a run that has its result is done all the same.

    Yields:
        Whether there is anything to do: False where the run has its result, from before or from
        the process that was waited for, and shall not be trained `again`.
    """
    file = study / "trained" / f".{key}.lock"
    file.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(file, poll_interval=0.2):
        yield again or not result_file(study, key).exists()
