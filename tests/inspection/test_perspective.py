"""Photos of a slanted wall: corners in a table or a marker in, true widths in every file out."""

import csv
from pathlib import Path

import cv2
import numpy as np
import pytest

from fissura import InspectOptions, OutputOptions, ResolutionOptions, inspect
from fissura.errors import InputError
from fissura.inspection.photo_table import known_photos
from fissura.inspection.records.record import flattened
from fissura.inspection.records.store import load_record
from fissura.inspection.steps import record_file
from fissura.measurement.resolution import by_rectangle, find_resolution

SIZE = (500, 700)
WIDTH, LENGTH = 6.0, 2 * np.hypot(150, 40)  # mm, of the crack


def camera(tilt):
    """The homography from x and y on a wall in mm, middle (0, 0), to pixels of a photo of it."""
    turn = np.radians(tilt)
    across, up = [np.cos(turn), 0, -np.sin(turn)], [0, 1, 0]
    lens = np.array([[900, 0, SIZE[1] / 2], [0, 900, SIZE[0] / 2], [0, 0, 1.0]])
    return lens @ np.column_stack([across, up, [0, 0, 900]])


def seen(matrix, points):
    return cv2.perspectiveTransform(np.array(points, float)[:, None], matrix)[:, 0]


def mask_of(matrix, x):
    """The mask of a leaning crack on the wall, from 150 mm below its middle to 150 mm above."""
    across = np.array([150, 40]) / np.hypot(150, 40) * WIDTH / 2
    low, high = np.array([x - 40, 150]), np.array([x + 40, -150])
    outline = seen(matrix, [low - across, high - across, high + across, low + across])
    rows, columns = np.mgrid[0 : SIZE[0], 0 : SIZE[1]].astype(float)
    inside = np.ones(SIZE, bool)
    for a, b in zip(outline, np.roll(outline, -1, axis=0), strict=True):
        inside &= (b[0] - a[0]) * (rows - a[1]) - (b[1] - a[1]) * (columns - a[0]) > 0
    return inside


@pytest.fixture(scope="module")
def walls(tmp_path_factory):
    """A slanted wall with a crack at either side, its mask, and a table with four corners."""
    root, matrix = tmp_path_factory.mktemp("slanted"), camera(40)
    rng = np.random.default_rng(0)
    mask = mask_of(matrix, -200) | mask_of(matrix, 200)
    photo = np.clip(rng.normal(170, 12, SIZE) - 90 * mask, 0, 255).astype(np.uint8)
    for name, image in (("photos/a.png", photo), ("masks/a.png", mask.astype(np.uint8) * 255)):
        (root / name).parent.mkdir(exist_ok=True)
        cv2.imwrite(str(root / name), image)
    corners = seen(matrix, [(-100, -80), (100, -80), (100, 80), (-100, 80)])
    text = " ".join(f"{value:.2f}" for value in corners.ravel())
    (root / "photos.csv").write_text(
        f"file,corners,rectangle_width_mm,rectangle_height_mm\na.png,{text},200,160\n"
    )
    (root / "limits.yaml").write_text("max_width_mm: 5\nmax_length_mm: 290\n")
    return root


def rows(file):
    with file.open(newline="", encoding="utf-8-sig") as table:
        return list(csv.DictReader(table))


def inspected(root, out, **given):
    return inspect(
        root / "photos",
        out,
        limits=root / "limits.yaml",
        inspecting=InspectOptions(masks=root / "masks", **given),
    )


def test_the_same_crack_is_as_wide_at_either_side_of_the_photo(walls, tmp_path):
    done = inspected(walls, tmp_path / "out", table=walls / "photos.csv")
    assert (done.cracks, done.failures) == (2, [])
    cracks = rows(tmp_path / "out" / "cracks.csv")
    for crack in cracks:
        assert float(crack["width_mean_mm"]) == pytest.approx(WIDTH, rel=0.05)
        assert float(crack["length_mm"]) == pytest.approx(LENGTH, rel=0.02)
        assert float(crack["area_mm2"]) == pytest.approx(LENGTH * WIDTH, rel=0.06)
        assert float(crack["orientation_deg"]) == pytest.approx(75.07, abs=1)
    (photo,) = rows(tmp_path / "out" / "photos.csv")
    known = load_record(record_file(tmp_path / "out", "a"))
    assert known.perspective is not None
    shown = known.perspective.area_mm2(SIZE) / 1e6
    assert float(photo["area_m2"]) == pytest.approx(shown, rel=1e-4)
    assert "perspective by a rectangle of 200 × 160 mm" in photo["resolution_source"]
    assert "mm per pixel across the photo, ±" in photo["resolution_source"]
    assert "mm of and" not in photo["reasons"]
    assert photo["reasons"].count("of and") == 4
    assert "mm left of and" in photo["reasons"]
    assert "mm right of and" in photo["reasons"]
    widths = [crack.width_mean for crack in known.cracks]
    assert max(widths) / min(widths) > 1.5  # in pixels of the photo
    assert flattened(known).cracks[0].lines is known.cracks[0].lines


def test_without_it_one_is_too_wide_and_one_too_narrow(walls, tmp_path):
    mean = load_resolution(walls)
    inspect(
        walls / "photos",
        tmp_path / "out",
        resolution=ResolutionOptions(mm_per_pixel=mean),
        inspecting=InspectOptions(masks=walls / "masks"),
    )
    widths = sorted(float(row["width_mean_mm"]) for row in rows(tmp_path / "out" / "cracks.csv"))
    assert widths[0] < 0.85 * WIDTH
    assert widths[1] > 1.15 * WIDTH


def load_resolution(walls):
    known = known_photos([walls / "photos/a.png"], [walls / "photos"], walls / "photos.csv")
    rectangle = known.of_photo[walls / "photos/a.png"].rectangle
    return by_rectangle(rectangle, walls / "photos/a.png", SIZE).mm_per_pixel


def test_other_corners_measure_anew(walls, tmp_path, capsys):
    inspected(walls, tmp_path / "out", table=walls / "photos.csv")
    text = (walls / "photos.csv").read_text().replace(",200,160", ",400,320")
    (tmp_path / "photos.csv").write_text(text)
    inspect(
        walls / "photos",
        tmp_path / "out",
        output=OutputOptions(resume=True),
        inspecting=InspectOptions(masks=walls / "masks", table=tmp_path / "photos.csv"),
    )
    assert "has another resolution now" in capsys.readouterr().err
    for crack in rows(tmp_path / "out" / "cracks.csv"):
        assert float(crack["width_mean_mm"]) == pytest.approx(2 * WIDTH, rel=0.05)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("a.png,1 2 3 4 5 6 7,200,160", "eight numbers"),
        ("a.png,1 2 3 4 5 6 7 8,200,", "but not rectangle_height_mm"),
        ("a.png,,200,160", "but not corners"),
    ],
)
def test_a_rectangle_that_is_not_whole_is_refused(walls, tmp_path, line, reason):
    path = tmp_path / "t.csv"
    path.write_text(f"file,corners,rectangle_width_mm,rectangle_height_mm\n{line}\n")
    with pytest.raises(InputError, match=reason):
        known_photos([walls / "photos/a.png"], [walls / "photos"], path)


def test_a_folder_may_say_it_and_the_table_comes_before(walls, tmp_path):
    photo = tmp_path / "in" / "a.png"
    photo.parent.mkdir()
    photo.write_bytes(b"")
    (tmp_path / "in/scale.yaml").write_text(
        "corners: [[1, 2], [90, 2], [90, 70], [1, 70]]\n"
        "rectangle_width_mm: 300\nrectangle height mm: 200\n"
    )
    known = known_photos([photo], [tmp_path / "in"], None).of_photo[photo]
    assert known.rectangle.corners[2] == (90.0, 70.0)
    path = tmp_path / "t.csv"
    path.write_text("file,mm_per_pixel\na.png,0.2\n")
    known = known_photos([photo], [tmp_path / "in"], path).of_photo[photo]
    assert (known.rectangle, known.resolution.mm_per_pixel) == (None, 0.2)


def test_corners_outside_the_photo_cost_that_photo(walls, tmp_path):
    text = (walls / "photos.csv").read_text().split(",200,160")[0]
    path = tmp_path / "photos.csv"
    path.write_text(text.rsplit(" ", 1)[0] + " 9000,200,160\n")
    done = inspected(walls, tmp_path / "out", table=path)
    assert "lies outside the photo" in done.failures[0].reason


def test_a_large_marker_tells_the_perspective():
    family = cv2.aruco.getPredefinedDictionary(cv2.aruco.DICT_6X6_250)
    sheet = np.full((1200, 1600), 255, np.uint8)
    # Of 100 mm on a wall of 4 pixels a mm, whose first corner is at 100, 100.
    sheet[100:500, 100:500] = cv2.aruco.generateImageMarker(family, 7, 400)
    sheet[600:1000, 1000:1400] = cv2.aruco.generateImageMarker(family, 9, 400)
    scale = np.array([[0.25, 0, -200], [0, 0.25, -150], [0, 0, 1.0]])
    matrix = camera(35)
    photo = cv2.warpPerspective(sheet, matrix @ scale, SIZE[::-1], borderValue=200,
                                flags=cv2.INTER_AREA)  # fmt: skip
    rgb = np.repeat(photo[..., None], 3, axis=2)
    found = find_resolution(ResolutionOptions(marker_mm=100), Path("m.png"), rgb, SIZE)
    assert found.perspective is not None
    assert "perspective by 2 markers" in found.source
    points = seen(matrix, [(-150.0, -100.0), (100.0, 50.0), (0.0, -100.0)])[:, ::-1]
    x, y = found.perspective.to_mm(points).T
    assert np.hypot(x[1] - x[0], y[1] - y[0]) == pytest.approx(np.hypot(250, 150), rel=0.01)
    assert np.hypot(x[2] - x[0], y[2] - y[0]) == pytest.approx(150, rel=0.01)
