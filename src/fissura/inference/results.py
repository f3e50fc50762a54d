"""The folder that `fissura predict` writes: names, pictures, table; and going on after a stop."""

from __future__ import annotations

import csv
import io
import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fissura.checkpoint import versions
from fissura.errors import InputError
from fissura.files import replacing
from fissura.inference.predictor import Finding
from fissura.overlay import outline_of, overlay

MASKS, OVERLAYS, PROBABILITIES = "masks", "overlays", "probabilities"
TABLE, PARTIAL_TABLE, SETTINGS = "predictions.csv", "predictions.partial.csv", "prediction.json"
BAND = 512  # rows that are drawn at once
COLUMNS = ("file", "mask", "crack_fraction", "threshold", "seconds")


def output_names(files: list[Path], inputs: list[Path]) -> list[str]:
    """Name the results of each file, so that no two share a name on any file system.

    The name is the file's path below the folder that holds all inputs, without suffix; where two
    names would differ at most in upper and lower case, with the suffix after an underscore.

    >>> output_names([Path("a/1.jpg"), Path("a/1.png"), Path("a/b/2.jpg")], [Path("a")])
    ['1_jpg', '1_png', 'b/2']
    """
    folders = [path.parent if path in files else path for path in inputs]
    root = os.path.commonpath([os.path.abspath(folder) for folder in folders])  # noqa: PTH100
    paths = [Path(os.path.relpath(file, root)) for file in files]
    stems = [path.with_suffix("").as_posix() for path in paths]
    uses = Counter(stem.casefold() for stem in stems)
    taken = {stem for stem, count in uses.items() if count == 1}
    names = []
    for path, stem in zip(paths, stems, strict=True):
        name = stem
        if uses[stem.casefold()] > 1:
            name = f"{stem}_{path.suffix[1:]}"
            while name.casefold() in taken:
                name += "_"
            taken.add(name.casefold())
        names.append(name)
    return names


def mask_of(name: str, suffix: str = ".png") -> str:
    """Where below the folder the mask of this name lies."""
    return f"{MASKS}/{name}{suffix}"


def is_result(file: Path, out: Path) -> bool:
    """Whether an earlier run wrote the file (which matters where `out` is among the inputs)."""
    path = file.resolve()
    folders = (MASKS, OVERLAYS, PROBABILITIES)
    return any(path.is_relative_to(out.resolve() / folder) for folder in folders)


def start_results(
    out: Path, settings: dict[str, Any], *, resume: bool, overwrite: bool
) -> list[dict[str, str]]:
    """Prepare the folder for the results; return the lines of an earlier table that still hold.

    Raises `InputError` where the folder is not empty and may not be written to, or where it holds
    the results of other settings.
    """
    tables = [out / table for table in (TABLE, PARTIAL_TABLE)]
    going_on = claim(out / SETTINGS, settings, resume=resume, overwrite=overwrite, stale=tables)
    return _read_rows(out) if going_on else []


def claim(
    record: Path,
    settings: dict[str, Any],
    *,
    resume: bool,
    overwrite: bool,
    stale: Iterable[Path] = (),
) -> bool:
    """Take a folder for results: write a record of the settings into it, or find the same there.

    record:  the file, in the folder for the results.
    stale:   files that hold what was done with earlier settings, to be deleted on `overwrite`.

    Returns whether to go on with earlier results. Raises `InputError` as `start_results` does.
    """
    out = record.parent
    if out.exists() and not out.is_dir():
        raise InputError(f"{out} is a file. Give a folder for the results.")
    if out.is_dir() and any(out.iterdir()):
        if resume and record.is_file():
            _check_same(record, settings)
            return True
        if not overwrite:
            raise InputError(
                f"{out} is not empty. Give a new folder, or use --resume to go on with an earlier "
                "run there, or --overwrite to replace results of the same names."
            )
        for file in stale:
            file.unlink(missing_ok=True)
    with replacing(record) as temporary:
        temporary.write_text(json.dumps(settings | {"versions": versions()}, indent=2) + "\n")
    return False


@contextmanager
def write_table(
    out: Path, rows: list[dict[str, str]]
) -> Iterator[Callable[[Path, str, float, float, float], None]]:
    """Open the table with these lines in it; give the function that adds a line.

    It takes the photo, its mask's place below the folder, share of crack, threshold and seconds.

    A line is in the file as soon as it is added. The file gets its final name at the end.
    """
    path = out / PARTIAL_TABLE
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        writer.writerows([row[column] for column in COLUMNS] for row in rows)
    with path.open("a", newline="", encoding="utf-8", buffering=1) as file:
        writer = csv.writer(file)

        def add(photo: Path, mask: str, share: float, threshold: float, seconds: float) -> None:
            writer.writerow((photo, mask, f"{share:.6f}", threshold, f"{seconds:.3f}"))

        yield add
        file.flush()
        os.fsync(file.fileno())
    path.replace(out / TABLE)


def write_pictures(
    out: Path, name: str, image: NDArray[np.uint8], finding: Finding, *, overlays: bool
) -> None:
    """Write the mask of a photo (h, w, 3), its probabilities if there, and its overlay if wanted.

    The overlay is drawn into `image`, which may be too large to have it twice.
    """
    if overlays:
        image = np.require(image, requirements="W")
        _draw(image, finding.mask)
        write_image(out / OVERLAYS / f"{name}.jpg", image)
    if finding.levels is not None:
        write_image(out / PROBABILITIES / f"{name}.png", finding.levels)
    write_image(out / mask_of(name), finding.mask)


def _draw(image: NDArray[np.uint8], mask: NDArray[np.uint8]) -> None:
    """Turn a photo into its overlay in OpenCV's order of colors, a band of rows at a time."""
    outline = outline_of(image.shape)
    for top in range(0, len(image), BAND):
        above = min(top, outline)  # rows beside the band, whose cracks have outlines within it
        band = slice(top - above, top + BAND + outline)
        drawn = overlay(image[band], mask[band] > 0, outline=outline)
        image[top : top + BAND] = drawn[above : above + BAND, :, ::-1]


def write_image(path: Path, image: NDArray[Any]) -> None:
    """Write an image file (.jpg or .png; BGR or gray) whole or not at all.

    OpenCV only encodes: it would not report a full disk.
    """
    options = {".jpg": [cv2.IMWRITE_JPEG_QUALITY, 92], ".png": [cv2.IMWRITE_PNG_COMPRESSION, 3]}
    _, encoded = cv2.imencode(path.suffix, image, options[path.suffix])
    with replacing(path) as temporary:
        temporary.write_bytes(encoded.data)


def _check_same(record: Path, settings: dict[str, Any]) -> None:
    try:
        before = json.loads(record.read_text())
        differing = [name for name in settings if before[name] != settings[name]]
    except (ValueError, TypeError, KeyError) as error:
        raise InputError(
            f"{record} is damaged. Use --overwrite to predict everything again."
        ) from error
    if differing:
        raise InputError(
            f"The results in {record.parent} were made with other settings "
            f"({', '.join(differing)}; see {record.name} there). Use the same to resume, or give "
            "another folder."
        )


def _read_rows(out: Path) -> list[dict[str, str]]:
    """Lines of an earlier table whose masks are there; a line cut off by a crash is dropped."""
    for path in (out / PARTIAL_TABLE, out / TABLE):
        if path.is_file():
            text = path.read_bytes().decode(errors="replace")
            rows = csv.DictReader(io.StringIO(text[: text.rfind("\n") + 1], newline=""))
            whole = [row for row in rows if set(row) == set(COLUMNS) and None not in row.values()]
            return [row for row in whole if (out / row["mask"]).is_file()]
    return []
