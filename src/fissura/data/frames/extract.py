"""Write the chosen frames of a video into a folder, with a table of where they come from."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypedDict

from PIL import Image

from fissura.data.frames.choose import Chosen, choose_frames
from fissura.data.frames.options import FrameOptions
from fissura.data.frames.read import Frame, read_frames
from fissura.errors import InputError
from fissura.files import new_folder, replacing
from fissura.files.documents import read_json
from fissura.files.failures import printable
from fissura.files.shapes import check_shape

TABLE, SETTINGS = "frames.csv", "frames.json"
COLUMNS = ("frame", "number", "seconds", "place", "frames_in_place", "sharpness")
QUALITY = 95  # of JPEG: what the video has lost weighs more


@dataclass(frozen=True)
class Extracted:
    """The frames of a video in a folder.

    Attributes:
        folder: The folder, with the frames and frames.csv.
        frames: Number of frames in it.
        seen: Number of frames of the video.
        problem: Why the video could not be read to its end, in a sentence; None if it was.
    """

    folder: Path
    frames: int
    seen: int
    problem: str | None


def extract_frames(
    source: str | Path,
    out: str | Path,
    options: FrameOptions | None = None,
    *,
    advance: Callable[[float], Any] | None = None,
) -> Extracted:
    """Write the sharpest frame of each place of a video, and frames.csv with a row for each.

    Frames of a video are written as JPEG, NAME_NUMBER.jpg; images of a folder are copied as they
    are. The folder appears whole or not at all.

    Args:
        source: A video, or a folder of images in natural order.
        out: The folder to write, new or empty. Where it holds the frames of this very video with
            these options, they are kept.
        options: When a place ends.
        advance: Called with the seconds of each frame that was read.

    Returns:
        What was written.

    Raises:
        InputError: The source cannot be read, or `out` holds anything else.
        OSError: The frames cannot be written.
    """
    source, out = Path(source), Path(out)
    options = options or FrameOptions()
    settings = _settings(source, options) if source.exists() else {}
    if out.is_dir() and any(out.iterdir()):
        return _kept(out, settings)
    seen, problem, rows = 0, None, []

    def noted(frame: Frame) -> Frame:
        nonlocal seen
        seen += 1
        if advance is not None:
            advance(frame.seconds)
        return frame

    with new_folder(out) as folder:
        try:
            frames = map(noted, read_frames(source, options.rate))
            for chosen in choose_frames(frames, options):
                rows.append(_written(folder, source, chosen))
        except InputError as error:
            if not rows:
                raise
            problem = str(error)
        with (folder / TABLE).open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(COLUMNS)
            writer.writerows(rows)
        known = {**settings, "frames": len(rows), "seen": seen, "problem": problem}
        text = json.dumps(known, indent=2) + "\n"
        (folder / SETTINGS).write_text(text, encoding="utf-8")
    return Extracted(out, len(rows), seen, problem)


def _settings(source: Path, options: FrameOptions) -> dict[str, Any]:
    """All that the frames depend on."""
    stat = source.stat()
    return {
        "source": printable(source.absolute()),
        "bytes": stat.st_size,
        "modified_ns": stat.st_mtime_ns,
        **asdict(options),
    }


class _Known(TypedDict):
    """What an earlier call tells of its frames."""

    frames: int
    seen: int
    problem: str | None


def _kept(out: Path, settings: dict[str, Any]) -> Extracted:
    """The frames of an earlier call, where they are those that are asked for."""
    try:
        known = read_json(out / SETTINGS)
        check_shape(known, _Known)
    except (OSError, ValueError):
        known = {}
    if not settings or any(known.get(name) != value for name, value in settings.items()):
        raise InputError(f"{out} is not empty. Give a new folder for the frames.")
    return Extracted(out, known["frames"], known["seen"], known["problem"])


def _written(folder: Path, source: Path, chosen: Chosen) -> tuple[Any, ...]:
    """Write a frame, and return its row of the table."""
    if chosen.file is not None:
        name = "_".join(chosen.file.relative_to(source).parts)
        with replacing(folder / name) as temporary:
            shutil.copyfile(chosen.file, temporary)
    else:
        name = f"{source.stem}_{chosen.number:06}.jpg"
        with replacing(folder / name) as temporary:
            Image.fromarray(chosen.image).save(temporary, quality=QUALITY, subsampling=0)
    return (
        printable(name),
        chosen.number,
        f"{chosen.seconds:.3f}",
        chosen.place,
        chosen.frames,
        f"{chosen.sharpness:.1f}",
    )
