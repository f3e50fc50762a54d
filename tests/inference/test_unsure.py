"""Parts of masks that the model is nowhere sure of."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from fissura.inference import unsure
from fissura.inference.prediction import compacted, lowered, lowest_crack, quantized, sure_mask
from fissura.inference.unsure import in_bands, unsure_pixels

IMAGES = arrays.arrays(
    np.uint8,
    arrays.array_shapes(min_dims=2, max_dims=2, max_side=24),
    elements=st.sampled_from([0, 0, 0, 1, 90, 140, 180, 200, 250, 255]),
)


def unsure_by_hand(image, min_prob, surest):
    """Walk from pixel to pixel, without labels, bands or sorting in groups."""
    out = np.zeros(image.shape, bool)
    seen = set()
    for start in zip(*np.nonzero(image), strict=True):
        if start in seen:
            continue
        part, waiting = [], [start]
        seen.add(start)
        while waiting:
            row, column = waiting.pop()
            part.append((row, column))
            for near in ((row + i, column + j) for i in (-1, 0, 1) for j in (-1, 0, 1)):
                inside = 0 <= near[0] < image.shape[0] and 0 <= near[1] < image.shape[1]
                if inside and image[near] and near not in seen:
                    seen.add(near)
                    waiting.append(near)
        values = sorted((int(image[at]) for at in part), reverse=True)[:surest]
        if sum(values) / len(values) / 255 < min_prob:
            for at in part:
                out[at] = True
    return out


@settings(max_examples=200, deadline=None)
@given(
    image=IMAGES,
    min_prob=st.floats(0, 1),
    surest=st.integers(1, 12),
    rows=st.integers(1, 25),
)
def test_a_part_stays_where_the_model_is_sure_whatever_the_bands(image, min_prob, surest, rows):
    def bands():
        return (image[top : top + rows] for top in range(0, len(image), rows))

    found = np.concatenate(list(unsure_pixels(bands, min_prob, surest)))
    assert (found == unsure_by_hand(image, min_prob, surest)).all()


@pytest.mark.parametrize("height", [1, 7, 8, 9, 40])
def test_bands_of_an_image_are_all_of_its_rows(height, monkeypatch):
    monkeypatch.setattr(unsure, "PIXELS", 24)
    image = np.arange(height * 3, dtype=np.uint8).reshape(height, 3)
    assert (np.concatenate(list(in_bands(image)())) == image).all()


def test_a_part_of_few_pixels_is_judged_by_all_of_them():
    image = np.zeros((3, 9), np.uint8)
    image[1, 1:3], image[1, 5:8] = 250, (250, 250, 20)
    left_out = np.concatenate(list(unsure_pixels(in_bands(image), 0.9, 10)))
    assert left_out.any(axis=0).nonzero()[0].tolist() == [5, 6, 7]


@settings(max_examples=100, deadline=None)
@given(
    image=IMAGES,
    threshold=st.sampled_from([0.01, 0.3, 0.5, 0.5625, 0.9]),
    min_prob=st.sampled_from([0.0, 0.7, 0.95]),
    highest=st.sampled_from([None, 255, 65535]),
)
def test_compact_and_whole_probabilities_lose_the_same_parts(image, threshold, min_prob, highest):
    prob = np.float32(image / np.float32(255))
    bands = [prob[:5].copy(), prob[5:].copy()] if len(prob) > 5 else [prob.copy()]
    mask, integers = compacted(bands, prob.shape, threshold, highest)
    lowest = 1 if highest is None else lowest_crack(threshold, highest)
    fraction = sure_mask(mask, integers, lowest, min_prob, 4)
    whole = lowered(prob.copy(), threshold, min_prob, 4)
    assert ((mask == 255) == (whole >= threshold)).all()
    assert fraction == (mask == 255).mean()
    if integers is not None:
        assert (integers == quantized(whole, whole >= threshold, threshold, highest)).all()


@settings(max_examples=50, deadline=None)
@given(image=IMAGES, threshold=st.floats(0.05, 1), min_prob=st.floats(0, 1))
def test_only_crack_pixels_are_lowered_and_no_further_than_needed(image, threshold, min_prob):
    prob = np.float32(image / np.float32(255))
    found = lowered(prob.copy(), threshold, min_prob, 3)
    changed = found != prob
    assert (prob[changed] >= threshold).all()
    assert (found[changed] < threshold).all()
    assert (np.nextafter(found[changed], np.float32(1)) >= np.float32(threshold)).all()
    assert (lowered(found.copy(), threshold, min_prob, 3) == found).all()
