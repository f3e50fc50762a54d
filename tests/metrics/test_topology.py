from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from skimage.morphology import skeletonize

from fissura.metrics.matches import match_metrics
from fissura.metrics.topology import centerline_matches, cl_dice

masks = hnp.arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 9)))
pairs = masks.flatmap(lambda mask: st.tuples(st.just(mask), hnp.arrays(bool, mask.shape)))


def cl_dice_of_the_authors(v_p, v_l):
    """The function of the authors' repository (jocpae/clDice), from memory of the paper's (1-3)."""

    def score(v, s):
        return np.sum(v * s) / np.sum(s)

    tprec, tsens = score(v_l, skeletonize(v_p)), score(v_p, skeletonize(v_l))
    return 2 * tprec * tsens / (tprec + tsens)


def blobs(seed):
    from scipy.ndimage import gaussian_filter

    noise = np.random.default_rng(seed).normal(size=(2, 80, 90))
    first, second = gaussian_filter(noise, (0, 4, 4))
    return first > 0.03, (0.8 * first + 0.2 * second) > 0.03


@pytest.mark.parametrize("seed", range(4))
def test_equals_the_definition(seed):
    pred, target = blobs(seed)
    assert cl_dice(pred, target) == pytest.approx(cl_dice_of_the_authors(pred, target))


@given(pairs)
def test_properties(pair):
    pred, target = pair
    assert cl_dice(pred, pred) == 1
    assert cl_dice(pred, target) == pytest.approx(cl_dice(target, pred))
    assert 0 <= cl_dice(pred, target) <= 1
    # A mask that is not empty has a centerline, so 'empty' means the same for both.
    assert bool(skeletonize(pred).any()) == bool(pred.any())


def test_broken_line_counts_by_its_length():
    target = np.zeros((20, 60), bool)
    target[8:12, 5:55] = True
    half = target.copy()
    half[:, 30:] = False
    figures = match_metrics(centerline_matches(half, target))
    assert float(figures["precision"]) == 1
    assert float(figures["recall"]) == pytest.approx(0.5, abs=0.05)


def test_empty_masks():
    empty, full = np.zeros((5, 5), bool), np.ones((5, 5), bool)
    assert cl_dice(empty, empty) == 1
    assert cl_dice(empty, full) == 0
    assert cl_dice(full, empty) == 0
    with pytest.raises(ValueError, match="one size"):
        cl_dice(empty, full[:3])


def test_centerlines_do_not_change_where_pixels_do_not_count():
    pred, target, valid = np.zeros((3, 20, 40), bool)
    pred[8:13, 5:35], target[9:11, 5:35], valid[:, :20] = True, True, True
    whole, half = centerline_matches(pred, target), centerline_matches(pred, target, valid)
    rest = centerline_matches(pred, target, ~valid)
    assert (half + rest).tolist() == whole.tolist()
    assert (half[:2].sum() > 0) & (rest[:2].sum() > 0)
