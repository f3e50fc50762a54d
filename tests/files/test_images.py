"""Images are written whole, in what the format can hold."""

import cv2
import numpy as np
import pytest

from fissura.errors import InputError
from fissura.files.images import LONGEST_JPEG, write_image


def test_png_keeps_every_value(tmp_path):
    values = np.arange(600, dtype=np.uint16).reshape(20, 30) * 100
    assert write_image(tmp_path / "sub" / "a.png", values) == 1
    assert np.array_equal(cv2.imread(str(tmp_path / "sub" / "a.png"), cv2.IMREAD_UNCHANGED), values)
    assert [path.name for path in (tmp_path / "sub").iterdir()] == ["a.png"]


@pytest.mark.parametrize("size", [(4, 65_501), (70_000, 4), (1, 131_000), (4, 65_500)])
def test_jpeg_shrinks_what_it_cannot_hold(tmp_path, size):
    image = np.full((*size, 3), 200, np.uint8)
    scale = write_image(tmp_path / "a.jpg", image)
    shown = cv2.imread(str(tmp_path / "a.jpg"))
    assert max(shown.shape) == min(max(size), LONGEST_JPEG)
    assert scale == min(LONGEST_JPEG / max(size), 1)
    assert abs(int(shown.mean()) - 200) <= 1


def test_what_png_cannot_hold_is_an_error_that_names_the_file(tmp_path):
    with pytest.raises(InputError, match=r"a\.png: cannot be written.*1×1000001 pixels"):
        write_image(tmp_path / "a.png", np.zeros((1, 1_000_001), np.uint8))
    assert not list(tmp_path.iterdir())
