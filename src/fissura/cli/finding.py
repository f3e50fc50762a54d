"""The commands that find cracks in new photos: predict, inspect, measure, models."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Group, Parameter

from fissura.cli.options import PHOTOS_FAILED, Switch
from fissura.errors import InputError
from fissura.inference.options import PredictOptions
from fissura.measurement.options import MeasureOptions, ScaleOptions

LIMITS_EXCEEDED = 3
Kind = Literal["auto", "photo", "mask", "probability"]
PredictGroup = Annotated[PredictOptions, Parameter(name="*", group=Group("Model"), negative="")]
ScaleGroup = Annotated[ScaleOptions, Parameter(name="*", group=Group("Scale"))]
MeasureGroup = Annotated[MeasureOptions, Parameter(name="*", group=Group("Measuring"))]
PREDICTING, PIXELS, MEASURING = PredictOptions(), ScaleOptions(), MeasureOptions()
SHIPPED = Path("crackseg-small")


def predict(
    *inputs: Path,
    out: Path | None = None,
    predicting: PredictGroup = PREDICTING,
    probabilities: Switch = False,
    overlays: bool = True,
    tile: int | None = None,
    overlap: float = 0.25,
    batch_size: int | None = None,
    resume: Switch = False,
    overwrite: Switch = False,
) -> int:
    """Find the cracks in photos of any size.

    `fissura predict photo.jpg` takes the model that comes with Fissura, `fissura predict MODEL
    photo.jpg` another one.

    Writes a mask (white is crack) and an overlay for each photo, and predictions.csv with the share
    of crack pixels. A file that cannot be read is reported and the others go on; the exit status is
    then 1.

    Parameters
    ----------
    inputs:
        Photos, and folders of photos. Before them, a run folder that `fissura train` wrote, or the
        name of a model that `fissura models` lists. [default: crackseg-small]
    out:
        Folder for the results. [default: predictions, or predictions-2 … where that exists]
    probabilities:
        Write the probabilities too, as 16-bit PNG.
    overlays:
        Write photos with the cracks marked.
    tile:
        Side of the tiles that large photos are cut into, in pixels. [default: none where the
        network can take a photo row by row, else 512]
    overlap:
        Share of a tile that it has in common with the next.
    batch_size:
        Tiles, or as many pixels, computed at once; less takes less memory. [default: 1 on a CPU,
        8 on a GPU]
    resume:
        Go on where an earlier run with the same settings was stopped.
    overwrite:
        Write into a folder that is not empty.
    """
    model, photos = _model_and_photos(inputs)
    from fissura.inference.folder import predict_files

    summary = predict_files(
        model,
        photos,
        out or _free("predictions"),
        **asdict(predicting),
        probabilities=probabilities,
        overlays=overlays,
        tile=tile,
        overlap=overlap,
        batch_size=batch_size,
        resume=resume,
        overwrite=overwrite,
    )
    print(f"{summary.predicted} photos predicted; the table is {summary.table}.")
    if summary.failures:
        print(f"{len(summary.failures)} could not be predicted; see above.", file=sys.stderr)
    return PHOTOS_FAILED if summary.failures else 0


def _model_and_photos(inputs: tuple[Path, ...]) -> tuple[Path, list[Path]]:
    """Part the model, where the first input is one, from the photos."""
    from fissura.shipped import DEFAULT, MODELS

    photos = list(inputs)
    model = Path(DEFAULT)
    if photos and _holds_model(photos[0], MODELS):
        model = photos.pop(0)
    if not photos:
        raise InputError("Which photos? Give files or folders.")
    return model, photos


def _holds_model(path: Path, names: Iterable[str]) -> bool:
    folders = (path, path / "model")
    named = str(path) in names and not path.exists()
    return named or any((folder / "model.safetensors").is_file() for folder in folders)


def _free(stem: str) -> Path:
    """A folder that does not exist yet: `stem`, or with a number behind it."""
    names = (stem, *(f"{stem}-{number}" for number in range(2, 10_000)))
    return next(path for path in map(Path, names) if not path.exists())


def inspect(
    *inputs: Path,
    out: Path,
    limits: Path | None = None,
    model: Path = SHIPPED,
    predicting: PredictGroup = PREDICTING,
    scaling: ScaleGroup = PIXELS,
    measuring: MeasureGroup = MEASURING,
    resume: Switch = False,
    overwrite: Switch = False,
) -> int:
    """Find, measure and judge the cracks in photos, and write a report to file.

    Writes report.html, tables of cracks, photos and widths (.csv), cracks.geojson, cracks.gpkg,
    coco.json, masks and overlays with numbers and widths. Georeferenced images and images larger
    than memory are read by parts where the extra fissura[geo] is installed.

    The exit status is 0 where all is well, 3 where a photo exceeds the limits, 1 where a file could
    not be inspected, and 2 where nothing could be done.

    Parameters
    ----------
    inputs:
        Photos, and folders of photos.
    out:
        Folder for the results.
    limits:
        YAML file with rules such as `max_width_mm: 0.3`; see docs/inspection.md.
    model:
        Run folder that `fissura train` wrote, or a name that `fissura models` lists.
    resume:
        Go on where an earlier run with the same settings was stopped. Other limits are allowed.
    overwrite:
        Write into a folder that is not empty.
    """
    from fissura.inspection.pipeline import inspect_files

    if not inputs:
        raise InputError("Which photos? Give files or folders.")
    done = inspect_files(
        list(inputs),
        out,
        model=model,
        limits=limits,
        predicting=predicting,
        scaling=scaling,
        measuring=measuring,
        resume=resume,
        overwrite=overwrite,
    )
    print(f"{done.cracks} cracks on {done.photos} photos; the report is {done.report}.")
    if done.failing:
        print(f"{len(done.failing)} exceed the limits: {', '.join(done.failing[:10])}")
        return LIMITS_EXCEEDED
    return PHOTOS_FAILED if done.failures else 0


def measure(
    *inputs: Path,
    out: Path,
    kind: Kind = "auto",
    model: Path = SHIPPED,
    predicting: PredictGroup = PREDICTING,
    scaling: ScaleGroup = PIXELS,
    measuring: MeasureGroup = MEASURING,
    resume: Switch = False,
    overwrite: Switch = False,
) -> int:
    """Measure cracks in photos, or in masks and probabilities that are there already.

    Writes cracks.csv (a line per crack), photos.csv, widths.csv (a line per place where a width was
    measured), cracks.geojson, cracks.gpkg, masks and overlays.

    Parameters
    ----------
    inputs:
        Photos, masks (white is crack) or probabilities (16-bit gray), and folders of them.
    out:
        Folder for the results.
    kind:
        What the files are; auto tells by the pixels of each.
    model:
        What finds the cracks in photos: run folder that `fissura train` wrote, or a name that
        `fissura models` lists.
    resume:
        Go on where an earlier run with the same settings was stopped.
    overwrite:
        Write into a folder that is not empty.
    """
    from fissura.inspection.pipeline import inspect_files

    if not inputs:
        raise InputError("Which photos or masks? Give files or folders.")
    done = inspect_files(
        list(inputs),
        out,
        model=model,
        predicting=predicting,
        scaling=scaling,
        measuring=measuring,
        kind=kind,
        report=False,
        resume=resume,
        overwrite=overwrite,
    )
    print(f"{done.cracks} cracks on {done.photos} pictures; the table is {out / 'cracks.csv'}.")
    return PHOTOS_FAILED if done.failures else 0


def models(name: str | None = None) -> int:
    """List the models that come with Fissura, or show the card of one.

    Parameters
    ----------
    name:
        Model whose card is shown: its data, figures, terms and known failures.
    """
    from fissura.shipped import MODELS, shipped

    if name is None:
        for each in map(shipped, MODELS):
            print(f"{each.name}: {each.purpose}")
            print(f"    {each.bytes / 1e6:.1f} MB, threshold {each.threshold:.3g}, {each.terms}")
        print("`fissura models NAME` shows a model's card.")
    elif name in MODELS:
        print(shipped(name).card)
    else:
        raise InputError(f"There is no model {name!r}. There are: {', '.join(MODELS)}.")
    return 0
