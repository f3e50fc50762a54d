"""`study`: trains the missing runs of a recipe, then shows the results of all."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from fissura.device import choose_device
from fissura.errors import InputError
from fissura.study.comparison import write_comparison
from fissura.study.data import locate
from fissura.study.experiment import Run
from fissura.study.one_run import Ended, prepared_for, result_file, run_folder
from fissura.study.options import Budget, StudyOptions
from fissura.study.recipe import Recipe, choose_rows, collect
from fissura.study.results import index, read_results
from fissura.study.workers import Job, run_in_workers

DEFAULTS = StudyOptions()
AS_THE_RECIPE_SAYS = Budget()


@dataclass(frozen=True)
class Study:
    """The outcome of a study.

    Attributes:
        files: The table or figures that it wrote.
        failed: Runs that failed.
        stopped_by: Number of the signal that stopped it, or None.
    """

    files: list[Path]
    failed: list[Ended]
    stopped_by: int | None


def study(
    recipe: Recipe,
    out: Path,
    *,
    budget: Budget = AS_THE_RECIPE_SAYS,
    options: StudyOptions = DEFAULTS,
) -> Study:
    """Do the trainings of a recipe that have no result yet, and show what all of them gave.

    Results lie in OUT/runs, a file per run, and are never trained twice: not after a kill, not for
    another recipe in the same folder. The seeds are the same in all rows, so that rows differ by
    their options alone: they have the same initial weights, batches and augmentation. All rows of a
    seed come before the next seed.

    Args:
        recipe: What is trained, and how it is shown.
        out: Folder of the study; it may hold results already.
        budget: Epochs, width and so on, where they are others than the recipe's.
        options: Seeds, rows, processes, data.

    Returns:
        The files written, the runs that failed, and the signal that stopped it, if any.

    Raises:
        InputError: There is no such row, or data are missing or have changed.
    """
    whole = recipe.at(budget)
    planned = choose_rows(whole, options.only)
    console = Console(highlight=False)
    device = choose_device(options.device).type
    seeds = range(options.first_seed, options.first_seed + options.runs)
    jobs = [
        job
        for seed in seeds
        for job in _missing(planned, seed, out, options.data, accelerator=device)
    ]
    _check_data(jobs, out)
    if planned.rows:
        total = len(planned.rows) * options.runs
        console.print(
            f"{planned.title}: {len(jobs)} of {total} run{'s' * (total > 1)} to do.", soft_wrap=True
        )
    # A GPU is one worker's, unless the user says that it has room for more.
    workers = options.workers or (os.cpu_count() or 1 if device == "cpu" else 1)
    failed, stopped = _train(jobs, out, workers, console) if jobs else ([], None)
    if stopped is not None:
        console.print("Stopped; nothing is lost. The same command goes on from here.")
        return Study([], failed, stopped)
    found = collect(whole, index(read_results(out / "runs").values()))
    files = (whole.show or write_comparison)(whole, found, out)
    for file in files:
        console.print(f"Written: {file}", soft_wrap=True)
    return Study(files, failed, None)


def _train(
    jobs: list[Job], out: Path, workers: int, console: Console
) -> tuple[list[Ended], int | None]:
    """Do the runs with a progress bar; return those that failed, and the signal that stopped it."""
    failed: list[Ended] = []
    with _progress(console) as progress:
        task = progress.add_task("", total=len(jobs))

        def report(ended: Ended) -> None:
            _tell(progress, ended)
            progress.advance(task)
            if ended.error is not None:
                failed.append(ended)

        stopped = run_in_workers(jobs, out, workers=workers, report=report)
    return failed, stopped


def _missing(
    recipe: Recipe, seed: int, out: Path, root: Path | None, *, accelerator: str
) -> list[Job]:
    """Return the runs of one seed without a result, or without weights where those are needed."""
    jobs = []
    for row in recipe.rows:
        run = Run(row.experiment.at(accelerator=accelerator), seed)
        done = result_file(out, run.key)
        weights = run_folder(out, run.key) / "model" / "model.safetensors"
        if done.exists() and (weights.exists() or not recipe.needs_weights):
            continue
        folder = locate(row.experiment.data, root, out)
        jobs.append(Job(run, folder, again=done.exists()))
    return jobs


def _check_data(jobs: list[Job], out: Path) -> None:
    """Refuse to mix results of different images: what is there must be of the data at hand."""
    results = read_results(out / "runs").values()
    kinds = {
        (job.data, job.run.config.protocol, job.run.config.area_threshold): job for job in jobs
    }
    for job in kinds.values():
        config = job.run.config
        test = prepared_for(config, job.data, "test")
        name = job.run.experiment.data.name
        for result in results:
            same = (result.identity["data"], result.identity.get("area_threshold")) == (
                name,
                config.area_threshold,
            )
            if same and result.test["fingerprint"] != test.fingerprint:
                raise InputError(
                    f"{result_file(out, result.key)} was made with other images than those in "
                    f"{job.data} now. Restore them, or take another --out."
                )


def _progress(console: Console) -> Progress:
    """Return a progress bar of runs, shown on a terminal alone."""
    return Progress(
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("runs, time left"),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
    )


def _tell(progress: Progress, ended: Ended) -> None:
    """Print a line about a run that ended: its IoU, or why it failed."""
    if ended.error is not None:
        progress.console.print(f"{ended.run.key} failed: {ended.error}", soft_wrap=True)
    elif ended.result is not None:
        result = ended.result
        progress.console.print(
            f"{result.key}  IoU {result.iou:.4f}  ({result.seconds['train']:.0f} s)",
            soft_wrap=True,
        )
