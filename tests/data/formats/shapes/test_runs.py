"""Runs of pixels are the labels, and run lengths of every kind decode to the mask."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from fissura.data.formats.shapes.bit_runs import decode_brush, encode_brush
from fissura.data.formats.shapes.runs import (
    crack_runs,
    expand_counts,
    pixels_of_runs,
    run_lengths,
    runs_of_pixels,
)
from fissura.errors import InputError


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


# pycocotools is not made for NumPy 2 in all its corners.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
masks = arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, max_side=40))


@given(masks)
def test_compressed_runs_are_those_of_pycocotools(mask):
    api = pytest.importorskip("pycocotools.mask")
    encoded = api.encode(np.asfortranarray(mask, np.uint8))["counts"]
    counts = expand_counts(encoded.decode())
    assert counts.tolist() == runs_of_pixels(mask, by_columns=True)
    np.testing.assert_array_equal(pixels_of_runs(counts, mask.shape, by_columns=True), mask)


@given(st.lists(st.integers(0, 2**31), min_size=1, max_size=30))
def test_compressed_runs_of_any_length(counts):
    api = pytest.importorskip("pycocotools.mask")
    size = [1, sum(counts)]
    if size[1] >= 2**32:
        counts = [count >> 6 for count in counts]
        size = [1, sum(counts)]
    encoded = api.frPyObjects({"counts": counts, "size": size}, *size)["counts"]
    assert expand_counts(encoded).tolist() == counts


@given(masks, st.booleans())
def test_runs_come_back(mask, by_columns):
    counts = np.array(runs_of_pixels(mask, by_columns=by_columns))
    np.testing.assert_array_equal(pixels_of_runs(counts, mask.shape, by_columns=by_columns), mask)


@given(masks)
def test_brush_masks_come_back(mask):
    np.testing.assert_array_equal(decode_brush(bytes(encode_brush(mask)), mask.shape), mask)


@given(masks, st.data())
def test_brush_masks_are_read_as_they_are_described(mask, data):
    """Runs and literals of any length and width, written bit by bit, of all four channels."""
    values = np.repeat(mask.ravel(), 4).tolist()
    size = data.draw(st.integers(1, 9))
    widths = data.draw(st.lists(st.integers(1, 16), min_size=4, max_size=4))
    words = [f"{len(values):032b}{size - 1:05b}", *(f"{width - 1:04b}" for width in widths)]
    at = 0
    while at < len(values):
        choice = data.draw(st.integers(0, 3))
        longest = min(1 << widths[choice], len(values) - at, 60)
        length = data.draw(st.integers(1, longest))
        part = values[at : at + length]
        run = len(set(part)) == 1 and data.draw(st.booleans())
        words.append(f"{int(run)}{choice:02b}{length - 1:0{widths[choice]}b}")
        words += [f"{int(value):0{size}b}" for value in (part[:1] if run else part)]
        at += length
    text = "".join(words)
    packed = int(text.ljust(-(-len(text) // 8) * 8, "0"), 2).to_bytes(-(-len(text) // 8), "big")
    np.testing.assert_array_equal(decode_brush(packed, mask.shape), mask)


def test_lengths_that_do_not_fit_are_refused():
    for counts in ([1, 2], [5, -1], [2**62, 2**62, 2**62, 2**62 + 4]):
        with pytest.raises(InputError, match="the run lengths hold"):
            pixels_of_runs(np.array(counts), (2, 2), by_columns=True)
    for text in ("P", "0 ", "~", "pppppppppppppp0"):
        with pytest.raises(InputError, match="compressed run lengths are damaged"):
            expand_counts(text)
