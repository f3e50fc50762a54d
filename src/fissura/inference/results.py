"""The folder that `fissura predict` writes: names, pictures, table; and going on after a stop."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fissura.checkpoint import versions
from fissura.files import MASKS, OVERLAYS, PROBABILITIES, OutputOptions, claim, replacing
from fissura.files.images import write_image
from fissura.inference.predictor import Finding
from fissura.overlay import outline_of, overlay

TABLE, PARTIAL_TABLE, SETTINGS = "predictions.csv", "predictions.partial.csv", "prediction.json"
BAND = 512  # rows that are drawn at once
COLUMNS = ("file", "mask", "crack_fraction", "threshold", "seconds")


def mask_of(name: str, suffix: str = ".png") -> str:
    """Where below the folder the mask of this name lies."""
    return f"{MASKS}/{name}{suffix}"


def start_results(
    out: Path, settings: dict[str, Any], *, resume: bool, overwrite: bool
) -> list[dict[str, str]]:
    """Prepare the folder for the results; return the lines of an earlier table that still hold.

    Raises `InputError` where the folder is not empty and may not be written to, or where it holds
    the results of other settings.
    """
    tables = [out / table for table in (TABLE, PARTIAL_TABLE)]
    output = OutputOptions(resume=resume, overwrite=overwrite)
    notes = {"versions": versions()}
    going_on = claim(out / SETTINGS, settings, output, notes=notes, stale=tables)
    return _read_rows(out) if going_on else []


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


def _read_rows(out: Path) -> list[dict[str, str]]:
    """Lines of an earlier table whose masks are there; a line cut off by a crash is dropped."""
    for path in (out / PARTIAL_TABLE, out / TABLE):
        if path.is_file():
            text = path.read_bytes().decode(errors="replace")
            rows = csv.DictReader(io.StringIO(text[: text.rfind("\n") + 1], newline=""))
            whole = [row for row in rows if set(row) == set(COLUMNS) and None not in row.values()]
            return [row for row in whole if (out / row["mask"]).is_file()]
    return []
