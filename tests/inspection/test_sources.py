"""Photo, mask or probability: told apart by their pixels, and read."""

import numpy as np
import pytest
from PIL import Image

from fissura.errors import InputError
from fissura.inspection.sources import kind_of, read_probability

RNG = np.random.default_rng(0)
MASK = np.zeros((20, 30), np.uint8)
MASK[8:11] = 255


@pytest.mark.parametrize(
    ("image", "kind"),
    [
        (Image.fromarray(MASK), "mask"),
        (Image.fromarray(MASK // 255), "mask"),
        (Image.fromarray(MASK).convert("1"), "mask"),
        (Image.fromarray(MASK * 0), "mask"),
        (Image.fromarray(MASK // 2 + 90), "photo"),  # no black
        (Image.fromarray(RNG.integers(0, 256, (20, 30), dtype=np.uint8)), "photo"),
        (Image.fromarray(RNG.integers(0, 256, (20, 30, 3), dtype=np.uint8)), "photo"),
        (Image.fromarray(np.stack([MASK] * 3, 2)), "photo"),
        (Image.fromarray(MASK.astype(np.uint16) * 100), "probability"),
    ],
)
def test_kinds(tmp_path, image, kind):
    image.save(tmp_path / "a.png")
    assert kind_of(tmp_path / "a.png") == kind


def test_what_cannot_be_read_is_left_to_the_reader(tmp_path):
    (tmp_path / "a.png").write_bytes(b"nothing")
    assert kind_of(tmp_path / "a.png") == "photo"


@pytest.mark.parametrize("bright", [1, 120, 255])
def test_masks_of_any_brightness(tmp_path, bright):
    Image.fromarray(MASK // 255 * np.uint8(bright)).save(tmp_path / "a.png")
    prob, threshold = read_probability(tmp_path / "a.png", "mask")
    assert threshold == 0.5
    assert np.array_equal(prob, MASK / np.float32(255))


def test_an_empty_mask_has_no_crack(tmp_path):
    Image.fromarray(MASK * 0).save(tmp_path / "a.png")
    assert not read_probability(tmp_path / "a.png", "mask")[0].any()


def test_probabilities(tmp_path):
    levels = RNG.integers(0, 65536, (20, 30)).astype(np.uint16)
    Image.fromarray(levels).save(tmp_path / "a.png")
    prob, _ = read_probability(tmp_path / "a.png", "probability")
    np.testing.assert_allclose(prob, levels / 65535, atol=1e-6)


def test_colors_get_a_sentence(tmp_path):
    Image.fromarray(RNG.integers(0, 256, (20, 30, 3), dtype=np.uint8)).save(tmp_path / "a.png")
    for kind in ("mask", "probability"):
        with pytest.raises(InputError, match=r"a\.png: has colors"):
            read_probability(tmp_path / "a.png", kind)
