"""The folder that `fissura predict` writes: images, table; and going on after a stop."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fissura.files import MASKS, OVERLAYS, PROBABILITIES, OutputOptions, claim, replacing
from fissura.files.failures import printable
from fissura.files.images import write_image
from fissura.files.spreadsheet import plain
from fissura.inference.prediction import CompactPrediction, Prediction
from fissura.inference.rasters.raster import RasterPrediction
from fissura.overlay import outline_of, overlay
from fissura.raster import Raster, open_raster, preview
from fissura.spread.stores import shown

TABLE, PARTIAL_TABLE, SETTINGS = "predictions.csv", "predictions.partial.csv", "prediction.json"
BAND = 512  # rows that are drawn at once
COLUMNS = ("file", "mask", "crack_fraction", "threshold", "seconds")
OLD_COLUMNS = {"crack_share": "crack_fraction"}  # their names until version 0.2


@dataclass(frozen=True)
class TableRow:
    """What the table tells of a photo that another process predicted.

    Attributes:
        fractions: Fraction of crack, or of each class.
        threshold: 0 to 1.
    """

    fractions: tuple[float, ...]
    threshold: float

    @property
    def crack_fraction(self) -> float:
        """Fraction of crack, or of the first class."""
        return self.fractions[0]


Predicted = Prediction | CompactPrediction | RasterPrediction | TableRow


def start_results(
    out: Path,
    settings: Mapping[str, Any],
    notes: Mapping[str, Any],
    output: OutputOptions,
    classes: Sequence[str] = (),
) -> list[dict[str, str]]:
    """Prepare the folder for the results.

    Args:
        out: The folder.
        settings: All that the results depend on.
        notes: What else is written beside the settings.
        output: What to do where the folder is not empty.
        classes: Of the model, where it has several.

    Returns:
        The lines of an earlier table that still hold.

    Raises:
        InputError: The folder is not empty and may not be written to, or it holds the results of
            other settings.
    """
    tables = [out / table for table in (TABLE, PARTIAL_TABLE)]
    going_on = claim(out / SETTINGS, settings, output, notes=notes, stale=tables)
    return _read_rows(out, columns(classes)) if going_on else []


@contextmanager
def write_table(
    out: Path, rows: list[dict[str, str]], classes: Sequence[str] = ()
) -> Iterator[Callable[[Path, str, Predicted, float], None]]:
    """Open the table of the photos. It gets its final name at the end.

    Args:
        out: The folder of the results.
        rows: Lines that it begins with.
        classes: Of the model, where it has several.

    Yields:
        The function that adds a line, of a photo, its mask below the folder, the prediction and
        the seconds that it took. The line is in the file as soon as it is added.
    """
    path = out / PARTIAL_TABLE
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns(classes))
        writer.writerows([row[column] for column in columns(classes)] for row in rows)
    with path.open("a", newline="", encoding="utf-8", buffering=1) as file:
        writer = csv.writer(file)

        def add(photo: Path, mask: str, found: Predicted, seconds: float) -> None:
            each = getattr(found, "fractions", ()) or (found.crack_fraction,)
            fractions = [f"{fraction:.6f}" for fraction in each]
            file_name = plain(printable(shown(photo)))
            writer.writerow((file_name, mask, *fractions, found.threshold, f"{seconds:.3f}"))

        yield add
        file.flush()
        os.fsync(file.fileno())
    path.replace(out / TABLE)


def table_order(mask: str, number_of: Mapping[str, int]) -> tuple[bool, int]:
    """Return the key that sorts the rows of a table as one run writes them: rasters go first.

    Args:
        mask: Path of a mask below the folder of results, as the table has it.
        number_of: Number of each photo by the name of its results.
    """
    parts = mask.rpartition(".")[0].split("/")
    whole, below = "/".join(parts[1:]), "/".join(parts[2:])  # a class may have its own folder
    return not mask.endswith(".tif"), number_of[whole if whole in number_of else below]


def order_table(out: Path, names: Iterable[str]) -> None:
    """Sort the table of photos that several processes predicted.

    Args:
        out: The folder of the results.
        names: Of the results of all photos, in their order.
    """
    number_of = {name: number for number, name in enumerate(names)}
    path = out / TABLE
    with path.open(newline="", encoding="utf-8") as file:
        heads, *rows = csv.reader(file)
    mask = heads.index("mask")
    rows.sort(key=lambda row: table_order(row[mask], number_of))
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([heads, *rows])


def write_photo(
    out: Path, name: str, image: NDArray[np.uint8], found: CompactPrediction, *, overlays: bool
) -> float:
    """Write the mask of a photo, its probabilities if there, and its overlay if wanted.

    Args:
        out: The folder of the results.
        name: Of the results, from `fissura.files.output_names`.
        image: The photo, RGB (h, w, 3). The overlay is drawn into it, since it may be too large to
            have it twice.
        found: The prediction, with `HIGHEST_16` for the probability 1.
        overlays: Write the overlay.

    Returns:
        The size of the overlay over that of the photo, see `fissura.files.images.write_image`.
    """
    scale = 1.0
    if overlays:
        image = np.require(image, requirements="W")
        _draw(image, found.mask)
        scale = write_image(out / OVERLAYS / f"{name}.jpg", image)
    if found.prob is not None:
        write_image(out / PROBABILITIES / f"{name}.png", found.prob)
    write_image(out / MASKS / f"{name}.png", found.mask)
    return scale


def write_raster_overlay(out: Path, name: str, raster: Raster, mask: Path) -> None:
    """Write an overlay of reduced size: the image and its mask, shrunk by area.

    Args:
        out: The folder of the results.
        name: Of the results.
        raster: The image.
        mask: Its mask, from `fissura.inference.rasters.raster.predict_raster`.
    """
    with open_raster(mask) as found:
        crack, _ = preview(found)
    image, _ = preview(raster)
    drawn = overlay(image, crack[..., 0] > 0)
    write_image(out / OVERLAYS / f"{name}.jpg", np.ascontiguousarray(drawn[..., ::-1]))


def _draw(image: NDArray[np.uint8], mask: NDArray[np.uint8]) -> None:
    """Turn a photo into its overlay in OpenCV's order of colors, a band of rows at a time."""
    outline = outline_of(image.shape)
    for top in range(0, len(image), BAND):
        above = min(top, outline)  # rows beside the band, whose cracks have outlines within it
        band = slice(top - above, top + BAND + outline)
        drawn = overlay(image[band], mask[band] > 0, outline=outline)
        image[top : top + BAND] = drawn[above : above + BAND, :, ::-1]


def columns(classes: Sequence[str]) -> tuple[str, ...]:
    """Return the columns of the table: a fraction of crack, or of each of several classes.

    >>> columns(("rust",))
    ('file', 'mask', 'rust_fraction', 'threshold', 'seconds')
    """
    if not classes:
        return COLUMNS
    file, mask, _, *others = COLUMNS
    return (file, mask, *(f"{name}_fraction" for name in classes), *others)


def _read_rows(out: Path, wanted: tuple[str, ...]) -> list[dict[str, str]]:
    """Lines of an earlier table whose masks are there; a line cut off by a crash is dropped."""
    for path in (out / PARTIAL_TABLE, out / TABLE):
        if path.is_file():
            text = path.read_bytes().decode("utf-8", errors="replace")
            lines = csv.DictReader(io.StringIO(text[: text.rfind("\n") + 1], newline=""))
            rows = [{OLD_COLUMNS.get(k, k): value for k, value in row.items()} for row in lines]
            whole = [row for row in rows if set(row) == set(wanted) and None not in row.values()]
            return [row for row in whole if (out / row["mask"]).is_file()]
    return []
