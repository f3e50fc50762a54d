"""Outlines and lines become pixels: by a slow reference, by pycocotools, by what was drawn."""

from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from fissura.data.formats import AnnotatedImage, Bitmap, Polygon, Polyline, Shape, rasterize
from fissura.data.formats.shapes.line_width import measured_strokes
from fissura.data.formats.shapes.rasterize import fill

# pycocotools is not made for NumPy 2 in all its corners.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
SIZE = (14, 17)
coordinates = st.floats(-6, 24, allow_subnormal=False)
rings = st.lists(st.tuples(coordinates, coordinates), min_size=3, max_size=9).map(np.array)


def image(shapes, size_hw=SIZE, path=Path("wall.png")):
    return AnnotatedImage(path, "wall", "", size_hw, tuple(shapes))


def inside(ring, x, y):
    """The even-odd rule for one point."""
    odd = False
    for (x0, y0), (x1, y1) in zip(ring, np.roll(ring, -1, axis=0), strict=True):
        if (y0 > y) != (y1 > y) and x0 + (y - y0) / (y1 - y0) * (x1 - x0) < x:
            odd = not odd
    return odd


@given(rings)
def test_a_pixel_is_inside_where_its_center_is(ring):
    mask = rasterize(image([Shape("crack", Polygon(ring))]), ["crack"])
    for row, column in np.ndindex(SIZE):
        x, y = column + 0.5, row + 0.5
        if inside(ring, x - 1e-7, y - 1e-7) == inside(ring, x + 1e-7, y + 1e-7):  # not on an edge
            assert mask[row, column] == inside(ring, x, y)


@given(st.integers(0, 2**31))
def test_pycocotools_differs_along_the_outline_alone(seed):
    api = pytest.importorskip("pycocotools.mask")
    rng = np.random.default_rng(seed)
    angles = np.sort(rng.uniform(0, 2 * np.pi, 8))
    radius = rng.uniform(10, 28, 8)
    ring = np.stack([32 + radius * np.cos(angles), 30 + radius * np.sin(angles)], axis=1)
    theirs = api.decode(api.frPyObjects([ring.ravel().tolist()], 60, 64))[:, :, 0] > 0
    ours = rasterize(image([Shape("crack", Polygon(ring))], (60, 64)), ["crack"]) > 0
    line = np.zeros((60, 64), np.uint8)
    cv2.polylines(line, [np.rint(ring - 0.5).astype(np.int32)], True, 1, 3)
    assert not (theirs != ours)[line == 0].any()


def test_pycocotools_agrees_along_the_edges_of_pixels():
    api = pytest.importorskip("pycocotools.mask")
    ring = np.array([[2, 1], [9, 1], [9, 4], [6, 4], [6, 11], [2, 11]], float)
    theirs = api.decode(api.frPyObjects([ring.ravel().tolist()], *SIZE))[:, :, 0]
    np.testing.assert_array_equal(rasterize(image([Shape("a", Polygon(ring))]), ["a"]), theirs)


def test_outlines_beyond_the_image_are_cut_off():
    ring = np.array([[-1e6, -1e6], [1e6, -1e6], [1e6, 1e6], [-1e6, 1e6]])
    pixels, top, left = fill(ring, SIZE)
    assert (pixels.shape, top, left, pixels.all()) == (SIZE, 0, 0, True)
    for shift in ((100, 0), (-100, 0), (0, 100), (0, -100)):
        away = np.array([[1, 1], [5, 1], [5, 5]]) + np.array(shift, float)
        assert not rasterize(image([Shape("a", Polygon(away))]), ["a"]).any()


def test_later_shapes_lie_on_top_and_ignored_ones_below():
    def box(left, right):
        return Polygon(np.array([[left, 0], [right, 0], [right, 14], [left, 14]], float))

    shapes = [
        Shape("rust", box(0, 6)), Shape("crack", box(4, 8)),
        Shape("crack", box(7, 12), ignored=True), Shape("Unlabeled", box(14, 16)),
        Shape("mold", box(0, 17)),
    ]  # fmt: skip
    mask = rasterize(image(shapes), ["crack", "rust"])
    expected = [2] * 4 + [1] * 4 + [255] * 4 + [0] * 2 + [255] * 2 + [0]
    np.testing.assert_array_equal(mask, np.tile(np.array(expected, np.uint8), (14, 1)))
    assert set(np.unique(rasterize(image(shapes), {"crack": 7}))) == {0, 7, 255}


def test_bitmaps_may_reach_beyond_the_image():
    def bitmap(top, left):
        return Shape("a", Bitmap(lambda: np.ones((5, 5), bool), "", top, left))

    for top, left in ((-3, -3), (12, 15), (-9, 3), (40, 40), (4, 4)):
        expected = np.zeros((60, 60), np.uint8)
        expected[20 + top : 25 + top, 20 + left : 25 + left] = 1
        mask = rasterize(image([bitmap(top, left)]), ["a"])
        np.testing.assert_array_equal(mask, expected[20 : 20 + SIZE[0], 20 : 20 + SIZE[1]])


@given(rings, st.floats(0.5, 9))
def test_lines_of_a_width_are_the_pixels_within_half_of_it(points, width):
    mask = rasterize(image([Shape("a", Polyline(points))]), ["a"], width)
    for row, column in np.ndindex(SIZE):
        at = np.array([column + 0.5, row + 0.5])
        distances = []
        for start, end in pairwise(points):
            along = end - start
            length2 = along @ along
            t = np.clip((at - start) @ along / length2, 0, 1) if length2 > 0 else 0
            distances.append(np.hypot(*(at - start - t * along)))
        if abs(min(distances) - width / 2) > 1e-6:
            assert mask[row, column] == (min(distances) <= width / 2)


def drawn_line(points, width, size_hw=(120, 160), scale=8):
    """A dark line with the soft edges of a camera, as it is drawn large and shrunk; the mask."""
    height, width_px = size_hw
    large = np.zeros((scale * height, scale * width_px), np.uint8)
    points = np.rint(np.array(points) * scale).astype(np.int32)
    cv2.polylines(large, [points], False, 255, round(scale * width))
    share = cv2.resize(large, (width_px, height), interpolation=cv2.INTER_AREA) / 255
    noise = np.random.default_rng(0).normal(0, 3, size_hw)
    return np.clip(170 - 90 * share + noise, 0, 255).astype(np.float32), share >= 0.5


@pytest.mark.parametrize("width", [2, 3, 5, 8])
@pytest.mark.parametrize("shift", [0.0, 2.5])
def test_the_width_is_that_of_the_dark_line_beneath(width, shift):
    """The stroke follows the line, also where it was drawn some pixels beside."""
    points = np.array([[12.0, 30], [70, 62], [148, 70]])
    gray, mask = drawn_line(points, width)
    (stroke,) = measured_strokes(gray, points + np.array([0, shift]))
    assert np.median(stroke.widths) == pytest.approx(width, abs=0.6)
    marked = image([Shape("a", Polyline(points + np.array([0, shift])))], gray.shape)
    by_width = rasterize(marked, ["a"], width) > 0
    found = np.zeros(gray.shape, bool)
    for start, end, around in zip(
        stroke.points[:-1], stroke.points[1:], stroke.widths[1:], strict=True
    ):
        piece = image([Shape("a", Polyline(np.array([start, end])))], gray.shape)
        found |= rasterize(piece, ["a"], float(around)) > 0

    def iou(other):
        return (other & mask).sum() / (other | mask).sum()

    assert iou(found) > 0.8
    if shift:
        assert iou(found) > iou(by_width) + 0.1


def test_a_line_on_nothing_is_three_pixels_wide():
    gray = np.random.default_rng(1).normal(150, 4, (60, 60)).astype(np.float32)
    (stroke,) = measured_strokes(gray, np.array([[10.0, 10], [50, 40]]))
    assert np.median(stroke.widths) == pytest.approx(3, abs=1.5)


def test_lines_that_leave_the_image_or_have_no_length():
    gray, _ = drawn_line([[10, 60], [150, 60]], 4)
    assert len(measured_strokes(gray, np.array([[-30.0, 60], [60, 60], [60, 200]]))) == 1
    assert measured_strokes(gray, np.array([[-30.0, -60], [-60, -60]])) == []
    assert len(measured_strokes(gray, np.array([[60.0, 60], [60, 60]]))) == 1


def test_lines_are_measured_in_the_photo(tmp_path):
    gray, mask = drawn_line([[12, 30], [70, 62], [148, 70]], 5)
    Image.fromarray(gray.astype(np.uint8)).save(tmp_path / "wall.png")
    points = np.array([[12.0, 30], [70, 62], [148, 70]])
    marked = image([Shape("a", Polyline(points))], gray.shape, tmp_path / "wall.png")
    found = rasterize(marked, ["a"]) > 0
    assert (found & mask).sum() / (found | mask).sum() > 0.85
