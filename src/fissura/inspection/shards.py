"""Shards of an inspection: what each writes down, and their results joined to those of one run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, TypedDict

from rich.console import Console

from fissura.errors import InputError
from fissura.files import OutputOptions, claim
from fissura.files.failures import Failure
from fissura.inference.files.merge import Merged, merge_predictions
from fissura.inspection.export import export
from fissura.inspection.outcome import Inspection, now, print_report
from fissura.inspection.records.facts import PhotoFacts
from fissura.inspection.records.store import MEASURED, MODEL_FOUND, SETTINGS
from fissura.inspection.report.heading import Heading, read_heading
from fissura.inspection.report.page import About
from fissura.inspection.rules.limits import Limits, read_limits
from fissura.inspection.rules.severity import Classes
from fissura.inspection.steps import record_file
from fissura.spread.manifest import (
    Manifest,
    check_told,
    in_all,
    join_files,
    own_photos,
    read_shards,
    versions_of_all,
    write_manifest,
)
from fissura.spread.parts import Part

OF_PLACE = ("model", "inputs", "shard")  # settings that differ from machine to machine


class _Options(TypedDict, total=False):
    """Options of an inspection that merging takes."""

    limits: Limits | None
    classes: Classes
    xlsx: bool


class _Noted(TypedDict):
    """What `finish_shard` notes in any case."""

    settings: dict[str, Any]
    told: dict[str, PhotoFacts]
    model: str | None


class _Notes(_Noted):
    """What it notes of measured masks, which have no report."""

    about: None


class _NotesOfReport(_Noted):
    """What it notes of an inspection."""

    about: _About


class _About(TypedDict):
    """The words of a report that `_as_json` keeps."""

    model: str
    settings: dict[str, Any]
    model_card: str | None
    edited: list[str]
    heading: Heading


@dataclass(frozen=True)
class Said:
    """What a shard knows that the joined results tell.

    Attributes:
        about: Words of the report; None for no report.
        limits: Rules that photos are judged by.
        told: What was told of its photos.
        model: Name of the model, where it found the cracks on photos.
        classes: How cracks are told apart beside their measurements.
        xlsx: Whether a workbook is written, too.
    """

    about: About | None
    limits: Limits | None
    told: Mapping[Path, PhotoFacts]
    model: str | None
    classes: Classes = field(default_factory=Classes)
    xlsx: bool = False


def finish_shard(
    out: Path,
    part: Part,
    model: Path,
    settings: Mapping[str, Any],
    said: Said,
    failures: Sequence[Failure],
) -> None:
    """Write down that a shard is finished, with everything that merging it takes.

    Args:
        out: Folder of its results.
        part: Its photos.
        model: The model folder.
        settings: Choices that the results depend on.
        said: What else the joined results tell.
        failures: Photos that were left out.
    """
    about = said.about
    write_manifest(
        out,
        part,
        command="measure" if about is None else "inspect",
        model=model,
        options={
            **{name: value for name, value in settings.items() if name not in OF_PLACE},
            **({} if about is None else {"heading": asdict(about.heading)}),
            "limits": said.limits.given() if said.limits else None,
            "classes": said.classes.fields(),
            "xlsx": said.xlsx,
        },
        failures=failures,
        notes={
            "settings": {name: value for name, value in settings.items() if name != "shard"},
            "about": None if about is None else _as_json(about),
            "told": {
                str(part.numbers[file]): {name: value for name, value in vars(one).items() if value}
                for file, one in said.told.items()
            },
            "model": said.model,
        },
    )


def merge(
    out: str | Path,
    shards: Sequence[str | Path],
    *,
    limits: str | Path | None = None,
    report: str | Path | None = None,
    pdf: bool = False,
    output: OutputOptions | None = None,
) -> Inspection | Merged:
    """Join the shards of `inspect`, `measure_files` or `predict` to the results of one run.

    Tables, vectors and report are those of one run, byte for byte, but for the moment in the report
    and the GeoPackage (both that of `SOURCE_DATE_EPOCH` where it is set) and the seconds of each
    photo in predictions.csv. Masks, overlays and records are linked where both folders lie on one
    disk, else copied; the photos themselves are not needed. `--resume` of the command on the same
    photos goes on from the joined folder.

    Args:
        out: Folder for the results.
        shards: Folders of all shards.
        limits: Other rules to judge the photos by than those that the shards were given.
        report: Another report.yaml than that of the shards.
        pdf: Print the report as PDF, too.
        output: Whether to go on with an earlier merge or to overwrite it.

    Returns:
        The inspection, or of predictions their table and the photos that were left out.

    Raises:
        InputError: A shard is missing, not finished or there twice, or shards are of other photos,
            options or models.
    """
    found = read_shards([Path(shard) for shard in shards], ("inspect", "measure", "predict"))
    out, output = Path(out), output or OutputOptions()
    if found[0].command == "predict":
        if limits or report or pdf:
            raise InputError(
                f"{found[0].folder} holds predictions, which have no limits and no report: those "
                "are of `fissura inspect`."
            )
        return merge_predictions(out, found, output)
    heading = read_heading(Path(report)) if report else None
    rules = read_limits(Path(limits)) if limits else None
    return _merge(out, found, rules, heading, pdf, output)


def _merge(
    out: Path,
    shards: list[Manifest],
    limits: Limits | None,
    heading: Heading | None,
    pdf: bool,
    output: OutputOptions,
) -> Inspection:
    """Join the shards of an inspection."""
    first, console = shards[0], Console(stderr=True)
    check_told(shards, _Options, _Notes if first.command == "measure" else _NotesOfReport)
    notes = [shard.notes for shard in shards]
    versions = versions_of_all(shards, console)
    claim(out / SETTINGS, first.notes["settings"], output, notes={"versions": versions})
    join_files(shards, out, output, (MEASURED, MODEL_FOUND))
    photos = own_photos(shards)
    failures = [Failure(Path(one.file), one.reason) for one, _ in photos if one.reason is not None]
    stored = {Path(one.file): record_file(out, one.name) for one, _ in photos if one.reason is None}
    told = {
        Path(one.file): PhotoFacts(**shard.notes["told"][str(one.number)])
        for one, shard in photos
        if str(one.number) in shard.notes["told"]
    }
    about = _about(notes, versions, failures, heading)
    given = first.options["limits"]
    rules = limits or (Limits(**given) if given else None)
    exported = export(
        out,
        stored,
        failures,
        limits=rules,
        about=about,
        told=told,
        classes=Classes.from_fields(first.options.get("classes", {})),
        xlsx=first.options.get("xlsx", False),
    )
    if pdf and about is not None:
        print_report(out, console)
    return Inspection.of(
        exported,
        out=out,
        report=None if about is None else out / "report.html",
        model=next((one["model"] for one in notes if one["model"]), None),
        failures=failures,
        edited=[] if about is None else about.edited,
    )


def _as_json(about: About) -> dict[str, Any]:
    """Return the words of a report but for its failures and its moment."""
    fields = asdict(replace(about, failures=[]))
    return {name: value for name, value in fields.items() if name not in ("failures", "created")}


def _about(
    notes: Sequence[Mapping[str, Any]],
    versions: Mapping[str, str],
    failures: list[Failure],
    heading: Heading | None,
) -> About | None:
    """Return the words of the report on all shards; each machine is told."""
    every = [one["about"] for one in notes]
    first = every[0]
    if first is None:
        return None
    names = list(dict.fromkeys(name for one in every for name in one["settings"]))
    stored = first["heading"]
    own = Heading(
        title=stored["title"],
        lines=stored["lines"],
        notes=tuple(stored["notes"]),
        signatures=tuple(stored["signatures"]),
    )
    return About(
        model=first["model"],
        settings={name: in_all([one["settings"].get(name) for one in every]) for name in names},
        model_card=first["model_card"],
        versions=versions,
        created=now(),
        failures=failures,
        edited=[sentence for one in every for sentence in one["edited"]],
        heading=heading or own,
    )
