"""`fissura inspect` and `fissura measure`: files and folders of photos in, measured cracks out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from rich.console import Console

from fissura.bit_depth import common_depth
from fissura.checkpoint import find_model, name_of_model, versions
from fissura.device import describe_machine
from fissura.files import OutputOptions, claim, free_folder
from fissura.files.failures import Failure, say
from fissura.inference.options import PredictOptions
from fissura.inference.predictor import Predictor
from fissura.inspection.export import Exported, counted, export
from fissura.inspection.measuring import measure_all
from fissura.inspection.on_cluster import Setup, measure_on_cluster
from fissura.inspection.options import InspectOptions
from fissura.inspection.outcome import Inspection, now, print_report
from fissura.inspection.photos.photo import Inspector
from fissura.inspection.photos.recorder import InspectorOptions
from fissura.inspection.photos.sources import Kind
from fissura.inspection.records.store import MEASURED, MODEL_FOUND, SETTINGS
from fissura.inspection.report.heading import Heading
from fissura.inspection.report.page import About
from fissura.inspection.rules.limits import Limits
from fissura.inspection.shards import Said, finish_shard
from fissura.inspection.steps import Earlier, plan, record_file
from fissura.inspection.task import Judging, Photos, Task, load_predictor
from fissura.measurement.options import MeasureOptions, ResolutionOptions
from fissura.memory import give_back_freed_memory
from fissura.raster import lost_places
from fissura.shipped import DEFAULT
from fissura.spread.manifest import begin_shard
from fissura.spread.options import SpreadOptions
from fissura.spread.parts import Part
from fissura.spread.stores import shown

Files = str | Path | Iterable[str | Path]


def inspect(
    photos: Files,
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
        limits: A limits.yaml, see `fissura.inspection.rules.limits`.
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
        Task(
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
    files: Files,
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
        Task(
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


def _paths(photos: Files) -> list[Path]:
    """Return one or several names as paths."""
    return [Path(photos)] if isinstance(photos, str | Path) else [Path(path) for path in photos]


def _run(task: Task) -> Inspection:
    """Measure what is not measured yet, then write everything from the records."""
    console = Console(stderr=True)
    judging, photos = Judging.of(task), Photos.of(task)
    task.check_format()
    earlier = Earlier(task.out, task.previous)
    predictor = load_predictor(task, photos)
    claim(
        task.out / SETTINGS,
        task.settings,
        task.output,
        notes={"versions": versions()},
        stale=[*(task.out / MEASURED).rglob("*.npz"), *(task.out / MODEL_FOUND).rglob("*.npz")],
    )
    inspector = _inspector(task, predictor, photos, judging.limits, console)
    said = [lost_places(photos.names), *photos.known.said, *photos.given.said]
    part = photos.part(task)
    if part is not None:
        begin_shard(task.out)
        photos = replace(photos, names=part.names)
    steps = plan(
        task.out,
        photos.names,
        photos.given.of_photo,
        asked={file: one.asked for file, one in photos.known.of_photo.items()},
        corrections=task.report,
    )
    for sentence in [*said, *steps.said, *steps.missing]:
        if sentence:
            say(console, sentence, style="yellow")
    if task.spreading.ray is None:
        failures = measure_all(inspector, steps.steps, earlier, console)
    else:
        setup = Setup(task.applied, task.previous, predictor is not None)
        failures = measure_on_cluster(inspector, steps.steps, setup, task.spreading, console)
    if not task.report:
        _tell_kinds(inspector.understood, console)
    give_back_freed_memory()
    measured = _Measured(photos, part, inspector, failures, steps.missing)
    exported = _write(task, judging, measured)
    if task.inspecting.pdf and part is None:
        print_report(task.out, console)
    return Inspection.of(
        exported,
        out=task.out,
        report=task.out / "report.html" if task.report and part is None else None,
        model=measured.model_of(task),
        failures=failures,
        edited=steps.missing,
        shard=task.spreading.shard,
    )


@dataclass(frozen=True)
class _Measured:
    """What was measured: photos, their shard, their inspector, and what is wrong with some."""

    photos: Photos
    part: Part | None
    inspector: Inspector
    failures: list[Failure]
    missing: list[str]

    def model_of(self, task: Task) -> str | None:
        """Return the name of the model, where it found the cracks on photos."""
        return task.model_name if "photos" in self.inspector.understood else None


def _write(task: Task, judging: Judging, measured: _Measured) -> Exported:
    """Write everything from the records; of a shard, what merging it takes."""
    failures = measured.failures
    left_out = {one.file for one in failures}
    stored = {
        file: record_file(task.out, name)
        for file, name in measured.photos.names.items()
        if file not in left_out
    }
    about = _about(task, judging.heading, measured) if task.report else None
    told = {file: one.facts for file, one in measured.photos.known.of_photo.items()}
    xlsx = task.inspecting.xlsx
    if measured.part is None:
        return export(
            task.out,
            stored,
            failures,
            limits=judging.limits,
            about=about,
            told=told,
            classes=judging.classes,
            xlsx=xlsx,
        )
    exported = counted(stored, failures)
    own = {file: told[file] for file in measured.photos.names if file in told}
    model = measured.model_of(task)
    said = Said(about, judging.limits, own, model, judging.classes, xlsx)
    finish_shard(task.out, measured.part, task.model, task.settings, said, failures)
    return exported


def _inspector(
    task: Task,
    predictor: Predictor | None,
    photos: Photos,
    limits: Limits | None,
    console: Console,
) -> Inspector:
    """Return the inspector of the files; the brightness of photos is found, and said."""
    depth = common_depth(photos.names) if predictor is not None else None
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
        known=photos.known.of_photo,
        limits=limits,
    )
    return Inspector(predictor, task.model, task.out, options, console)


def _tell_kinds(understood: dict[str, list[Path]], console: Console) -> None:
    """Say for each group of files what they were taken for."""
    for words, files in understood.items():
        others = len(files) - 1
        more = f" and {others} other{'s' if others > 1 else ''}" if others else ""
        say(console, f"{files[0].name}{more}: read as {words}.")


def _about(task: Task, heading: Heading, measured: _Measured) -> About:
    """Return the words of the report."""
    card = task.model / "card.md"
    settings = {
        "model": task.model_name,
        "photos": ", ".join(shown(path) for path in task.inputs),
        **{name: value for name, value in asdict(task.predicting).items() if value is not None},
        **{name: value for name, value in asdict(task.resolution).items() if value is not None},
        **task.measuring.settings(),
    }
    predictor = measured.inspector.predictor
    if predictor is not None:
        settings |= {
            "threshold": predictor.threshold,
            "scale": "auto" if predictor.auto_scale else predictor.scale,
            "machine": describe_machine(predictor.device),
        }
    if measured.inspector.machines:
        settings["machine"] = "; ".join(measured.inspector.machines)
    return About(
        model=task.model_name,
        settings=settings,
        model_card=card.read_text(encoding="utf-8") if card.is_file() else None,
        versions=versions(),
        created=now(),
        failures=measured.failures,
        edited=measured.missing,
        heading=heading,
    )
