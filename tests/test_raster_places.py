"""Images whose place on the earth is not kept are named."""

import numpy as np
import pytest
from PIL import Image, TiffImagePlugin

from fissura.georeference import ground_sides
from fissura.raster import lost_places

GRAY = Image.fromarray(np.zeros((4, 5), np.uint8))


def geotiff(path, tag):
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    values = (0.1, 0.1, 0.0) if tag == 33550 else tuple(float(v) for v in range(16))
    tags[tag], tags.tagtype[tag] = values, 12
    GRAY.save(path, tiffinfo=tags)
    return path


@pytest.mark.parametrize("tag", [33550, 34264])
def test_geotiffs_without_rasterio(tmp_path, monkeypatch, tag):
    GRAY.save(tmp_path / "plain.tif")
    (tmp_path / "damaged.tif").write_bytes(b"II*\0")
    files = [tmp_path / "plain.tif", tmp_path / "damaged.tif", tmp_path / "missing.tif"]
    files.append(geotiff(tmp_path / "map.tif", tag))
    monkeypatch.setattr("fissura.raster.has_raster", lambda: True)
    assert lost_places(files) is None
    monkeypatch.setattr("fissura.raster.has_raster", lambda: False)
    told = lost_places(files)
    assert told == (
        f"{tmp_path / 'map.tif'} loses its place on the earth in the results. "
        "To keep it: pip install 'fissura[geo]'"
    )


@pytest.mark.parametrize(
    ("photo", "world"), [("a.jpg", "a.jgw"), ("b.png", "b.pgw"), ("c.jpeg", "c.wld")]
)
def test_photos_with_world_files(tmp_path, photo, world):
    GRAY.save(tmp_path / photo)
    assert lost_places([tmp_path / photo]) is None
    (tmp_path / world).write_text("0.1")
    other = (tmp_path / photo).with_stem("other")
    GRAY.save(other)
    assert f"{photo} loses its place" in (lost_places([tmp_path / photo, other]) or "")
    (tmp_path / world).with_stem("other").write_text("0.1")
    assert "2 images, such as" in (lost_places([tmp_path / photo, other]) or "")


def test_what_lies_outside_of_a_projection_has_no_size_on_the_ground():
    crs = pytest.importorskip("rasterio.crs").CRS.from_epsg(32632)
    far = (0.002, 0.0, 1e200, 0.0, -0.002, 5e6)
    # After 20 complaints GDAL gives infinite degrees without a word.
    assert [ground_sides(crs, far, (40, 56)) for _ in range(50)] == 50 * [None]
