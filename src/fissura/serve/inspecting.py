"""What `fissura inspect` does with a photo, for one that was uploaded; and the answer's words."""

from __future__ import annotations

import json
import math
import os
import zipfile
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from fissura.bit_depth import common_depth
from fissura.errors import InputError
from fissura.files import replacing
from fissura.inference.predictor import Prediction
from fissura.inspection.export import export, judged
from fissura.inspection.exporters.tables import (
    CRACK_COLUMNS,
    FACT_COLUMNS,
    PHOTO_COLUMNS,
    crack_row,
    photo_row,
)
from fissura.inspection.photos.photo import Inspector
from fissura.inspection.photos.recorder import InspectorOptions
from fissura.inspection.records.corrections import ADDED, CORRECTED, FOUND, REJECTED
from fissura.inspection.records.facts import read_exif
from fissura.inspection.records.record import Record
from fissura.inspection.records.store import save_record
from fissura.inspection.rules.limits import Limits
from fissura.inspection.steps import record_file
from fissura.measurement.crack import Crack
from fissura.measurement.options import MeasureOptions, ResolutionOptions
from fissura.serve.uploads import READ_BY_WINDOWS, Upload
from fissura.serve.worker import Image, Worker

# Of the columns of photos.csv: places on the server, and what is told in another form.
LEFT_OUT = ("file", "mask", "cracks", "reasons", FOUND, CORRECTED, ADDED, REJECTED)


@dataclass(frozen=True, kw_only=True)
class Asked:
    """How the photos of a request are inspected.

    Attributes:
        resolution: How millimeters per pixel are found.
        measuring: How cracks are measured.
        limits: Rules to judge the photos by.
        lines: Tell the centerlines of the cracks, too.
        whole: Keep what a zip of all results needs.
    """

    resolution: ResolutionOptions = field(default_factory=ResolutionOptions)
    measuring: MeasureOptions = field(default_factory=MeasureOptions)
    limits: Limits | None = None
    lines: bool = False
    whole: bool = False


@dataclass(frozen=True)
class Answered:
    """A photo that was inspected.

    Attributes:
        answer: What is told of it, for JSON.
        mask: Its mask below the folder of results.
        record: Its stored record, where all results are kept.
    """

    answer: dict[str, Any]
    mask: str
    record: Path | None


def inspect_upload(
    worker: Worker, upload: Upload, out: Path, asked: Asked, seconds: float
) -> Future[Answered]:
    """Inspect a photo when its turn comes, by the code of `fissura inspect`.

    Args:
        worker: Computes.
        upload: The photo.
        out: Folder for masks, overlays and records.
        asked: How it is inspected.
        seconds: Longest time that it may wait.
    """
    made: list[Inspector] = []

    def inspector() -> Inspector:
        if not made:
            options = InspectorOptions(
                resolution=asked.resolution,
                measuring=asked.measuring,
                kind="photo",
                threshold=worker.predictor.threshold,
                depth=common_depth([upload.file]),
                limits=asked.limits,
                overlays=asked.whole,
            )
            made.append(Inspector(worker.predictor, worker.model, out, options))
        return made[0]

    def finish(image: Image, prediction: Prediction) -> Answered:
        record = inspector().measured(upload.file, upload.stem, image, prediction)
        return _answered(record, upload, out, asked)

    if upload.file.suffix in READ_BY_WINDOWS:
        return worker.call(
            lambda: _answered(inspector()(upload.file, upload.stem), upload, out, asked), desk=False
        )
    return worker.photo(
        lambda: inspector().read(upload.file), finish, size_hw=upload.size_hw, seconds=seconds
    )


def _answered(record: Record, upload: Upload, out: Path, asked: Asked) -> Answered:
    """Judge a record, and return what is told of it."""
    record = judged(replace(record, facts=read_exif(upload.file)), asked.limits)
    stored = None
    if asked.whole:
        stored = record_file(out, upload.stem)
        save_record(stored, replace(record, file=Path(upload.name)))
    answer = _photo(record, upload.name) | {
        "results": upload.stem,
        "reasons": list(record.failures),
        "crack_count": len(record.cracks),
        "cracks": [_crack(record, crack, lines=asked.lines) for crack in record.cracks],
    }
    return Answered(answer, record.files["mask"], stored)


def _photo(record: Record, name: str) -> dict[str, Any]:
    """Return the columns of photos.csv; what is not known is None."""
    row = photo_row(record) | {name: getattr(record.facts, name) for name in FACT_COLUMNS}
    told = {column: _plain(row.get(column)) for column in PHOTO_COLUMNS if column not in LEFT_OUT}
    return {name: None if value == "" else value for name, value in told.items()} | {"photo": name}


def _crack(record: Record, crack: Crack, *, lines: bool) -> dict[str, Any]:
    """Return the columns of cracks.csv, and the centerline as points (x, y) of pixels."""
    values = crack_row(record, crack)
    row = {name: _plain(values.get(name)) for name in CRACK_COLUMNS if name != "photo"}
    row = {name: None if value == "" else value for name, value in row.items()}
    if lines:
        row["lines"] = [line[:, ::-1].round(2).tolist() for line in crack.lines]
    return row


def _plain(value: Any) -> Any:
    """Return a value that JSON can hold."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    item = getattr(value, "item", None)  # of NumPy's numbers
    return value if item is None else _plain(item())


def write_zip(out: Path, done: list[Answered], answer: dict[str, Any], asked: Asked) -> Path:
    """Write tables and vectors of photos, and pack them with masks and overlays.

    Args:
        out: Folder of the results.
        done: The photos.
        answer: What is told of all of them.
        asked: How they were inspected.

    Returns:
        The zip.
    """
    stored = {Path(str(one.answer["photo"])): one.record for one in done if one.record is not None}
    failures: list[Any] = []
    export(out, stored, failures, limits=asked.limits)
    if failures:
        raise InputError(" ".join(failure.reason for failure in failures))
    packed = out.parent / "results.zip"
    with replacing(packed) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        archive.writestr("answer.json", json.dumps(answer, ensure_ascii=False, indent=1))
        for file in _files(out):
            pressed = file.suffix in (".png", ".jpg")
            kind = zipfile.ZIP_STORED if pressed else zipfile.ZIP_DEFLATED
            archive.write(file, file.relative_to(out).as_posix(), kind)
    return packed


def _files(out: Path) -> Iterator[Path]:
    """Yield the files of the results, without the records."""
    for folder, folders, names in os.walk(out):
        folders[:] = sorted(set(folders) - {"measured"})
        yield from (Path(folder) / name for name in sorted(names))
