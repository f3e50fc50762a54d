"""`fissura predict`: masks and overlays of photos."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path

from fissura.cli.options import (
    PHOTOS_FAILED,
    PREDICT,
    SHIPPED,
    PredictGroup,
    Switch,
    check_photos,
    counted,
    resumable,
)
from fissura.files import free_folder


def predict(
    *photos: Path,
    model: Path = SHIPPED,
    out: Path | None = None,
    predicting: PredictGroup = PREDICT,
    probabilities: Switch = False,
    overlays: bool = True,
    tile: int | None = None,
    overlap: float = 0.25,
    batch_size: int | None = None,
    resume: Switch = False,
    overwrite: Switch = False,
) -> int:
    """Find the cracks in photos of any size.

    Writes a mask (white is crack) and an overlay for each photo, and predictions.csv with the
    fraction of crack pixels. A file that cannot be read is reported and the others go on; the exit
    status is then 1.

    Args:
        photos: Photos, and folders of photos.
        model: Run folder that `fissura train` wrote, or the name of a model that `fissura models`
            lists.
        out: Folder for the results. [default: predictions, or predictions-2 … where that exists]
        probabilities: Write the probabilities too, as 16-bit PNG.
        overlays: Write photos with the cracks marked.
        tile: Side of the tiles that large photos are cut into, in pixels. [default: none where the
            network can take a photo row by row, else 512]
        overlap: Fraction of a tile that it has in common with the next.
        batch_size: Tiles, or as many pixels, computed at once; less takes less memory.
            [default: 1 on a CPU, 8 on a GPU]
        resume: Go on where an earlier run with the same settings was stopped.
        overwrite: Write into a folder that is not empty.
    """
    check_photos(photos, "predict")
    from fissura.checkpoint import name_of_model
    from fissura.inference.folder import predict_files

    out = out or free_folder("predictions")
    with resumable(out):
        summary = predict_files(
            model,
            list(photos),
            out,
            **asdict(predicting),
            probabilities=probabilities,
            overlays=overlays,
            tile=tile,
            overlap=overlap,
            batch_size=batch_size,
            resume=resume,
            overwrite=overwrite,
        )
    print(
        f"{counted(summary.predicted, 'photo')} predicted with {name_of_model(model)}; "
        f"the table is {summary.table}."
    )
    if summary.failures:
        print(f"{len(summary.failures)} could not be predicted; see above.", file=sys.stderr)
    return PHOTOS_FAILED if summary.failures else 0
