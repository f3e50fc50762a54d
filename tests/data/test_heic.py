"""HEIC photos as phones write them: read upright, through every command that reads photos."""

import numpy as np
import pytest
from PIL import Image

from fissura.cli import run
from fissura.data.folder import find_images
from fissura.data.images import read_image, read_size, upright

pillow_heif = pytest.importorskip("pillow_heif", reason="the extra fissura[heic] is not installed")


def picture():
    pixels = np.full((40, 62, 3), (60, 90, 120), np.uint8)
    pixels[:10, :16] = (230, 40, 40)
    return pixels


def write_heic(path, orientation=1):
    """A file whose pixels lie as a camera held that way stores them, with the turn beside them."""
    pillow_heif.register_heif_opener()
    image = Image.fromarray(picture())
    tags = Image.Exif()
    tags[0x0112] = orientation
    # As bytes, since the writer turns nothing for an object.
    image.save(path, exif=tags.tobytes(), quality=95)
    return path


@pytest.mark.parametrize("orientation", range(1, 9))
def test_it_is_read_upright(tmp_path, orientation):
    file = write_heic(tmp_path / "IMG_0001.HEIC", orientation)
    expected = upright(picture(), orientation)
    found = read_image(file)
    assert found.shape == expected.shape
    assert np.abs(found.astype(int) - expected).mean() < 3
    assert read_size(file)[1] == expected.shape[:2]


def test_a_folder_of_them_is_predicted(tmp_path, monkeypatch):
    (tmp_path / "photos").mkdir()
    file = write_heic(tmp_path / "photos" / "IMG_0001.HEIC", 6)
    assert find_images([tmp_path / "photos"]) == [file]
    assert run(["predict", str(tmp_path / "photos"), "--out", str(tmp_path / "out")]) == 0
    assert read_image(tmp_path / "out" / "masks" / "IMG_0001.png").shape == (62, 40, 3)


def test_a_damaged_one_is_told(tmp_path, capsys):
    file = write_heic(tmp_path / "IMG_0001.HEIC")
    file.write_bytes(file.read_bytes()[:300])
    assert run(["predict", str(file), "--out", str(tmp_path / "out")]) == 1
    assert "IMG_0001.HEIC: cannot be read" in " ".join(capsys.readouterr().err.split())
