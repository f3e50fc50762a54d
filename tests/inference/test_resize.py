"""Bands of a map, resampled, are the bands of the resampled map."""

import cv2
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fissura.inference import resize
from fissura.inference.resize import resized_bands

lengths = st.integers(1, 60)


@given(lengths, lengths, lengths, lengths, st.data())
def test_bands_are_those_of_the_whole(from_h, from_w, to_h, to_w, data):
    image = np.random.default_rng(from_h).random((from_h, from_w), np.float32)
    cuts = sorted(data.draw(st.lists(st.integers(0, from_h), max_size=4)))
    bands = [band for band in np.split(image, cuts) if len(band)]
    resampled = list(resized_bands(bands, (from_h, from_w), (to_h, to_w)))
    whole = cv2.resize(image, (to_w, to_h), interpolation=cv2.INTER_LINEAR)
    np.testing.assert_allclose(np.concatenate(resampled), whole, atol=1e-5)


def test_bands_are_small_however_much_a_map_grows(monkeypatch):
    monkeypatch.setattr(resize, "LARGEST_BAND", 1000)
    image = np.random.default_rng(0).random((8, 5), np.float32)
    bands = list(resized_bands([image[:4], image[4:]], (8, 5), (320, 200)))
    assert max(band.size for band in bands) <= 1000
    whole = cv2.resize(image, (200, 320), interpolation=cv2.INTER_LINEAR)
    np.testing.assert_allclose(np.concatenate(bands), whole, atol=1e-5)
