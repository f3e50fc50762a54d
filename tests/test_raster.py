"""Windows of rasters: the pixels that the whole image has, and what is known of its place."""

import math
import subprocess
import sys
import warnings

import cv2
import numpy as np
import pytest

from fissura.bit_depth import Depth
from fissura.data.images import read_image
from fissura.errors import InputError
from fissura.gdal import has_raster
from fissura.raster import PATCH, open_raster, preview

rasterio = pytest.importorskip("rasterio", reason="the extra fissura[geo] is not installed")
from affine import Affine  # noqa: E402
from rasterio import shutil  # noqa: E402
from rasterio.enums import ColorInterp  # noqa: E402

NORTH_UP = Affine(0.001, 0, 500000, 0, -0.001, 5500000)  # pixels of 1 mm


def write(path, values, *, colors=None, mask=None, palette=None, **profile):
    """Write values (bands, h, w) with GDAL."""
    count, height, width = values.shape
    profile = {
        "driver": "GTiff", "dtype": values.dtype, "count": count, "height": height, "width": width,
        **profile,
    }  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
        dataset = rasterio.open(path, "w", **profile)
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), dataset:
        if colors:
            dataset.colorinterp = [ColorInterp[color] for color in colors]
        if palette:
            dataset.write_colormap(1, palette)
        dataset.write(values)
        if mask is not None:
            dataset.write_mask(mask)
    return path


def noise(*shape, most=256, dtype=np.uint8, seed=0):
    return np.random.default_rng(seed).integers(0, most, shape).astype(dtype)


def whole(path):
    with open_raster(path) as raster:
        return raster.read(0, 0, *raster.size_hw)


def test_rasterio_is_found():
    assert has_raster()


@pytest.mark.parametrize(
    "profile",
    [
        {},
        {"tiled": True, "blockxsize": 32, "blockysize": 16, "compress": "deflate"},
        {"tiled": True, "blockxsize": 32, "blockysize": 32, "interleave": "band"},
        {"BIGTIFF": "YES"},
        {"driver": "COG"},
        {"driver": "PNG"},
        {"driver": "JP2OpenJPEG", "QUALITY": 100, "REVERSIBLE": "YES", "YCBCR420": "NO"},
    ],
    ids=["strips", "tiles", "planes", "bigtiff", "cog", "png", "jpeg2000"],
)
def test_windows_are_parts_of_the_whole(tmp_path, profile, monkeypatch):
    driver = profile.get("driver", "GTiff")
    with rasterio.Env() as env:
        if driver not in env.drivers():
            pytest.skip(f"this GDAL has no {driver}")
    monkeypatch.setattr("fissura.raster.BAND_BYTES", 3000)
    values = noise(3, 70, 90)
    path = tmp_path / "image"
    if driver in ("COG", "PNG", "JP2OpenJPEG"):
        write(tmp_path / "plain.tif", values)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            shutil.copy(tmp_path / "plain.tif", path, **profile)
    else:
        write(path, values, **profile)
    with open_raster(path) as raster:
        assert raster.size_hw == (70, 90)
        image = raster.read(0, 0, 70, 90)
        assert image.flags.c_contiguous
        assert (image == np.moveaxis(values, 0, -1)).all()
        for window in [(0, 0, 1, 1), (3, 5, 61, 77), (69, 0, 70, 90), (10, 89, 40, 90)]:
            top, left, bottom, right = window
            assert (raster.read(*window) == image[top:bottom, left:right]).all()
        assert raster.valid(3, 5, 61, 77) is None


def test_windows_past_the_end_are_refused(tmp_path):
    with open_raster(write(tmp_path / "a.tif", noise(1, 20, 30))) as raster:
        for window in [(0, 0, 21, 30), (-1, 0, 5, 5), (5, 5, 5, 9), (0, 0, 5, 31)]:
            with pytest.raises(ValueError, match="not within the 20×30 pixels"):
                raster.read(*window)


@pytest.mark.parametrize(("most", "divisor"), [(200, 1), (1000, 4), (4000, 16), (65535, 256)])
@pytest.mark.parametrize("bands", [1, 3])
def test_sixteen_bits_as_in_photos(tmp_path, most, divisor, bands):
    values = noise(bands, 40, 50, most=most, dtype=np.uint16)
    values[:, :20] %= 200  # so that the first window alone would be judged otherwise
    path = write(tmp_path / "deep.tif", values, photometric="RGB" if bands == 3 else "MINISBLACK")
    expected = np.broadcast_to(np.moveaxis(values // divisor, 0, -1), (40, 50, 3))
    assert (read_image(path) == expected).all()
    assert (whole(path) == expected).all()
    with open_raster(path) as raster:
        assert (raster.read(0, 0, 20, 50) == expected[:20]).all()
        assert raster.depth.white == max(256 * divisor - 1, 255)
    with open_raster(path, depth=Depth(65535)) as raster:
        assert (raster.read(0, 0, 40, 50)[..., 0] == values[0] // 256).all()


def test_reflectances(tmp_path):
    values = np.linspace(0, 10000, 3 * 40 * 50).reshape(3, 40, 50).astype(np.uint16)
    image = whole(write(tmp_path / "a.tif", values, photometric="RGB"))
    assert (image == np.moveaxis(values.astype(int) * 255 // 10000, 0, -1)).all()


def test_one_hot_pixel_does_not_decide_on_the_brightness(tmp_path):
    values = noise(1, 600, 700, most=4000, dtype=np.uint16)
    values[0, 5, 5] = 65535
    path = write(tmp_path / "a.tif", values, tiled=True, blockxsize=64, blockysize=64)
    assert (whole(path)[1:, 6:, 0] == values[0, 1:, 6:] // 16).all()
    floats = np.random.default_rng(0).uniform(0, 1, (1, 60, 70)).astype(np.float32)
    floats[0, 5, 5] = 1.002
    assert 120 < whole(write(tmp_path / "b.tif", floats)).mean() < 135


def test_declared_bits_count(tmp_path):
    values = noise(1, 40, 50, most=900, dtype=np.uint16)
    path = write(tmp_path / "a.tif", values, nbits=12)
    with open_raster(path) as raster:
        assert (raster.read(0, 0, 40, 50)[..., 0] == values[0] // 16).all()
        assert "declared" in str(raster.depth)


@pytest.mark.parametrize("highest", [1.0, 200.0, 3000.0])
def test_floats_as_in_photos(tmp_path, highest):
    values = np.random.default_rng(0).uniform(0, highest, (1, 30, 40)).astype(np.float32)
    path = write(tmp_path / "float.tif", values)
    assert (whole(path) == read_image(path)).all()


def test_pixels_without_a_value_are_not_valid(tmp_path):
    values = np.random.default_rng(0).uniform(0.4, 0.6, (1, 60, 40)).astype(np.float32)
    values[0, 20:23], values[0, 40, 7] = math.nan, math.inf
    with open_raster(write(tmp_path / "float.tif", values)) as raster:
        image = raster.read(0, 0, 60, 40)
        assert image.min() > 90  # no black rows, which look like cracks
        assert (raster.valid(0, 0, 60, 40) == np.isfinite(values[0])).all()
        assert raster.valid(0, 0, 20, 40) is None
        assert (raster.read(15, 3, 45, 9) == image[15:45, 3:9]).all()


def test_nodata_does_not_decide_on_the_brightness(tmp_path):
    values = noise(1, 40, 50, most=4000, dtype=np.uint16)
    values[0, :20] = 65535
    image = whole(write(tmp_path / "deep.tif", values, nodata=65535))
    assert (image[20:, :, 0] == values[0, 20:] // 16).all()


def test_palettes_become_colors(tmp_path):
    indices = noise(1, 20, 30, most=3)
    palette = {0: (255, 0, 0, 255), 1: (0, 9, 0, 255), 2: (7, 8, 200, 255)}
    image = whole(write(tmp_path / "palette.tif", indices, palette=palette))
    colors = np.array([color[:3] for color in palette.values()], np.uint8)
    assert (image == colors[indices[0]]).all()


def test_bands_are_chosen_by_their_colors(tmp_path):
    values = noise(5, 20, 30)
    colors = ["blue", "green", "red", "undefined", "undefined"]
    image = whole(write(tmp_path / "bands.tif", values, colors=colors))
    assert (image == np.moveaxis(values[[2, 1, 0]], 0, -1)).all()
    near_infrared = write(
        tmp_path / "rgbn.tif", values[:4], colors=["red", "green", "blue", "undefined"]
    )
    assert (whole(near_infrared) == np.moveaxis(values[:3], 0, -1)).all()


@pytest.mark.parametrize("bands", [2, 5])
def test_other_numbers_of_bands_get_a_sentence(tmp_path, bands):
    path = write(tmp_path / "bands.tif", noise(bands, 20, 30))
    with (
        pytest.raises(InputError, match=rf"bands.tif: has {bands} bands .* gdal_translate"),
        open_raster(path),
    ):
        pass


def test_transparent_pixels_are_not_valid(tmp_path):
    values = noise(4, 40, 50)
    values[3] = 255
    values[3, 5:9, 7:30] = 0
    path = write(tmp_path / "alpha.tif", values, colors=["red", "green", "blue", "alpha"])
    with open_raster(path) as raster:
        assert (raster.valid(0, 0, 40, 50) == (values[3] > 0)).all()
        assert (raster.valid(6, 20, 12, 40) == (values[3] > 0)[6:12, 20:40]).all()
        assert raster.valid(20, 0, 40, 50) is None
        assert (raster.read(0, 0, 40, 50) == np.moveaxis(values[:3], 0, -1)).all()


def test_masked_pixels_are_not_valid(tmp_path):
    mask = noise(40, 50, most=2) * np.uint8(255)
    with open_raster(write(tmp_path / "masked.tif", noise(3, 40, 50), mask=mask)) as raster:
        assert (raster.valid(0, 0, 40, 50) == (mask > 0)).all()


def test_patches_of_nodata_are_not_valid_but_black_cracks_are(tmp_path, monkeypatch):
    monkeypatch.setattr("fissura.raster.BAND_BYTES", 3 * 60 * 4)
    values = noise(3, 80, 60) | 1
    values[:, :30, :25] = 0  # an empty corner
    values[:, :, 40:44] = 0  # a crack
    values[:, 76:, :20] = 0  # a margin narrower than a patch, which goes on past the image's end
    expected = np.ones((80, 60), bool)
    expected[:30, :25] = expected[76:, :20] = False
    with open_raster(write(tmp_path / "ortho.tif", values, nodata=0)) as raster:
        shown = raster.valid(0, 0, 80, 60)
        assert shown[:, 40:44].all()
        assert (shown == expected).all()
        for window in [(0, 0, 20, 20), (25, 20, 35, 30), (70, 10, 80, 60), (29, 24, 30, 25)]:
            top, left, bottom, right = window
            part = raster.valid(*window)
            assert ((part if part is not None else True) == expected[top:bottom, left:right]).all()
    assert 4 < PATCH < 25


def test_a_place_on_the_earth(tmp_path):
    path = write(tmp_path / "a.tif", noise(3, 20, 30), crs="EPSG:32633", transform=NORTH_UP)
    with open_raster(path) as raster:
        assert raster.crs == "EPSG:32633"
        assert raster.transform == (0.001, 0, 500000, 0, -0.001, 5500000)
        assert raster.mm_per_pixel == pytest.approx(1)
        assert raster.scale_source == "size of its pixels in EPSG:32633 (meter)"
        assert raster.remark is None


def test_plain_images_have_no_place(tmp_path):
    with open_raster(write(tmp_path / "a.tif", noise(3, 20, 30))) as raster:
        assert (raster.crs, raster.transform, raster.mm_per_pixel) == (None, None, None)
        assert raster.scale_source == "unknown"


@pytest.mark.parametrize(
    ("crs", "transform", "mm", "said"),
    [
        ("EPSG:2263", Affine(0.01, 0, 980000, 0, -0.01, 200000), 3.048006, "US survey foot"),
        ("EPSG:32633", Affine(0.0006, 0.0008, 5e5, 0.0008, -0.0006, 5.5e6), 1.0, "meter"),
        # Web Mercator stretches by 1/cos φ (on the sphere): at y = 6 500 000 m by 1.565.
        ("EPSG:3857", Affine(0.001, 0, 1.5e6, 0, -0.001, 6.5e6), 1 / 1.565, "stretches it 1.565"),
        # At the equator a degree of longitude is 111 320 m, one of latitude 110 574 m.
        ("EPSG:4326", Affine(1e-8, 0, 15, 0, -1e-8, 0), 1.10946, "on the ground"),
        ('LOCAL_CS["site",UNIT["meter",1]]', Affine(0.001, 0, 0, 0, -0.001, 0), None, "unknown"),
    ],
    ids=["US feet", "turned", "Web Mercator", "degrees", "local"],
)
def test_millimeters_per_pixel(tmp_path, crs, transform, mm, said):
    path = write(tmp_path / "a.tif", noise(3, 20, 30), crs=crs, transform=transform)
    with open_raster(path) as raster:
        assert raster.mm_per_pixel == (None if mm is None else pytest.approx(mm, rel=1e-3))
        assert said in raster.scale_source


def test_pixels_that_are_not_square_are_told(tmp_path):
    transform = Affine(0.001, 0, 500000, 0, -0.00121, 5500000)
    path = write(tmp_path / "a.tif", noise(3, 20, 30), crs="EPSG:32633", transform=transform)
    with open_raster(path) as raster:
        assert raster.mm_per_pixel == pytest.approx(1.1)
        assert "a.tif: its pixels are not square (1 mm wide, 1.21 mm high)" in raster.remark


def test_a_system_without_a_code_is_described(tmp_path):
    crs = "+proj=tmerc +lat_0=52 +lon_0=13 +k=1 +x_0=0 +y_0=0 +datum=WGS84 +units=m"
    transform = Affine(0.002, 0, 0, 0, -0.002, 0)
    path = write(tmp_path / "a.tif", noise(3, 20, 30), crs=crs, transform=transform)
    with open_raster(path) as raster:
        assert raster.crs.startswith("PROJCS[")
        assert raster.mm_per_pixel == pytest.approx(2)


@pytest.mark.parametrize("content", [b"", b"no image", b"II*\0" + b"xx" * 99], ids=len)
def test_what_is_no_image_gets_a_sentence(tmp_path, content):
    path = tmp_path / "bad.tif"
    path.write_bytes(content)
    with (
        pytest.raises(InputError, match=r"bad\.tif: cannot be read, the file is"),
        open_raster(path),
    ):
        pass


def test_a_missing_file_gets_a_sentence(tmp_path):
    with pytest.raises(InputError, match="there is no such file"), open_raster(tmp_path / "a.tif"):
        pass


def test_a_file_that_was_cut_off_gets_a_sentence(tmp_path):
    path = write(tmp_path / "cut.tif", noise(3, 300, 300), tiled=True, blockxsize=64, blockysize=64)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with open_raster(path) as raster, pytest.raises(InputError, match="damaged or cut off"):
        raster.read(200, 200, 300, 300)


def test_a_file_in_one_block_gets_a_sentence(tmp_path, monkeypatch):
    path = write(tmp_path / "strip.tif", noise(3, 200, 300), blockysize=200, compress="deflate")
    monkeypatch.setattr("fissura.gdal.LARGEST_BLOCK", 100_000)
    with (
        pytest.raises(InputError, match=r"blocks of 200×300 pixels.* TILED=YES"),
        open_raster(path),
    ):
        pass


@pytest.mark.parametrize("bands", [1, 3])
def test_the_preview_averages(tmp_path, bands):
    values = noise(bands, 400, 600)
    with open_raster(write(tmp_path / "a.tif", values)) as raster:
        small, scale = preview(raster, 60)
        assert scale == 0.1
        expected = cv2.resize(raster.read(0, 0, 400, 600), (60, 40), interpolation=cv2.INTER_AREA)
        assert np.abs(small.astype(int) - expected).max() <= 1
        same, scale = preview(raster, 600)
        assert scale == 1
        assert (same == raster.read(0, 0, 400, 600)).all()


def test_the_preview_of_sixteen_bits(tmp_path):
    values = noise(1, 400, 600, most=4000, dtype=np.uint16)
    with open_raster(write(tmp_path / "a.tif", values)) as raster:
        small, _ = preview(raster, 60)
    assert abs(small.mean() - values.mean() / 16) < 1


def test_without_rasterio_there_is_a_sentence(tmp_path):
    program = (
        "import sys; sys.modules['rasterio'] = None\n"
        "import importlib.util, pathlib\n"
        "find = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda name: None if name == 'rasterio' else find(name)\n"
        "from fissura.gdal import has_raster\n"
        "from fissura.raster import open_raster\n"
        "import fissura.inference.rasters.raster, fissura.inspection.export\n"
        "assert not has_raster()\n"
        f"path = pathlib.Path({str(tmp_path / 'a.tif')!r}); path.write_bytes(b'')\n"
        "try:\n"
        "    open_raster(path).__enter__()\n"
        "except ValueError as error:\n"
        "    print(type(error).__name__, error)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert "InputError Georeferenced and very large images need rasterio" in done.stdout, (
        done.stderr
    )
    assert "pip install 'fissura[geo]'" in done.stdout
