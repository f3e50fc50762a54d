"""Thinning against scikit-image's, and what it must keep."""

import numpy as np
import pytest
import skimage.morphology
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from fissura.data.synthetic import draw_panel
from fissura.measurement import thinning
from fissura.measurement.thinning import thin


@pytest.mark.parametrize("index", range(4))
def test_cracks_as_by_scikit_image(index):
    mask = draw_panel(1, index, size_hw=(160, 200), crack_fraction=0.1).mask
    assert np.array_equal(thin(mask), skimage.morphology.thin(mask))


@given(
    seed=st.integers(0, 10**6),
    fraction=st.floats(0, 1),
    size=st.tuples(st.integers(1, 30), st.integers(1, 30)),
    coarse=st.integers(1, 4),
)
def test_anything_as_by_scikit_image(seed, fraction, size, coarse):
    mask = np.random.default_rng(seed).random(size) < fraction
    mask = np.kron(mask, np.ones((coarse, coarse), bool))
    thinned = thin(mask)
    assert np.array_equal(thinned, skimage.morphology.thin(mask))
    eight = np.ones((3, 3))
    assert ndimage.label(thinned, eight)[1] == ndimage.label(mask, eight)[1]


def test_a_diagonal_line_two_pixels_wide_keeps_its_length():
    mask = np.eye(30, dtype=bool) | np.eye(30, k=1, dtype=bool)
    assert thin(mask).sum() >= 28
    assert skimage.morphology.skeletonize(mask).sum() < 20


def test_the_work_is_that_of_the_pixels_however_thick_they_lie(monkeypatch):
    looked_at = 0
    codes = thinning._codes

    def counted(flat, pixels, steps):
        nonlocal looked_at
        looked_at += len(pixels)
        return codes(flat, pixels, steps)

    monkeypatch.setattr(thinning, "_codes", counted)
    for size in (60, 240):
        looked_at = 0
        thinning.thin(np.ones((size, size), bool))
        assert looked_at < 16 * size**2
