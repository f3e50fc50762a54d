"""Records on disk, so that an inspection that was stopped loses none of them.

One NumPy archive (.npz, no pickle) per photo: arrays as they are, the rest as JSON, the preview as
a JPEG.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, TypedDict
from zipfile import ZIP_DEFLATED, ZipFile

import cv2
import numpy as np
from numpy.typing import NDArray

from fissura.errors import InputError
from fissura.files import replacing
from fissura.files.archives import UNREADABLE
from fissura.files.documents import parse_json, read_json
from fissura.files.shapes import check_shape
from fissura.georeference import Transform
from fissura.inspection.records.corrections import Correction
from fissura.inspection.records.facts import PhotoFacts
from fissura.inspection.records.record import Outline, Record
from fissura.measurement.crack import Crack
from fissura.measurement.perspective import Perspective

SETTINGS, MEASURED, MODEL_FOUND = "inspection.json", "measured", "found"
FORMAT = 2  # of the archive; raise it where an older one can no longer be read
PREVIEW_QUALITY = 92
ARRAYS = ("samples", "widths", "width_errors")  # of a crack, besides its lines
# Not among the JSON: arrays, and the verdict, since the same cracks may be judged by other limits.
APART = {
    *ARRAYS, "lines", "cracks", "runs", "specks", "preview", "failures", "judged", "correction",
    "facts", "perspective", "over", "classes", "widest_shown", "limit_shown",
}  # fmt: skip


def save_record(path: Path, record: Record) -> None:
    """Write a record, whole or not at all; without the verdict."""
    lines = [line for crack in record.cracks for line in crack.lines]
    outline = record.outline
    head = {
        "format": FORMAT,
        "photo": _plain(record)
        | {"file": str(record.file), "files": dict(record.files)}
        | ({} if record.correction is None else {"correction": asdict(record.correction)})
        | ({} if record.perspective is None else {"perspective": record.perspective.fields()})
        | ({} if record.facts == PhotoFacts() else {"exif": _told(record.facts)}),
        "outline": {entry.name: getattr(outline, entry.name) for entry in fields(outline)},
    }
    meta = {
        "cracks": [
            _plain(crack) | {"lines": len(crack.lines), "measured": len(crack.widths)}
            for crack in record.cracks
        ],
        "line_points": [len(line) for line in lines],
        "runs": None if record.runs is None else [len(runs) for runs in record.runs],
    }
    quality = [cv2.IMWRITE_JPEG_QUALITY, PREVIEW_QUALITY]
    _, preview = cv2.imencode(".jpg", record.preview[..., ::-1], quality)
    with replacing(path) as temporary, ZipFile(temporary, "w", ZIP_DEFLATED) as archive:

        def write(name: str, array: NDArray[Any]) -> None:
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                np.lib.format.write_array(file, array, allow_pickle=False)

        write("head", np.frombuffer(json.dumps(head).encode(), np.uint8))
        write("meta", np.frombuffer(json.dumps(meta).encode(), np.uint8))
        write("preview", preview)
        # One after the other: those of a huge image are a good part of the memory.
        for name in ARRAYS if record.cracks else ():
            write(name, np.concatenate([getattr(crack, name) for crack in record.cracks]))
        if record.runs:
            write("runs", np.concatenate(record.runs))
        if record.specks is not None:
            write("specks", record.specks)
        if lines:
            write("lines", np.concatenate(lines))


def load_record(path: Path) -> Record:
    """Read the record that `save_record` wrote.

    Raises:
        InputError: The file is damaged, or another version of Fissura wrote it.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            photo = _head(path, stored)["photo"]
            meta = parse_json(stored["meta"].tobytes())
            arrays = {
                name: stored[name]
                for name in (*ARRAYS, "lines", "runs", "specks")
                if name in stored
            }
            if "places" in stored:  # the name of the samples until version 0.2
                arrays["samples"] = stored["places"]
            bgr = cv2.imdecode(stored["preview"], cv2.IMREAD_COLOR)
        facts = PhotoFacts(**photo.pop("exif", {}))
        correction = _correction(photo)
        if correction is not None and len(correction.statuses) != len(meta["cracks"]):
            raise ValueError("not each crack has a status")
        return Record(
            **photo
            | {
                "facts": facts,
                "file": Path(photo["file"]),
                "size_hw": tuple(photo["size_hw"]),
                "transform": tuple(photo["transform"]),
                "cracks": list(_cracks(meta, arrays)),
                "correction": correction,
                "perspective": _perspective(photo),
                "runs": _runs(meta, arrays),
                "specks": arrays.get("specks"),
                "preview": np.ascontiguousarray(np.asarray(bgr)[..., ::-1], np.uint8),
            }
        )
    except _DAMAGED as error:
        raise _damaged(path, error) from error


def read_settings(path: Path) -> dict[str, Any]:
    """Return the settings that results were made with; none where they cannot be read."""
    try:
        settings = read_json(path)
    except (OSError, ValueError):
        return {}
    return settings if isinstance(settings, dict) else {}


def load_outline(path: Path) -> tuple[Outline, dict[str, Any]]:
    """Read the outline of a stored record, and those of its fields that are no arrays.

    Raises:
        InputError: The file is damaged, or another version of Fissura wrote it.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            head = _head(path, stored)
        outline = head["outline"]
        return Outline(**outline | {"transform": tuple(outline["transform"])}), head["photo"]
    except _DAMAGED as error:
        raise _damaged(path, error) from error


def load_widest(path: Path) -> float:
    """Read the greatest width on a stored record in pixels of its photo; 0 where there is none.

    Raises:
        InputError: The file is damaged, or another version of Fissura wrote it.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            _head(path, stored)
            meta = parse_json(stored["meta"].tobytes())
        widths = [float(crack["width_max"]) for crack in meta["cracks"]]
    except _DAMAGED as error:
        raise _damaged(path, error) from error
    return max((width for width in widths if not math.isnan(width)), default=0.0)


_DAMAGED = (*UNREADABLE, cv2.error)


def _damaged(path: Path, error: Exception) -> InputError:
    """Say that a record cannot be read."""
    reason = str(error).split("\n")[0]
    return InputError(
        f"{path} is damaged ({reason}). Delete it and use --resume, and its photo is inspected "
        "anew."
    )


class _Needed(TypedDict):
    """What the head of an archive has of every photo."""

    file: str
    name: str
    size_hw: tuple[int, int]
    mm_per_pixel: float | None
    resolution_source: str
    preview_scale: float
    transform: Transform
    files: _Files


class _Files(TypedDict):
    """The files written for a photo; of other kinds there may be some."""

    mask: str


class _Photo(_Needed, total=False):
    """What it may have beside."""

    crs: str | None
    mask_sha256: str | None
    photo_digest: str | None
    correction: Correction
    unfamiliarity: float | None
    perspective: _Perspective
    resolution_asked: str
    exif: PhotoFacts


class _Perspective(TypedDict):
    """What `Perspective.fields` are."""

    matrix: list[list[float]]
    deviations: list[list[list[float]]]


class _Head(TypedDict):
    """The head of an archive."""

    photo: _Photo
    outline: Outline


def _head(path: Path, stored: Any) -> dict[str, Any]:
    """Return the head of an archive, or refuse that of another version."""
    head = parse_json(stored["head"].tobytes()) if "head" in stored else {}
    if head.get("format") != FORMAT:
        raise InputError(
            f"{path} was written by another version of Fissura, and this one cannot go on from it. "
            "Use --overwrite to inspect everything anew, or give another folder."
        )
    check_shape(head, _Head)
    return head


def _plain(value: Record | Crack) -> dict[str, Any]:
    """Return the fields that JSON can hold."""
    return {
        entry.name: getattr(value, entry.name) for entry in fields(value) if entry.name not in APART
    }


def _told(facts: PhotoFacts) -> dict[str, Any]:
    """Return the facts that are known."""
    return {name: value for name, value in vars(facts).items() if value}


def _correction(photo: dict[str, Any]) -> Correction | None:
    """Return what a corrected mask changed on a photo."""
    stored = photo.get("correction")
    return None if stored is None else Correction.from_fields(stored)


def _perspective(photo: dict[str, Any]) -> Perspective | None:
    """Return the perspective of a photo of a slanted surface."""
    stored = photo.get("perspective")
    return None if stored is None else Perspective.from_fields(stored)


def _runs(meta: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> list[NDArray[np.int64]] | None:
    """Return the runs of each crack."""
    if meta["runs"] is None:
        return None
    ends = np.cumsum(meta["runs"])[:-1]
    return np.split(arrays["runs"], ends) if meta["runs"] else []


def _cracks(meta: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> Iterator[Crack]:
    """Yield the cracks, each with its slices of the common arrays."""
    line, point, sample = 0, 0, 0
    for stored in meta["cracks"]:
        count, measured = stored.pop("lines"), stored.pop("measured")
        lines = []
        for length in meta["line_points"][line : line + count]:
            lines.append(arrays["lines"][point : point + length])
            point += length
        line += count
        own = {name: arrays[name][sample : sample + measured] for name in ARRAYS}
        sample += measured
        yield Crack(
            **stored
            | own
            | {
                "lines": lines,
                "widest_at": tuple(stored["widest_at"]),
                "box": tuple(stored["box"]),
                "anchors": tuple(tuple(anchor) for anchor in stored["anchors"]),
            }
        )
