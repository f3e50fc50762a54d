"""Readers against Pillow's own results, for every kind of file that people bring."""

import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from fissura.data.images import read_image, read_size, upright
from fissura.data.masks import read_mask, read_pair
from fissura.errors import InputError

RNG = np.random.default_rng(0)
COLORS = RNG.integers(0, 256, (6, 9, 3), dtype=np.uint8)
GRAYS = RNG.integers(0, 256, (6, 9), dtype=np.uint8)
LABELS = (GRAYS > 128).astype(np.uint8)


def save(path: Path, pixels, mode=None, **options) -> Path:
    image = Image.fromarray(pixels)
    (image.convert(mode) if mode else image).save(path, **options)
    return path


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".webp", ".PNG", ".ppm"])
def test_lossless_formats_come_back_as_they_were(tmp_path, suffix):
    path = save(tmp_path / f"a{suffix}", COLORS, **({"lossless": True} if "webp" in suffix else {}))
    np.testing.assert_array_equal(read_image(path), COLORS)
    assert read_size(path) == ((6, 9), (6, 9))


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "1", "RGBA", "LA", "PA", "CMYK", "YCbCr"])
def test_every_mode_becomes_rgb(tmp_path, mode):
    image = Image.fromarray(COLORS).convert("RGBA" if mode == "PA" else mode)
    if mode == "PA":
        image = image.quantize(16)
    image.save(path := tmp_path / ("a.tif" if mode in ("CMYK", "YCbCr") else "a.png"))
    pixels = read_image(path)
    assert pixels.shape == (6, 9, 3)
    assert pixels.dtype == np.uint8
    np.testing.assert_array_equal(pixels, np.asarray(image.convert("RGBA").convert("RGB")))


def test_transparency_is_dropped_from_photos(tmp_path):
    path = save(tmp_path / "a.png", np.dstack([COLORS, GRAYS]))
    np.testing.assert_array_equal(read_image(path), COLORS)


def test_palette_with_transparency_raises_no_warning(tmp_path):
    image = Image.fromarray(COLORS).quantize(8)
    image.save(path := tmp_path / "a.png", transparency=bytes([0, 128, 255]))
    assert read_image(path).shape == (6, 9, 3)
    assert read_mask(path).shape[:2] == (6, 9)


@pytest.mark.parametrize(
    ("highest", "divisor"), [(255, 1), (300, 4), (1023, 4), (4095, 16), (16383, 64), (65535, 256)]
)
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_sixteen_bits_become_eight(tmp_path, highest, divisor, suffix):
    pixels = RNG.integers(0, highest + 1, (6, 9)).astype(np.uint16)
    pixels[0, 0] = highest
    path = save(tmp_path / f"a{suffix}", pixels)
    np.testing.assert_array_equal(read_image(path)[:, :, 1], pixels // divisor)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_sixteen_bit_colors_keep_their_upper_byte(tmp_path, suffix):
    pixels = RNG.integers(0, 65536, (6, 9, 3)).astype(np.uint16)
    cv2.imwrite(str(path := tmp_path / f"a{suffix}"), pixels[:, :, ::-1])
    np.testing.assert_array_equal(read_image(path), pixels >> 8)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_float_tiffs_by_way_of_opencv(tmp_path, channels):
    pixels = RNG.random((6, 9, channels)).astype(np.float32)
    cv2.imwrite(str(path := tmp_path / "a.tif"), pixels)
    expected = np.repeat(pixels, 3, 2) if channels == 1 else pixels[:, :, 2::-1]
    np.testing.assert_allclose(read_image(path), expected * 255, atol=1)
    assert read_size(path) == ((6, 9), (6, 9))


def turned_file(path: Path, pixels: np.ndarray, orientation: int) -> Path:
    """Save pixels as they are, with a tag that says how to turn them; without loss but for JPEG."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {".tif": {"tiffinfo": {0x0112: orientation}}, ".webp": {"lossless": True}}
    image = Image.fromarray(pixels)
    chosen = options.get(path.suffix, {})
    image.save(path, **chosen, **({} if path.suffix == ".tif" else {"exif": exif}))
    return path


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".tif", ".jpg", ".png", ".webp"])
def test_every_orientation_is_undone_once(tmp_path, orientation, suffix):
    smooth = np.zeros((16, 24, 3), np.uint8)
    smooth[:8, :16] = 255  # blocks that JPEG keeps
    smooth[8:, :8] = 128
    expected = upright(smooth, orientation)
    photo = turned_file(tmp_path / f"photo{suffix}", smooth, orientation)
    mask = turned_file(tmp_path / f"mask{suffix}", smooth[:, :, 0] // 255 * 255, orientation)
    plain_mask = save(tmp_path / "plain.png", expected[:, :, 0] // 255 * 255)
    stored_mask = save(tmp_path / "stored.png", smooth[:, :, 0] // 255 * 255)
    assert read_size(photo) == ((16, 24), expected.shape[:2])
    image = read_image(photo)
    assert np.abs(image.astype(int) - expected).max() <= 3
    assert np.abs(read_mask(mask).astype(int) - expected[:, :, 0] // 255 * 255).max() <= 3
    masks = [mask, plain_mask, *([stored_mask] if orientation >= 5 else [])]
    for file in masks:  # one drawn on the stored photo is turned along where only so it fits
        image, values = read_pair(photo, file)
        assert image.shape[:2] == values.shape[:2] == expected.shape[:2]
        assert ((values > 128) == (expected[:, :, 0] == 255)).all()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_every_orientation_of_a_tiff_of_any_depth(tmp_path, orientation, dtype):
    gray = (
        RNG.integers(0, 2, (6, 9)) * (1 if dtype == np.float32 else np.iinfo(dtype).max)
    ).astype(dtype)
    files = {"gray": turned_file(tmp_path / "gray.tif", gray, orientation)}
    if dtype != np.float32:
        cv2.imwrite(str(plain := tmp_path / "colors.tif"), np.dstack([gray] * 3))
        files["colors"] = with_orientation(plain, orientation)
    expected = upright(gray > 0, orientation)
    for name, file in files.items():
        np.testing.assert_array_equal(read_image(file)[:, :, 0] > 0, expected, err_msg=name)
        np.testing.assert_array_equal(read_mask(file) > 0, expected, err_msg=name)
        assert read_size(file) == ((6, 9), expected.shape), name


def with_orientation(path: Path, orientation: int) -> Path:
    """Set the orientation in a TIFF of OpenCV, in a new directory at its end."""
    content = bytearray(path.read_bytes())
    (start,) = struct.unpack_from("<I", content, 4)
    (count,) = struct.unpack_from("<H", content, start)
    entries = [bytes(content[start + 2 + 12 * i : start + 14 + 12 * i]) for i in range(count)]
    entries = [e for e in entries if struct.unpack("<H", e[:2])[0] != 0x0112]
    entries.append(struct.pack("<HHIHH", 0x0112, 3, 1, orientation, 0))
    entries.sort(key=lambda entry: struct.unpack("<H", entry[:2])[0])
    directory = struct.pack("<H", len(entries)) + b"".join(entries) + b"\0\0\0\0"
    struct.pack_into("<I", content, 4, len(content))
    path.write_bytes(bytes(content) + directory)
    return path


def test_nonsense_orientation_counts_as_none(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 77
    path = save(tmp_path / "a.png", COLORS, exif=exif)
    np.testing.assert_array_equal(read_image(path), COLORS)


@pytest.mark.parametrize("drawn_on", ["upright", "stored"])
def test_a_mask_is_turned_with_its_photo_where_it_was_drawn_on_the_stored_one(tmp_path, drawn_on):
    exif = Image.Exif()
    exif[0x0112] = 6
    image = save(tmp_path / "a.jpg", COLORS, exif=exif)
    turned = upright(LABELS, 6)
    mask = save(tmp_path / "a.png", turned if drawn_on == "upright" else LABELS)
    photo, labels = read_pair(image, mask)
    assert photo.shape == (9, 6, 3)
    np.testing.assert_array_equal(labels, turned)


def test_a_pair_of_two_sizes_is_refused(tmp_path):
    image = save(tmp_path / "a.png", COLORS)
    mask = save(tmp_path / "m.png", LABELS[:5])
    with pytest.raises(InputError, match=r"m\.png: the mask has 9×5 .* its image has 9×6"):
        read_pair(image, mask)


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"", "the file is empty"), (b"no image", "damaged or of a format"), (None, "no such file")],
)
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_unreadable_files(tmp_path, content, reason, suffix):
    path = tmp_path / f"broken{suffix}"
    if content is not None:
        path.write_bytes(content)
    for read in (read_image, read_mask, read_size):
        with pytest.raises(InputError, match=rf"broken{suffix}: cannot be read, .*{reason}"):
            read(path)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".bmp"])
def test_truncated_files_are_refused(tmp_path, suffix):
    path = save(tmp_path / f"a{suffix}", RNG.integers(0, 256, (64, 64, 3), dtype=np.uint8))
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(InputError, match="cannot be read"):
        read_image(path)


@pytest.mark.parametrize("values", [(0, 1), (0, 255), (3, 200)])
def test_gray_masks_keep_their_values(tmp_path, values):
    labels = np.where(LABELS, values[1], values[0]).astype(np.uint8)
    np.testing.assert_array_equal(read_mask(save(tmp_path / "a.png", labels)), labels)


def test_one_bit_masks_are_0_and_255(tmp_path):
    path = save(tmp_path / "a.png", LABELS * 255, "1")
    np.testing.assert_array_equal(read_mask(path), LABELS * 255)


@pytest.mark.parametrize(("high", "read_as"), [(1, 1), (255, 255), (65535, 65535), (256, 256)])
def test_sixteen_bit_masks(tmp_path, high, read_as):
    path = save(tmp_path / "a.png", LABELS.astype(np.uint16) * high)
    np.testing.assert_array_equal(read_mask(path), LABELS * np.uint16(read_as))


def test_float_masks(tmp_path):
    path = save(tmp_path / "a.tif", LABELS.astype(np.float32))
    np.testing.assert_array_equal(read_mask(path), LABELS * 255)


def palette_mask(path: Path, palette: list[int], indices=LABELS) -> Path:
    image = Image.fromarray(indices).convert("L")
    image = Image.frombytes("P", image.size, image.tobytes())
    image.putpalette(palette + [0, 0, 0] * (256 - len(palette) // 3))
    image.save(path)
    return path


def test_palette_masks_are_read_by_color(tmp_path):
    white_first = palette_mask(tmp_path / "a.png", [255, 255, 255, 0, 0, 0])
    np.testing.assert_array_equal(read_mask(white_first), (1 - LABELS) * 255)
    red = palette_mask(tmp_path / "b.png", [0, 0, 0, 128, 0, 0])
    np.testing.assert_array_equal(read_mask(red), LABELS[:, :, None] * np.uint8([128, 0, 0]))


def test_palette_without_colors_is_read_by_index(tmp_path):
    np.testing.assert_array_equal(read_mask(palette_mask(tmp_path / "a.png", [0, 0, 0])), LABELS)


def test_colorless_rgb_masks_become_one_channel(tmp_path):
    path = save(tmp_path / "a.png", np.repeat(LABELS[:, :, None] * 255, 3, 2))
    np.testing.assert_array_equal(read_mask(path), LABELS * 255)
    # Class 1 in the red channel alone is no color that anyone sees, but it is a class.
    path = save(tmp_path / "b.png", LABELS[:, :, None] * np.uint8([1, 0, 0]))
    np.testing.assert_array_equal(read_mask(path), LABELS)


def test_transparent_masks(tmp_path):
    black = np.zeros((6, 9, 3), np.uint8)
    only_alpha = save(tmp_path / "a.png", np.dstack([black, LABELS * 255]))
    np.testing.assert_array_equal(read_mask(only_alpha), LABELS * 255)
    white = save(tmp_path / "b.png", np.dstack([black + 255, LABELS * 255]))
    np.testing.assert_array_equal(read_mask(white), LABELS * 255)
    opaque = save(tmp_path / "c.png", np.dstack([LABELS * 255] * 3 + [GRAYS * 0 + 255]))
    np.testing.assert_array_equal(read_mask(opaque), LABELS * 255)


HOW = {
    "bmp": {}, "ppm": {}, "jpg": {}, "jpeg": {"progressive": True}, "png": {},
    "raw.tif": {}, "packbits.tif": {"compression": "packbits"},
    "lzw.tif": {"compression": "tiff_lzw"}, "deflate.tif": {"compression": "tiff_adobe_deflate"},
    "jpeg.tif": {"compression": "jpeg"},
}  # fmt: skip


def _of_size(content: bytes, width: int, height: int) -> bytes:
    """Let the header of an image of 56×40 pixels promise another size."""
    if content[:2] == b"II":
        for tag, old, new in ((256, 56, width), (257, 40, height), (278, 40, height)):
            stored = struct.pack("<HHI", tag, 3, 1) + struct.pack("<I", old)
            longer = struct.pack("<HHI", tag, 4, 1) + struct.pack("<I", old)
            told = struct.pack("<HHII", tag, 4, 1, new)
            content = content.replace(stored, told).replace(longer, told)
        return content
    if content[:4] == b"\x89PNG":
        head = b"IHDR" + struct.pack(">II", width, height) + content[24:29]
        return content[:12] + head + struct.pack(">I", zlib.crc32(head)) + content[33:]
    old = {b"BM": struct.pack("<ii", 56, 40), b"P6": b"56 40", b"\xff\xd8": b"\0\x28\0\x38"}
    new = {
        b"BM": struct.pack("<ii", width, height), b"P6": b"%d %d" % (width, height),
        b"\xff\xd8": struct.pack(">HH", height, width),
    }  # fmt: skip
    assert old[content[:2]] in content
    return content.replace(old[content[:2]], new[content[:2]], 1)


@pytest.mark.parametrize("suffix", HOW)
def test_a_header_that_promises_more_than_its_file_can_hold_takes_no_memory(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    noise = np.random.default_rng(0).integers(0, 256, (40, 56, 3), np.uint8)
    Image.fromarray(noise).save(path, **HOW[suffix])
    whole = path.read_bytes()
    assert read_image(path).shape == (40, 56, 3)
    path.write_bytes(_of_size(whole, 60_000, 60_000))
    with pytest.raises(InputError, match="60000×60000 pixels, more than the file can hold"):
        read_image(path)


def test_rows_that_a_tiff_lacks_are_not_black(tmp_path):
    path = tmp_path / "a.tif"
    Image.new("RGB", (56, 40), "white").save(path)
    strip = struct.pack("<HHII", 278, 4, 1, 40)
    content = path.read_bytes()
    assert strip in content or struct.pack("<HHII", 278, 3, 1, 40) in content
    path.write_bytes(_of_size(content, 56, 60).replace(struct.pack("<HHII", 278, 4, 1, 60), strip))
    with pytest.raises(InputError, match="lower rows are missing"):
        read_image(path)
