"""The value that is white: declared, or seen in most values, and one for a set."""

import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from fissura.bit_depth import Depth, common_depth, declared_bits, decoded_by_opencv
from fissura.data.images import read_image
from fissura.errors import InputError

RNG = np.random.default_rng(0)


def save(path: Path, pixels: np.ndarray, **options) -> Path:
    if pixels.ndim == 3:
        cv2.imwrite(str(path), pixels[:, :, ::-1])
    else:
        Image.fromarray(pixels).save(path, **options)
    return path


def noise(highest: int, *channels: int, low: int = 0) -> np.ndarray:
    pixels = RNG.integers(low, highest + 1, (40, 50, *channels)).astype(np.uint16)
    pixels[:2] = highest
    return pixels


def with_sbit(path: Path, bits: int) -> Path:
    """Write the chunk sBIT into a PNG, before its pixels."""
    content = path.read_bytes()
    chunk = b"sBIT" + bytes([bits])
    chunk = struct.pack(">I", 1) + chunk + struct.pack(">I", zlib.crc32(chunk))
    path.write_bytes(content[:33] + chunk + content[33:])
    return path


@pytest.mark.parametrize("bits", [10, 12, 14, 16])
@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("channels", [(), (3,)])
def test_the_upper_bits_are_kept(tmp_path, bits, suffix, channels):
    pixels = noise(2**bits - 1, *channels)
    path = save(tmp_path / f"a{suffix}", pixels)
    expected = (pixels >> (bits - 8)).astype(np.uint8)
    expected = expected if channels else np.repeat(expected[:, :, None], 3, axis=2)
    np.testing.assert_array_equal(read_image(path), expected)
    assert str(common_depth([path])) == (
        f"{bits} bits, white is {2**bits - 1} (guessed from 1 file: 99.9 % of values are at most "
        f"{2**bits - 1:.6g})"
    )


@pytest.mark.parametrize("length", [2**31 - 1, 2**31 + 6167, 2**32 - 1, 7000])
def test_a_chunk_of_a_png_that_is_longer_than_its_file_takes_no_memory(length, tmp_path):
    path = tmp_path / "deep.png"
    deep = np.random.default_rng(0).integers(0, 2**16, (40, 56, 3), np.uint16)
    cv2.imwrite(str(path), deep)
    content = path.read_bytes()
    at = content.index(b"IDAT") - 4
    path.write_bytes(content[:at] + length.to_bytes(4) + content[at + 4 :])
    with pytest.raises(OSError, match="damaged or cut off"):
        decoded_by_opencv(path)


def test_one_extreme_value_does_not_make_a_photo_dark(tmp_path):
    for highest in (900, 4000):
        pixels = noise(highest, low=highest // 2)
        expected = read_image(save(tmp_path / "a.png", pixels))
        pixels[20, 20] = 65535
        seen = read_image(save(tmp_path / "a.png", pixels))
        assert (seen[:20] == expected[:20]).all()
    floats = RNG.uniform(0, 1, (40, 50)).astype(np.float32)
    expected = read_image(save(tmp_path / "a.tif", floats))
    np.testing.assert_array_equal(expected[:, :, 0], (floats.astype(float) * 255).astype(np.uint8))
    floats[3, 3] = 1.002
    seen = read_image(save(tmp_path / "a.tif", floats))
    assert (seen[4:] == expected[4:]).all()


def test_reflectances_up_to_10000(tmp_path):
    pixels = noise(9900, 3)
    image = read_image(save(tmp_path / "a.tif", pixels))
    np.testing.assert_array_equal(image, (pixels.astype(int) * 255 // 10000).astype(np.uint8))


@pytest.mark.parametrize(("tag", "value"), [(281, 4095), (281, 1023)])
def test_a_tiff_declares_its_bits(tmp_path, tag, value):
    pixels = noise(800)
    path = save(tmp_path / "a.tif", pixels, tiffinfo={tag: value})
    assert declared_bits(path) == value.bit_length()
    shift = value.bit_length() - 8
    np.testing.assert_array_equal(read_image(path)[:, :, 0], pixels >> shift)
    assert "declared by 1 file" in str(common_depth([path]))


def test_a_png_declares_its_bits_and_is_believed_where_its_values_fit(tmp_path):
    path = with_sbit(save(tmp_path / "a.png", noise(900)), 12)
    assert declared_bits(path) == 12
    assert common_depth([path]) == Depth(4095, "declared by 1 file")
    # As the standard has it: significant bits on top of 16.
    path = with_sbit(save(tmp_path / "b.png", noise(4095) << 4), 12)
    assert read_image(path).max() == 255
    assert str(common_depth([path])).startswith("16 bits")


def test_one_depth_holds_for_a_set(tmp_path):
    dark, bright = noise(700), noise(4000)
    files = [save(tmp_path / "dark.png", dark), save(tmp_path / "bright.png", bright)]
    files += [save(tmp_path / "gray.png", noise(200).astype(np.uint8))]
    depth = common_depth(files)
    assert depth is not None
    assert depth.white == 4095
    np.testing.assert_array_equal(read_image(files[0], depth=depth)[:, :, 0], dark >> 4)
    np.testing.assert_array_equal(read_image(files[1], depth=depth)[:, :, 0], bright >> 4)


def test_photos_that_are_nearly_black_are_named(tmp_path):
    files = [save(tmp_path / f"{index}.png", noise(250)) for index in range(3)]
    files += [save(tmp_path / "bright.png", noise(65535))]
    depth = common_depth(files)
    assert depth is not None
    assert depth.dark == tuple(files[:3])
    assert str(depth).endswith(f"nearly black at that depth: {files[0]} and 2 more")


def test_eight_bits_have_no_depth_and_keep_their_bits(tmp_path):
    pixels = noise(90, 3).astype(np.uint8)
    files = [save(tmp_path / name, pixels) for name in ("a.png", "a.jpg", "a.tif", "a.bmp")]
    (tmp_path / "bad.png").write_bytes(b"no image")
    assert common_depth([*files, tmp_path / "bad.png", tmp_path / "nowhere.png"]) is None
    np.testing.assert_array_equal(read_image(files[0], depth=Depth(4095)), pixels)


@pytest.mark.parametrize("channels", [(), (3,)])
def test_photos_with_pixels_without_a_value_are_refused(tmp_path, channels):
    pixels = RNG.uniform(0, 1, (40, 50, *channels)).astype(np.float32)
    pixels[10:14] = np.nan
    with pytest.raises(InputError, match=r"a\.tif: cannot be read, 10\.0% of its values are no"):
        read_image(save(tmp_path / "a.tif", pixels))
