"""The commands that draw data and repeat the paper: synth, study, results, demo."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from fissura.cli.options import Switch

RecipeName = Literal["table1", "table2", "table3", "table4", "fig1", "fig3", "fig4"]


def synth(
    out: Path,
    *,
    count: int = 200,
    size_hw: tuple[int, int] = (128, 128),
    crack_fraction: float = 0.0315,
    test_fraction: float = 0.25,
    seed: int = 0,
) -> int:
    """Draw a data set of cracked industrial panels, with masks that are exact.

    Parameters
    ----------
    out:
        Folder to make. It must not exist yet.
    count:
        How many pictures.
    size_hw:
        Height and width of each, in pixels.
    crack_fraction:
        Mean share of crack pixels, 0 to 0.2.
    test_fraction:
        Share of the pictures that goes into the test set.
    seed:
        The same seed and options draw the same pictures.
    """
    from fissura.data.synthetic.dataset import synth as run

    summary = run(
        out,
        count=count,
        size_hw=size_hw,
        crack_fraction=crack_fraction,
        test_fraction=test_fraction,
        seed=seed,
        progress=sys.stderr.isatty(),
    )
    print(
        f"{summary.train} pictures to train and {summary.test} to test are in {summary.folder}; "
        f"{summary.share:.2%} of their pixels are crack."
    )
    return 0


def study(
    recipe: RecipeName,
    *,
    out: Path,
    data: Path | None = None,
    runs: int = 10,
    first_seed: int = 0,
    only: Annotated[tuple[str, ...], Parameter(consume_multiple=True, negative="")] = (),
    epochs: int = 100,
    width: int = 16,
    panels: int = 2051,
    area_threshold: float | None = None,
    pretrained: Switch = False,
    workers: int | None = None,
    device: str = "auto",
) -> int:
    """Repeat a table or figure of the paper: train what is missing, then show it.

    Each training leaves a small file in OUT/runs. What is there is not trained again, so a study
    that was stopped or killed goes on with the same command, and studies in one folder share
    trainings. `fissura results` judges the paper's claims by them.

    Parameters
    ----------
    recipe:
        Table or figure of the paper.
    out:
        Folder for everything. It may hold earlier studies.
    data:
        Folder that holds deepcrack, crack500 and magnetic_tile, as far as the recipe needs them.
    runs:
        Trainings per row of a table, with different seeds.
    first_seed:
        The seeds count up from this one.
    only:
        Names of the rows to train, such as hf ours-0.5. [default: all]
    epochs:
        How many times each training image is seen.
    width:
        Channels of CrackSeg's U-Net basis at full size.
    panels:
        Number of synthetic panels to draw, where the recipe has any.
    area_threshold:
        Share of a shrunken pixel's area that must be crack to call it crack. [default: 1/8]
    pretrained:
        Start the networks of Table IV from ImageNet weights; they are downloaded on first use.
    workers:
        Trainings at once. [default: one per core; 24 on a GPU]
    device:
        Where to compute: auto, cpu or cuda.
    """
    from fissura.experiments.rows import Scale
    from fissura.experiments.study import study as run

    ended = run(
        recipe,
        out,
        data=data,
        runs=runs,
        first_seed=first_seed,
        only=only,
        scale=Scale(
            epochs=epochs,
            width=width,
            panels=panels,
            pretrained=pretrained,
            area_threshold=area_threshold,
        ),
        workers=workers,
        device=device,
    )
    if ended.stopped_by is not None:
        return 128 + ended.stopped_by
    return 1 if ended.failed else 0


def results(folder: Path, *, out: Path) -> int:
    """Judge the paper's claims by the trainings of studies, and write a page about it.

    Parameters
    ----------
    folder:
        The studies' --out.
    out:
        Page to write, in Markdown; its figures go into the folder images beside it.
    """
    from fissura.experiments.study import write_page

    for file in write_page(folder, out):
        print(f"Written: {file}")
    return 0


def demo(out: Path | None = None, *, seed: int = 0) -> int:
    """Go the whole way once, on pictures drawn by the program itself, in a few minutes.

    Draws panels with cracks, trains on them, evaluates the model, segments a large panel that it
    has never seen, and says where the report with its pictures lies.

    Parameters
    ----------
    out:
        Folder to make for everything. [default: demo, or demo-2, demo-3 where that exists]
    seed:
        Seed of the pictures and of the training.
    """
    from fissura.demo import demo as run

    run(out, seed=seed)
    return 0
