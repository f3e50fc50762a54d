"""Cracks as vectors: what a GIS reads back is what was measured, in its place."""

import json
import math
import sys
import warnings
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from fissura.errors import InputError
from fissura.files.failures import printable
from fissura.inspection.exporters.features import crack_lines
from fissura.inspection.exporters.geojson import geojson, geojson_file
from fissura.inspection.exporters.geopackage import geopackage, has_geopackage
from fissura.inspection.exporters.systems import coordinate_systems
from fissura.inspection.records.record import PIXELS, Record
from fissura.measurement.crack import METRICS, Crack

UTM = (0.001, 0.0, 500000.0, 0.0, -0.001, 5500000.0)  # pixels of 1 mm
TURNED = (0.0006, 0.0008, 500000.0, 0.0008, -0.0006, 5500000.0)


def crack(number=1, mm=1.0, lines=None, **changes):
    """An L of 30 and 40 pixels, beside one branch of a single pixel."""
    if lines is None:
        lines = [
            np.array([[10.0, 10.0], [10.0, 40.0]]),
            np.array([[10.0, 40.0], [50.0, 40.0]]),
            np.array([[10.0, 40.0]]),
        ]
    known = {
        "length": 70.0, "longest_path": 70.0, "width_mean": 2.5, "width_median": 2.4,
        "width_p95": 4.0, "width_max": 5.0, "widest_at": (10.0, 20.0), "width_error": 0.2,
        "area": 175.0, "orientation": 33.0, "branches": 2, "box": (8, 8, 52, 43),
        "samples": np.array([[10.0, 20.0], [30.0, 40.0]]), "widths": np.array([5.0, 2.0]),
        "width_errors": np.array([0.2, math.nan]),
    }  # fmt: skip
    return Crack(number=number, lines=lines, mm_per_pixel=mm, **(known | changes))


def photo(cracks, name="deck/north", transform=UTM, crs="EPSG:32633"):
    mm = cracks[0].mm_per_pixel if cracks else None
    preview = np.zeros((6, 10, 3), np.uint8)
    return Record(
        Path(f"{name}.tif"), name, (60, 100), cracks, mm, "", preview, 0.1, transform, crs
    )


def write_vectors(out, photos):
    """Write GeoJSON and, where that is possible, a GeoPackage."""
    systems = coordinate_systems(photo.outline for photo in photos)
    exporters = [geojson(out, systems)]
    exporters += [geopackage(out / "cracks.gpkg", systems)] if has_geopackage() else []
    with ExitStack() as stack:
        adds = [stack.enter_context(exporter) for exporter in exporters]
        for photo in photos:
            for add in adds:
                add(photo)


def read(path, layer=None):
    geopandas = pytest.importorskip("geopandas", reason="geopandas reads the vectors back")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of geopandas and GDAL about each other's versions
        return geopandas.read_file(path, **({} if layer is None else {"layer": layer}))


def layers(path):
    pyogrio = pytest.importorskip("pyogrio", reason="the extra fissura[geo] is not installed")
    return sorted(name for name, _ in pyogrio.list_layers(path))


def needs_geopackage():
    pytest.importorskip("pyogrio", reason="the extra fissura[geo] is not installed")
    pytest.importorskip("shapely", reason="the extra fissura[geo] is not installed")


@pytest.mark.parametrize("transform", [UTM, TURNED], ids=["north up", "turned"])
@pytest.mark.parametrize("suffix", ["geojson", "gpkg"])
def test_a_gis_reads_back_what_was_measured(tmp_path, suffix, transform):
    needs_geopackage()
    write_vectors(tmp_path, [photo([crack(), crack(2, area=9.0)], transform=transform)])
    table = read(tmp_path / f"cracks.{suffix}", "cracks")
    assert table.crs.to_epsg() == 32633
    assert list(table.geom_type) == ["MultiLineString"] * 2
    assert list(table["photo"]) == ["deck/north"] * 2
    assert list(table["crack"]) == [1, 2]
    assert list(table["area_mm2"]) == [175.0, 9.0]
    assert list(table["branches"]) == [2, 2]
    assert list(table["orientation_deg"]) == [33.0, 33.0]
    # Map units are meters.
    np.testing.assert_allclose(table.length * 1000, table["length_mm"], rtol=1e-4)
    expected = crack().metrics()
    assert set(expected) <= set(table.columns)
    assert {name: table[name][0] for name in expected} == pytest.approx(expected)
    # The first pixel's center is half a pixel from the corner: row 10, column 20 is 20.5, 10.5.
    a, b, c, d, e, f = transform
    x, y = a * 20.5 + b * 10.5 + c, d * 20.5 + e * 10.5 + f
    assert (table["widest_x"][0], table["widest_y"][0]) == pytest.approx((x, y), abs=1e-6)
    start = table.geometry[0].geoms[0].coords[0]
    first = (a * 10.5 + b * 10.5 + c, d * 10.5 + e * 10.5 + f)
    assert start == pytest.approx(first, abs=2e-6)


def test_the_resolution_makes_millimeters(write, tmp_path):
    write(geojson_file(tmp_path / "c.geojson", None), [photo([crack(mm=0.5)])])
    (feature,) = json.loads((tmp_path / "c.geojson").read_text())["features"]
    assert feature["properties"]["length_mm"] == 35.0
    assert feature["properties"]["area_mm2"] == 43.75
    assert feature["properties"]["mm_per_pixel"] == 0.5


def test_measured_widths_are_points_with_their_uncertainty(tmp_path):
    needs_geopackage()
    photos = [photo([crack(mm=2.0)])]
    write_vectors(tmp_path, photos)
    table = read(tmp_path / "cracks.gpkg", "widths")
    assert list(table["width_mm"]) == [10.0, 4.0]
    assert table["error_mm"][0] == pytest.approx(0.4)
    assert np.isnan(table["error_mm"][1])
    assert (table.geometry[0].x, table.geometry[0].y) == pytest.approx((500000.0205, 5499999.9895))


def test_plain_photos_are_in_pixels_of_no_system(tmp_path):
    needs_geopackage()
    write_vectors(tmp_path, [photo([crack(mm=None)], "a b ü", PIXELS, None)])
    text = json.loads((tmp_path / "cracks.geojson").read_text())
    assert text["features"][0]["geometry"]["coordinates"][0] == [[10.5, -10.5], [40.5, -10.5]]
    for suffix in ("geojson", "gpkg"):
        table = read(tmp_path / f"cracks.{suffix}", "cracks")
        assert table.crs is None or not (table.crs.is_geographic or table.crs.is_projected)
        assert table["photo"][0] == "a b ü"
        np.testing.assert_allclose(table.length, table["length_px"])


def test_each_system_has_its_own_file_and_layers(tmp_path):
    needs_geopackage()
    wkt = 'LOCAL_CS["site of works",UNIT["meter",1]]'
    photos = [
        photo([crack()], "a"),
        photo([crack(mm=None)], "b", PIXELS, None),
        photo([crack()], "c"),
        photo([crack(mm=None)], "d", UTM, None),
        photo([crack(mm=None)], "e", UTM, wkt),
    ]
    write_vectors(tmp_path, photos)
    names = ["EPSG-32633", "pixels", "local", "site-of-works"]
    expected = [*(f"cracks-{name}.geojson" for name in names), "cracks.gpkg"]
    files = [tmp_path / name for name in expected]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(expected)
    assert list(read(files[0])["photo"]) == ["a", "c"]
    assert "length_mm" in read(files[0])
    assert "length_px" in read(files[1])
    kinds = ("cracks", "widths")
    assert layers(files[-1]) == sorted(f"{kind}-{name}" for kind in kinds for name in names)
    assert list(read(files[-1], "cracks-pixels")["photo"]) == ["b"]


def test_two_systems_of_one_name_stay_apart(tmp_path):
    wkt = 'LOCAL_CS["site",UNIT["meter",{}]]'
    photos = [photo([crack()], str(unit), UTM, wkt.format(unit)) for unit in (1, 2)]
    write_vectors(tmp_path, photos)
    files = sorted(file.name for file in tmp_path.glob("*.geojson"))
    assert files == ["cracks-site.geojson", "cracks-site~2.geojson"]


def test_what_could_not_be_measured_is_null(tmp_path):
    needs_geopackage()
    unknown = dict.fromkeys(("width_mean", "width_max", "width_error"), math.nan)
    nothing = np.empty((0, 2))
    bare = crack(
        lines=[np.array([[3.0, 4.0]])], widest_at=(math.nan, math.nan), samples=nothing,
        widths=nothing[:, 0], width_errors=nothing[:, 0], **unknown,
    )  # fmt: skip
    write_vectors(tmp_path, [photo([bare, crack(2)])])
    text = (tmp_path / "cracks.geojson").read_text()
    assert "NaN" not in text
    properties = json.loads(text)["features"][0]["properties"]
    assert properties["width_mean_mm"] is None
    assert properties["widest_x"] is None
    table = read(tmp_path / "cracks.gpkg", "cracks")
    assert np.isnan(table["width_mean_mm"][0])
    assert table["width_mean_mm"][1] == 2.5
    assert len(read(tmp_path / "cracks.gpkg", "widths")) == 2


def test_lines_of_one_point():
    many, single = crack(), crack(lines=[np.array([[3.0, 4.0]])])
    assert [len(line) for line in crack_lines(many, PIXELS)] == [2, 2]
    (line,) = crack_lines(single, PIXELS)
    assert line.tolist() == [[4.5, -3.5], [4.5, -3.5]]
    (line,) = crack_lines(crack(lines=[]), PIXELS)
    assert line.tolist() == [[20.5, -10.5], [20.5, -10.5]]
    assert crack_lines(crack(lines=[], widest_at=(math.nan, math.nan)), PIXELS) == []


@pytest.mark.parametrize("photos", [[], [photo([])]], ids=["no photos", "no cracks"])
def test_no_cracks_are_empty_files(tmp_path, photos):
    needs_geopackage()
    write_vectors(tmp_path, photos)
    assert json.loads((tmp_path / "cracks.geojson").read_text())["features"] == []
    assert layers(tmp_path / "cracks.gpkg") == ["cracks", "widths"]
    assert len(read(tmp_path / "cracks.gpkg", "cracks")) == 0


def test_mixed_units_share_a_table(tmp_path):
    needs_geopackage()
    photos = [photo([crack()], "a", PIXELS, None), photo([crack(mm=None)], "b", PIXELS, None)]
    write_vectors(tmp_path, photos)
    for suffix in ("geojson", "gpkg"):
        table = read(tmp_path / f"cracks.{suffix}", "cracks")
        assert table["length_mm"].isna().tolist() == [False, True]
        assert table["length_px"].isna().tolist() == [True, False]
    points = read(tmp_path / "cracks.gpkg", "widths")
    assert points["width_px"].isna().tolist() == [True, True, False, False]


@pytest.mark.parametrize("at_once", [1, 2, 100])
def test_written_some_at_a_time_it_is_the_same(tmp_path, monkeypatch, at_once):
    needs_geopackage()
    monkeypatch.setattr("fissura.inspection.exporters.geopackage.CRACKS", at_once)
    photos = [photo([crack(1), crack(2)], "a"), photo([]), photo([crack(n) for n in (1, 2, 3)])]
    write_vectors(tmp_path, photos)
    table = read(tmp_path / "cracks.gpkg", "cracks")
    assert list(zip(table["photo"], table["crack"], strict=True)) == [
        ("a", 1), ("a", 2), *(("deck/north", number) for number in (1, 2, 3))
    ]  # fmt: skip
    assert list(table["length_mm"]) == [70.0] * 5
    assert list(read(tmp_path / "cracks.gpkg", "widths")["crack"]) == [1, 1, 2, 2, 1, 1, 2, 2, 3, 3]


def test_too_many_widths_are_left_to_the_table(tmp_path, monkeypatch):
    needs_geopackage()
    photos = [photo([crack(), crack(2)])]  # two widths each
    for most, expected in ((3, ["cracks"]), (4, ["cracks", "widths"])):
        monkeypatch.setattr("fissura.inspection.exporters.geopackage.MOST_WIDTHS", most)
        write_vectors(tmp_path, photos)
        assert layers(tmp_path / "cracks.gpkg") == expected


def test_written_anew_it_is_replaced(tmp_path):
    needs_geopackage()
    write_vectors(tmp_path, [photo([crack(), crack(2)])])
    write_vectors(tmp_path, [photo([crack()])])
    assert len(read(tmp_path / "cracks.gpkg", "cracks")) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cracks.geojson", "cracks.gpkg"]


def test_without_pyogrio_there_is_geojson_alone(tmp_path, monkeypatch):
    module = "fissura.inspection.exporters.geopackage"
    monkeypatch.setattr(f"{module}.find_spec", lambda _: None)
    write_vectors(tmp_path, [photo([crack()])])
    assert [file.name for file in tmp_path.iterdir()] == ["cracks.geojson"]
    with (
        pytest.raises(InputError, match=r"pip install 'fissura\[geo\]'"),
        geopackage(tmp_path / "c.gpkg", {}),
    ):
        pass
    assert "pyogrio" not in vars(sys.modules[module])


def test_every_figure_is_an_attribute(write, tmp_path):
    write(geojson_file(tmp_path / "c.geojson", None), [photo([crack(mm=None)])])
    (feature,) = json.loads((tmp_path / "c.geojson").read_text())["features"]
    for name, power in METRICS.items():
        assert f"{name}_px{'2' if power == 2 else ''}" in feature["properties"]


@pytest.mark.parametrize("name", ["Ri\udcdf", "\udcff\udcfe", "deck/\udce4 \u00fc"])
def test_names_that_are_not_unicode(tmp_path, name):
    write_vectors(tmp_path, [photo([crack()], name)])
    (feature,) = json.loads((tmp_path / "cracks.geojson").read_text(encoding="utf-8"))["features"]
    text = printable(name)
    assert feature["properties"]["photo"] == text
    if has_geopackage():
        assert list(read(tmp_path / "cracks.gpkg", "cracks")["photo"]) == [text]
        assert set(read(tmp_path / "cracks.gpkg", "widths")["photo"]) == {text}
