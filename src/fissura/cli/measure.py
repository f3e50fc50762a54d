"""`fissura measure`: cracks measured in photos, or in masks and probabilities that are there."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from fissura.cli.options import (
    MEASURE,
    OUTPUT,
    PHOTOS_FAILED,
    PREDICT,
    RESOLUTION,
    SHIPPED,
    SPREAD,
    MeasureGroup,
    OutputGroup,
    PredictGroup,
    ResolutionGroup,
    SpreadGroup,
    check_photos,
    counted,
    results_folder,
    resumable,
    tell_shard,
)

Kind = Literal["auto", "photo", "mask", "probability"]


def measure(
    *inputs: Path,
    out: Path | None = None,
    kind: Kind = "auto",
    model: Path = SHIPPED,
    predicting: PredictGroup = PREDICT,
    resolution: ResolutionGroup = RESOLUTION,
    measuring: MeasureGroup = MEASURE,
    output: OutputGroup = OUTPUT,
    spreading: SpreadGroup = SPREAD,
) -> int:
    """Measure cracks in photos, or in masks and probabilities that are there already.

    Writes cracks.csv (a line per crack), photos.csv, widths.csv (a line per width sample),
    cracks.geojson, cracks.gpkg, masks and overlays.

    Args:
        inputs: Photos, masks (white is crack) or probabilities (16-bit gray), and folders of them.
        out: Folder for the results. [default: measurement, or measurement-2 … where that exists]
        kind: What the files are; auto tells by the pixels of each.
        model: Model that finds the cracks in photos: run folder that `fissura train` wrote, or the
            name of a model that `fissura models` lists.
    """
    check_photos(inputs, "measure", "photos or masks", spreading=spreading)
    from fissura.inspection.pipeline import measure_files

    out = out or results_folder("measurement", spreading)
    with resumable(out):
        done = measure_files(
            inputs,
            out,
            kind=kind,
            model=model,
            predicting=predicting,
            resolution=resolution,
            measuring=measuring,
            output=output,
            spreading=spreading,
        )
    if done.shard is not None:
        return tell_shard(done.shard, done.photos, len(done.failures) + len(done.edited), done.out)
    found = f", found on photos with {done.model}" if done.model else ""
    print(
        f"{counted(done.cracks, 'crack')} on {counted(done.photos, 'image')}{found}; "
        f"the table is {done.out / 'cracks.csv'}."
    )
    return PHOTOS_FAILED if done.failures or done.edited else 0
