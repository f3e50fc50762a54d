import numpy as np
import pytest

from fissura.checks.lines import (
    FAR,
    TURNS,
    dark_lines,
    fit,
    lines_of,
    unmarked_lines,
    working_copy,
)


def looked_at(image, mask):
    gray, soft, scale = working_copy(image, mask)
    return dark_lines(gray, 5.0), soft, scale


def slow_fit(response, soft, down, right):
    """Mean response under a mask moved by so many pixels, in standard deviations."""
    centered = response - response.mean()
    total = 0.0
    for row, column in zip(*np.nonzero(soft), strict=True):
        to = (row + down, column + right)
        if 0 <= to[0] < soft.shape[0] and 0 <= to[1] < soft.shape[1]:
            total += centered[to] * soft[row, column]
    return total / soft.sum() / centered.std()


@pytest.mark.parametrize(("down", "right"), [(0, 0), (7, 0), (-4, 9)])
def test_a_mask_fits_where_the_slow_sum_is_greatest(surfaces, down, right):
    image, mask = surfaces[0]
    moved = np.roll(mask, (-down, -right), (0, 1))
    response, soft, scale = looked_at(image, moved)
    found = fit(response, soft, 5.0, scale, turns=False)
    assert found.here == pytest.approx(slow_fit(response, soft, 0, 0), abs=1e-3)
    best = slow_fit(response, soft, *map(int, found.shift))
    assert found.best == pytest.approx(best, abs=1e-3)
    assert found.shift == pytest.approx((down, right), abs=1)
    assert found.far == (np.hypot(down, right) >= FAR)


@pytest.mark.parametrize("how", TURNS)
def test_a_turned_mask_is_told(surfaces, how):
    image, mask = surfaces[1]
    turned = np.ascontiguousarray(TURNS[how](mask))
    found = fit(*looked_at(image, turned)[:2], 5.0)
    back = {"turned by 90°": "turned by 270°", "turned by 270°": "turned by 90°"}
    assert found.turn == back.get(how, how)
    assert not found.far


def test_shifts_are_in_pixels_of_the_photo(surfaces):
    image, mask = (np.kron(part, np.ones((8, 8) + (1,) * (part.ndim - 2), part.dtype))
                   for part in surfaces[2])  # fmt: skip
    gray, soft, scale = working_copy(image, np.roll(mask, 40, 1))
    assert max(gray.shape) == 768
    found = fit(dark_lines(gray, 40 * scale), soft, 40 * scale, scale)
    assert found.shift == pytest.approx((0, -40), abs=2 / scale)


def test_a_line_without_a_mask_is_found_once(surfaces):
    image, mask = surfaces[3]
    part = mask.copy()
    part[:, 80:] = False
    response, soft, _ = looked_at(image, part)
    lines = unmarked_lines(response, soft > 0.5, 5.0)
    assert len(np.unique(lines)) - 1 == 1
    assert (lines > 0)[:, 85:].sum() > 30
    assert not unmarked_lines(*looked_at(image, mask)[:1], mask, 5.0).any()


@pytest.mark.parametrize(("light", "moved"), [(False, 0), (False, 9), (True, 0)])
def test_light_cracks_are_judged_as_dark_ones_are(surfaces, light, moved):
    image, mask = surfaces[4]
    gray, soft, scale = working_copy(255 - image if light else image, np.roll(mask, moved, 0))
    dark, response, found = lines_of(gray, soft, 5.0, scale)
    assert np.array_equal(dark, 255 - gray if light else gray)
    np.testing.assert_array_equal(response, dark_lines(dark, 5.0))
    assert found.far == bool(moved)
    assert found.shift == pytest.approx((-moved, 0), abs=1)
