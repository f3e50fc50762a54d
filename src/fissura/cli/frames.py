"""`fissura frames`: the sharpest frame of each place of a video."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from fissura.cli.options import PHOTOS_FAILED, counted, refuse_address
from fissura.data.frames.options import FrameOptions
from fissura.files import free_folder

DEFAULTS = FrameOptions()


def frames(
    video: Path,
    *,
    out: Path | None = None,
    choosing: Annotated[FrameOptions, Parameter(name="*", negative="")] = DEFAULTS,
) -> int:
    """Take frames of a video, or of a folder of images in order, to predict or inspect them.

    A video is cut into places, by time or by how far the picture has moved, and the sharpest frame
    of each is written, with a row in frames.csv: its number, seconds, place and sharpness.

    Args:
        video: Video, or folder of images.
        out: Folder for the frames. [default: VIDEO-frames]
    """
    refuse_address(video)
    from fissura.data.frames.extract import extract_frames

    made = extract_frames(video, out or free_folder(f"{video.stem}-frames"), choosing)
    print(
        f"{counted(made.frames, 'frame')} of {made.seen} taken; `fissura predict {made.folder}` "
        "finds their cracks."
    )
    if made.problem:
        print(f"fissura: {made.problem}", file=sys.stderr)
    return PHOTOS_FAILED if made.problem else 0
