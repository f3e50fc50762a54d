"""Runs of pixels are the labels, and their lengths decode to the mask."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from fissura.data.formats.runs import crack_runs, run_lengths


@given(
    arrays(np.int32, array_shapes(min_dims=2, max_dims=2, max_side=8), elements=st.integers(0, 4))
)
def test_runs_are_the_labels(labels):
    for number, runs in enumerate(crack_runs(labels, 4), start=1):
        pixels = [pixel for first, end in runs.tolist() for pixel in range(first, end)]
        np.testing.assert_array_equal(pixels, np.flatnonzero(labels.T.ravel() == number))
        assert (runs[1:, 0] > runs[:-1, 1]).all()  # as few runs as there can be


@given(arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, max_side=9)))
def test_run_lengths_decode_to_the_mask(mask):
    (runs,) = crack_runs(mask.astype(np.int32), 1)
    counts = run_lengths(runs, mask.size)
    assert sum(counts) == mask.size
    assert all(count > 0 for count in counts[1:])
    inside = np.repeat(np.arange(len(counts)) % 2 == 1, counts)
    np.testing.assert_array_equal(inside, mask.T.ravel())
