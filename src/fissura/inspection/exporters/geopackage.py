"""GeoPackage: cracks and their widths as layers for a GIS, by pyogrio and shapely."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fissura.errors import InputError
from fissura.files import replacing
from fissura.inspection.exporters import Add
from fissura.inspection.exporters.features import coordinates, crack_lines, properties
from fissura.inspection.exporters.systems import System
from fissura.inspection.records.record import Record
from fissura.measurement.crack import Crack, metric_names

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST_WIDTHS = 1_000_000  # in a layer of points, which a GIS takes long to draw
CRACKS, WIDTHS = 2_000, 200_000  # cracks and widths that are written together at most
TEXTS = ("photo", "status", "type", "severity")  # columns of text
INTEGERS = ("crack", "branches")  # columns of integers


@dataclass(frozen=True, eq=False)
class Row:
    """A crack that waits to be written.

    Attributes:
        properties: Attributes by name.
        lines: Centerline in coordinates, (n, 2) for each branch.
        points: Coordinates of its measured widths, (n, 2).
        widths: Attributes of these by name, (n,) each.
    """

    properties: dict[str, Any]
    lines: list[NDArray[np.float64]]
    points: NDArray[np.float64]
    widths: dict[str, Any]


def has_geopackage() -> bool:
    """Tell whether the packages are installed that `geopackage` needs."""
    return find_spec("pyogrio") is not None and find_spec("shapely") is not None


@contextmanager
def geopackage(path: Path, systems: Mapping[str, System]) -> Iterator[Add]:
    """Write the cracks of photos as a GeoPackage, with two layers for each coordinate system.

    Layer cracks has the features of GeoJSON. Layer widths has a point for each measured width, with
    photo, crack, width_mm and error_mm (or …_px); it is left out where there are more than a
    million, which the table widths.csv has. Where the photos are of several systems, the layers are
    called cracks-EPSG-32633, widths-EPSG-32633 and so on.

    Args:
        path: The file.
        systems: Coordinate systems of the photos, from `coordinate_systems`.

    Raises:
        InputError: pyogrio or shapely is not installed.
    """
    if not has_geopackage():
        raise InputError("GeoPackages need pyogrio and shapely: pip install 'fissura[geo]'")
    with replacing(path) as temporary:
        temporary.unlink(missing_ok=True)
        waiting: dict[str, list[Row]] = {key: [] for key in systems}
        widths = dict.fromkeys(systems, 0)

        def write(key: str) -> None:
            system, rows = systems[key], waiting[key]
            suffix = "" if len(systems) == 1 else f"-{system.name}"
            _add_cracks(temporary, f"cracks{suffix}", rows, system)
            if system.widths <= MOST_WIDTHS:
                _add_widths(temporary, f"widths{suffix}", rows, system)
            rows.clear()
            widths[key] = 0

        for key in systems:
            write(key)  # layers exist, even if there is no crack

        def add(record: Record) -> None:
            key = record.outline.key
            rows = waiting[key]
            for crack in record.cracks:
                rows.append(_row(record, crack))
                widths[key] += len(crack.widths)
                if len(rows) >= CRACKS or widths[key] >= WIDTHS:
                    write(key)

        yield add
        for key, rows in waiting.items():
            if rows:
                write(key)


def _row(record: Record, crack: Crack) -> Row:
    """Return a crack as it is written; nothing of it refers to the record."""
    per_pixel, unit = crack.mm_per_pixel or 1.0, crack.unit
    return Row(
        properties=properties(record, crack),
        lines=crack_lines(crack, record.transform),
        points=coordinates(crack.samples.reshape(-1, 2), record.transform),
        widths={
            "photo": record.text_name,
            "crack": crack.number,
            f"width_{unit}": crack.widths * per_pixel,
            f"error_{unit}": crack.width_errors * per_pixel,
        },
    )


def _add_cracks(path: Path, layer: str, rows: list[Row], system: System) -> None:
    """Add cracks to their layer."""
    import shapely

    geometries = np.empty(len(rows), object)
    for index, row in enumerate(rows):
        geometries[index] = shapely.MultiLineString(row.lines) if row.lines else None
    metrics = (name for unit in system.units for name in metric_names(unit))
    names = ["photo", "crack", *metrics, "orientation_deg", "branches", "mm_per_pixel", "widest_x",
             "widest_y", "status", "type", "severity"]  # fmt: skip
    # NaN where a number is missing, which becomes NULL.
    columns = {
        name: np.array([row.properties.get(name) for row in rows], _kind(name)) for name in names
    }
    _add(path, layer, "MultiLineString", system.crs, geometries, columns)


def _add_widths(path: Path, layer: str, rows: list[Row], system: System) -> None:
    """Add the widths of cracks to their layer."""
    import shapely

    names = [f"{figure}_{unit}" for unit in system.units for figure in ("width", "error")]
    columns = {name: [np.empty(0, _kind(name))] for name in ("photo", "crack", *names)}
    for row in rows:
        for name, arrays in columns.items():
            values = row.widths.get(name, math.nan)
            arrays.append(np.full(len(row.points), values, _kind(name)))
    joined = {name: np.concatenate(arrays) for name, arrays in columns.items()}
    points = np.concatenate([np.empty((0, 2)), *(row.points for row in rows)])
    _add(path, layer, "Point", system.crs, shapely.points(points), joined)


def _kind(column: str) -> Any:
    """Return the type of a column's values."""
    return object if column in TEXTS else np.int32 if column in INTEGERS else np.float64


def _add(
    path: Path,
    layer: str,
    kind: str,
    crs: str | None,
    geometries: Any,
    columns: Mapping[str, NDArray[Any]],
) -> None:
    """Add features to a layer, which is made where it is missing."""
    import pyogrio.raw
    import shapely

    _fix_date()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "'crs' was not provided")  # pixels have none
        pyogrio.raw.write(
            path, shapely.to_wkb(geometries), list(columns.values()), list(columns),
            layer=layer, driver="GPKG", geometry_type=kind, crs=crs, append=path.exists(),
        )  # fmt: skip


def _fix_date() -> None:
    """Let GDAL tell the moment of `SOURCE_DATE_EPOCH`, where it is set, as that of the change."""
    import pyogrio

    fixed = os.environ.get("SOURCE_DATE_EPOCH", "")
    if fixed.isdecimal():
        moment = datetime.fromtimestamp(int(fixed), UTC)
        pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": f"{moment:%Y-%m-%dT%H:%M:%S.000Z}"})
