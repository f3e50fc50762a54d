"""The command line. `fissura COMMAND --help` is the manual; each command is a function here.

Nothing heavy is imported before a command runs, so that help appears at once.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import App, Group, Parameter
from cyclopts.config import Yaml

from fissura import __version__
from fissura.errors import InputError
from fissura.measure.options import MeasureOptions, ScaleOptions
from fissura.memory import keep_freed_memory
from fissura.training.config import ProtocolName, TrainConfig

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cyclopts.argument import ArgumentCollection

PHOTOS_FAILED, INPUT_ERROR, LIMITS_EXCEEDED = 1, 2, 3
DEFAULTS = TrainConfig()
Switch = Annotated[bool, Parameter(negative="")]
RecipeName = Literal["table1", "table2", "table3", "table4", "fig1", "fig3", "fig4"]
Precision = Literal["auto", "float32", "bfloat16"]
Engine = Literal["torch", "openvino"]
Kind = Literal["auto", "photo", "mask", "probability"]
ScaleGroup = Annotated[ScaleOptions, Parameter(name="*", group=Group("Scale"))]
MeasureGroup = Annotated[MeasureOptions, Parameter(name="*", group=Group("Measuring"))]
PIXELS, MEASURING = ScaleOptions(), MeasureOptions()


def _options_from_file(app: App, commands: tuple[str, ...], arguments: ArgumentCollection) -> None:
    """Fill in what the file behind --config says and the command line does not."""
    for argument in arguments:
        if argument.name == "--config" and argument.tokens:
            path = Path(argument.tokens[0].value)
            if not path.is_file():
                raise InputError(f"There is no configuration file {path}.")
            Yaml(path, use_commands_as_keys=False)(app, commands, arguments)


app = App(
    name="fissura",
    help="Find cracks in pictures, pixel by pixel, and train the models that do it.",
    version=__version__,
    config=_options_from_file,
)


@app.command
def train(
    data: Path | None = None,
    *,
    out: Path | None = None,
    config: Path | None = None,
    resume: Path | None = None,
    options: Annotated[TrainConfig, Parameter(name="*", group=Group("Options"))] = DEFAULTS,
) -> int:
    """Train a model on a folder of photos and masks.

    DATA holds photos and, for each, a mask that is bright where there is crack. The folder layouts
    that people have are understood, for example train/images and train/masks, or images and masks
    alone. The result is a run folder with the model, which `fissura evaluate` and `fissura predict`
    take. Ctrl-C stops with everything saved.

    Parameters
    ----------
    data:
        Folder with photos and masks.
    out:
        Run folder to make. It must not exist yet. [default: runs/DATA-LOSS]
    config:
        YAML file with options, such as the config.yaml of an earlier run. Options given on the
        command line win.
    resume:
        Run folder of a stopped training to go on with; takes no other options.
    """
    from fissura.training.loop import resume as resume_run
    from fissura.training.loop import train as train_run

    if resume is not None:
        if data is not None or out is not None or config is not None or options != DEFAULTS:
            raise InputError("--resume goes on with a run as it was started: give no other option.")
        outcome = resume_run(resume)
    elif data is None:
        raise InputError(
            "Which data? Give the folder with photos and masks, as in `fissura train my_photos`."
        )
    else:
        outcome = train_run(data, out=out, config=options)
    # The shell's convention for a program that a signal ended.
    return 0 if outcome.stopped_by is None else 128 + outcome.stopped_by


@app.command
def evaluate(
    model: Path,
    data: Path,
    *,
    split: Literal["test", "val", "train", "all"] = "test",
    protocol: ProtocolName | None = None,
    threshold: float | None = None,
    tolerance: float = 2.0,
    bootstrap: int = 1000,
    seed: int = 0,
    tta: Switch = False,
    out: Path | None = None,
    skip_bad: Switch = False,
    device: str = "auto",
    precision: Precision = "auto",
) -> int:
    """Tell how well a model finds the cracks of photos whose masks are known.

    Writes a report to read (report.html) and the same figures for programs (report.json). Nothing
    is chosen on these photos: the figures hold for the threshold 0.5, and for the one that training
    chose on its own validation images.

    Parameters
    ----------
    model:
        Run folder that `fissura train` wrote.
    data:
        Folder with photos and masks, in any layout that training takes.
    split:
        Which photos. A folder without test and train photos is divided as in training.
    protocol:
        How photos become images. [default: as in training; native judges whole photos]
    threshold:
        Probability from which a pixel counts as crack. [default: the model's]
    tolerance:
        Pixels by which a crack may be off in the tolerant figures.
    bootstrap:
        Resamples behind the 95 % intervals.
    seed:
        Seed of these resamples.
    tta:
        Average over flips and turns: eight times the work.
    out:
        Folder for the report. It must not exist yet. [default: MODEL/evaluation-DATA-SPLIT]
    skip_bad:
        Go on without files that cannot be used; the report lists them.
    device:
        Where to compute: auto, cpu, cuda or mps.
    precision:
        Arithmetic of the network; auto takes bfloat16 where the hardware is fast at it.
    """
    from fissura.evaluation.evaluate import evaluate as run

    report = run(
        model,
        data,
        split=split,
        protocol=protocol,
        threshold=threshold,
        tolerance=tolerance,
        bootstrap=bootstrap,
        seed=seed,
        tta=tta,
        out=out,
        skip_bad=skip_bad,
        device=device,
        precision=precision,
    )
    print(report.headline())
    return 0


@app.command
def predict(
    *inputs: Path,
    out: Path | None = None,
    threshold: float | None = None,
    probabilities: Switch = False,
    overlays: bool = True,
    tta: Switch = False,
    tile: int | None = None,
    overlap: float = 0.25,
    batch_size: int | None = None,
    scale: float | None = None,
    device: str = "auto",
    precision: Precision = "auto",
    engine: Engine = "torch",
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
    threshold:
        Probability from which a pixel counts as crack. [default: the model's]
    probabilities:
        Write the probabilities too, as 16-bit PNG.
    overlays:
        Write photos with the cracks marked.
    tta:
        Average over flips and turns: eight times the work, slightly better masks.
    tile:
        Side of the tiles that large photos are cut into, in pixels. [default: none where the
        network can take a photo row by row, else 512]
    overlap:
        Share of a tile that it has in common with the next.
    batch_size:
        Tiles, or as many pixels, computed at once; less takes less memory. [default: 1 on a CPU,
        8 on a GPU]
    scale:
        Factor by which photos are resized for the network. [default: as in training]
    device:
        Where to compute: auto, cpu, cuda or mps.
    precision:
        Arithmetic of the network; auto takes bfloat16 where the hardware is fast at it.
    engine:
        What computes the network: torch, or openvino on a CPU, which is faster for networks other
        than crackseg without an encoder.
    resume:
        Go on where an earlier run with the same settings was stopped.
    overwrite:
        Write into a folder that is not empty.
    """
    model, photos = _model_and_photos(inputs)
    from fissura.inference.batch import predict_files

    summary = predict_files(
        model,
        photos,
        out or _free("predictions"),
        threshold=threshold,
        probabilities=probabilities,
        overlays=overlays,
        tta=tta,
        tile=tile,
        overlap=overlap,
        batch_size=batch_size,
        scale=scale,
        device=device,
        precision=precision,
        engine=engine,
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


@app.command
def inspect(
    *inputs: Path,
    out: Path,
    limits: Path | None = None,
    model: Path = Path("crackseg-small"),
    scaling: ScaleGroup = PIXELS,
    measuring: MeasureGroup = MEASURING,
    threshold: float | None = None,
    scale: float | None = None,
    tta: Switch = False,
    device: str = "auto",
    precision: Precision = "auto",
    engine: Engine = "torch",
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
    threshold:
        Probability from which a pixel counts as crack. [default: the model's]
    scale:
        Factor by which photos are resized for the network. [default: as in training]
    tta:
        Average over flips and turns: eight times the work, slightly better masks.
    device:
        Where to compute: auto, cpu, cuda or mps.
    precision:
        Arithmetic of the network; auto takes bfloat16 where the hardware is fast at it.
    engine:
        What computes the network: torch, or openvino on a CPU.
    resume:
        Go on where an earlier run with the same settings was stopped. Other limits are allowed.
    overwrite:
        Write into a folder that is not empty.
    """
    from fissura.inspection.inspect import inspect_files

    if not inputs:
        raise InputError("Which photos? Give files or folders.")
    done = inspect_files(
        list(inputs),
        out,
        model=model,
        limits=limits,
        scaling=scaling,
        measuring=measuring,
        threshold=threshold,
        scale=scale,
        tta=tta,
        device=device,
        precision=precision,
        engine=engine,
        resume=resume,
        overwrite=overwrite,
    )
    print(f"{done.cracks} cracks on {done.photos} photos; the report is {done.report}.")
    if done.failing:
        print(f"{len(done.failing)} exceed the limits: {', '.join(done.failing[:10])}")
        return LIMITS_EXCEEDED
    return PHOTOS_FAILED if done.failures else 0


@app.command
def measure(
    *inputs: Path,
    out: Path,
    kind: Kind = "auto",
    model: Path = Path("crackseg-small"),
    scaling: ScaleGroup = PIXELS,
    measuring: MeasureGroup = MEASURING,
    threshold: float | None = None,
    scale: float | None = None,
    device: str = "auto",
    precision: Precision = "auto",
    resume: Switch = False,
    overwrite: Switch = False,
) -> int:
    """Measure cracks in photos, or in masks and probabilities that are there already.

    Writes cracks.csv (a line per crack), photos.csv, widths.csv (a line per place where a width was
    measured), cracks.geojson, cracks.gpkg, masks and overlays.

    Parameters
    ----------
    inputs:
        Photos, masks (white is crack) or probabilities (16-bit grey), and folders of them.
    out:
        Folder for the results.
    kind:
        What the files are; auto tells by the pixels of each.
    model:
        What finds the cracks in photos: run folder that `fissura train` wrote, or a name that
        `fissura models` lists.
    threshold:
        Probability from which a pixel counts as crack. [default: the model's]
    scale:
        Factor by which photos are resized for the network. [default: as in training]
    device:
        Where to compute: auto, cpu, cuda or mps.
    precision:
        Arithmetic of the network; auto takes bfloat16 where the hardware is fast at it.
    resume:
        Go on where an earlier run with the same settings was stopped.
    overwrite:
        Write into a folder that is not empty.
    """
    from fissura.inspection.inspect import inspect_files

    if not inputs:
        raise InputError("Which photos or masks? Give files or folders.")
    done = inspect_files(
        list(inputs),
        out,
        model=model,
        scaling=scaling,
        measuring=measuring,
        kind=kind,
        report=False,
        threshold=threshold,
        scale=scale,
        device=device,
        precision=precision,
        resume=resume,
        overwrite=overwrite,
    )
    print(f"{done.cracks} cracks on {done.photos} pictures; the table is {out / 'cracks.csv'}.")
    return PHOTOS_FAILED if done.failures else 0


@app.command
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


@app.command
def synth(
    out: Path,
    *,
    count: int = 200,
    size_hw: tuple[int, int] = (128, 128),
    crack_share: float = 0.0315,
    test_share: float = 0.25,
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
    crack_share:
        Mean share of crack pixels, 0 to 0.2.
    test_share:
        Share of the pictures that goes into the test set.
    seed:
        The same seed and options draw the same pictures.
    """
    from fissura.data.synth import synth as run

    summary = run(
        out,
        count=count,
        size_hw=size_hw,
        crack_share=crack_share,
        test_share=test_share,
        seed=seed,
        progress=sys.stderr.isatty(),
    )
    print(
        f"{summary.train} pictures to train and {summary.test} to test are in {summary.folder}; "
        f"{summary.share:.2%} of their pixels are crack."
    )
    return 0


@app.command
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


@app.command
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


@app.command
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


def main() -> None:
    """Run the command line; what the user can mend is told in sentences, with exit status 2."""
    keep_freed_memory()
    try:
        sys.exit(app(result_action="return_value"))
    except InputError as error:
        print(f"fissura: {error}", file=sys.stderr)
        sys.exit(INPUT_ERROR)
    except OSError as error:
        # A full disk, a missing permission: the system's own words and the file.
        print(f"fissura: {error}.", file=sys.stderr)
        sys.exit(INPUT_ERROR)


if __name__ == "__main__":
    main()
