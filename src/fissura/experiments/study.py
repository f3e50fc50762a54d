"""`fissura study`: train what a table or figure of the paper needs and is missing, then show it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from fissura.device import choose_device
from fissura.errors import InputError
from fissura.experiments import fig1, fig3, fig4, table1, table2, table3, table4
from fissura.experiments.datasets import locate
from fissura.experiments.experiment import Run
from fissura.experiments.margin_plot import find_sweeps
from fissura.experiments.page import results_page
from fissura.experiments.pool import Job, run_in_workers
from fissura.experiments.results import read_results
from fissura.experiments.rows import Recipe, Scale
from fissura.experiments.scales import collect, describe_part, index, parts
from fissura.experiments.single import Ended, prepared_for, result_file, run_folder
from fissura.files import replacing

RECIPES: dict[str, Recipe] = {
    module.RECIPE.name: module.RECIPE
    for module in (table1, table2, table3, table4, fig1, fig3, fig4)
}

FIG4 = (
    "Fig. 4: the same photos by six losses. The photos are from DeepCrack-DB (Liu et al. 2019), "
    "for non-commercial research and education."
)


@dataclass(frozen=True)
class Study:
    """What a study wrote: files to look at, failed runs, and the signal that stopped it, if any."""

    files: list[Path]
    failed: list[Ended]
    stopped_by: int | None


def study(
    recipe: str,
    out: Path,
    *,
    data: Path | None = None,
    runs: int = 10,
    first_seed: int = 0,
    only: Sequence[str] = (),
    scale: Scale | None = None,
    workers: int | None = None,
    device: str = "auto",
) -> Study:
    """Do the trainings of a recipe that have no result yet, and draw its table or figure.

    Results lie in OUT/runs, a file per run, and are never trained twice: not after a kill, not for
    another recipe in the same folder. The seeds are the same in all rows, so that rows differ by
    the loss (or network) alone: the same initial weights, batches and augmentation. All rows of a
    seed come before the next seed.

    recipe:     a key of `RECIPES`.
    out:        the study's folder; it may hold results already.
    data:       folder with the real data sets, each in a folder of its name.
    runs:       seeds per row.
    first_seed: the seeds are first_seed … first_seed + runs − 1.
    only:       names of rows; all unless given.
    scale:      epochs, width and so on; the paper's unless given.
    workers:    processes, each with one training at a time; unless given, one per core of a CPU
                and a single one on a GPU.
    device:     "auto", "cpu" or "cuda".

    Raises `InputError` for an unknown recipe or row, or data that are missing or have changed.
    """
    whole = _recipe(recipe).at(scale or Scale())
    planned = _choose(whole, only)
    if runs < 1:
        raise InputError(f"--runs is {runs}; a row needs at least one.")
    console = Console(highlight=False)
    chosen = choose_device(device)
    jobs = [
        job
        for seed in range(first_seed, first_seed + runs)
        for job in _missing(planned, seed, out, data, accelerator=chosen.type)
    ]
    _check_data(jobs, out)
    if planned.rows:
        console.print(f"{planned.title}: {len(jobs)} of {len(planned.rows) * runs} runs to do.")
    failed: list[Ended] = []
    stopped = None
    if jobs:
        with _progress(console, len(jobs)) as progress:
            task = progress.add_task("", total=len(jobs))

            def report(ended: Ended) -> None:
                _tell(progress, ended)
                progress.advance(task)
                if ended.error is not None:
                    failed.append(ended)

            # A GPU is one worker's, unless the user says that it has room for more.
            count = workers or (os.cpu_count() or 1 if chosen.type == "cpu" else 1)
            stopped = run_in_workers(jobs, out, workers=count, report=report)
    if stopped is not None:
        console.print("Stopped; nothing is lost. The same command goes on from here.")
        return Study([], failed, stopped)
    files = whole.show(whole, collect(whole, index(read_results(out / "runs").values())), out)
    for file in files:
        console.print(f"Written: {file}", soft_wrap=True)
    return Study(files, failed, None)


def write_page(folder: Path, out: Path) -> list[Path]:
    """Write the page that judges the paper's claims, from the results in `folder` alone.

    The same results give the same bytes. Figures 1 and 3 are drawn anew into `images/` beside the
    page; Fig. 4 needs trained networks, and is taken from `folder`, where a study has drawn it, or
    stays as it is there.
    """
    results = read_results(folder / "runs")
    if not results:
        raise InputError(
            f"{folder / 'runs'} holds no results. Make some with `fissura study RECIPE --out "
            f"{folder}`."
        )
    images = out.parent / "images"
    figures = {
        "Fig. 1: what the losses turn into, each arrow checked by computing both sides.": _first(
            fig1.RECIPE.show(fig1.RECIPE, {}, images)
        )
    }
    drawable = [
        part
        for part in parts(fig3.RECIPE, index(results.values()), by_data=False)
        if find_sweeps(part.recipe, part.found)[0]
    ]
    for number, part in enumerate(drawable, start=1):
        # Each scale is a figure of its own.
        recipe = replace(part.recipe, name="fig3" if number == 1 else f"fig3-{number}")
        title = f"Fig. 3: gain by the margin, {describe_part(part)}."
        figures[title] = _first(recipe.show(recipe, part.found, images))
    for drawn in folder.glob("fig4.*"):
        with replacing(images / drawn.name) as temporary:
            temporary.write_bytes(drawn.read_bytes())
    if (images / "fig4.png").exists():
        figures[FIG4] = images / "fig4.png"
    shown = [(title, str(file.relative_to(out.parent))) for title, file in figures.items()]
    with replacing(out) as temporary:
        temporary.write_text(results_page(results, shown))
    return [out, *figures.values()]


def _first(files: list[Path]) -> Path:
    """The picture that a page shows; the other is the same as SVG."""
    return files[0]


def _recipe(name: str) -> Recipe:
    if name not in RECIPES:
        raise InputError(f"There is no study {name!r}. Choose one of: {', '.join(RECIPES)}.")
    return RECIPES[name]


def _choose(recipe: Recipe, only: Sequence[str]) -> Recipe:
    names = [row.name for row in recipe.rows]
    if unknown := [row for row in only if row not in names]:
        raise InputError(
            f"{recipe.name} has no row {', '.join(unknown)}. Its rows are: {', '.join(names)}."
        )
    return replace(recipe, rows=[row for row in recipe.rows if not only or row.name in only])


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


def _progress(console: Console, total: int) -> Progress:
    return Progress(
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("runs, time left"),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
    )


def _tell(progress: Progress, ended: Ended) -> None:
    if ended.error is not None:
        progress.console.print(f"{ended.run.key} failed: {ended.error}", soft_wrap=True)
    elif ended.result is not None:
        result = ended.result
        progress.console.print(
            f"{result.key}  IoU {result.iou:.4f}  ({result.seconds['train']:.0f} s)",
            soft_wrap=True,
        )
