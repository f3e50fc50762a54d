"""Tracks of CVAT for video 1.1: shapes by the numbers of frames, for frames that lie as images.

The format: https://docs.cvat.ai/docs/manual/advanced/xml_format. An export lists every frame of a
track; where `outside` is 1 the thing is out of sight.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

from fissura.data.formats.annotation import Shape
from fissura.data.formats.shapes.points import number
from fissura.data.formats.source import Gathered
from fissura.data.walk import below
from fissura.errors import InputError

NUMBER = re.compile(r"\s*\d{1,9}\s*")
MakeShapes = Callable[[Element, tuple[int, int]], list[Shape]]


def read_tracks(path: Path, root: Element, make: MakeShapes, gathered: Gathered) -> None:
    """Read the tracks of a video.

    An image belongs to the frame whose number ends its name, as CVAT (frame_000012.png) and
    `fissura frames` (bridge_000012.jpg) name them. Images of frames between the first and the last
    of the task that no track touches show nothing.

    Args:
        path: The file.
        root: What it holds.
        make: Makes shapes of an element of an image and the image's size.
        gathered: Takes the images.

    Raises:
        InputError: No image belongs to a frame, or a track has no number of a frame.
    """
    images = _numbered(gathered)
    entries = _frames(root, path)
    first, last = _range(root, entries)
    used = {frame for frame in images if first <= frame <= last}
    if not used:
        raise InputError(
            f"{path}: is an annotation of a video, and no image here ends with the number of a "
            "frame. Put its frames beside it, as CVAT exports them (frame_000012.png) or "
            "`fissura frames VIDEO` writes them."
        )
    size = root.find(".//meta//original_size")
    stated = None
    if size is not None:
        height, width = size.findtext("height"), size.findtext("width")
        stated = (number(height, "the height of the video"), number(width, "its width"))
    for frame in sorted(used):
        _add_frame(path, frame, images[frame], entries.get(frame), stated, make, gathered)
    if lacking := sorted(entries.keys() - used):
        gathered.notes.append(
            f"Of {len(lacking)} of the frames that {path.name} annotates there is no image here "
            f"(the first is {lacking[0]})."
        )


def _add_frame(
    path: Path,
    frame: int,
    files: list[Path],
    entry: Element | None,
    stated: tuple[Any, Any] | None,
    make: MakeShapes,
    gathered: Gathered,
) -> None:
    """Add the image of one frame."""
    if len(files) > 1:
        names = " and ".join(below(file, gathered.source.root) for file in files[:2])
        gathered.skip(files[0], f"frame {frame} of {path.name} may be {names}")
        return

    def shapes(size_hw: tuple[int, int]) -> list[Shape]:
        return [] if entry is None else make(entry, size_hw)

    gathered.add(files[0], shapes, path, size_hw=stated)


def _numbered(gathered: Gathered) -> dict[int, list[Path]]:
    """Images by the numbers at the ends of their names."""
    found: dict[int, list[Path]] = defaultdict(list)
    for file in gathered.source.images:
        if digits := re.search(r"(\d{1,9})$", file.stem):
            found[int(digits.group(1))].append(file)
    return found


def _frames(root: Element, path: Path) -> dict[int, Element]:
    """The shapes of all tracks by frame, as elements of images."""
    entries: dict[int, Element] = {}
    for track in root.iterfind("track"):
        for shape in track:
            if shape.get("frame") is None or shape.get("outside") == "1":
                continue
            frame = number(shape.get("frame"), f"the frame of a track in {path.name}")
            entry = entries.setdefault(frame, Element("image", name=f"frame {frame}"))
            drawn = Element(shape.tag, shape.attrib | {"label": track.get("label") or ""})
            entry.append(drawn)
    return entries


def _range(root: Element, entries: dict[int, Element]) -> tuple[int, int]:
    """The first and the last frame that the task has."""
    told = []
    for name in ("start_frame", "stop_frame"):
        texts = [element.text for element in root.iterfind(f"./meta//{name}")]
        told.append([int(text) for text in texts if text and NUMBER.fullmatch(text)])
    first, last = min(entries, default=0), max(entries, default=-1)
    return min([first, *told[0]]), max([last, *told[1]])
