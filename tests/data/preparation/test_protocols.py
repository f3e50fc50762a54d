"""Cutting and shrinking against references written from the definition."""

from dataclasses import replace
from fractions import Fraction

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fissura.data.preparation.protocols import (
    PROTOCOLS,
    Protocol,
    prepare,
    prepare_all,
    windows,
)
from fissura.data.preparation.shrink import shrink_mask
from fissura.errors import InputError

RNG = np.random.default_rng(0)


def photo(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    return RNG.integers(0, 256, (height, width, 3), dtype=np.uint8), RNG.random(
        (height, width)
    ) < 0.1


def area_fraction(mask: np.ndarray, size: tuple[int, int], row: int, column: int) -> Fraction:
    """Fraction of crack in one new pixel, exactly."""
    height, width = Fraction(mask.shape[0], size[0]), Fraction(mask.shape[1], size[1])
    total = Fraction(0)
    for y, x in zip(*np.nonzero(mask), strict=True):
        down = min(int(y) + 1, (row + 1) * height) - max(int(y), row * height)
        across = min(int(x) + 1, (column + 1) * width) - max(int(x), column * width)
        total += max(down, Fraction(0)) * max(across, Fraction(0))
    return total / (height * width)


@given(
    old=st.tuples(st.integers(1, 12), st.integers(1, 12)),
    new=st.tuples(st.integers(1, 12), st.integers(1, 12)),
    threshold=st.sampled_from([1 / 8, 1 / 4, 1 / 2, 1.0]),
    seed=st.integers(0, 99),
)
def test_masks_shrink_by_exact_areas(old, new, threshold, seed):
    new = (min(old[0], new[0]), min(old[1], new[1]))
    mask = np.random.default_rng(seed).random(old) < 0.3
    expected = [
        [area_fraction(mask, new, row, column) >= Fraction(threshold) for column in range(new[1])]
        for row in range(new[0])
    ]
    np.testing.assert_array_equal(shrink_mask(mask, new, threshold), expected)


def test_masks_shrink_as_opencv_does_between_ties():
    mask = RNG.random((360, 360)) < 0.1
    fraction = cv2.resize(mask.astype(np.float64), (128, 128), interpolation=cv2.INTER_AREA)
    clear = np.abs(fraction - 1 / 8) > 1e-5
    np.testing.assert_array_equal(
        shrink_mask(mask, (128, 128), 1 / 8)[clear], (fraction >= 1 / 8)[clear]
    )


def test_deepcrack96_is_the_mean_of_4_by_4_blocks_of_the_center():
    image, mask = photo(384, 544)
    small, labels = prepare(image, mask, PROTOCOLS["deepcrack96"])
    blocks = image[:, 80:464].reshape(96, 4, 96, 4, 3).astype(float).mean((1, 3))
    np.testing.assert_allclose(small, blocks, atol=0.51)
    crack = mask[:, 80:464].reshape(96, 4, 96, 4).sum((1, 3))
    np.testing.assert_array_equal(labels, crack >= 2)
    half = replace(PROTOCOLS["deepcrack96"], area_threshold=0.5)
    np.testing.assert_array_equal(prepare(image, mask, half)[1], crack >= 8)


def test_native_changes_nothing():
    image, mask = photo(7, 5)
    for given_, result in zip(
        (image, mask), prepare(image, mask, PROTOCOLS["native"]), strict=True
    ):
        np.testing.assert_array_equal(given_, result)


@pytest.mark.parametrize("hw", [(128, 128), (200, 300), (300, 129)])
def test_panel128_takes_the_largest_square(hw):
    image, mask = photo(*hw)
    small, labels = prepare(image, mask, PROTOCOLS["panel128"])
    assert small.shape == (128, 128, 3)
    assert labels.shape == (128, 128)
    (window,) = windows(hw, PROTOCOLS["panel128"])
    assert window.height == window.width == min(hw)
    if hw == (128, 128):
        np.testing.assert_array_equal(small, image)


@pytest.mark.parametrize(
    ("hw", "tops", "lefts", "side"),
    [
        ((360, 360), [0], [0], 360),
        ((512, 512), [0], [0], 512),
        ((360, 640), [0], [0, 280], 360),
        ((1509, 2512), [0, 498, 997], [0, 500, 1000, 1500, 2000], 512),
        ((600, 512), [44], [0], 512),
    ],
)
def test_crack500_cuts_large_photos_into_tiles(hw, tops, lefts, side):
    found = windows(hw, PROTOCOLS["crack500"])
    assert sorted({window.top for window in found}) == tops
    assert sorted({window.left for window in found}) == lefts
    assert {(window.height, window.width) for window in found} == {(side, side)}
    assert [(w.row, w.column) for w in found] == [
        (row, column) for row in range(len(tops)) for column in range(len(lefts))
    ]


def test_tiles_show_what_they_should():
    image, mask = photo(360, 640)
    tiles = prepare_all(image, mask, replace(PROTOCOLS["crack500"], size_hw=None))
    np.testing.assert_array_equal(tiles[1][0], image[:, 280:])
    np.testing.assert_array_equal(tiles[1][1], mask[:, 280:])
    with pytest.raises(ValueError, match="makes 2 images"):
        prepare(image, mask, PROTOCOLS["crack500"])


@pytest.mark.parametrize("hw", [(300, 544), (384, 200), (96, 96), (100, 1000)])
def test_photos_smaller_than_the_crop_give_the_largest_square(hw):
    (window,) = windows(hw, PROTOCOLS["deepcrack96"])
    assert window.height == window.width == min(*hw, 384)
    assert prepare(*photo(*hw), PROTOCOLS["deepcrack96"])[0].shape == (96, 96, 3)


@pytest.mark.parametrize(("name", "hw"), [("deepcrack96", (95, 544)), ("crack500", (360, 100))])
def test_photos_smaller_than_the_result_are_refused(name, hw):
    with pytest.raises(
        InputError, match=rf"{hw[1]}×{hw[0]} pixels .* too small .* {name}: .* at least"
    ):
        prepare(*photo(*hw), PROTOCOLS[name])


def test_other_aspects():
    protocol = Protocol("wide", (100, 200), (10, 20))
    (window,) = windows((90, 400), protocol)
    assert (window.height, window.width, window.left) == (90, 180, 110)
    assert prepare(*photo(90, 400), protocol)[1].shape == (10, 20)


def test_scales():
    assert PROTOCOLS["deepcrack96"].scale == 0.25
    assert PROTOCOLS["crack500"].scale == 0.25
    assert PROTOCOLS["native"].scale == PROTOCOLS["panel128"].scale == 1.0


def test_image_and_mask_must_fit():
    with pytest.raises(ValueError, match="don't fit"):
        prepare(np.zeros((4, 4, 3), np.uint8), np.zeros((4, 5), bool), PROTOCOLS["native"])
