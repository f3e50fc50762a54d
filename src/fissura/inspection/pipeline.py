"""`fissura inspect` and `fissura measure`: files and folders of photos in, measured cracks out."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from rich.console import Console

from fissura.bit_depth import common_depth
from fissura.checkpoint import find_model, name_of_model, versions
from fissura.device import describe_machine
from fissura.errors import InputError, extra
from fissura.files import OutputOptions, claim, free_folder, is_result, output_names
from fissura.files.failures import Failure, say
from fissura.inference.options import PredictOptions
from fissura.inference.predictor import Predictor
from fissura.inspection.export import counted, export
from fissura.inspection.limits import Limits, read_limits
from fissura.inspection.measuring import measure_all
from fissura.inspection.on_cluster import Setup, measure_on_cluster
from fissura.inspection.options import InspectOptions
from fissura.inspection.outcome import Inspection, now, print_report
from fissura.inspection.photo_table import Known, known_photos
from fissura.inspection.photos.class_masks import given_class
from fissura.inspection.photos.given_masks import find_given_masks
from fissura.inspection.photos.photo import Inspector
from fissura.inspection.photos.recorder import InspectorOptions
from fissura.inspection.photos.sources import Kind, own_result
from fissura.inspection.report.heading import Heading, read_heading
from fissura.inspection.report.page import About
from fissura.inspection.severity import Classes, find_profile
from fissura.inspection.shards import Said, finish_shard
from fissura.inspection.steps import Earlier, plan, record_file
from fissura.inspection.store import FORMAT, MEASURED, MODEL_FOUND, SETTINGS
from fissura.measurement.options import MeasureOptions, ResolutionOptions
from fissura.memory import give_back_freed_memory
from fissura.raster import lost_places
from fissura.shipped import DEFAULT
from fissura.spread.manifest import begin_shard
from fissura.spread.options import Shard, SpreadOptions
from fissura.spread.parts import part_of
from fissura.spread.stores import find_photos, shown

Photos = str | Path | Iterable[str | Path]


@dataclass(frozen=True, kw_only=True)
class _Task:
    """Everything that was asked for."""

    inputs: list[Path]
    out: Path
    model: Path
    model_name: str
    limits: Path | None
    predicting: PredictOptions
    resolution: ResolutionOptions
    measuring: MeasureOptions
    output: OutputOptions
    kind: Kind
    report: bool
    inspecting: InspectOptions = field(default_factory=InspectOptions)
    spreading: SpreadOptions = field(default_factory=SpreadOptions)

    @property
    def settings(self) -> dict[str, Any]:
        """Choices that an inspection must share with the one it goes on from."""
        return {
            "format": FORMAT,
            "model": str(self.model.absolute()),
            "inputs": [str(path.absolute()) for path in self.inputs],
            "kind": self.kind,
            **{
                name: value
                for name, value in asdict(self.predicting).items()
                if name != "of_class" or value is not None  # unknown to inspections until 0.2
            },
            "engine": self.predicting.engine or "torch",  # an exported model is one of its own
            "resolution": asdict(self.resolution),
            "measuring": self.measuring.settings(),
            **({} if self.spreading.shard is None else {"shard": self.spreading.shard}),
        }


def inspect(
    photos: Photos,
    out: str | Path | None = None,
    *,
    model: str | Path = DEFAULT,
    limits: str | Path | None = None,
    predicting: PredictOptions | None = None,
    resolution: ResolutionOptions | None = None,
    measuring: MeasureOptions | None = None,
    output: OutputOptions | None = None,
    inspecting: InspectOptions | None = None,
    spreading: SpreadOptions | None = None,
) -> Inspection:
    """Find the cracks in photos, measure them, judge them by limits, and write a report.

    Written below `out`: report.html, cracks.csv (a line per crack), photos.csv (a line per photo),
    widths.csv (a line per measured width), cracks.geojson and, with pyogrio, cracks.gpkg,
    coco.json, masks/, overlays/; of rasters (see `Inspector`) masks and probabilities/ are
    GeoTIFFs, and coco.json has them up to 50 megapixels. measured/ holds the measurements for
    resuming, so that other limits may be tried without measuring again.

    Where masks are corrected (those in `out` with `resume`, or others by `inspecting`), their
    cracks are measured instead of the model's, and corrections.csv says of each crack whether it
    was found, corrected, added or rejected.

    A photo with which anything goes wrong is left out and named in `failures` and in the report;
    the others go on.

    Args:
        photos: Image files, and folders that are searched to any depth.
        out: Folder for the results; by default inspection, or inspection-2 … where that exists.
        model: Run folder, model folder, or a name of `fissura.shipped.MODELS`.
        limits: A limits.yaml, see `fissura.inspection.limits`.
        predicting: How the model is applied.
        resolution: How millimeters per pixel are found; by default lengths are in pixels.
        measuring: How cracks are measured.
        output: Whether to resume an earlier inspection or to overwrite it.
        inspecting: Corrected masks, and the inspection that they are compared with.
        spreading: How the photos are spread over machines.

    Raises:
        InputError: There is no model or no photo, an option or a rule is out of range, or `out` is
            not empty and `output` does not allow that.
    """
    return _run(
        _Task(
            inputs=_paths(photos),
            out=Path(out) if out is not None else free_folder("inspection"),
            model=find_model(Path(model)),
            model_name=name_of_model(Path(model)),
            limits=Path(limits) if limits is not None else None,
            predicting=predicting or PredictOptions(),
            resolution=resolution or ResolutionOptions(),
            measuring=measuring or MeasureOptions(),
            output=output or OutputOptions(),
            kind="photo",
            report=True,
            inspecting=inspecting or InspectOptions(),
            spreading=spreading or SpreadOptions(),
        )
    )


def measure_files(
    files: Photos,
    out: str | Path | None = None,
    *,
    kind: Kind = "auto",
    model: str | Path = DEFAULT,
    predicting: PredictOptions | None = None,
    resolution: ResolutionOptions | None = None,
    measuring: MeasureOptions | None = None,
    output: OutputOptions | None = None,
    spreading: SpreadOptions | None = None,
) -> Inspection:
    """Measure the cracks in photos, or in masks and probabilities that are there already.

    As `inspect`, without limits, report and coco.json.

    Args:
        files: Photos, masks or probabilities, and folders that are searched to any depth.
        out: Folder for the results; by default measurement, or measurement-2 … where that exists.
        kind: "photo", "mask" or "probability"; "auto" tells it by the pixels of each file.
        model: Model that finds the cracks in photos.
        predicting: How it is applied.
        resolution: How millimeters per pixel are found; by default lengths are in pixels.
        measuring: How cracks are measured.
        output: Whether to resume an earlier run or to overwrite it.
        spreading: How the files are spread over machines.

    Raises:
        InputError: As `inspect` does.
    """
    return _run(
        _Task(
            inputs=_paths(files),
            out=Path(out) if out is not None else free_folder("measurement"),
            model=find_model(Path(model)),
            model_name=name_of_model(Path(model)),
            limits=None,
            predicting=predicting or PredictOptions(),
            resolution=resolution or ResolutionOptions(),
            measuring=measuring or MeasureOptions(),
            output=output or OutputOptions(),
            kind=kind,
            report=False,
            spreading=spreading or SpreadOptions(),
        )
    )


def _paths(photos: Photos) -> list[Path]:
    """Return one or several names as paths."""
    return [Path(photos)] if isinstance(photos, str | Path) else [Path(path) for path in photos]


def _run(task: _Task) -> Inspection:
    """Measure what is not measured yet, then write everything from the records."""
    console = Console(stderr=True)
    rules = read_limits(task.limits) if task.limits else None
    heading = read_heading(task.inspecting.report) if task.inspecting.report else Heading()
    classes = _classes(task.inspecting)
    out, output = task.out, task.output
    files = _photos(task)
    names = dict(zip(files, output_names(files, task.inputs), strict=True))
    given = find_given_masks(task.inspecting, names)
    known = known_photos(files, task.inputs, task.inspecting.table)
    if output.resume:
        _check_format(out / SETTINGS)
    earlier = Earlier(out, _previous(task.inspecting))
    unneeded = _unneeded(task, files) or set(names) <= set(given.of_photo)
    predictor = None if unneeded else _predictor(task)
    if predictor is not None:
        predictor.refuse_classes("fissura predict tells them apart")
    claim(
        out / SETTINGS,
        task.settings,
        output,
        notes={"versions": versions()},
        stale=[*(out / MEASURED).rglob("*.npz"), *(out / MODEL_FOUND).rglob("*.npz")],
    )
    inspector = _inspector(task, predictor, files, known.of_photo, rules, console)
    asked = {file: one.asked for file, one in known.of_photo.items()}
    part = part_of(names, Shard.parse(task.spreading.shard)) if task.spreading.shard else None
    if part is not None:
        begin_shard(out)
        names = part.names
    steps = plan(out, names, given.of_photo, asked=asked, corrections=task.report)
    said = [lost_places(files), *known.said, *given.said, *steps.said, *steps.missing]
    for sentence in said:
        if sentence:
            say(console, sentence, style="yellow")
    if task.spreading.ray is None:
        failures = measure_all(inspector, steps.steps, earlier, console)
    else:
        setup = Setup(task.predicting, _previous(task.inspecting), predictor is not None)
        failures = measure_on_cluster(inspector, steps.steps, setup, task.spreading, console)
    if not task.report:
        _tell_kinds(inspector.understood, console)
    give_back_freed_memory()
    left_out = {one.file for one in failures}
    stored = {file: record_file(out, name) for file, name in names.items() if file not in left_out}
    about = _about(task, predictor, failures, steps.missing) if task.report else None
    if about is not None:
        machines = {"machine": "; ".join(inspector.machines)} if inspector.machines else {}
        about = replace(about, heading=heading, settings={**about.settings, **machines})
    told = {file: one.facts for file, one in known.of_photo.items()}
    model = task.model_name if "photos" in inspector.understood else None
    xlsx = task.inspecting.xlsx
    if part is not None:
        exported = counted(stored, failures)
        own = {file: told[file] for file in names if file in told}
        said = Said(about, rules, own, model, classes, xlsx)
        finish_shard(out, part, task.model, task.settings, said, failures)
    else:
        exported = export(
            out,
            stored,
            failures,
            limits=rules,
            about=about,
            told=told,
            classes=classes,
            xlsx=xlsx,
        )
        if task.inspecting.pdf:
            print_report(out, console)
    return Inspection.of(
        exported,
        out=out,
        report=out / "report.html" if task.report and part is None else None,
        model=model,
        failures=failures,
        edited=steps.missing,
        shard=task.spreading.shard,
    )


def _classes(inspecting: InspectOptions) -> Classes:
    """Return how cracks are told apart; what a workbook needs is looked for before any work."""
    if inspecting.xlsx:
        with extra("xlsx", "Writing a workbook of Excel"):
            import openpyxl  # noqa: F401  # pyright: ignore[reportUnusedImport]
    profile = None if inspecting.severity is None else find_profile(inspecting.severity)
    return Classes(profile, inspecting.axis)


def _predictor(task: _Task) -> Predictor:
    """Load the model; say how a class of masks is chosen where it does not know the class."""
    try:
        return Predictor.load(task.model, **asdict(task.predicting))
    except InputError as error:
        asked = task.predicting.of_class
        if task.kind != "auto" or asked is None or f"no class {asked!r}" not in str(error):
            raise
        raise InputError(
            f"{error} Of index masks, give the value of the class too: --of-class {asked}=2."
        ) from error


def _unneeded(task: _Task, files: list[Path]) -> bool:
    """Whether no file can be a photo, on which a model had to find the cracks."""
    if task.kind == "auto":
        of_class = given_class(task.predicting.of_class) is not None
        return of_class or all(own_result(file) is not None for file in files)
    return task.kind != "photo"


def _photos(task: _Task) -> list[Path]:
    """Return the files to inspect: neither earlier results nor the masks that were given."""
    stores = task.spreading.ray is not None
    files = [
        file for file in find_photos(task.inputs, stores=stores) if not is_result(file, task.out)
    ]
    if not files:
        raise InputError(f"There are no photos to inspect but earlier results in {task.out}.")
    masks = task.inspecting.masks
    if masks is None or not Path(masks).is_dir():
        return files
    # A folder of masks may lie among the photos; that of the photos themselves holds no masks.
    folder = Path(masks).resolve()
    photos = [file for file in files if not file.resolve().is_relative_to(folder)]
    return photos or files


def _previous(inspecting: InspectOptions) -> Path | None:
    """Return the folder of the earlier inspection that masks are compared with."""
    if inspecting.previous is not None:
        return Path(inspecting.previous)
    if inspecting.masks is None:
        return None
    masks = Path(inspecting.masks).absolute()
    return next((one for one in (masks, *masks.parents) if (one / SETTINGS).is_file()), None)


def _inspector(
    task: _Task,
    predictor: Predictor | None,
    files: list[Path],
    known: Mapping[Path, Known],
    limits: Limits | None,
    console: Console,
) -> Inspector:
    """Return the inspector of the files; the brightness of photos is found, and said."""
    depth = common_depth(files) if predictor is not None else None
    if depth:
        say(console, f"Brightness: {depth}.")
    options = InspectorOptions(
        resolution=task.resolution,
        measuring=task.measuring,
        kind=task.kind,
        told=not task.report,
        threshold=task.predicting.threshold,
        of_class=None if task.kind == "photo" else task.predicting.of_class,
        overwrite=task.output.overwrite,
        depth=depth,
        known=known,
        limits=limits,
    )
    return Inspector(predictor, task.model, task.out, options, console)


def _tell_kinds(understood: dict[str, list[Path]], console: Console) -> None:
    """Say for each group of files what they were taken for."""
    for words, files in understood.items():
        others = len(files) - 1
        more = f" and {others} other{'s' if others > 1 else ''}" if others else ""
        say(console, f"{files[0].name}{more}: read as {words}.")


def _check_format(settings: Path) -> None:
    """Raise `InputError` where another version of Fissura began the inspection."""
    if not settings.is_file():
        return
    try:
        found = json.loads(settings.read_text(encoding="utf-8")).get("format")
    except (OSError, ValueError, AttributeError):
        return  # `claim` says that it is damaged
    if found != FORMAT:
        raise InputError(
            f"The inspection in {settings.parent} was made by another version of Fissura, and this "
            "one cannot go on from it. Use --overwrite to inspect everything anew, or give another "
            "folder."
        )


def _about(
    task: _Task, predictor: Predictor | None, failures: list[Failure], edited: list[str]
) -> About:
    """Return the words of the report."""
    card = task.model / "card.md"
    settings = {
        "model": task.model_name,
        "photos": ", ".join(shown(path) for path in task.inputs),
        **{name: value for name, value in asdict(task.predicting).items() if value is not None},
        **{name: value for name, value in asdict(task.resolution).items() if value is not None},
        **task.measuring.settings(),
    }
    if predictor is not None:
        settings |= {
            "threshold": predictor.threshold,
            "scale": "auto" if predictor.auto_scale else predictor.scale,
            "machine": describe_machine(predictor.device),
        }
    return About(
        model=task.model_name,
        settings=settings,
        model_card=card.read_text(encoding="utf-8") if card.is_file() else None,
        versions=versions(),
        created=now(),
        failures=failures,
        edited=edited,
    )
