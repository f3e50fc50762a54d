"""`Task`: what was asked of an inspection, and what follows from that before any photo is read."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from fissura.errors import InputError, extra
from fissura.files import OutputOptions, is_result, output_names
from fissura.files.documents import read_json
from fissura.inference.options import PredictOptions
from fissura.inference.predictor import Predictor
from fissura.inspection.options import InspectOptions
from fissura.inspection.photo_table import KnownPhotos, known_photos
from fissura.inspection.photos.class_masks import given_class
from fissura.inspection.photos.given_masks import GivenMasks, find_given_masks
from fissura.inspection.photos.sources import Kind, own_result
from fissura.inspection.records.store import FORMAT, SETTINGS
from fissura.inspection.report.heading import Heading, read_heading
from fissura.inspection.rules.limits import Limits, read_limits
from fissura.inspection.rules.severity import Classes, find_profile
from fissura.measurement.options import MeasureOptions, ResolutionOptions
from fissura.spread.options import Shard, SpreadOptions
from fissura.spread.parts import Part, part_of
from fissura.spread.stores import find_photos


@dataclass(frozen=True, kw_only=True)
class Task:
    """What was asked of an inspection.

    Attributes:
        inputs: Files and folders of photos.
        out: Folder for the results.
        model: The model folder.
        model_name: Its name for people.
        limits: A limits.yaml, or None.
        predicting: How the model is applied.
        resolution: How millimeters per pixel are found.
        measuring: How cracks are measured.
        output: Whether to resume an earlier inspection or to overwrite it.
        kind: Kind of the files.
        report: Whether photos are judged and reported; or else they are measured alone.
        inspecting: Corrected masks, words of the report, classes.
        spreading: How the photos are spread over machines.
    """

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
    def applied(self) -> PredictOptions:
        """How the model is applied, with what measuring asks of it."""
        return self.predicting.to_measure(self.measuring.min_prob)

    @property
    def settings(self) -> dict[str, Any]:
        """Choices that an inspection must share with the one it goes on from."""
        return {
            "format": FORMAT,
            "model": str(self.model.absolute()),
            "inputs": [str(path.absolute()) for path in self.inputs],
            "kind": self.kind,
            **asdict(self.predicting),
            "engine": self.predicting.engine or "torch",  # an exported model is one of its own
            "resolution": asdict(self.resolution),
            "measuring": self.measuring.settings(),
            **({} if self.spreading.shard is None else {"shard": self.spreading.shard}),
        }

    @property
    def previous(self) -> Path | None:
        """The folder of the earlier inspection that masks are compared with."""
        inspecting = self.inspecting
        if inspecting.previous is not None:
            return Path(inspecting.previous)
        if inspecting.masks is None:
            return None
        masks = Path(inspecting.masks).absolute()
        return next((one for one in (masks, *masks.parents) if (one / SETTINGS).is_file()), None)

    def check_format(self) -> None:
        """Raise `InputError` where another version of Fissura began the inspection."""
        settings = self.out / SETTINGS
        if not self.output.resume or not settings.is_file():
            return
        try:
            found = read_json(settings).get("format")
        except (OSError, ValueError, AttributeError):
            return  # `claim` says that it is damaged
        if found != FORMAT:
            raise InputError(
                f"The inspection in {self.out} was made by another version of Fissura, and this "
                "one cannot go on from it. Use --overwrite to inspect everything anew, or give "
                "another folder."
            )


@dataclass(frozen=True)
class Judging:
    """How photos are judged and shown.

    Attributes:
        limits: Rules, or None.
        heading: What heads the report.
        classes: How cracks are told apart beside their measurements.
    """

    limits: Limits | None
    heading: Heading
    classes: Classes

    @classmethod
    def of(cls, task: Task) -> Judging:
        """Read the files of a task; what a workbook needs is looked for before any work."""
        inspecting = task.inspecting
        limits = read_limits(task.limits) if task.limits else None
        heading = read_heading(inspecting.report) if inspecting.report else Heading()
        if inspecting.xlsx:
            with extra("xlsx", "Writing a workbook of Excel"):
                import openpyxl  # noqa: F401  # pyright: ignore[reportUnusedImport]
        profile = None if inspecting.severity is None else find_profile(inspecting.severity)
        return cls(limits, heading, Classes(profile, inspecting.axis))


@dataclass(frozen=True)
class Photos:
    """The photos of a task, and what is known of them.

    Attributes:
        names: Photos, and the names of their results.
        given: Corrected masks.
        known: What an inspector knows of each.
    """

    names: dict[Path, str]
    given: GivenMasks
    known: KnownPhotos

    @classmethod
    def of(cls, task: Task) -> Photos:
        """Find the photos of a task.

        Raises:
            InputError: There are none, or a table or a mask is wrong.
        """
        files = _files(task)
        names = dict(zip(files, output_names(files, task.inputs), strict=True))
        given = find_given_masks(task.inspecting, names)
        return cls(names, given, known_photos(files, task.inputs, task.inspecting.table))

    def part(self, task: Task) -> Part | None:
        """Return the photos of the shard that was asked for; None for all photos."""
        shard = task.spreading.shard
        return part_of(self.names, Shard.parse(shard)) if shard else None


def load_predictor(task: Task, photos: Photos) -> Predictor | None:
    """Load the model where a photo may need it.

    Raises:
        InputError: There is no such model, an option is out of range, or it tells classes apart.
    """
    if _unneeded(task, photos):
        return None
    predictor = _load(task)
    predictor.refuse_classes("fissura predict tells them apart")
    return predictor


def _files(task: Task) -> list[Path]:
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


def _load(task: Task) -> Predictor:
    """Load the model; say how a class of masks is chosen where it does not know the class."""
    try:
        return Predictor.load(task.model, **asdict(task.applied))
    except InputError as error:
        asked = task.predicting.of_class
        if task.kind != "auto" or asked is None or f"no class {asked!r}" not in str(error):
            raise
        raise InputError(
            f"{error} Of index masks, give the value of the class too: --of-class {asked}=2."
        ) from error


def _unneeded(task: Task, photos: Photos) -> bool:
    """Whether the model has to find the cracks of no file."""
    if set(photos.names) <= set(photos.given.of_photo):
        return True
    if task.kind == "auto":
        of_class = given_class(task.predicting.of_class) is not None
        return of_class or all(own_result(file) is not None for file in photos.names)
    return task.kind != "photo"
