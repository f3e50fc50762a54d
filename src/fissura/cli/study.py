"""`fissura study`: the trainings behind a table or figure of the paper."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from fissura.cli.options import Switch

RecipeName = Literal["table1", "table2", "table3", "table4", "fig1", "fig3", "fig4"]


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

    Args:
        recipe: Table or figure of the paper.
        out: Folder for everything. It may hold earlier studies.
        data: Folder that holds deepcrack, crack500 and magnetic_tile, as far as the recipe needs
            them.
        runs: Trainings per row of a table, with different seeds.
        first_seed: The seeds count up from this one.
        only: Names of the rows to train, such as hf ours-0.5. [default: all]
        epochs: How many times each training image is seen.
        width: Channels of CrackSeg's U-Net basis at full size.
        panels: Number of synthetic panels to draw, where the recipe has any.
        area_threshold: Fraction of a shrunken pixel's area that must be crack to call it crack.
            [default: 1/8]
        pretrained: Start the networks of Table IV from ImageNet weights; they are downloaded on
            first use.
        workers: Trainings at once. [default: one per core; 1 on a GPU]
        device: Where to compute: auto, cpu or cuda.
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
