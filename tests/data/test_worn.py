"""Worn cracks: wide, dark on any surface, exactly where their mask says."""

import cv2
import numpy as np
import pytest

from fissura.data.synthetic.on_photos import draw_on_photo, draw_with_widths
from fissura.data.synthetic.worn import draw_worn

SIDE = 256


def surface(seed, level):
    grain = np.random.default_rng(seed).normal(0, 0.02, (SIDE, SIDE, 1))
    return np.float32(np.clip(level + grain, 0, 1)) * np.ones(3, np.float32)


@pytest.mark.parametrize("level", [0.12, 0.5, 0.9])
@pytest.mark.parametrize("seed", range(8))
def test_a_worn_crack_is_dark_where_its_mask_is_and_nothing_else_changes(seed, level):
    before = surface(seed, level)
    after = before.copy()
    mask = draw_worn(np.random.default_rng(seed), after, 1.0)
    assert 0.002 < mask.mean() < 0.3
    assert after[mask].mean() < 0.85 * before[mask].mean()
    # The light on its edges reaches one pixel beyond it, as far as a slope is seen.
    beside = cv2.dilate(mask.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    np.testing.assert_array_equal(after[~beside], before[~beside])


def test_worn_cracks_are_wider_than_the_others():
    """As wide as the largest circle within them, over many images."""
    photo = np.uint8(surface(0, 0.6) * 255)

    def widest(mask):
        return 2 * cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, 5).max()

    worn, others = [], []
    for seed in range(20):
        worn.append(widest(draw_worn(np.random.default_rng(seed), surface(seed, 0.6), 0.0)))
        others.append(widest(draw_with_widths(np.random.default_rng(seed), photo, SIDE)[1]))
    assert np.median(worn) > 1.5 * np.median(others)
    assert max(worn) > 0.05 * SIDE


def test_no_crumb_lies_beside_a_worn_crack():
    """The mask is of cracks, not of specks that its uneven edges would leave."""
    for seed in range(12):
        mask = draw_worn(np.random.default_rng(seed), surface(seed, 0.5), 0.0)
        _, _, found, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
        assert found[1:, cv2.CC_STAT_AREA].min() >= 4


def test_a_third_of_the_drawn_photos_have_worn_cracks_and_those_with_widths_none():
    photo = np.uint8(surface(0, 0.6) * 255)
    worn = 0
    for seed in range(60):
        image, mask = draw_on_photo(np.random.default_rng(seed), photo, SIDE)
        again, truth = draw_on_photo(np.random.default_rng(seed), photo, SIDE)
        assert (image == again).all()
        assert (mask == truth).all()
        _, exact, branches = draw_with_widths(np.random.default_rng(seed), photo, SIDE)
        assert exact.any() == bool(branches)
        worn += not np.array_equal(mask, exact)
    assert 11 <= worn <= 29
