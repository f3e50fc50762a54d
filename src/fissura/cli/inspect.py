"""`fissura inspect`: cracks of photos found, measured, judged and reported."""

from __future__ import annotations

from pathlib import Path

from fissura.cli.options import (
    INSPECT,
    LIMITS_EXCEEDED,
    MEASURE,
    OUTPUT,
    PHOTOS_FAILED,
    PREDICT,
    RESOLUTION,
    SHIPPED,
    SPREAD,
    InspectGroup,
    MeasureGroup,
    OutputGroup,
    PredictGroup,
    ResolutionGroup,
    SpreadGroup,
    check_photos,
    counted,
    results_folder,
    resumable,
    tell_failing,
    tell_shard,
)
from fissura.cli.sources import with_frames, with_standard_input


def inspect(
    *photos: Path,
    out: Path | None = None,
    limits: Path | None = None,
    model: Path = SHIPPED,
    predicting: PredictGroup = PREDICT,
    resolution: ResolutionGroup = RESOLUTION,
    measuring: MeasureGroup = MEASURE,
    output: OutputGroup = OUTPUT,
    spreading: SpreadGroup = SPREAD,
    inspecting: InspectGroup = INSPECT,
) -> int:
    """Find, measure and judge the cracks in photos, and write a report for your files.

    Writes report.html, tables of cracks, photos and widths (.csv), cracks.geojson, cracks.gpkg,
    coco.json, masks and overlays with numbers and widths. Georeferenced images and images larger
    than memory are read window by window where the extra fissura[geo] is installed. With --resume,
    other limits than before are allowed, and masks that were edited in the folder of results are
    measured anew: each crack is then found, corrected, added or rejected.

    The exit status is 0 where all is well, 3 where a photo exceeds the limits, 1 where a file could
    not be inspected, and 2 where nothing could be done.

    Args:
        photos: Photos, folders of photos, and videos, of which the sharpest frame of each second is
            taken (`fissura frames` takes others); or - for a photo on standard input, which is kept
            in OUT-input.
        out: Folder for the results. [default: inspection, or inspection-2 … where that exists]
        limits: YAML file with rules such as `max_width_mm: 0.3`; see docs/inspection.md.
        model: Run folder that `fissura train` wrote, or the name of a model that `fissura models`
            lists.
    """
    out = out or results_folder("inspection", spreading)
    photos = with_standard_input(photos, out)
    check_photos(photos, "inspect", spreading=spreading)
    from fissura.checkpoint import name_of_model
    from fissura.inspection.pipeline import inspect as inspect_photos

    photos, damaged = with_frames(photos, out)
    with resumable(out):
        done = inspect_photos(
            photos,
            out,
            model=model,
            limits=limits,
            predicting=predicting,
            resolution=resolution,
            measuring=measuring,
            output=output,
            spreading=spreading,
            inspecting=inspecting,
        )
    if done.statuses:
        told = ", ".join(f"{count} {status}" for status, count in done.statuses.items())
        print(f"Corrected masks: {told}; {done.out / 'corrections.csv'} lists them.")
    if done.shard is not None:
        left_out = len(done.failures) + len(done.edited) + damaged
        return tell_shard(done.shard, done.photos, left_out, done.out)
    tell_failing(done.failing)
    print(
        f"{counted(done.cracks, 'crack')} on {counted(done.photos, 'photo')}, found with "
        f"{name_of_model(model)}; the report is {done.report}."
    )
    if done.failing:
        return LIMITS_EXCEEDED
    return PHOTOS_FAILED if done.failures or done.edited or damaged else 0
