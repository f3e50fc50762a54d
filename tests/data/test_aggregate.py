"""Drawn stones: every stone of one level, apart from the next, and left standing by its share."""

import numpy as np
import pytest

from fissura.data.synthetic import worn
from fissura.data.synthetic.aggregate import draw_aggregate, standing_stones
from fissura.data.synthetic.worn import draw_worn

SIDE = 192


@pytest.mark.parametrize("seed", range(10))
def test_a_surface_is_stones_and_what_lies_between_them(seed):
    color, stones = draw_aggregate(np.random.default_rng(seed), SIDE, 1.0)
    again, _ = draw_aggregate(np.random.default_rng(seed), SIDE, 1.0)
    np.testing.assert_array_equal(color, again)
    assert color.shape == (SIDE, SIDE, 3)
    assert color.dtype == np.float32
    assert 0 <= color.min() < color.max() <= 1
    assert stones.shape == (SIDE, SIDE)
    assert 0 < np.mean(stones > 0) < 1 or stones.max() == 0  # too fine to be told apart


def test_surfaces_are_of_many_kinds():
    surfaces = [draw_aggregate(np.random.default_rng(seed), SIDE, 0.0) for seed in range(30)]
    levels = [color.mean() for color, _ in surfaces]
    sizes = [
        np.mean(stones > 0) * SIDE**2 / max(len(np.unique(stones)) - 1, 1) for _, stones in surfaces
    ]
    assert max(levels) > 1.8 * min(levels)
    assert max(sizes) > 8 * min(sizes)


def test_stones_stand_by_their_share():
    _, stones = draw_aggregate(np.random.default_rng(4), SIDE, 0.0)
    rng = np.random.default_rng(0)
    assert not standing_stones(rng, stones, 0.0).any()
    np.testing.assert_array_equal(standing_stones(rng, stones, 1.0) > 0, stones > 0)
    some = standing_stones(rng, stones, 0.4) > 0
    whole = [some[stones == number].mean() for number in np.unique(stones)[1:]]
    assert set(whole) == {0, 1}
    assert 0.25 < np.mean(whole) < 0.55


@pytest.mark.parametrize("seed", range(12))
def test_a_worn_crack_is_dark_and_lighter_where_stones_stand(seed, monkeypatch):
    before, stones = draw_aggregate(np.random.default_rng(seed), SIDE, 1.0)

    def drawn(standing):
        after = before.copy()
        monkeypatch.setattr(worn, "standing_stones", lambda *_: np.float32(standing))
        return draw_worn(np.random.default_rng(seed), after, 1.0, stones), after

    half = np.arange(SIDE)[:, None] * np.ones(SIDE) < SIDE / 2
    mask, none = drawn(np.zeros((SIDE, SIDE)))
    same, upper = drawn(half)
    np.testing.assert_array_equal(mask, same)
    np.testing.assert_array_equal(none[~half], upper[~half])
    assert none[mask].mean() < 0.9 * before[mask].mean()
    assert not (mask & half).any() or none[mask & half].mean() < upper[mask & half].mean()
