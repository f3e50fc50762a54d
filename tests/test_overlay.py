from __future__ import annotations

import itertools

import numpy as np
import pytest
from skimage.color import deltaE_ciede2000, rgb2lab

from fissura.overlay import (
    FALSE_NEGATIVE,
    FALSE_POSITIVE,
    TRUE_POSITIVE,
    error_overlay,
    overlay,
)

# Machado, Oliveira, Fernandes 2009, severity 1, on linear RGB.
SIGHTS = {
    "normal": np.eye(3),
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}


def seen(color, matrix):
    value = np.array(color) / 255
    linear = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    linear = np.clip(np.array(matrix) @ linear, 0, 1)
    srgb = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return rgb2lab(srgb[None, None])[0, 0]


@pytest.mark.parametrize("sight", SIGHTS)
def test_error_colors_differ_for_everyone(sight):
    colors = [seen(c, SIGHTS[sight]) for c in (TRUE_POSITIVE, FALSE_POSITIVE, FALSE_NEGATIVE)]
    for one, other in itertools.combinations(colors, 2):
        assert deltaE_ciede2000(one, other) > 20
        if sight == "normal":
            assert abs(one[0] - other[0]) > 12, "luminance, for a black-and-white print"


def picture(h=12, w=15):
    return np.random.default_rng(0).integers(0, 256, (h, w, 3), np.uint8)


def test_overlay_tints_inside_and_outlines_outside():
    image, mask = picture(), np.zeros((12, 15), bool)
    mask[4:7, 5:9] = True
    before = image.copy()
    drawn = overlay(image, mask, (10, 20, 30), alpha=0.5, outline=1)
    np.testing.assert_array_equal(image, before)
    expected = np.round(0.5 * image[mask] + 0.5 * np.array([10, 20, 30]))
    np.testing.assert_array_equal(drawn[mask], expected)
    ring = np.zeros_like(mask)
    ring[3:8, 4:10] = True
    ring &= ~mask
    assert (drawn[ring] == (10, 20, 30)).all()
    np.testing.assert_array_equal(drawn[~ring & ~mask], image[~ring & ~mask])


def test_overlay_without_tint_or_line_is_the_image():
    image, mask = picture(), np.ones((12, 15), bool)
    np.testing.assert_array_equal(overlay(image, mask, alpha=0.0, outline=0), image)
    np.testing.assert_array_equal(overlay(image, ~mask), image)


def test_outline_grows_with_the_picture():
    image, mask = np.zeros((20, 4000, 3), np.uint8), np.zeros((20, 4000), bool)
    mask[10, 2000] = True
    assert (overlay(image, mask) > 0).any(axis=2).sum() == 7 * 7


def test_error_overlay_paints_each_kind():
    image = picture(2, 2)
    pred = np.array([[True, True], [False, False]])
    target = np.array([[True, False], [True, False]])
    drawn = error_overlay(image, pred, target, alpha=1.0)
    assert tuple(drawn[0, 0]) == TRUE_POSITIVE
    assert tuple(drawn[0, 1]) == FALSE_POSITIVE
    assert tuple(drawn[1, 0]) == FALSE_NEGATIVE
    assert len(set(drawn[1, 1].tolist())) == 1, "gray where nothing is called and nothing is"


def test_wrong_arguments():
    image, mask = picture(), np.zeros((12, 15), bool)
    with pytest.raises(ValueError, match="mask"):
        overlay(image, mask[:5])
    with pytest.raises(ValueError, match="image"):
        overlay(image[..., 0], mask)
    with pytest.raises(ValueError, match="alpha"):
        overlay(image, mask, alpha=2.0)
