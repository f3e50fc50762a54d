"""Finishing: corrected masks and a table of photos as files, the inspection of them, training data.

The numbers of the report are those of `fissura inspect PHOTOS --masks MASKS --previous MODEL
--table TABLE` on the files that are written here, since that is what runs.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from fissura.errors import InputError
from fissura.files import MASKS, OutputOptions, free_folder, output_names, replacing
from fissura.files.images import write_image
from fissura.files.spreadsheet import spreadsheet
from fissura.inference.options import PredictOptions
from fissura.inspection.options import InspectOptions
from fissura.inspection.outcome import Inspection
from fissura.inspection.photo_table import Known
from fissura.inspection.pipeline import inspect
from fissura.inspection.records.store import load_record
from fissura.inspection.report.heading import KEYS
from fissura.inspection.steps import record_file
from fissura.measurement.options import MeasureOptions, ResolutionOptions
from fissura.serve.desk.photos.scale import rectangle_cells, table_cells
from fissura.serve.desk.storage.entry import Entry
from fissura.serve.desk.storage.store import PhotoRow

TABLE, HEADING, JUDGED = "photos.csv", "report.yaml", "judged.csv"
LONGEST_TEXT = 20_000  # letters of a line of the heading


@dataclass(frozen=True, eq=False)
class Finished:
    """A photo that is to be filed.

    Attributes:
        row: What is stored of it.
        file: The photo.
        mask: Its corrected mask, bool (h, w).
        entries: Its cracks on the desk.
    """

    row: PhotoRow
    file: Path
    mask: NDArray[np.bool_]
    entries: Sequence[Entry]


@dataclass(frozen=True, kw_only=True)
class FinishOptions:
    """What a filed report is made of.

    Attributes:
        home: The desk's own folder.
        previous: Folder of what the model found.
        model: The model.
        limits: A limits.yaml, or None.
        predicting: How the model was applied.
        measuring: How cracks are measured.
        resolution: How the resolution of photos without one of their own is found.
        heading: Lines of the report's heading, by the names of `report.yaml`.
        pdf: Print the report, too.
        training: Add photos that were worked on, with their masks, to the training folder.
    """

    home: Path
    previous: Path
    model: Path
    limits: Path | None = None
    predicting: PredictOptions = field(default_factory=PredictOptions)
    measuring: MeasureOptions = field(default_factory=MeasureOptions)
    resolution: ResolutionOptions = field(default_factory=ResolutionOptions)
    heading: Mapping[str, Any] = field(default_factory=dict)
    pdf: bool = False
    training: bool = False


@dataclass(frozen=True)
class Filed:
    """What finishing wrote.

    Attributes:
        out: Folder of the inspection's results.
        inspection: What the inspection says of itself.
        training: The training folder; None where it was not asked for.
        trained: Number of photos that were added to it, or brought up to date.
        said: What there is to say, in sentences.
    """

    out: Path
    inspection: Inspection
    training: Path | None
    trained: int
    said: list[str]


def finish(
    photos: Iterable[Callable[[], Finished]],
    files: list[Path],
    known: Mapping[Path, Known],
    options: FinishOptions,
) -> Filed:
    """Write the corrected masks, inspect them, and add them to the training folder.

    Args:
        photos: Gives each photo when its turn comes, so that one mask is in memory at a time.
        files: The photos, in the same order.
        known: What tables say of photos.
        options: What the report is made of.

    Raises:
        InputError: There are no photos, or the inspection cannot be made.
    """
    if not files:
        raise InputError("There is no photo on the desk that could be filed.")
    home = options.home
    names = dict(zip(files, output_names(files, files), strict=True))
    rows, judged, trained, idle = [], [], 0, 0
    for give in photos:
        photo = give()
        mask = home / MASKS / f"{names[photo.file]}.png"
        write_image(mask, photo.mask.astype(np.uint8) * np.uint8(255))
        rows.append(_row(photo, known.get(photo.file, Known())))
        judged.append((photo.file, list(photo.entries)))
        if options.training and photo.row.revision:
            _add_to_training(home / "training", photo.file, mask)
            trained += 1
        else:
            idle += 1
    _write_table(home / TABLE, rows)
    heading = _write_heading(home / HEADING, options.heading)
    out = free_folder(str(home / "report"))
    inspection = inspect(
        files,
        out,
        model=options.model,
        limits=options.limits,
        predicting=options.predicting,
        resolution=options.resolution,
        measuring=options.measuring,
        output=OutputOptions(),
        inspecting=InspectOptions(
            masks=home / MASKS,
            previous=options.previous,
            table=home / TABLE,
            report=heading,
            pdf=options.pdf,
        ),
    )
    _write_judged(out, judged, names)
    said = [failure.reason for failure in inspection.failures]
    if options.training and idle:
        one = idle == 1
        said.append(
            f"{idle} {'photo' if one else 'photos'} on which nothing was judged or corrected "
            f"{'is' if one else 'are'} not among the training photos."
        )
    if options.pdf and not (out / "report.pdf").is_file():
        said.append("No PDF was printed: no browser that prints was found on the server.")
    training = home / "training" if options.training else None
    return Filed(out, inspection, training, trained, said)


def _row(photo: Finished, known: Known) -> dict[str, str]:
    """Return the row of a photo for the table: what tables said, and over it what the desk says."""
    cells = {"file": photo.file.as_posix(), **dict(known.facts.others)}
    cells |= {name: getattr(known.facts, name) for name in ("element", "note", "taken")}
    by_hand = table_cells(photo.row.scale)
    if by_hand:
        cells |= by_hand
    elif known.resolution is not None:
        numbers = asdict(known.resolution)
        cells |= {name: repr(value) for name, value in numbers.items() if value is not None}
    elif known.rectangle is not None:
        cells |= rectangle_cells(known.rectangle)
    if photo.row.note:
        cells["note"] = photo.row.note
    return {name: text for name, text in cells.items() if text}


def _write_table(path: Path, rows: list[dict[str, str]]) -> None:
    """Write a table of photos."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    _write_csv(path, [columns, *([row.get(name, "") for name in columns] for row in rows)])


def _write_csv(path: Path, lines: Iterable[Sequence[object]]) -> None:
    """Write lines as a CSV file."""
    with spreadsheet(path) as write:
        for line in lines:
            write(line)


def _write_heading(path: Path, heading: Mapping[str, Any]) -> Path | None:
    """Write the heading of the report; None where nothing is said of it."""
    lines: dict[str, Any] = {}
    for name, value in heading.items():
        if name not in KEYS:
            raise InputError(
                f"{name} is no line of a report's heading; there are {', '.join(KEYS)}."
            )
        several = value if isinstance(value, list) else [value]
        if not all(isinstance(text, str) and len(text) <= LONGEST_TEXT for text in several):
            raise InputError(f"{name} must be a text.")
        if any(text.strip() for text in several):
            lines[name] = value
    if not lines:
        return None
    with replacing(path) as temporary:
        temporary.write_text(
            yaml.safe_dump(lines, allow_unicode=True, sort_keys=False), encoding="utf-8"
        )
    return path


def _add_to_training(folder: Path, photo: Path, mask: Path) -> None:
    """Copy a photo and its mask as `fissura train` takes them; newer ones replace older."""
    for file, place in (
        (photo, folder / "images" / f"{mask.stem}{photo.suffix}"),
        (mask, folder / MASKS / mask.name),
    ):
        with replacing(place) as temporary:
            shutil.copyfile(file, temporary)


def _write_judged(
    out: Path, judged: list[tuple[Path, list[Entry]]], names: Mapping[Path, str]
) -> None:
    """Write what a person said of cracks: status, class, note, and the numbers in the report."""
    lines: list[Sequence[object]] = [
        ("photo", "number_on_desk", "number_in_report", "status", "class", "note")
    ]
    for file, entries in judged:
        record = record_file(out, names[file])
        numbers: dict[tuple[int, int], int] = {}
        if record.is_file():
            for crack in load_record(record).cracks:
                numbers |= dict.fromkeys(crack.anchors, crack.number)
        for entry in sorted(entries, key=lambda one: int(one.id)):
            if entry.decision or entry.label or entry.note:
                own = numbers.get(entry.crack.anchors[0], "") if entry.is_live else ""
                lines.append(
                    (file.name, entry.id, own, entry.shown_status, entry.label, entry.note)
                )
    if len(lines) > 1:
        _write_csv(out / JUDGED, lines)
