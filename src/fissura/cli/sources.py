"""What commands take beside files and folders of photos: videos and standard input."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

from cyclopts import Group, Parameter

from fissura.cli.options import counted
from fissura.data.frames.options import FrameOptions
from fissura.errors import InputError
from fissura.files import replacing
from fissura.inference.options import PredictOptions

FramesGroup = Annotated[FrameOptions, Parameter(name="*", group=Group("Videos"), negative="")]
FRAMES = FrameOptions()
STANDARD_INPUT = Path("-")
# How files of photos begin, and the endings of their names.
STARTS = {
    b"\xff\xd8": ".jpg",
    b"\x89PNG": ".png",
    b"RIFF": ".webp",
    b"BM": ".bmp",
    b"GIF8": ".gif",
    b"\0\0\0\x0cjP": ".jp2",
    b"II*\0": ".tif",
    b"MM\0*": ".tif",
    b"II+\0": ".tif",
    b"MM\0+": ".tif",
}


def with_frames(
    photos: tuple[Path, ...], out: Path, choosing: FrameOptions = FRAMES
) -> tuple[tuple[Path, ...], int]:
    """Put folders of frames in the place of videos; they are written below `OUT-frames`.

    Frames that an earlier call wrote there, of the same video with the same options, are taken.

    Args:
        photos: Files and folders.
        out: Folder for the results of the command.
        choosing: Which frames are taken.

    Returns:
        The files and folders, and the number of videos that could not be read to their end, which
        are told.
    """
    from fissura.data.frames.read import is_video

    if not any(map(is_video, photos)):
        return photos, 0
    from fissura.data.frames.extract import extract_frames

    found, damaged = [], 0
    for path in photos:
        if not is_video(path):
            found.append(path)
            continue
        made = extract_frames(path, out.with_name(f"{out.name}-frames") / path.stem, choosing)
        print(
            f"{path}: {counted(made.frames, 'frame')} of {made.seen} taken, in {made.folder}.",
            file=sys.stderr,
        )
        if made.problem:
            print(f"fissura: {made.problem}", file=sys.stderr)
            damaged += 1
        found.append(made.folder)
    return tuple(found), damaged


def with_standard_input(photos: tuple[Path, ...], out: Path) -> tuple[Path, ...]:
    """Put a file in the place of `-`, which stands alone: what comes in is kept beside the results.

    Args:
        photos: Files and folders, or `-` alone.
        out: Folder for the results of the command; the photo is written into `OUT-input`, where a
            report finds it again.

    Raises:
        InputError: There is no photo, a terminal is at its end, or another photo is kept there.
    """
    if photos != (STANDARD_INPUT,):
        return photos
    _refuse_terminal("inspect - --out DIR < photo.jpg")
    data = sys.stdin.buffer.read()
    _read(data)  # refuses what is none before anything is written
    file = out.with_name(f"{out.name}-input") / f"photo{_suffix(data)}"
    if file.exists() and file.read_bytes() != data:
        raise InputError(f"{file} is another photo, of an earlier call. Choose another --out.")
    file.parent.mkdir(parents=True, exist_ok=True)
    with replacing(file) as temporary:
        temporary.write_bytes(data)
    return (file,)


def predict_standard_input(
    out: Path | None, model: Path, options: PredictOptions, *, probabilities: bool, overwrite: bool
) -> int:
    """Read a photo from standard input, and write its mask as PNG to standard output or a file.

    Args:
        out: The file, ending in .png; standard output if None.
        model: As for `fissura.Predictor.load`.
        options: How it is applied.
        probabilities: Write 16-bit probabilities, not the mask.
        overwrite: Replace a file that exists.

    Raises:
        InputError: A terminal is at either end, there is no photo, or the file exists.
    """
    _check_ends(out, overwrite=overwrite)
    import cv2

    from fissura.checkpoint import name_of_model
    from fissura.files.images import OPTIONS
    from fissura.inference.prediction import HIGHEST_16
    from fissura.inference.predictor import Predictor

    image = _read(sys.stdin.buffer.read())
    predictor = Predictor.load(model, **asdict(options))
    predictor.refuse_classes("a mask has room for one")
    highest = HIGHEST_16 if probabilities else None
    found = next(predictor.compact([image], highest=highest))
    pixels = found.mask if found.prob is None else found.prob
    encoded = cv2.imencode(".png", pixels, OPTIONS[".png"])[1].tobytes()
    if out is None:
        sys.stdout.buffer.write(encoded)
        sys.stdout.buffer.flush()
    else:
        with replacing(out) as temporary:
            temporary.write_bytes(encoded)
    print(
        f"{found.crack_fraction:.2%} of the photo is crack, found with {name_of_model(model)}.",
        file=sys.stderr,
    )
    return 0


def _check_ends(out: Path | None, *, overwrite: bool) -> None:
    """Raise `InputError` where a person would wait in vain, or a file be lost."""
    if out is not None and out.suffix.lower() != ".png":
        raise InputError(
            f"--out {out}: the photo comes from standard input, so give the file of its mask, "
            "ending in .png, or leave it out for standard output."
        )
    if out is not None and out.exists() and not overwrite:
        raise InputError(f"{out} exists. Give another name, or add --overwrite.")
    _refuse_terminal("predict - < photo.jpg > mask.png")
    if out is None and sys.stdout.isatty():
        raise InputError(
            "The mask is a PNG, which a terminal cannot show: add `> mask.png` or --out mask.png."
        )


def _refuse_terminal(typed: str) -> None:
    """Raise `InputError` where nobody sends a photo."""
    if sys.stdin.isatty():
        raise InputError(
            f"- is a photo on standard input, but that is a terminal: `fissura {typed}`."
        )


def _read(data: bytes):
    """The photo in a file's content, RGB, upright."""
    from fissura.data.images import read_image

    if not data:
        raise InputError("Standard input is empty, but a photo is expected there.")
    with TemporaryDirectory() as folder:
        file = Path(folder, f"photo{_suffix(data)}")
        file.write_bytes(data)
        try:
            return read_image(file)
        except InputError as error:
            raise InputError(str(error).replace(str(file), "Standard input")) from error


def _suffix(data: bytes) -> str:
    """The ending of a file's name, which reading depends on; "" where the bytes do not tell."""
    if data[4:8] == b"ftyp":
        return ".avif" if data[8:12] in (b"avif", b"avis") else ".heic"
    return next((ending for start, ending in STARTS.items() if data.startswith(start)), "")
