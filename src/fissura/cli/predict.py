"""`fissura predict`: masks and overlays of photos."""

from __future__ import annotations

import sys
from pathlib import Path

from fissura.cli.options import (
    OUTPUT,
    PHOTOS_FAILED,
    PREDICT,
    SHIPPED,
    SPREAD,
    OutputGroup,
    PredictGroup,
    SpreadGroup,
    Switch,
    check_photos,
    counted,
    results_folder,
    resumable,
    tell_shard,
)
from fissura.cli.sources import (
    FRAMES,
    STANDARD_INPUT,
    FramesGroup,
    predict_standard_input,
    with_frames,
)


def predict(
    *photos: Path,
    model: Path = SHIPPED,
    out: Path | None = None,
    predicting: PredictGroup = PREDICT,
    probabilities: Switch = False,
    overlays: bool = True,
    choosing: FramesGroup = FRAMES,
    output: OutputGroup = OUTPUT,
    spreading: SpreadGroup = SPREAD,
) -> int:
    """Find the cracks in photos of any size.

    Writes a mask (white is crack) and an overlay for each photo, and predictions.csv with the
    fraction of crack pixels. A file that cannot be read is reported and the others go on; the exit
    status is then 1. Of a video, the sharpest frame of each second is taken, or of each place with
    --motion.

    Args:
        photos: Photos, folders of photos, and videos; or - for a photo on standard input, whose
            mask goes to standard output as PNG, or to the .png file that --out names.
        model: Run folder that `fissura train` wrote, or the name of a model that `fissura models`
            lists.
        out: Folder for the results. [default: predictions, or predictions-2 … where that exists]
        probabilities: Write the probabilities too, as 16-bit PNG.
        overlays: Write photos with the cracks marked.
    """
    if photos == (STANDARD_INPUT,):
        return predict_standard_input(
            out, model, predicting, probabilities=probabilities, overwrite=output.overwrite
        )
    check_photos(photos, "predict", spreading=spreading)
    from fissura.checkpoint import name_of_model
    from fissura.inference.files.folder import predict as run

    out = out or results_folder("predictions", spreading)
    photos, damaged = with_frames(photos, out, choosing)
    with resumable(out):
        summary = run(
            photos,
            out,
            model=model,
            options=predicting,
            probabilities=probabilities,
            overlays=overlays,
            output=output,
            spreading=spreading,
        )
    if spreading.shard is not None:
        photos_done = summary.predicted + summary.kept
        return tell_shard(spreading.shard, photos_done, len(summary.failures) + damaged, out)
    print(
        f"{counted(summary.predicted, 'photo')} predicted with {name_of_model(model)}; "
        f"the table is {summary.table}."
    )
    if summary.failures:
        print(f"{len(summary.failures)} could not be predicted; see above.", file=sys.stderr)
    return PHOTOS_FAILED if summary.failures or damaged else 0
