"""Which pixels are crack: every kind of mask that people have, and those that must be refused."""

import re
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageDraw

from fissura.data.masks import MaskLook, choose_rule, read_mask_alone
from fissura.errors import InputError

ROOT = Path("DATA")


def crack(size: int = 128, width: int = 3) -> np.ndarray:
    image = Image.new("L", (size, size))
    ImageDraw.Draw(image).line([(5, 9), (size // 2, size // 3), (size - 4, size - 20)], 255, width)
    return np.asarray(image) > 0


TRUTH = crack()


def rule_of(*masks: np.ndarray, ignore: int | None = None):
    looks = [(ROOT / f"{index}.png", MaskLook.of(mask)) for index, mask in enumerate(masks)]
    return choose_rule(looks, ROOT, ignore=ignore)


def jpeg(pixels: np.ndarray, quality: int) -> np.ndarray:
    Image.fromarray(pixels).save(file := BytesIO(), "JPEG", quality=quality)
    return np.asarray(Image.open(file))


def shrunk(truth: np.ndarray, factor: int, how=Image.Resampling.BOX) -> np.ndarray:
    image = Image.fromarray(truth.astype(np.uint8) * 255)
    return np.asarray(image.resize((image.width // factor, image.height // factor), how))


@pytest.mark.parametrize("values", [(0, 1), (0, 255), (0, 128), (1, 2), (38, 75), (254, 255)])
def test_two_values(values):
    mask = np.where(TRUTH, values[1], values[0]).astype(np.uint8)
    rule = rule_of(mask, np.full_like(mask, values[0]))
    np.testing.assert_array_equal(rule.apply(mask), TRUTH)
    assert str(rule) == f"crack is {values[1]}, background {values[0]}"


@pytest.mark.parametrize("highest", [1, 255, 256, 4095, 65535])
def test_two_values_of_16_bits(highest):
    mask = TRUTH.astype(np.uint16) * np.uint16(highest)
    rule = rule_of(mask, mask * 0)
    np.testing.assert_array_equal(rule.apply(mask), TRUTH)
    assert str(rule) == f"crack is {highest}, background 0"


@pytest.mark.parametrize("quality", [30, 75, 95, 100])
@pytest.mark.parametrize("width", [1, 3, 9])
def test_jpeg_noise(quality, width):
    truth = crack(width=width)
    mask = jpeg(truth.astype(np.uint8) * 255, quality)
    rule = rule_of(mask)
    assert (rule.apply(mask) != truth).mean() < 0.003
    assert "soft or noisy edges" in str(rule)


@pytest.mark.parametrize("factor", [2, 3, 4, 8])
@pytest.mark.parametrize("how", [Image.Resampling.BOX, Image.Resampling.LANCZOS])
def test_soft_edges(factor, how):
    soft = shrunk(crack(512, 12), factor, how)
    np.testing.assert_array_equal(rule_of(soft).apply(soft), soft >= (int(soft.max()) + 1) // 2)


def test_blurred_edges_and_hair_lines():
    for soft in (
        cv2.GaussianBlur(crack(256, 9).astype(np.uint8) * 255, (0, 0), 3),
        shrunk(crack(512, 1), 2),
        shrunk(crack(512, 2), 3),
    ):
        rule = rule_of(soft, TRUTH.astype(np.uint8) * 255)
        np.testing.assert_array_equal(rule.apply(soft), soft >= 128)


def test_a_few_stray_values_do_no_harm():
    mask = TRUTH.astype(np.uint8) * 255
    mask[0, 0] = 17
    np.testing.assert_array_equal(rule_of(mask).apply(mask), mask == 255)
    brush = np.where(np.arange(128) > 64, 254, 255).astype(np.uint8) * TRUTH
    np.testing.assert_array_equal(rule_of(brush).apply(brush), TRUTH)


@pytest.mark.parametrize("soft", [False, True])
def test_each_file_has_its_own_scale(soft):
    ones = TRUTH.astype(np.uint8)
    white = shrunk(crack(512, 12), 4) if soft else ones * 255
    deep = ones.astype(np.uint16) * np.uint16(65535)
    rule = rule_of(*[white] * 3, ones, deep, ones * 0)
    np.testing.assert_array_equal(rule.apply(ones), TRUTH)
    np.testing.assert_array_equal(rule.apply(white), white >= 128)
    np.testing.assert_array_equal(rule.apply(deep), TRUTH)
    assert not rule.apply(ones * 0).any()
    assert "crack is 1, background 0 in 1 file" in str(rule)
    assert "in 3 files" in str(rule)


@pytest.mark.parametrize("value", [60, 100, 120])
@pytest.mark.parametrize("soft", [False, True])
def test_a_file_whose_crack_has_an_odd_value_is_named(value, soft):
    normal = shrunk(crack(512, 12), 4) if soft else TRUTH.astype(np.uint8) * 255
    faint = TRUTH.astype(np.uint8) * np.uint8(value)
    with pytest.raises(InputError, match=rf"DATA: .* differ .* 0 and {value} in 5\.png"):
        rule_of(*[normal] * 5, faint)


def test_a_class_in_each_file_is_no_crack():
    masks = [TRUTH.astype(np.uint8) * np.uint8(value) for value in (60, 120, 180, 240)]
    with pytest.raises(InputError, match=r"0 and 60 in 0\.png; .*0 and 240 in 3\.png"):
        rule_of(*masks)


def bands(values, height: int = 4, truth=None) -> np.ndarray:
    mask = np.zeros((64, 64), np.uint8)
    for index, value in enumerate(values):
        mask[
            8 * index % 64 : 8 * index % 64 + height, 32 * (index // 8) : 32 * (index // 8) + 30
        ] = value
    return mask


@pytest.mark.parametrize(
    "values",
    [
        (1, 2),
        (1, 2, 3, 4, 7),
        (127, 255),
        (1, 255),
        (60, 120, 180, 240),
        (1, 2, 3, 4, 5, 6, 7, 8, 255),
        (4, 8, 12, 16, 20, 24, 28, 32, 36, 40),
    ],
)
@pytest.mark.parametrize("height", [1, 2, 4])
def test_classes_and_ids(values, height):
    with pytest.raises(InputError, match=r"unclear which pixels are crack, since 1\.png has") as e:
        rule_of(bands([255]) // 255 * np.uint8(values[-1]), bands(values, height))
    assert ", ".join(map(str, (0, *values)[:3])).rsplit(", ", 1)[0] in str(e.value)
    assert "Image.open('IN.png').point" in str(e.value)


def test_instance_ids_up_to_62():
    mask = np.zeros((256, 256), np.uint8)
    image = Image.fromarray(mask)
    rng = np.random.default_rng(0)
    for number in range(1, 63):
        start = rng.integers(0, 256, 2)
        end = start + rng.integers(-30, 31, 2)
        ImageDraw.Draw(image).line([*start.tolist(), *end.tolist()], number, 2)
    mask = np.asarray(image)
    with pytest.raises(InputError, match=r"0\.png has values that mean several things: 0, 1, 2"):
        rule_of(mask)
    with pytest.raises(InputError, match="several things"):
        rule_of(mask.astype(np.uint16) * np.uint16(256))


def unlabeled(value: int = 255) -> np.ndarray:
    mask = TRUTH.astype(np.uint8)
    mask[:, 70:] = value
    return mask


def test_an_unlabeled_area():
    mask = unlabeled()
    rule = rule_of(mask, TRUTH.astype(np.uint8))
    assert str(rule) == "crack is 1, background 0; 255 is ignored"
    np.testing.assert_array_equal(rule.apply(mask), TRUTH & (mask != 255))
    np.testing.assert_array_equal(rule.valid(mask), mask != 255)
    assert rule.valid(TRUTH.astype(np.uint8)) is None


@pytest.mark.parametrize("value", [2, 100, 128, 200, 254])
def test_other_values_of_unlabeled_areas_must_be_named(value):
    mask = unlabeled(value)
    with pytest.raises(InputError):
        rule_of(mask, TRUTH.astype(np.uint8))
    rule = rule_of(mask, TRUTH.astype(np.uint8), ignore=value)
    assert str(rule) == f"crack is 1, background 0; {value} is ignored"
    np.testing.assert_array_equal(rule.apply(mask), TRUTH & (mask != value))
    np.testing.assert_array_equal(rule.valid(mask), mask != value)


def test_an_ignored_value_between_soft_edges():
    soft = shrunk(crack(512, 9), 2)
    mask = soft.copy()
    mask[:, 200:] = 77
    rule = rule_of(mask, soft, ignore=77)
    assert rule.ignore == 77
    np.testing.assert_array_equal(rule.apply(mask), (soft >= 128) & (mask != 77))


def test_colored_masks_have_no_ignored_value():
    colored = np.zeros((128, 128, 3), np.uint8)
    colored[TRUTH] = (255, 0, 0)
    with pytest.raises(InputError, match=r"--ignore 7 is a gray value.* a folder 'ignored'"):
        rule_of(colored, ignore=7)


def test_an_unlabeled_area_in_a_file_without_crack():
    empty = np.zeros((128, 128), np.uint8)
    empty[:, 60:] = 255
    masks = [*[TRUTH.astype(np.uint8)] * 3, empty]
    with pytest.raises(InputError, match=r"0 and 1 in .*0 and 255 in 3\.png.* --ignore 255"):
        rule_of(*masks)
    with pytest.raises(InputError):  # one file that tells is not enough for the one that doesn't
        rule_of(*masks, unlabeled())
    np.testing.assert_array_equal(rule_of(*masks, ignore=255).valid(empty), empty == 0)


def test_classes_with_soft_edges():
    mask = np.zeros((256, 256), np.uint8)
    mask[20:90, 20:200], mask[120:200, 40:220] = 128, 255
    with pytest.raises(InputError, match="several things"):
        rule_of(jpeg(cv2.GaussianBlur(mask, (0, 0), 1), 95))


def test_a_photo_is_no_mask():
    noise = cv2.GaussianBlur(np.random.default_rng(0).normal(0, 1, (128, 128)), (0, 0), 2)
    photo = np.clip(128 + 120 * noise / noise.std() / 2, 0, 255).astype(np.uint8)
    with pytest.raises(InputError, match="most values between background and crack"):
        rule_of(photo)


def test_one_mask_with_much_crack_is_no_error():
    much = np.full((128, 128), 255, np.uint8)
    much[:40] = 0
    rule = rule_of(much, *[TRUTH.astype(np.uint8) * 255] * 5)
    assert 0.6 < rule.apply(much).mean() < 0.7


@pytest.mark.parametrize("other", [TRUTH, TRUTH & False])
def test_one_inverted_mask_is_named(other):
    white = TRUTH.astype(np.uint8) * 255
    with pytest.raises(InputError, match=r"5\.png would be crack nearly all over"):
        rule_of(*[white] * 5, 255 - other.astype(np.uint8) * 255)


@pytest.mark.parametrize("value", [0, 1, 255])
def test_an_all_empty_set(value):
    with pytest.raises(InputError, match=rf"DATA: no mask marks any crack.*value {value}"):
        rule_of(*[np.full((8, 8), value, np.uint8)] * 3)


@pytest.mark.parametrize("values", [(0, 1), (0, 255)])
def test_an_inverted_set(values):
    with pytest.raises(InputError, match=r"DATA: looks inverted, \d+% of the pixels"):
        rule_of(np.where(TRUTH, values[0], values[1]).astype(np.uint8))
    with pytest.raises(InputError, match="looks inverted"):
        rule_of(jpeg(np.where(TRUTH, 0, 255).astype(np.uint8), 80))


def colored(background, foreground, truth=TRUTH) -> np.ndarray:
    return np.where(truth[:, :, None], np.uint8(foreground), np.uint8(background))


@pytest.mark.parametrize(
    ("background", "foreground"),
    [
        ((0, 0, 0), (255, 0, 0)),
        ((0, 0, 0), (64, 0, 0)),
        ((68, 1, 84), (253, 231, 37)),
        ((255, 255, 255), (255, 0, 0)),
    ],
)
def test_two_colors(background, foreground):
    mask = colored(background, foreground)
    rule = rule_of(mask, mask)
    np.testing.assert_array_equal(rule.apply(mask), TRUTH)
    assert f"crack is the color {foreground}, background {background}" in str(rule)


def test_gray_masks_in_a_colored_set():
    mask, empty = colored((0, 0, 0), (0, 255, 0)), np.zeros((128, 128), np.uint8)
    rule = rule_of(empty, mask, empty)
    np.testing.assert_array_equal(rule.apply(mask), TRUTH)
    assert not rule.apply(empty).any()
    with pytest.raises(InputError, match=r"differ .* 0 and 1 in 1\.png"):
        rule_of(mask, TRUTH.astype(np.uint8))


@pytest.mark.parametrize("quality", [60, 90])
def test_colored_jpeg(quality):
    truth = crack(128, 9)
    mask = jpeg(colored((0, 0, 0), (255, 0, 0), truth), quality)
    assert (rule_of(mask).apply(mask) != truth).mean() < 0.02


@pytest.mark.parametrize("factor", [2, 4])
def test_colored_soft_edges(factor):
    image = Image.fromarray(colored((0, 0, 0), (255, 0, 0), crack(512, 12)))
    soft = np.asarray(image.resize((512 // factor,) * 2, Image.Resampling.BOX))
    np.testing.assert_array_equal(rule_of(soft).apply(soft), soft[:, :, 0] >= 128)


@pytest.mark.parametrize("third", [(0, 128, 0), (64, 0, 0), (128, 128, 0)])
def test_several_colors(third):
    mask = colored((0, 0, 0), (128, 0, 0))
    mask[-20:-10] = third
    with pytest.raises(InputError, match=re.escape(str(third))):
        rule_of(mask)


def test_a_colored_set_of_one_color_or_inverted():
    with pytest.raises(InputError, match="no mask marks any crack, they all have one color"):
        rule_of(np.full((8, 8, 3), (255, 0, 0), np.uint8))
    with pytest.raises(InputError, match="looks inverted"):
        rule_of(colored((255, 220, 0), (0, 0, 0)))


def write(path: Path, values: np.ndarray, **options) -> Path:
    Image.fromarray(values).save(path, **options)
    return path


def in_every_format(folder: Path, truth: np.ndarray) -> dict[str, Path]:
    """Write one mask in all lossless formats and kinds of values that people bring."""
    white = truth.astype(np.uint8) * 255
    black = np.zeros_like(white)
    full = np.full_like(white, 255)
    gray = Image.fromarray(white)
    palette = Image.frombytes("P", gray.size, truth.astype(np.uint8).tobytes())
    palette.putpalette([0, 0, 0, 255, 255, 255] + [0, 0, 0] * 254)
    files = {
        "8 bits": write(folder / "a.png", white),
        "0 and 1": write(folder / "b.png", truth.astype(np.uint8)),
        "0 and 128": write(folder / "c.png", truth.astype(np.uint8) * 128),
        "RGB": write(folder / "d.png", np.dstack([white] * 3)),
        "RGB of 0 and 1": write(folder / "e.png", np.dstack([white // 255] * 3)),
        "RGBA": write(folder / "f.png", np.dstack([white] * 3 + [full])),
        "gray and alpha": write(folder / "g.png", np.dstack([white, full])),
        "16 bits": write(folder / "h.png", truth.astype(np.uint16) * np.uint16(65535)),
        "16 bits of 0 and 1": write(folder / "i.png", truth.astype(np.uint16)),
        "16 bits of 0 and 255": write(folder / "j.tif", truth.astype(np.uint16) * np.uint16(255)),
        "32 bits": write(folder / "k.tif", truth.astype(np.int32)),
        "floats": write(folder / "l.tif", truth.astype(np.float32)),
        "floats to 255": write(folder / "m.tif", truth.astype(np.float32) * 255),
        "BMP": write(folder / "n.bmp", white),
        "GIF": write(folder / "o.gif", white),
        "WebP": write(folder / "p.webp", np.dstack([white] * 3), lossless=True),
        "TIFF": write(folder / "q.tif", white, compression="tiff_lzw"),
        "PGM": write(folder / "r.pgm", white),
        "red": write(folder / "s.png", np.dstack([white, black, black])),
        "black on transparent white": write(
            folder / "t.png", np.dstack([full - white] * 3 + [white])
        ),
        "white on transparent black": write(folder / "u.png", np.dstack([white] * 4)),
        "red on transparent black": write(
            folder / "v.png", np.dstack([white, black, black, white])
        ),
        "half transparent black": write(folder / "w.png", np.dstack([black] * 3 + [white // 2])),
        "black on transparent gray": write(
            folder / "x.png", np.dstack([full - white, white // 255 * 128 + 127])
        ),
    }
    for name, image in {"1 bit": gray.convert("1"), "palette": palette}.items():
        image.save(folder / f"{name}.png")
        files[name] = folder / f"{name}.png"
    for name, dtype in {"16-bit RGB": np.uint16, "16-bit RGB of 0 and 1": np.uint16}.items():
        values = truth.astype(dtype) * dtype(1 if "1" in name[10:] else 65535)
        files[name] = folder / f"{name}.png"
        cv2.imwrite(str(files[name]), np.dstack([values] * 3))
    files["float RGB"] = folder / "float.tif"
    cv2.imwrite(str(files["float RGB"]), np.dstack([truth.astype(np.float32)] * 3))
    return files


def test_one_mask_in_every_lossless_format(tmp_path):
    wrong = {}
    for name, path in in_every_format(tmp_path, TRUTH).items():
        mask, words = read_mask_alone(path)
        assert words
        if mask.shape != TRUTH.shape or (mask != TRUTH).any():
            wrong[name] = words
    assert wrong == {}


def test_one_mask_as_jpeg(tmp_path):
    truth = crack(128, 6)
    white = truth.astype(np.uint8) * 255
    for name, values in {"gray": white, "rgb": np.dstack([white] * 3)}.items():
        mask, words = read_mask_alone(write(tmp_path / f"{name}.jpg", values, quality=90))
        assert (mask != truth).mean() < 0.003
        assert "soft or noisy edges" in words


@pytest.mark.parametrize("quality", [30, 60, 90])
@pytest.mark.parametrize(("first", "last"), [(20, 21), (20, 26), (16, 32), (13, 30)])
def test_bars_along_rows_and_columns_as_jpeg(tmp_path, first, last, quality):
    bars = np.zeros((64, 96), np.bool_)
    bars[first:last, 8:80] = True
    bars[44:47] = True
    for truth in (bars, bars.T):
        values = truth.astype(np.uint8) * 255
        mask, _ = read_mask_alone(write(tmp_path / "a.jpg", values, quality=quality))
        np.testing.assert_array_equal(mask, truth)


def test_classes_in_a_jpeg_are_still_refused(tmp_path):
    values = np.zeros((64, 96), np.uint8)
    values[10:30, 10:80], values[40:60, 10:80] = 128, 255
    with pytest.raises(InputError, match=r"a\.jpg has values that mean several things"):
        read_mask_alone(write(tmp_path / "a.jpg", values, quality=90))


def test_a_mask_alone_that_is_empty_full_or_inverted(tmp_path):
    mask, words = read_mask_alone(write(tmp_path / "a.png", np.zeros((5, 7), np.uint8)))
    assert (mask.shape, mask.any()) == ((5, 7), False)
    assert words == "no crack is marked, all values are 0"
    mask, _ = read_mask_alone(
        write(tmp_path / "layer.png", np.full((5, 7, 4), (255, 255, 255, 0), np.uint8))
    )
    assert not mask.any()
    with pytest.raises(InputError, match=r"a\.png: has the one value 255"):
        read_mask_alone(write(tmp_path / "a.png", np.full((5, 7), 255, np.uint8)))
    with pytest.raises(InputError, match=r"a\.png: looks inverted, 9\d%"):
        read_mask_alone(write(tmp_path / "a.png", 255 - TRUTH.astype(np.uint8) * 255))


def test_a_value_may_be_ignored(tmp_path):
    path = write(tmp_path / "a.png", unlabeled())
    mask, words = read_mask_alone(path)
    assert words == "crack is 1, background 0; 255 is ignored"
    mask, words = read_mask_alone(path, ignore=255)
    expected = TRUTH.copy()
    expected[:, 70:] = False
    np.testing.assert_array_equal(mask, expected)
    assert words == "crack is 1, background 0; 45.3% of the pixels are 255 and ignored"
    mask, words = read_mask_alone(write(path, TRUTH.astype(np.uint8) * 255), ignore=7)
    np.testing.assert_array_equal(mask, TRUTH)
    assert words == "crack is 255, background 0"


def test_values_that_are_no_mask(tmp_path):
    floats = TRUTH.astype(np.float32)
    floats[0, 0] = np.nan
    with pytest.raises(InputError, match=r"a\.tif: cannot be understood as a mask.*\(NaN\)"):
        read_mask_alone(write(tmp_path / "a.tif", floats))
    with pytest.raises(InputError, match="run from 0 to 100000"):
        read_mask_alone(write(tmp_path / "a.tif", TRUTH.astype(np.int32) * 100_000))


def test_a_photo_is_refused(tmp_path):
    rng = np.random.default_rng(0)
    for channels in ((), (3,)):
        photo = cv2.GaussianBlur(rng.integers(0, 256, (64, 64, *channels), np.uint8), (0, 0), 1)
        with pytest.raises(InputError, match="unclear which pixels are crack"):
            read_mask_alone(write(tmp_path / "a.png", photo))
