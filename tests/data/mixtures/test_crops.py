import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fissura.data.mixtures.crops import MIRRORED, SCALES, Place, cut, draw_place, photograph


def striped(size_hw=(80, 120), at=40, wide=6):
    """An image with one dark upright bar, and its mask."""
    image = np.full((*size_hw, 3), 200, np.uint8)
    mask = np.zeros(size_hw, bool)
    mask[:, at : at + wide] = True
    image[mask] = 30
    return image, mask


@given(
    scale=st.floats(0.3, 4),
    angle=st.floats(0, 6.3),
    mirrored=st.booleans(),
    row=st.floats(20, 60),
    column=st.floats(30, 60),
)
def test_the_mask_follows_the_image(scale, angle, mirrored, row, column):
    image, mask = striped()
    crop, pixels = cut(image, mask, Place((row, column), scale, angle, mirrored), 48)
    assert crop.shape == (48, 48, 3)
    dark = crop[..., 0] < 115  # half-way between bar and ground
    # Edges are resampled, so that pixels along them may differ.
    inside = pixels & (crop[..., 0] > 190)
    outside = ~pixels & (crop[..., 0] < 50)
    assert not inside.any()
    assert not outside.any()
    # A bar across the crop has two edges of at most 48·√2 pixels each.
    assert abs(int(dark.sum()) - int(pixels.sum())) <= 2 * 68


def test_the_whole_image_at_scale_one_is_the_image():
    image, mask = striped((64, 64))
    crop, pixels = cut(image, mask, Place((31.5, 31.5), 1.0, 0.0, False), 64)
    assert np.array_equal(crop, image)
    assert np.array_equal(pixels, mask)
    crop, pixels = cut(image, mask, Place((31.5, 31.5), 1.0, 0.0, True), 64)
    assert np.array_equal(crop, image[:, ::-1])
    assert np.array_equal(pixels, mask[:, ::-1])


def test_a_quarter_turn_is_a_quarter_turn():
    image, mask = striped((64, 64))
    crop, pixels = cut(image, mask, Place((31.5, 31.5), 1.0, np.pi / 2, False), 64)
    turned = [np.rot90(mask, k) for k in (1, 3)]
    assert any(np.array_equal(pixels, one) for one in turned)
    assert crop[pixels].max() == 30


def test_a_hairline_survives_shrinking():
    image, mask = striped((200, 200), at=100, wide=1)
    _, pixels = cut(image, mask, Place((99.5, 99.5), 0.4, 0.0, False), 64)
    assert pixels.any(axis=1).all()


@given(seed=st.integers(0, 1000), height=st.integers(40, 300), width=st.integers(40, 300))
def test_places_lie_in_the_photo_at_sensible_scales(seed, height, width):
    place = draw_place(np.random.default_rng(seed), None, (height, width), 64)
    shortest = min(height, width)
    assert place.scale >= SCALES[0]
    assert 64 / place.scale <= MIRRORED * shortest + 1e-6
    assert 0 <= place.center[0] <= height
    assert 0 <= place.center[1] <= width


def test_most_crops_of_a_cracked_photo_show_the_crack():
    image, mask = striped((400, 400), at=20, wide=4)
    rng = np.random.default_rng(0)
    shown = [
        cut(image, mask, draw_place(rng, mask, (400, 400), 64), 64)[1].any() for _ in range(100)
    ]
    assert sum(shown) > 60


@pytest.mark.parametrize("seed", range(20))
def test_photographs_are_photographs(seed):
    image, _ = striped()
    result = photograph(np.random.default_rng(seed), image)
    assert result.shape == image.shape
    assert result.dtype == np.uint8
    assert result.std() > 2  # whatever befalls it, something can be seen


def test_one_seed_gives_one_photograph():
    image, _ = striped()
    again = [photograph(np.random.default_rng(7), image) for _ in range(2)]
    assert np.array_equal(*again)
