"""Drawings: lines in the right place and color, numbers apart, and any size of image."""

import math

import numpy as np
import pytest

from fissura.inspection.report.drawing import CASING, UNMEASURED, draw_cracks, shades, widths_along
from fissura.inspection.report.legend import Legend, draw_legend, round_length, written_length
from fissura.inspection.report.number_labels import draw_numbers


def gray(height, width):
    return np.full((height, width, 3), 150, np.uint8)


def near(pixel, colors):
    """The index of the nearest color, and how far that is off."""
    off = np.abs(np.asarray(colors, int) - np.asarray(pixel, int)).max(axis=1)
    return int(off.argmin()), int(off.min())


class TestLines:
    def test_the_image_stays_where_there_is_no_crack(self, straight):
        image = np.random.default_rng(0).integers(0, 255, (600, 800, 3)).astype(np.uint8)
        before = image.copy()
        drawn = draw_cracks(image, [straight(300, 4.0, 500.0, 100.0)])
        np.testing.assert_array_equal(image, before)
        assert drawn.shape[0] > 600
        np.testing.assert_array_equal(drawn[:200], image[:200])

    def test_color_rises_with_width(self, fake_crack):
        columns = np.linspace(50, 750, 200)
        line = np.stack([np.full(200, 300.0), columns, np.linspace(0.5, 10, 200)], axis=1)
        drawn = draw_cracks(gray(600, 800), [fake_crack(line)])
        found = [near(drawn[300, column], shades()) for column in range(80, 730, 50)]
        assert all(off < 12 for _, off in found)
        shade = [index for index, _ in found]
        assert shade == sorted(shade)
        assert shade[0] < 10
        assert shade[-1] > 55

    def test_a_dark_casing_lies_beside_the_line(self, straight):
        drawn = draw_cracks(gray(600, 800), [straight(300, 4.0, 500.0, 100.0)])
        across = drawn[290:311, 400].astype(int)
        assert near(across[10], shades())[1] < 12
        assert min(np.abs(pixel - CASING).max() for pixel in across) < 60

    def test_shades_are_even_and_rise_in_lightness(self):
        luminance = shades() @ np.array([0.2126, 0.7152, 0.0722])
        assert (np.diff(luminance) > 0).all()

    def test_a_crack_without_widths_is_gray(self, straight):
        drawn = draw_cracks(gray(600, 800), [straight(300, math.nan, 500.0, 100.0)])
        assert np.abs(drawn[300, 400].astype(int) - UNMEASURED).max() < 12

    def test_a_given_end_of_the_colors(self, straight):
        crack = straight(300, 4.0, 500.0, 100.0)
        at = [
            near(draw_cracks(gray(600, 800), [crack], widest=end)[300, 400], shades())[0]
            for end in (4.0, 8.0, 80.0)
        ]
        assert at[0] > 60 > 40 > at[1] > 25 > 8 > at[2]

    def test_the_outline_of_labels(self, straight):
        labels = np.zeros((600, 800), np.int32)
        labels[290:311, 100:601] = 1
        drawn = draw_cracks(gray(600, 800), [straight(300, 21.0, 500.0, 100.0)], labels)
        assert drawn[289, 550].tolist() == [240, 228, 66]

    @pytest.mark.parametrize("scale", [0.25, 1.0])
    def test_a_preview_shows_the_line_in_its_place(self, straight, scale):
        crack = straight(300 / scale, 9.0, 500 / scale, 100 / scale)
        drawn = draw_cracks(gray(600, 800), [crack], scale=scale)
        assert near(drawn[300, 400], shades())[1] < 12


class TestWidthsAlong:
    def test_at_the_points_and_between(self, fake_crack):
        crack = fake_crack([[5, 0, 2.0], [5, 10, 4.0]])
        along = widths_along(crack, np.array([[5.0, 0.0], [5.0, 5.0], [5.0, 10.0]]))
        np.testing.assert_allclose(along, [2, 3, 4], atol=1e-5)

    def test_far_from_any_measurement(self, fake_crack):
        crack = fake_crack([[5, 0, 2.0], [5, 10, 2.0]])
        assert np.isnan(widths_along(crack, np.array([[5.0, 40.0]]))).all()

    @pytest.mark.parametrize("widths", [[math.nan, math.nan], [3.0, math.nan]])
    def test_few_measurements(self, fake_crack, widths):
        crack = fake_crack([[5, 0, widths[0]], [5, 4, widths[1]]])
        along = widths_along(crack, crack.lines[0])
        assert np.isnan(along).all() if math.isnan(widths[0]) else (along == 3).all()


class TestSizes:
    @pytest.mark.parametrize(
        ("shape", "mm"),
        [
            ((48, 48), None),
            ((32, 400), 0.04),
            ((400, 32), None),
            ((1, 1), 0.04),
            ((40, 3000), None),
        ],
    )
    def test_any_shape(self, straight, shape, mm):
        cracks = [straight(shape[0] / 2, 1.5, min(20.0, shape[1] / 2), 1.0)]
        drawn = draw_cracks(gray(*shape), cracks, mm_per_pixel=mm)
        assert drawn.dtype == np.uint8
        assert drawn.shape[1] % shape[1] == 0  # enlarged by a whole number
        zoom = drawn.shape[1] // shape[1]
        assert drawn.shape[0] > zoom * shape[0]
        assert math.sqrt(zoom**2 * shape[0] * shape[1]) > 500

    @pytest.mark.parametrize("shape", [(60_000, 2), (3, 59_000), (1600, 1)])
    def test_no_side_outgrows_a_jpeg(self, straight, shape):
        drawn = draw_cracks(gray(*shape), [straight(1, 1.0, 20.0, 0.0)])
        assert max(drawn.shape) <= 65_500
        assert drawn.shape[1] % shape[1] == 0

    def test_no_crack(self):
        drawn = draw_cracks(gray(600, 800), [])
        np.testing.assert_array_equal(drawn[:600], gray(600, 800))
        assert drawn.shape[0] > 600

    def test_a_small_image_is_enlarged_pixel_by_pixel(self):
        image = np.random.default_rng(0).integers(0, 255, (48, 48, 3)).astype(np.uint8)
        drawn = draw_cracks(image, [])
        zoom = drawn.shape[1] // 48
        np.testing.assert_array_equal(drawn[: 48 * zoom : zoom, ::zoom], image)

    def test_cracks_that_leave_the_image(self, straight):
        cracks = [straight(-30, 3.0, 900.0, -60.0), straight(599, 3.0, 900.0, -60.0, number=2)]
        draw_cracks(gray(600, 800), cracks)


class TestNumbers:
    def boxes(self, panel_photo, seed):
        photo = panel_photo(seed, (750, 1000))
        lines = [line[:, ::-1] for crack in photo.cracks for line in crack.lines]
        numbers = [
            (crack.number, crack.lines[0][[len(crack.lines[0]) // 2, 0, -1], ::-1])
            for crack in photo.cracks[:30]
        ]
        image = gray(750, 1000)
        return draw_numbers(image, numbers, lines, [], font=15, clearance=4), lines, image

    @pytest.mark.parametrize("seed", [4, 6])
    def test_inside_and_apart(self, panel_photo, seed):
        boxes, _, image = self.boxes(panel_photo, seed)
        covered = np.zeros(image.shape[:2], int)
        for left, top, right, bottom in boxes:
            assert 0 <= left < right <= 1000
            assert 0 <= top < bottom <= 750
            covered[top:bottom, left:right] += 1
        assert covered.max() == 1

    def test_off_the_lines(self, panel_photo):
        boxes, lines, _ = self.boxes(panel_photo, 5)
        points = np.concatenate(lines)
        hit = sum(
            ((points > (left, top)) & (points < (right, bottom))).all(axis=1).any()
            for left, top, right, bottom in boxes
        )
        assert hit <= len(boxes) // 10

    def test_an_image_smaller_than_the_number(self):
        image = gray(8, 6)
        draw_numbers(image, [(123, np.array([[3.0, 4.0]]))], [], [], font=15, clearance=2)


class TestLegend:
    @pytest.mark.parametrize(("mm", "length"), [(0.1, 20), (None, 200)])
    def test_the_scale_bar_is_as_long_as_it_says(self, mm, length):
        per_pixel = mm or 1.0
        legend = Legend(
            font=16, unit="mm" if mm else "px", per_pixel=per_pixel,
            widest=None, colors=shades(), unmeasured=False, numbered=0, cracks=0,
        )  # fmt: skip
        rows = draw_legend(gray(100, 1000), legend)[100:, :500]
        dark = (rows.max(axis=2) < 60).sum(axis=1)
        assert abs(int(dark.max()) * per_pixel - length) <= 4 * per_pixel

    def test_round_lengths(self):
        for longest in np.geomspace(1e-4, 1e6, 200).tolist():
            length = round_length(longest)
            assert longest / 2.5 * 0.999 < length <= longest * 1.0001
            assert f"{length:e}"[0] in "125"

    def test_units(self):
        assert written_length(0.02, "mm") == "20 µm"
        assert written_length(10, "mm") == "1 cm"
        assert written_length(500, "mm") == "50 cm"
        assert written_length(0.5, "px") == "0.5 px"


def test_one_scale_holds_for_all_photos_and_marks_the_limit(straight):
    narrow, wide = (
        draw_cracks(gray(600, 800), [straight(300, width, 500.0, 100.0)], widest=8.0, limit=4.0)
        for width in (4.0, 30.0)
    )
    index, off = near(narrow[300, 400], shades())
    assert off < 12
    assert index == pytest.approx(len(shades()) / 2, abs=2)
    index, off = near(wide[300, 400], shades())
    assert (index, off < 12) == (len(shades()) - 1, True)
    assert narrow.shape == wide.shape
