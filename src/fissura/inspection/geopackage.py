"""Cracks as a GeoPackage, where pyogrio and shapely are installed."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fissura.errors import InputError
from fissura.files import replacing
from fissura.inspection.features import coordinates, crack_features, crack_lines, properties
from fissura.inspection.record import Record
from fissura.inspection.systems import System
from fissura.measurement.crack import Crack, figure_names

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST_PLACES = 1_000_000  # in a layer of points, which a GIS takes long to draw
AT_ONCE = 2_000  # cracks that are written together
WHOLE = ("crack", "branches")  # columns of integers

Found = Sequence[tuple[Record, Crack]]


def has_geopackage() -> bool:
    """Whether what `write_geopackage` needs is installed."""
    return find_spec("pyogrio") is not None and find_spec("shapely") is not None


def write_geopackage(
    path: Path, inspected: Sequence[Record], systems: Mapping[str, System]
) -> None:
    """Write the cracks of photos as a GeoPackage, with two layers for each coordinate system.

    Layer cracks has the features of `write_geojson`. Layer widths has a point for each place where
    a width was measured, with photo, crack, width_mm and error_mm (or …_px); it is left out where
    there are more than a million, which the table widths.csv has. Where the photos are
    of several systems, the layers are called cracks-EPSG-32633, widths-EPSG-32633 and so on.

    systems:  of the photos, from `by_system`.

    Raises `InputError` where pyogrio or shapely is not installed.
    """
    if not has_geopackage():
        raise InputError("GeoPackages need pyogrio and shapely: pip install 'fissura[geo]'")
    with replacing(path) as temporary:
        temporary.unlink(missing_ok=True)
        for name, system in systems.items():
            suffix = "" if len(systems) == 1 else f"-{name}"
            for cracks in _some(crack_features(inspected[index] for index in system.photos)):
                _add_cracks(temporary, f"cracks{suffix}", cracks, system)
                if system.places <= MOST_PLACES:
                    _add_widths(temporary, f"widths{suffix}", cracks, system)


def _some(cracks: Iterable[tuple[Record, Crack]]) -> Iterator[Found]:
    """Cracks in lists of bounded length; of none an empty list, since its layers exist."""
    rest = iter(cracks)
    yield list(islice(rest, AT_ONCE))
    while some := list(islice(rest, AT_ONCE)):
        yield some


def _add_cracks(path: Path, layer: str, cracks: Found, system: System) -> None:
    import shapely

    geometries = np.empty(len(cracks), object)
    for index, (photo, crack) in enumerate(cracks):
        lines = crack_lines(crack, photo.transform)
        geometries[index] = shapely.MultiLineString(lines) if lines else None
    rows = [properties(photo, crack) for photo, crack in cracks]
    figures = (name for unit in system.units for name in figure_names(unit))
    names = ["photo", "crack", *figures, "orientation_deg", "branches", "mm_per_pixel", "widest_x",
             "widest_y"]  # fmt: skip
    # NaN where a number is missing, which becomes NULL.
    columns = {name: np.array([row.get(name) for row in rows], _kind(name)) for name in names}
    _add(path, layer, "MultiLineString", system.crs, geometries, columns)


def _add_widths(path: Path, layer: str, cracks: Found, system: System) -> None:
    import shapely

    names = [f"{what}_{unit}" for unit in system.units for what in ("width", "error")]
    points: list[NDArray[Any]] = [np.empty((0, 2))]
    columns = {name: [np.empty(0, _kind(name))] for name in ("photo", "crack", *names)}
    for photo, crack in cracks:
        points.append(coordinates(crack.places.reshape(-1, 2), photo.transform))
        scale = crack.mm_per_pixel or 1.0
        known = {
            "photo": photo.name,
            "crack": crack.number,
            f"width_{crack.unit}": crack.widths * scale,
            f"error_{crack.unit}": crack.width_errors * scale,
        }
        for name, parts in columns.items():
            values = known.get(name, math.nan)
            parts.append(np.full(len(crack.places), values, _kind(name)))
    joined = {name: np.concatenate(parts) for name, parts in columns.items()}
    _add(path, layer, "Point", system.crs, shapely.points(np.concatenate(points)), joined)


def _kind(column: str) -> Any:
    return object if column == "photo" else np.int32 if column in WHOLE else np.float64


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

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "'crs' was not provided")  # pixels have none
        pyogrio.raw.write(
            path, shapely.to_wkb(geometries), list(columns.values()), list(columns),
            layer=layer, driver="GPKG", geometry_type=kind, crs=crs, append=path.exists(),
        )  # fmt: skip
