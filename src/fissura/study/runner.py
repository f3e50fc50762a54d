"""`study`: trains the missing runs of a recipe, then shows the results of all."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from fissura.device import choose_device
from fissura.errors import InputError
from fissura.study.data import locate
from fissura.study.experiment import Run
from fissura.study.options import Budget, StudyOptions
from fissura.study.outputs.exports import write_study
from fissura.study.recipe import Recipe, choose_rows, collect
from fissura.study.results import index, read_results
from fissura.study.runs.cost import Cost, estimate, written_costs
from fissura.study.runs.images import prepared_for
from fissura.study.runs.on_ray import run_on_ray
from fissura.study.runs.one_run import Advanced, Ended, result_file, run_folder
from fissura.study.runs.progress import Clock, progress_bar, tell
from fissura.study.runs.workers import Job, run_in_workers

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

    Before it starts, it tells what it will cost, by steps of each kind of training that are timed
    on this machine.

    Returns:
        The files written, the runs that failed, and the signal that stopped it, if any.

    Raises:
        InputError: There is no such row, or data are missing or have changed.
    """
    whole = recipe.at(budget)
    planned = choose_rows(whole, options.only)
    console = Console(highlight=False)
    device = choose_device(options.device).type
    number = options.runs or recipe.runs
    seeds = range(options.first_seed, options.first_seed + number)
    jobs = [
        job
        for seed in seeds
        for job in _missing(planned, seed, out, options.data, accelerator=device)
    ]
    _check_data(jobs, out)
    if planned.rows:
        total = len(planned.rows) * number
        console.print(
            f"{planned.title}: {len(jobs)} of {total} run{'s' * (total > 1)} to do.", soft_wrap=True
        )
    # A GPU is one worker's, unless the user says that it has room for more.
    workers = options.workers or (os.cpu_count() or 1 if device == "cpu" else 1)
    costs = _tell_costs(jobs, out, workers, console)
    if options.estimate:
        return Study([], [], None)
    if options.ray is not None:
        failed, stopped = _train_on_ray(costs, out, options.ray, device != "cpu", console), None
    else:
        failed, stopped = _train(costs, out, workers, console) if jobs else ([], None)
    if stopped is not None:
        console.print("Stopped; nothing is lost. The same command goes on from here.")
        return Study([], failed, stopped)
    found = collect(whole, index(read_results(out / "runs").values()))
    files = (whole.show or write_study)(whole, found, out)
    for file in files:
        console.print(f"Written: {file}", soft_wrap=True)
    return Study(files, failed, None)


def _tell_costs(jobs: Sequence[Job], out: Path, workers: int, console: Console) -> list[Cost]:
    """Time the steps of a study and print what it will cost."""
    if not jobs:
        return []
    console.print("Timing some steps on this machine …")
    costs = estimate(jobs, out)
    for line in written_costs(costs, workers):
        console.print(line, soft_wrap=True)
    return costs


def _train(
    costs: Sequence[Cost], out: Path, workers: int, console: Console
) -> tuple[list[Ended], int | None]:
    """Do the runs with a progress bar; return those that failed, and the signal that stopped it."""
    failed: list[Ended] = []
    clock = Clock(costs, workers)
    with progress_bar(console) as progress:
        task = progress.add_task("", total=1.0, left=clock.left())

        def advance(news: Advanced) -> None:
            clock.advance(news)
            progress.update(task, completed=clock.fraction(), left=clock.left())

        def report(ended: Ended) -> None:
            clock.end(ended.run.key)
            tell(progress, ended, clock.left())
            progress.update(task, completed=clock.fraction(), left=clock.left())
            if ended.error is not None:
                failed.append(ended)

        jobs = [cost.job for cost in costs]
        stopped = run_in_workers(jobs, out, workers=workers, report=report, advance=advance)
    return failed, stopped


def _train_on_ray(
    costs: Sequence[Cost], out: Path, address: str, gpu: bool, console: Console
) -> list[Ended]:
    """Do the runs on a cluster; return those that failed."""
    failed: list[Ended] = []
    with progress_bar(console) as progress:
        clock = Clock(costs, len(costs))
        task = progress.add_task("", total=1.0, left=clock.left())

        def report(ended: Ended) -> None:
            clock.end(ended.run.key)
            tell(progress, ended, clock.left())
            progress.update(task, completed=clock.fraction(), left=clock.left())
            failed.extend([ended] if ended.error is not None else [])

        run_on_ray([cost.job for cost in costs], out, address, gpu=gpu, report=report)
    return failed


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
