"""Probabilities as integers give the same mask again, whatever the threshold."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fissura.inference.prediction import lowest_crack, quantized


@pytest.mark.parametrize("highest", [255, 65535])
@given(threshold=st.floats(0, 1), seed=st.integers(0, 99))
def test_the_mask_is_read_back_exactly(highest, threshold, seed):
    prob = np.random.default_rng(seed).random((20, 30), np.float32)
    prob[0] = np.float32(threshold) + np.linspace(-3e-7, 3e-7, 30, dtype=np.float32)
    prob = prob.clip(0, 1)
    prob[1, 0], prob[1, 1], prob[1, 2] = 0, 1, threshold
    mask = prob >= threshold
    stored = quantized(prob, mask, threshold, highest)
    assert stored.dtype == (np.uint8 if highest == 255 else np.uint16)
    again = stored.astype(np.float32) / np.float32(highest)
    assert np.array_equal(again >= threshold, mask)
    assert np.array_equal(stored >= lowest_crack(threshold, highest), mask)
    assert np.abs(again - prob).max() <= 1 / highest + 1e-6


@pytest.mark.parametrize("highest", [255, 65535])
def test_zero_is_never_crack(highest):
    prob = np.zeros((2, 2), np.float32)
    assert quantized(prob, prob >= 0, 0.0, highest).min() == 1
