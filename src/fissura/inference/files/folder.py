"""Predict files and folders of photos: masks, overlays and a table, whatever one photo is like."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from fissura.bit_depth import common_depth
from fissura.checkpoint import find_model, versions
from fissura.errors import InputError
from fissura.files import OutputOptions, free_folder, is_result, output_names
from fissura.files.failures import Failure, printable
from fissura.files.spreadsheet import plain
from fissura.inference.files.class_results import mask_path
from fissura.inference.files.folder_work import Work
from fissura.inference.files.merge import finish_predictions
from fissura.inference.files.on_cluster import predict_on_cluster
from fissura.inference.files.results import (
    TABLE,
    order_table,
    start_results,
    write_table,
)
from fissura.inference.options import PredictOptions
from fissura.inference.predictor import Predictor
from fissura.raster import lost_places
from fissura.shipped import DEFAULT
from fissura.spread.manifest import begin_shard
from fissura.spread.options import Shard, SpreadOptions
from fissura.spread.parts import part_of
from fissura.spread.stores import find_photos

Photos = str | Path | Sequence[str | Path]


@dataclass(frozen=True)
class Summary:
    """The outcome of `predict`.

    Attributes:
        table: The path of predictions.csv.
        predicted: Number of files predicted now.
        kept: Number of files that an earlier run had predicted, with `resume`.
        failures: Files that were left out.
    """

    table: Path
    predicted: int
    kept: int
    failures: list[Failure]


def predict(
    photos: Photos,
    out: str | Path | None = None,
    *,
    model: str | Path = DEFAULT,
    options: PredictOptions | None = None,
    probabilities: bool = False,
    overlays: bool = True,
    output: OutputOptions | None = None,
    console: Console | None = None,
    spreading: SpreadOptions | None = None,
) -> Summary:
    """Find the cracks in photos and write masks, overlays and a table into a folder.

    Written below `out`, with the sub-folders of the photos: masks/NAME.png (8 bit, 255 is crack);
    overlays/NAME.jpg; probabilities/NAME.png (16 bit, 65535 is 1); predictions.csv, a line per
    photo (file, mask, crack_fraction, threshold, seconds); and prediction.json with the settings.
    NAME is the photo's path below the folder that holds all photos, without suffix, or with it
    where two photos would have the same name. While the command runs, the table is called
    predictions.partial.csv. Each file appears whole or not at all.

    A model of several classes writes maps: palette images whose values are 0 for background and the
    numbers of the classes, in the order of prediction.json; the table has a fraction of each class,
    and probabilities/CLASS/NAME.png are those of each. Where classes overlap, each has masks of its
    own, masks/CLASS/NAME.png. With `options.of_class` one class is predicted as crack is.

    Images that are read by windows (`fissura.inference.rasters.opening.raster_of`) get
    masks/NAME.tif and probabilities/NAME.tif instead, GeoTIFFs at the same place, and an overlay of
    reduced size.

    A photo that cannot be read, predicted or written is named and left out; the others go on.

    Args:
        photos: An image file, a folder that is searched to any depth, or several of them. Results
            that lie there already are not taken for photos.
        out: Folder for the results; by default "predictions", or "predictions-2" and so on.
        model: Run folder, model folder, or name of a model that comes with Fissura.
        options: How the model is applied.
        probabilities: Write the probabilities, too.
        overlays: Write the photos with the cracks marked.
        output: What to do where the folder is not empty.
        console: For progress and complaints; standard error if None.
        spreading: How the photos are spread over machines.

    Returns:
        What was done.

    Raises:
        InputError: There is no model or no photo, an option is out of its range, or `out` is not
            empty and may not be written to.
        OSError: The disk is full or cannot be written to.
    """
    console, options = console or Console(stderr=True), options or PredictOptions()
    output, spreading = output or OutputOptions(), spreading or SpreadOptions()
    given = [photos] if isinstance(photos, str | Path) else photos
    inputs = [Path(path) for path in given]
    out = free_folder("predictions") if out is None else Path(out)
    files = [
        file
        for file in find_photos(inputs, stores=spreading.ray is not None)
        if not is_result(file, out)
    ]
    if not files:
        raise InputError(f"There are no photos to predict but earlier results in {out}.")
    predictor = Predictor.load(model, **asdict(options))
    names = dict(zip(files, output_names(files, inputs), strict=True))
    shard = spreading.shard
    part = part_of(names, Shard.parse(shard)) if shard else None
    written = {"overlays": overlays, "probabilities": probabilities}
    settings, notes = _settings(predictor, options, model, inputs, written)
    classes = predictor.classes
    alone = {} if shard is None else {"shard": shard}
    rows = start_results(out, settings | alone, notes | alone, output, classes)
    if part is not None:
        begin_shard(out)
        names = part.names
    # A name that begins as a formula has an apostrophe in the table, and none below a folder.
    kept = {(plain(Path(row["file"]).name), row["mask"].rpartition(".")[0]) for row in rows}
    todo = {
        file: name
        for file, name in names.items()
        if (plain(printable(file.name)), mask_path(name, predictor.config, classes)[:-4])
        not in kept
    }
    work = Work(
        predictor,
        out,
        todo,
        console,
        overlays=overlays,
        probabilities=probabilities,
        depth=common_depth(files),
    )
    if work.depth:
        work.say(f"Brightness: {work.depth}.")
    if lost := lost_places(files):
        work.say(lost, style="yellow")
    with write_table(out, rows, classes) as done:
        if spreading.ray is None:
            waiting = [file for file in todo if not work.predict_raster(file, model, output, done)]
            work.predict_photos(waiting, done)
        else:
            predict_on_cluster(work, find_model(model), options, output, spreading, done)
    if spreading.ray is not None:
        order_table(out, names.values())
    if part is not None:
        finish_predictions(out, part, model, settings, notes, work.failures)
    count = len(todo) - len(work.failures)
    return Summary(out / TABLE, count, len(names) - len(todo), work.failures)


def _settings(
    predictor: Predictor,
    options: PredictOptions,
    model: str | Path,
    inputs: list[Path],
    written: Mapping[str, bool],
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the choices that results depend on, and what is noted beside them."""
    scale = "auto" if predictor.auto_scale else predictor.scale
    chosen = {"threshold": predictor.threshold, "scale": scale, **written}
    settings = {
        "model": str(find_model(model).absolute()),
        "inputs": [str(path.absolute()) for path in inputs],
        **chosen,
        **{name: getattr(options, name) for name in ("tile", "overlap", "tta", "of_class")},
        "min_prob": predictor.min_prob,
    }
    notes = {**asdict(options), **chosen, "versions": versions()}
    if predictor.classes:
        background = ["background"] * (not predictor.config.overlapping)
        notes["classes"] = [*background, *predictor.classes]
    return settings, notes
