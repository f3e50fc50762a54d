"""Measured photos on disk, so that an inspection that was stopped loses none of them.

One NumPy archive (.npz, no pickle) per photo: arrays as they are, the rest as JSON, the preview as
a JPEG.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, overload
from zipfile import ZIP_DEFLATED, ZipFile

import cv2
import numpy as np
from numpy.typing import NDArray

from fissura.files import replacing
from fissura.inspection.record import Record
from fissura.measurement.crack import Crack

PREVIEW_QUALITY = 92
ARRAYS = ("places", "widths", "width_errors")  # of a crack, besides its lines
# Not stored: arrays, and the verdict, since the same cracks may be judged by other limits.
APART = {*ARRAYS, "lines", "cracks", "preview", "failures", "judged"}


def save_inspected(path: Path, photo: Record) -> None:
    """Write what was measured on a photo, whole or not at all; without the verdict."""
    lines = [line for crack in photo.cracks for line in crack.lines]
    meta = {
        "photo": _plain(photo) | {"file": str(photo.file), "files": dict(photo.files)},
        "cracks": [
            _plain(crack) | {"lines": len(crack.lines), "measured": len(crack.widths)}
            for crack in photo.cracks
        ],
        "line_points": [len(line) for line in lines],
    }
    quality = [cv2.IMWRITE_JPEG_QUALITY, PREVIEW_QUALITY]
    _, preview = cv2.imencode(".jpg", photo.preview[..., ::-1], quality)
    with replacing(path) as temporary, ZipFile(temporary, "w", ZIP_DEFLATED) as archive:

        def write(name: str, array: NDArray[Any]) -> None:
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                np.lib.format.write_array(file, array, allow_pickle=False)

        write("meta", np.frombuffer(json.dumps(meta).encode(), np.uint8))
        write("preview", preview)
        # One after the other: those of a huge picture are a good part of the memory.
        for name in ARRAYS if photo.cracks else ():
            write(name, np.concatenate([getattr(crack, name) for crack in photo.cracks]))
        if lines:
            write("lines", np.concatenate(lines))


def load_inspected(path: Path, *, preview: bool = True) -> Record:
    """Read what `save_inspected` wrote; without `preview` that is empty (0, 0, 3)."""
    with np.load(path, allow_pickle=False) as stored:
        meta = json.loads(stored["meta"].tobytes())
        arrays = {name: stored[name] for name in (*ARRAYS, "lines") if name in stored}
        image = np.empty((0, 0, 3), np.uint8)
        if preview:
            bgr = cv2.imdecode(stored["preview"], cv2.IMREAD_COLOR)
            assert bgr is not None
            image = np.ascontiguousarray(bgr[..., ::-1], np.uint8)
    photo = meta["photo"]
    return Record(
        **photo
        | {
            "file": Path(photo["file"]),
            "size_hw": tuple(photo["size_hw"]),
            "transform": tuple(photo["transform"]),
            "cracks": list(_cracks(meta, arrays)),
            "preview": image,
        }
    )


class StoredPhotos(Sequence[Record]):
    """Photos in their files, each loaded when it is asked for; they may be too many for memory.

    judge:  fills in the verdict of each.
    """

    def __init__(
        self, files: Sequence[Path], *, preview: bool, judge: Callable[[Record], Record]
    ) -> None:
        self.files = files
        self.preview = preview
        self.judge = judge

    def __len__(self) -> int:
        return len(self.files)

    @overload
    def __getitem__(self, index: int) -> Record: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Record]: ...
    def __getitem__(self, index: int | slice) -> Record | Sequence[Record]:
        if isinstance(index, slice):
            return StoredPhotos(self.files[index], preview=self.preview, judge=self.judge)
        return self.judge(load_inspected(self.files[index], preview=self.preview))


def _plain(value: Record | Crack) -> dict[str, Any]:
    """The fields that JSON can hold."""
    return {
        entry.name: getattr(value, entry.name) for entry in fields(value) if entry.name not in APART
    }


def _cracks(meta: dict[str, Any], arrays: dict[str, NDArray[np.float64]]) -> Iterator[Crack]:
    line, point, place = 0, 0, 0
    for stored in meta["cracks"]:
        count, measured = stored.pop("lines"), stored.pop("measured")
        lines = []
        for length in meta["line_points"][line : line + count]:
            lines.append(arrays["lines"][point : point + length])
            point += length
        line += count
        own = {name: arrays[name][place : place + measured] for name in ARRAYS}
        place += measured
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
