"""Decoding of label images: every kind that people have, and those that must be refused."""

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from fissura.data.masks import MaskCensus, choose_rule
from fissura.errors import InputError

ROOT = Path("DATA")


def crack(size: int = 128, width: int = 3) -> np.ndarray:
    image = Image.new("L", (size, size))
    ImageDraw.Draw(image).line([(5, 9), (size // 2, size // 3), (size - 4, size - 20)], 255, width)
    return np.asarray(image) > 0


TRUTH = crack()


def rule_of(*masks: np.ndarray):
    total = MaskCensus()
    for mask in masks:
        total = total + MaskCensus.of(mask)
    return choose_rule(total, ROOT)


def jpeg(pixels: np.ndarray, quality: int) -> np.ndarray:
    Image.fromarray(pixels).save(file := BytesIO(), "JPEG", quality=quality)
    return np.asarray(Image.open(file))


@pytest.mark.parametrize("values", [(0, 1), (0, 255), (0, 128), (1, 2), (38, 75), (254, 255)])
def test_two_values(values):
    mask = np.where(TRUTH, values[1], values[0]).astype(np.uint8)
    rule = rule_of(mask, np.full_like(mask, values[0]))
    np.testing.assert_array_equal(rule.apply(mask), TRUTH)
    assert str(rule) == f"crack is {values[1]}, background {values[0]}"


@pytest.mark.parametrize("quality", [30, 60, 75, 90, 95, 100])
def test_jpeg_noise(quality):
    mask = jpeg(TRUTH.astype(np.uint8) * 255, quality)
    rule = rule_of(mask)
    wrong = (rule.apply(mask) != TRUTH).mean()
    assert wrong < 0.002
    assert "soft or noisy edges" in str(rule)


def test_anti_aliased_lines():
    image = Image.fromarray(crack(512, 12).astype(np.uint8) * 255)
    soft = np.asarray(image.resize((128, 128), Image.Resampling.BOX))
    assert len(np.unique(soft)) > 8
    rule = rule_of(soft)
    np.testing.assert_array_equal(rule.apply(soft), soft >= 128)
    halved = np.asarray(image.resize((256, 256), Image.Resampling.BOX))
    assert len(np.unique(halved)) == 5
    np.testing.assert_array_equal(rule_of(halved).apply(halved), halved >= 128)


def test_a_few_stray_values_do_no_harm():
    mask = TRUTH.astype(np.uint8) * 255
    mask[0, 0] = 17
    np.testing.assert_array_equal(rule_of(mask).apply(mask), mask == 255)


def test_the_rule_is_that_of_the_set_not_of_the_image():
    faint = TRUTH.astype(np.uint8) * 100  # one odd mask among 0/255 ones
    normal = TRUTH.astype(np.uint8) * 255
    rule = rule_of(*[normal] * 30, faint)
    assert not rule.apply(faint).any()
    np.testing.assert_array_equal(rule.apply(normal), TRUTH)


def test_one_mask_with_much_crack_is_no_error():
    much = np.full((128, 128), 255, np.uint8)
    much[:10] = 0
    rule = rule_of(much, *[TRUTH.astype(np.uint8) * 255] * 5)
    assert rule.apply(much).mean() > 0.9


@pytest.mark.parametrize("value", [0, 1, 255])
def test_an_all_empty_set(value):
    with pytest.raises(InputError, match=rf"No mask in DATA marks any crack.*value {value}"):
        rule_of(*[np.full((8, 8), value, np.uint8)] * 3)


@pytest.mark.parametrize("values", [(0, 1), (0, 255)])
def test_an_inverted_set(values):
    with pytest.raises(InputError, match=r"DATA look inverted: \d+% of all pixels"):
        rule_of(np.where(TRUTH, values[0], values[1]).astype(np.uint8))
    with pytest.raises(InputError, match="look inverted"):
        rule_of(jpeg(np.where(TRUTH, 0, 255).astype(np.uint8), 80))


@pytest.mark.parametrize("values", [[0, 1, 2], [0, 1, 2, 3, 4, 7], [0, 127, 255], [0, 1, 255]])
def test_several_classes(values):
    mask = np.zeros((64, 64), np.uint8)
    for index, value in enumerate(values[1:]):
        mask[8 * index : 8 * index + 4] = value
    listed = ", ".join(map(str, values))
    with pytest.raises(InputError, match=f"several classes: the values {listed} were seen"):
        rule_of(mask)


def colored(background, foreground, truth=TRUTH) -> np.ndarray:
    return np.where(truth[:, :, None], np.uint8(foreground), np.uint8(background))


@pytest.mark.parametrize(
    ("background", "foreground"),
    [
        ((0, 0, 0), (255, 0, 0)),
        ((0, 0, 0), (128, 0, 0)),
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


def test_empty_masks_of_a_colored_set_may_be_gray():
    mask, empty = colored((0, 0, 0), (0, 255, 0)), np.zeros((128, 128), np.uint8)
    rule = rule_of(empty, mask, empty)
    np.testing.assert_array_equal(rule.apply(mask), TRUTH)
    assert not rule.apply(empty).any()


@pytest.mark.parametrize("quality", [60, 90])
def test_colored_jpeg(quality):
    truth = crack(128, 9)
    mask = jpeg(colored((0, 0, 0), (255, 0, 0), truth), quality)
    assert (rule_of(mask).apply(mask) != truth).mean() < 0.02


def test_colored_anti_aliased_lines():
    image = Image.fromarray(colored((0, 0, 0), (255, 0, 0), crack(512, 12)))
    soft = np.asarray(image.resize((128, 128), Image.Resampling.BOX))
    np.testing.assert_array_equal(rule_of(soft).apply(soft), soft[:, :, 0] >= 128)


def test_several_colors():
    mask = colored((0, 0, 0), (128, 0, 0))
    mask[-20:-10] = (0, 128, 0)
    with pytest.raises(InputError, match=r"several classes: the colors .*\(0, 128, 0\)"):
        rule_of(mask)


def test_a_colored_set_of_one_color_or_inverted():
    with pytest.raises(InputError, match="marks any crack: they all have one color"):
        rule_of(np.full((8, 8, 3), (255, 0, 0), np.uint8))
    with pytest.raises(InputError, match="look inverted"):
        rule_of(colored((255, 220, 0), (0, 0, 0)))
