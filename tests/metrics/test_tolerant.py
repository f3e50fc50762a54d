from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from fissura.metrics.counts import Counts, pixel_counts
from fissura.metrics.matches import match_metrics
from fissura.metrics.tolerant import near, tolerant_matches

masks = hnp.arrays(bool, st.tuples(st.integers(1, 7), st.integers(1, 7)))
pairs = masks.flatmap(lambda mask: st.tuples(st.just(mask), hnp.arrays(bool, mask.shape)))
radii = st.sampled_from([0.0, 0.5, 1.0, 1.42, 2.0, 2.5, 3.0, 5.0])


def near_by_definition(mask, radius):
    marked = np.zeros_like(mask)
    for row, column in np.ndindex(mask.shape):
        marked[row, column] = any(
            (row - r) ** 2 + (column - c) ** 2 <= radius**2 for r, c in np.argwhere(mask)
        )
    return marked


@given(masks, radii)
def test_near_by_definition(mask, radius):
    np.testing.assert_array_equal(near(mask, radius), near_by_definition(mask, radius))


@pytest.mark.parametrize("radius", [1.0, 2.0, 3.7, 25.0])
def test_near_equals_scipy(radius):
    mask = np.random.default_rng(0).random((300, 400)) < 0.001
    expected = ndimage.distance_transform_edt(~mask) <= radius
    np.testing.assert_array_equal(near(mask, radius), expected)


@given(pairs, radii)
def test_matches_by_definition(pair, radius):
    pred, target = pair
    at_target, at_pred = near_by_definition(target, radius), near_by_definition(pred, radius)
    expected = [
        (pred & at_target).sum(),
        (pred & ~at_target).sum(),
        (target & at_pred).sum(),
        (target & ~at_pred).sum(),
    ]
    assert tolerant_matches(pred, target, radius).tolist() == expected


@given(pairs)
def test_radius_zero_gives_the_plain_counts(pair):
    pred, target = pair
    counts = Counts.of(pred, target)
    assert tolerant_matches(pred, target, 0.0).tolist() == [
        counts.tp,
        counts.fp,
        counts.tp,
        counts.fn,
    ]
    figures = match_metrics(tolerant_matches(pred, target, 0.0))
    for name in ("precision", "recall", "f1"):
        assert float(figures[name]) == pytest.approx(getattr(counts, name), nan_ok=True)


@given(pairs)
def test_a_larger_radius_forgives_more(pair):
    confirmed = [tolerant_matches(*pair, radius)[[0, 2]] for radius in (0.0, 1.0, 2.0, 4.0)]
    assert (np.diff(confirmed, axis=0) >= 0).all()


def test_displaced_line():
    target = np.zeros((20, 20), bool)
    target[10] = True
    pred = np.roll(target, 2, axis=0)
    assert float(match_metrics(tolerant_matches(pred, target, 1.0))["f1"]) == 0
    assert float(match_metrics(tolerant_matches(pred, target, 2.0))["f1"]) == 1


def test_wrong_arguments():
    mask = np.zeros((2, 3), bool)
    with pytest.raises(ValueError, match="one size"):
        tolerant_matches(mask, mask.T)
    with pytest.raises(ValueError, match="radius"):
        tolerant_matches(mask, mask, -1.0)


@given(pairs, st.integers(0, 3))
def test_pixels_that_do_not_count_are_as_if_they_were_not_marked(pair, radius):
    pred, target = pair
    valid = np.random.default_rng(int(pred.sum())).random(pred.shape) < 0.7
    expected = tolerant_matches(pred & valid, target & valid, radius)
    np.testing.assert_array_equal(tolerant_matches(pred, target, radius, valid), expected)
    everywhere = np.ones_like(valid)
    np.testing.assert_array_equal(
        tolerant_matches(pred, target, radius, everywhere), tolerant_matches(pred, target, radius)
    )
    tp, fp, fn, _ = pixel_counts(pred, target, valid)
    plain = tolerant_matches(pred, target, 0, valid).tolist()
    assert plain == [tp, fp, tp, fn]
