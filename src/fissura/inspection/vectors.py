"""Cracks as vectors for a GIS: GeoJSON, and GeoPackage where pyogrio is installed.

Centre lines and measured places are in the coordinate system of their photo. Plain photos, which
have none, come in pixels, x to the right and y upwards, so that their cracks lie on the picture.
"""

from __future__ import annotations

import json
import math
import re
import warnings
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fissura.errors import InputError
from fissura.files import replacing
from fissura.inspection.inspected import PIXELS, Inspected, Transform
from fissura.measure.crack import Crack

if TYPE_CHECKING:
    from jaxtyping import Float64
    from numpy.typing import NDArray

MOST_PLACES = 1_000_000  # in a layer of points, which is made in memory
PIXEL_SYSTEM, LOCAL_SYSTEM = "pixels", "local"


def write_vectors(out: Path, inspected: Sequence[Inspected]) -> list[Path]:
    """Write the cracks of all photos into the folder `out`; return the files.

    cracks.geojson holds all; where the photos are of several coordinate systems, there is a file
    for each: cracks-EPSG-32633.geojson, and cracks-pixels.geojson for plain photos
    (cracks-local.geojson for those that have coordinates of an unknown system). cracks.gpkg holds
    the layers of `write_geopackage`, where pyogrio and shapely are installed.
    """
    systems = by_system(inspected)
    files = []
    for name, members in systems.items():
        files.append(out / ("cracks.geojson" if len(systems) == 1 else f"cracks-{name}.geojson"))
        write_geojson(files[-1], members)
    if has_geopackage():
        files.append(out / "cracks.gpkg")
        write_geopackage(files[-1], inspected)
    return files


def has_geopackage() -> bool:
    """Whether what `write_geopackage` needs is installed."""
    return find_spec("pyogrio") is not None and find_spec("shapely") is not None


def by_system(inspected: Sequence[Inspected]) -> dict[str, list[Inspected]]:
    """Sort photos by coordinate system; the keys are fit for file names. Never empty."""
    names: dict[str | None, str] = {}
    systems: dict[str, list[Inspected]] = {}
    for photo in inspected:
        key = photo.crs or (PIXEL_SYSTEM if photo.transform == PIXELS else LOCAL_SYSTEM)
        if key not in names:
            quoted = re.search('"(.+?)"', key)  # WKT begins with a name
            name = re.sub(r"\W+", "-", quoted[1] if quoted else key).strip("-")
            others = sum(known.split("~")[0] == name for known in names.values())
            names[key] = f"{name}~{others + 1}" if others else name
        systems.setdefault(names[key], []).append(photo)
    return systems or {PIXEL_SYSTEM: []}


def write_geojson(path: Path, inspected: Sequence[Inspected]) -> None:
    """Write the cracks of photos of one coordinate system as GeoJSON.

    Each crack is a feature with its centre line as a MultiLineString, and the properties photo,
    crack (its number), the `figures` of the crack with the unit in their names, orientation_deg,
    branches, mm_per_pixel, and widest_x and widest_y, where its largest width is. What could not
    be measured is null.

    The standard (RFC 7946) knows degrees on WGS84 alone. Its forerunner of 2008 names other
    systems in the member "crs", which GDAL, and thus QGIS, reads; that is used here. Coordinates of
    no system get one without a place on the earth, for GDAL takes an absent one for WGS84, and the
    null of 2008, too.
    """
    (crs,) = {photo.crs for photo in inspected} or {None}
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        head = {"type": "FeatureCollection", "name": "cracks", "crs": _crs_member(crs)}
        file.write(json.dumps(head, ensure_ascii=False)[:-1] + ', "features": [')
        between = "\n"
        for photo, crack in _cracks(inspected):
            lines = [line.tolist() for line in crack_lines(crack, photo.transform)]
            feature = {
                "type": "Feature",
                "properties": _properties(photo, crack),
                "geometry": {"type": "MultiLineString", "coordinates": lines} if lines else None,
            }
            file.write(between + json.dumps(feature, ensure_ascii=False, allow_nan=False))
            between = ",\n"
        file.write("\n]}\n")


def write_geopackage(path: Path, inspected: Sequence[Inspected]) -> None:
    """Write the cracks of photos as a GeoPackage, with two layers for each coordinate system.

    Layer cracks has the features of `write_geojson`. Layer widths has a point for each place where
    a width was measured, with photo, crack, width_mm and error_mm (or …_px); it is left out where
    there are more than a million, which the table widths.csv has. Where the photos are
    of several systems, the layers are called cracks-EPSG-32633, widths-EPSG-32633 and so on.

    Raises `InputError` where pyogrio or shapely is not installed.
    """
    if not has_geopackage():
        raise InputError("GeoPackages need pyogrio and shapely: pip install 'fissura[geo]'")
    import shapely

    systems = by_system(inspected)
    with replacing(path) as temporary:
        temporary.unlink(missing_ok=True)
        for name, members in systems.items():
            suffix = "" if len(systems) == 1 else f"-{name}"
            cracks, rows = list(_cracks(members)), []
            geometries = np.empty(len(cracks), object)
            for i, (photo, crack) in enumerate(cracks):
                lines = crack_lines(crack, photo.transform)
                geometries[i] = shapely.MultiLineString(lines) if lines else None
                rows.append(_properties(photo, crack))
            crs = members[0].crs if members else None
            _write_layer(temporary, f"cracks{suffix}", "MultiLineString", crs, geometries, rows)
            if sum(len(crack.places) for _, crack in cracks) > MOST_PLACES:
                continue
            points, columns = _widths(cracks)
            layer = f"widths{suffix}"
            _write_layer(temporary, layer, "Point", crs, shapely.points(points), columns)


def crack_lines(crack: Crack, transform: Transform) -> list[NDArray[np.float64]]:
    """Return the centre line in coordinates, an (n, 2) array of x and y for each branch, n ≥ 2.

    A branch of a single pixel is left out, unless the crack has no other. Then it is a line of
    length 0. Empty where not even the crack's place is known.
    """
    lines = [line for line in crack.lines if len(line) > 1]
    if not lines:
        points = [line for line in crack.lines if len(line)] or [np.array([crack.widest_at])]
        lines = [np.repeat(points[0][:1], 2, axis=0)]
    lines = [line for line in lines if np.isfinite(line).all()]
    return [coordinates(line, transform) for line in lines]


def coordinates(
    places: Float64[np.ndarray, "n 2"], transform: Transform
) -> Float64[np.ndarray, "n 2"]:
    """Turn places (row, column), (0, 0) the first pixel's centre, into x and y.

    They are rounded to about a thousandth of a pixel.

    >>> coordinates(np.array([[0.0, 2.0]]), PIXELS).tolist()
    [[2.5, -0.5]]
    """
    a, b, c, d, e, f = transform
    row, column = places[:, 0] + 0.5, places[:, 1] + 0.5
    x, y = a * column + b * row + c, d * column + e * row + f
    side = math.sqrt(abs(a * e - b * d))
    digits = 3 - math.floor(math.log10(side)) if side else 12
    return np.stack([x, y], axis=1).round(digits)


def _cracks(inspected: Sequence[Inspected]) -> Iterator[tuple[Inspected, Crack]]:
    for photo in inspected:
        for crack in photo.cracks:
            yield photo, crack


def _properties(photo: Inspected, crack: Crack) -> dict[str, Any]:
    """What is said of a crack beside its line; None for what could not be measured."""
    ((x, y),) = coordinates(np.array([crack.widest_at], np.float64), photo.transform).tolist()
    values = {
        "photo": photo.name,
        "crack": crack.number,
        **crack.figures(),
        "orientation_deg": crack.orientation,
        "branches": crack.branches,
        "mm_per_pixel": crack.mm_per_pixel,
        "widest_x": x,
        "widest_y": y,
    }
    return {name: _plain(value) for name, value in values.items()}


def _plain(value: Any) -> Any:
    """A value as JSON has it."""
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _crs_member(crs: str | None) -> dict[str, Any]:
    if crs is None:
        name = 'LOCAL_CS["pixels or unknown",UNIT["unknown",1]]'
    elif re.fullmatch(r"\w+:\w+", crs):
        name = f"urn:ogc:def:crs:{crs.replace(':', '::')}"
    else:
        name = crs
    return {"type": "name", "properties": {"name": name}}


def _widths(
    cracks: Sequence[tuple[Inspected, Crack]],
) -> tuple[Float64[np.ndarray, "n 2"], dict[str, NDArray[Any]]]:
    """Where widths were measured, and what is said of each."""
    points, columns = [np.empty((0, 2))], {}
    names = {f"{name}_{crack.unit}": None for _, crack in cracks for name in ("width", "error")}
    parts: dict[str, list[NDArray[Any]]] = {"photo": [], "crack": []} | {n: [] for n in names}
    for photo, crack in cracks:
        count = len(crack.places)
        points.append(coordinates(crack.places.reshape(-1, 2), photo.transform))
        scale = crack.mm_per_pixel or 1.0
        known = {
            "photo": np.full(count, photo.name, object),
            "crack": np.full(count, crack.number, np.int32),
            f"width_{crack.unit}": crack.widths * scale,
            f"error_{crack.unit}": crack.width_errors * scale,
        }
        for name, values in parts.items():
            values.append(known.get(name, np.full(count, math.nan)))
    empty = {"photo": np.empty(0, object), "crack": np.empty(0, np.int32)}
    columns = {
        name: np.concatenate(values) if values else empty[name] for name, values in parts.items()
    }
    return np.concatenate(points), columns


def _write_layer(
    path: Path,
    layer: str,
    kind: str,
    crs: str | None,
    geometries: Any,
    properties: list[dict[str, Any]] | dict[str, NDArray[Any]],
) -> None:
    """Add a layer to a GeoPackage: a geometry and a row of properties for each feature."""
    import pyogrio.raw
    import shapely

    columns = properties if isinstance(properties, dict) else _columns(properties)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "'crs' was not provided")  # pixels have none
        pyogrio.raw.write(
            path, shapely.to_wkb(geometries), list(columns.values()), list(columns),
            layer=layer, driver="GPKG", geometry_type=kind, crs=crs, append=path.exists(),
        )  # fmt: skip


def _columns(rows: list[dict[str, Any]]) -> dict[str, NDArray[Any]]:
    """Rows as columns; NaN where a number is missing, which becomes NULL."""
    names = dict.fromkeys(name for row in rows for name in row)
    kinds = {"photo": object, "crack": np.int32, "branches": np.int32}
    return {
        name: np.array([row.get(name) for row in rows], kinds.get(name, np.float64))
        for name in names
    }
