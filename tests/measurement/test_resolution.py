"""The resolution of a photo, from each of its sources."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from fissura.errors import InputError
from fissura.measurement.options import MeasureOptions, ResolutionOptions
from fissura.measurement.resolution import MARKERS, find_resolution, read_optics


def photo(path, tags=None, size=(400, 300)):
    image = Image.new("RGB", size, (120, 120, 120))
    exif = Image.Exif()
    exif[0x8769] = tags or {}
    image.save(path, exif=exif)
    return path


def resolution(path, **options):
    return find_resolution(ResolutionOptions(**options), path, None, (300, 400))


def test_no_option_gives_no_resolution(tmp_path):
    assert resolution(photo(tmp_path / "a.jpg")) is None


def test_a_given_resolution_is_taken(tmp_path):
    found = resolution(tmp_path / "a.jpg", mm_per_pixel=0.25)
    assert found.mm_per_pixel == 0.25
    assert "given" in found.source


def test_distance_focal_length_and_sensor(tmp_path):
    # By similar triangles: 24 mm of sensor see 2 m · 24/50 = 960 mm, on 400 pixels.
    found = resolution(
        photo(tmp_path / "a.jpg"), distance_mm=2000, focal_length_mm=50, sensor_width_mm=24
    )
    assert found.mm_per_pixel == pytest.approx(960 / 400)


@pytest.mark.parametrize(
    "tags",
    [
        {0x920A: 50.0, 0xA20E: 400 / 24, 0xA210: 4, 0xA002: 400},
        {0x920A: 50.0, 0xA20E: 400 / 24 * 10, 0xA210: 3},
        {0x920A: 50.0, 0xA20E: 400 / 24 * 25.4, 0xA210: 2},
        {0x920A: 50.0, 0xA20E: 800 / 24, 0xA210: 4, 0xA002: 800},  # made smaller since
        {0x920A: 50.0, 0xA405: 75},
    ],
    ids=["mm", "cm", "inch", "shrunk", "equivalent"],
)
def test_exif(tmp_path, tags):
    found = resolution(photo(tmp_path / "a.jpg", tags), distance_mm=2000)
    assert found.mm_per_pixel == pytest.approx(960 / 400, rel=1e-3)
    assert "EXIF" in found.source
    # What is given wins.
    wide = resolution(photo(tmp_path / "a.jpg", tags), distance_mm=2000, focal_length_mm=25)
    assert wide.mm_per_pixel == pytest.approx(2 * 960 / 400, rel=1e-3)


def test_exif_without_what_is_needed(tmp_path):
    with pytest.raises(InputError, match="focal length and sensor"):
        resolution(photo(tmp_path / "a.jpg"), distance_mm=2000)
    with pytest.raises(InputError, match="--sensor-width-mm"):
        resolution(photo(tmp_path / "b.jpg", {0x920A: 50.0}), distance_mm=2000)
    (tmp_path / "broken.jpg").write_bytes(b"nothing")
    assert read_optics(tmp_path / "broken.jpg").focal_length_mm is None


@pytest.mark.parametrize("family", ["DICT_4X4_50", "DICT_6X6_250", "DICT_APRILTAG_36h11"])
def test_a_marker(family):
    side, image = 90, np.full((300, 400), 210, np.uint8)
    dictionary = cv2.aruco.getPredefinedDictionary(getattr(cv2.aruco, family))
    image[100 : 100 + side, 150 : 150 + side] = cv2.aruco.generateImageMarker(dictionary, 7, side)
    turned = cv2.warpAffine(
        image, cv2.getRotationMatrix2D((200, 150), 20, 1.0), (400, 300), borderValue=210
    )
    rgb = np.repeat(turned[..., None], 3, axis=2)
    found = find_resolution(ResolutionOptions(marker_mm=45), Path("m.png"), rgb, (300, 400))
    assert found.mm_per_pixel == pytest.approx(0.5, rel=0.02)
    assert found.warning is None
    tilted = cv2.resize(rgb, (400, 260))
    found = find_resolution(ResolutionOptions(marker_mm=45), Path("m.png"), tilted, (260, 400))
    assert "at an angle" in found.warning


def test_no_marker():
    with pytest.raises(InputError, match="No ArUco or AprilTag"):
        find_resolution(
            ResolutionOptions(marker_mm=45),
            Path("m.png"),
            np.zeros((90, 90, 3), np.uint8),
            (90, 90),
        )
    with pytest.raises(InputError, match="too large"):
        find_resolution(ResolutionOptions(marker_mm=45), Path("m.png"), None, (90, 90))


def test_all_families_exist():
    assert all(hasattr(cv2.aruco, name) for name in MARKERS)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mm_per_pixel": 0.0}, "--mm-per-pixel is 0"),
        ({"distance_mm": -1.0}, "--distance-mm is -1"),
        ({"mm_per_pixel": 1.0, "marker_mm": 2.0}, "Give one of them"),
        ({"focal_length_mm": 50.0}, "add --distance-mm"),
    ],
    ids=str,
)
def test_options_that_make_no_sense(options, message):
    with pytest.raises(InputError, match=message):
        ResolutionOptions(**options)


@pytest.mark.parametrize("options", [{"spur": -1.0}, {"bridge": float("nan")}, {"prob_error": 0.0}])
def test_measuring_out_of_range(options):
    (name,) = options
    with pytest.raises(InputError, match=f"--{name.replace('_', '-')} is"):
        MeasureOptions(**options)
