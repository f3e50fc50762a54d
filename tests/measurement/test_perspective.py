"""Perspective: corners in, millimeters of points, widths and lengths on a slanted wall out."""

import math

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial import KDTree

from fissura.errors import InputError
from fissura.measurement import measure
from fissura.measurement.flatten import flatten
from fissura.measurement.perspective import (
    Perspective,
    check_view,
    from_markers,
    from_rectangle,
    in_words,
)

SIZE = (700, 900)
FINE = 6  # samples a side of a pixel where a wall is drawn


def camera(tilt, turn=0.0, distance=1000.0, focal=1100.0, size_hw=SIZE):
    """The homography from x and y on a wall in mm, middle (0, 0), to pixels of a photo of it."""
    across, up = np.radians(tilt), np.radians(turn)
    yaw = [[np.cos(across), 0, np.sin(across)], [0, 1, 0], [-np.sin(across), 0, np.cos(across)]]
    roll = [[np.cos(up), -np.sin(up), 0], [np.sin(up), np.cos(up), 0], [0, 0, 1]]
    rotated = np.array(roll) @ np.array(yaw)
    lens = np.array([[focal, 0, size_hw[1] / 2], [0, focal, size_hw[0] / 2], [0, 0, 1.0]])
    return lens @ np.column_stack([rotated[:, 0], rotated[:, 1], [0, 0, distance]])


def slowly(matrix, x, y):
    """The homography applied to one point, as it is written in books."""
    depth = matrix[2][0] * x + matrix[2][1] * y + matrix[2][2]
    return (
        (matrix[0][0] * x + matrix[0][1] * y + matrix[0][2]) / depth,
        (matrix[1][0] * x + matrix[1][1] * y + matrix[1][2]) / depth,
    )


def seen(matrix, points):
    """Row and column of points of the wall, x and y."""
    return np.array([slowly(matrix, x, y)[::-1] for x, y in points])


def rectangle(matrix, width, height, x=0.0, y=0.0, corner_error=1.0):
    corners = [(x, y), (x + width, y), (x + width, y + height), (x, y + height)]
    return from_rectangle(seen(matrix, corners), width, height, corner_error)


def drawn(matrix, line, width):
    """The fraction of each pixel of a photo that a band along a line on the wall covers."""
    rows, columns = np.mgrid[0 : SIZE[0], 0 : SIZE[1]]
    points = np.column_stack([columns.ravel(), rows.ravel()]).astype(float)
    on_wall = cv2.perspectiveTransform(points[:, None], np.linalg.inv(matrix))[:, 0]
    away, _ = KDTree(line).query(on_wall, distance_upper_bound=2 * width)
    away = np.minimum(away, 2 * width).reshape(SIZE)
    size = SIZE[1] * FINE, SIZE[0] * FINE
    fine = (cv2.resize(away, size, interpolation=cv2.INTER_LINEAR) < width / 2).astype(np.float32)
    return cv2.resize(fine, SIZE[::-1], interpolation=cv2.INTER_AREA)


def wavy(start, end, sway=15.0, count=1500):
    along = np.linspace(0, 1, count)[:, None]
    start, end = np.array(start, float), np.array(end, float)
    across = np.array([-(end - start)[1], (end - start)[0]]) / np.hypot(*(end - start))
    return start + along * (end - start) + sway * np.sin(2 * np.pi * along) * across


@given(
    tilt=st.floats(-55, 55),
    turn=st.floats(-180, 180),
    x=st.floats(-200, 100),
    y=st.floats(-150, 50),
    points=st.lists(st.tuples(st.floats(-300, 300), st.floats(-200, 200)), min_size=1, max_size=5),
)
def test_points_of_the_photo_lie_where_they_are_on_the_wall(tilt, turn, x, y, points):
    matrix = camera(tilt, turn)
    known = rectangle(matrix, 180, 120, x, y)
    found = known.to_mm(seen(matrix, points))
    np.testing.assert_allclose(found, np.array(points) - [x, y], atol=1e-6)
    slow = [slowly(known.matrix.tolist(), column, row) for row, column in seen(matrix, points)]
    np.testing.assert_allclose(found, slow, rtol=1e-9, atol=1e-9)


@given(tilt=st.floats(-50, 50), turn=st.floats(-90, 90), direction=st.floats(0, 180))
def test_the_local_scale_is_that_of_short_strips(tilt, turn, direction):
    """A thin strip is mapped corner by corner; its height on the wall is area over base."""
    known = rectangle(camera(tilt, turn), 180, 120, -90, -60)
    t = np.array([math.sin(math.radians(direction)), math.cos(math.radians(direction))])
    n = np.array([-t[1], t[0]])
    at, side = np.array([310.0, 415.0]), 1e-3
    corners = [at - side * t - side * n, at + side * t - side * n,
               at + side * t + side * n, at - side * t + side * n]  # fmt: skip
    a, b, c, d = (np.array(slowly(known.matrix, *corner[::-1])) for corner in corners)
    base = math.dist(a, b)
    area = abs((c - a)[0] * (d - b)[1] - (c - a)[1] * (d - b)[0]) / 2
    along, across = known.scales(at[None], t[None])
    assert along[0] == pytest.approx(base / (2 * side), rel=1e-4)
    assert across[0] == pytest.approx(area / base / (2 * side), rel=1e-4)
    assert known.mm_per_pixel(at[None])[0] == pytest.approx(math.sqrt(area) / (2 * side), rel=1e-4)


@pytest.mark.parametrize("tilt", [0, 25, 45])
@pytest.mark.parametrize(
    ("start", "end"),
    [
        ((-280, -150), (280, 160)),
        ((-200, 160), (190, 140)),
        ((-230, -170), (-200, 170)),
        ((230, -120), (235, 120)),
    ],
)
def test_width_and_length_are_true_anywhere_on_a_slanted_wall(tilt, start, end):
    matrix, width = camera(tilt), 6.0
    line = wavy(start, end)
    (crack,) = measure(drawn(matrix, line, width))
    known = rectangle(matrix, 180, 120, -90, -60)
    resolution = known.mean_mm_per_pixel(SIZE)
    (flat,) = flatten([crack], known, resolution)
    # The stated bound of a measured width is 0.09 pixels from 1.5 pixels on.
    coarsest = known.mm_per_pixel(crack.samples).max()
    assert flat.widths.mean() * resolution == pytest.approx(width, abs=0.12 * coarsest)
    assert np.abs(flat.widths * resolution - width).mean() < 0.25 * coarsest
    # A round end of half a width at either side belongs to the band.
    wanted = float(np.hypot(*np.diff(line, axis=0).T).sum()) + width
    assert flat.length * resolution == pytest.approx(wanted, rel=0.01)
    assert flat.area * resolution**2 == pytest.approx(wanted * width, rel=0.08)
    direction = math.degrees(math.atan2(start[1] - end[1], end[0] - start[0])) % 180
    assert abs((flat.orientation - direction + 90) % 180 - 90) < 3
    assert (flat.box, flat.number) == (crack.box, crack.number)


def test_without_the_perspective_widths_are_worse():
    matrix, width = camera(40), 6.0
    known = rectangle(matrix, 180, 120, -90, -60)
    resolution = known.mean_mm_per_pixel(SIZE)
    wrong, right = [], []
    for x in (-200.0, 220.0):
        (crack,) = measure(drawn(matrix, wavy((x, -120), (x + 20, 120)), width))
        (flat,) = flatten([crack], known, resolution)
        wrong.append(abs(crack.width_mean * resolution / width - 1))
        right.append(abs(flat.width_mean * resolution / width - 1))
    assert max(right) < 0.03
    assert min(wrong) > 0.1


def test_the_stated_error_is_that_of_corners_that_are_off():
    matrix, rng = camera(35, 10), np.random.default_rng(0)
    true = seen(matrix, [(-90, -60), (90, -60), (90, 60), (-90, 60)])
    places = np.array([[350.0, 450.0], [60.0, 80.0], [650.0, 820.0]])
    known = from_rectangle(true, 180, 120, 1.5)
    off = [from_rectangle(true + rng.normal(0, 1.5, (4, 2)), 180, 120) for _ in range(400)]
    spread = np.std([one.mm_per_pixel(places) for one in off], axis=0) / known.mm_per_pixel(places)
    np.testing.assert_allclose(known.error(places), spread, rtol=0.15)
    assert known.error(places)[0] < known.error(places)[1:].min()
    assert "mm per pixel across the photo" in in_words(known, SIZE)


def test_several_markers_are_surer_than_one():
    matrix, rng = camera(30), np.random.default_rng(1)
    square = np.array([[0, 0], [40, 0], [40, 40], [0, 40]], float)
    places = [(-230, -140, 0.1), (180, -120, -0.3), (-200, 110, 0.5), (190, 130, 0.0)]
    squares = []
    for x, y, turn in places:
        turned = square @ np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
        squares.append(seen(matrix, turned + np.array([x, y])) + rng.normal(0, 0.2, (4, 2)))
    at = np.array([[20.0, 30.0], [350.0, 450.0], [680.0, 880.0]])
    exact = rectangle(matrix, 40, 40).mm_per_pixel(at)
    one, all_of = from_markers(np.array(squares[:1]), 40), from_markers(np.array(squares), 40)
    off = np.abs(all_of.mm_per_pixel(at) / exact - 1)
    assert off.max() < 0.025
    assert (off < 4 * all_of.error(at) + 1e-4).all()
    assert all_of.error(at).max() < one.error(at).max() / 4


def test_the_area_of_the_photo_is_that_of_the_wall():
    known = rectangle(camera(30), 180, 120)
    rows, columns = np.mgrid[0 : SIZE[0], 0 : SIZE[1]]
    points = np.column_stack([rows.ravel(), columns.ravel()]).astype(float)
    pixels = np.square(known.mm_per_pixel(points)).sum()
    assert known.area_mm2(SIZE) == pytest.approx(pixels, rel=1e-4)
    again = Perspective.from_fields(known.fields())
    np.testing.assert_array_equal(again.matrix, known.matrix)
    np.testing.assert_array_equal(again.error(points[:5]), known.error(points[:5]))


@pytest.mark.parametrize(
    "corners",
    [
        [[0, 0], [0, 10], [10, 0], [10, 10]],  # crossed
        [[0, 0], [0, 10], [0, 20], [0, 30]],  # in a line
        [[0, 0], [0, 10], [3, 3], [10, 0]],  # dented
        [[0, 0], [0, 10], [10, 10]],
        [[0, 0], [0, 10], [10, 10], [math.nan, 0]],
    ],
)
def test_corners_that_no_camera_could_see_are_refused(corners):
    with pytest.raises(InputError, match="corners"):
        from_rectangle(np.array(corners, float), 100, 100)


def test_a_horizon_in_the_photo_is_refused():
    known = rectangle(camera(0), 180, 120)
    check_view(known, SIZE, "a.jpg")
    road = from_rectangle(
        np.array([[300, 350], [300, 550], [600, 800], [600, 100]], float), 3000, 9000
    )
    with pytest.raises(InputError, match=r"a.jpg shows the horizon"):
        check_view(road, SIZE, "a.jpg")
    with pytest.raises(InputError, match="above 0"):
        from_rectangle(np.array([[0, 0], [0, 9], [9, 9], [9, 0]], float), 0, 100)
