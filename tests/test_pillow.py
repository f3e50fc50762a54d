"""Whatever Pillow raises of a damaged image is an InputError that names it."""

import io

import numpy as np
import pytest
from PIL import Image

from fissura.errors import InputError
from fissura.pillow import opened_image

PIXELS = np.random.default_rng(3).integers(0, 256, (20, 30, 3), np.uint8)
FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "GIF", "WEBP")


def image_as(kind: str) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(PIXELS).save(buffer, kind)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", FORMATS)
def test_a_file_and_its_bytes_give_the_same_pixels(kind, tmp_path):
    content = image_as(kind)
    (tmp_path / "a").write_bytes(content)
    with opened_image(tmp_path / "a") as of_file, opened_image(content, "b") as of_bytes:
        np.testing.assert_array_equal(np.asarray(of_file), np.asarray(of_bytes))


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("kept", [0, 5, 40, -40])
def test_a_file_that_was_cut_off_is_named(kind, kept, tmp_path):
    (tmp_path / "a").write_bytes(image_as(kind)[:kept])
    with (
        pytest.raises(InputError, match=r"/a: cannot be read \("),
        opened_image(tmp_path / "a") as image,
    ):
        image.load()


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(InputError, match="none: cannot be read"), opened_image(tmp_path / "none"):
        pass


def test_bytes_have_the_name_that_was_given_and_the_formats_that_are_allowed():
    with (
        pytest.raises(InputError, match="row 3: cannot be read"),
        opened_image(image_as("GIF"), "row 3", ("PNG",)),
    ):
        pass
