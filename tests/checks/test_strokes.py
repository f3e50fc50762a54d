import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fissura.checks.strokes import thickness, too_wide


@given(st.integers(1, 12), st.booleans())
def test_a_bar_is_as_thick_as_it_was_drawn(width, upright):
    mask = np.zeros((60, 60), bool)
    mask[20 : 20 + width] = True
    found = float(np.median(thickness(mask.T if upright else mask)))
    assert found == pytest.approx(width, abs=1)
    assert width % 2 == 0 or found == width


def test_no_crack_has_no_thickness():
    assert thickness(np.zeros((5, 5), bool)).size == 0


@pytest.mark.parametrize("grown", [-1, 0, 2, 3])
def test_masks_wider_and_narrower_than_the_crack(surfaces, grown):
    square = np.ones((3, 3), np.uint8)
    found = []
    for image, mask in surfaces[:6]:
        gray = image[:, :, 0].astype(np.float32)
        change = cv2.dilate if grown > 0 else cv2.erode
        drawn = change(mask.astype(np.uint8), square, iterations=abs(grown)) > 0
        found.append(too_wide(gray, drawn, 5.0 + 2 * grown))
    assert np.median(found) == pytest.approx(grown, abs=0.8)


def test_a_crack_as_bright_as_its_surroundings_has_no_edge(surfaces):
    _, mask = surfaces[0]
    gray = np.random.default_rng(0).normal(100, 5, mask.shape).astype(np.float32)
    assert too_wide(gray, mask, 5.0) is None
