"""Each step against OpenCV and albumentations on the same parameters; the draws; the whole."""

from dataclasses import fields

import albumentations.augmentations.pixel.functional as pixel
import cv2
import numpy as np
import pytest
import torch
from albumentations import RandomBrightnessContrast
from hypothesis import given
from hypothesis import strategies as st

from fissura.data.augmentation import policy, steps
from fissura.data.augmentation.policy import augment, draw


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def photos(n=8, height=40, width=40, seed=0):
    """Smooth colorful images with some noise, uint8, (n, 3, height, width)."""
    rng = np.random.default_rng(seed)
    coarse = rng.uniform(-40, 295, (n, 5, 5, 3)).clip(0, 255).astype(np.float32)
    fine = [cv2.resize(image, (width, height), interpolation=cv2.INTER_CUBIC) for image in coarse]
    noisy = np.stack(fine) + rng.normal(0, 5, (n, height, width, 3))
    return torch.from_numpy(noisy.clip(0, 255).round().astype(np.uint8)).permute(0, 3, 1, 2)


def as_numpy(image):
    """Samples as OpenCV wants them: contiguous (h, w, 3)."""
    return np.ascontiguousarray(image.permute(0, 2, 3, 1).numpy())


def full(n, value):
    return torch.full((n,), float(value))


# --- the steps ---------------------------------------------------------------------------------


def test_rotate90_is_numpys_rot90():
    image = photos(8)
    mask = image[:, :1] > 128
    turns = torch.arange(8)
    turned, turned_mask = steps.rotate90(image, mask, turns)
    for i in range(8):
        expected = np.rot90(as_numpy(image)[i], int(turns[i]))
        np.testing.assert_array_equal(as_numpy(turned)[i], expected)
    assert torch.equal(turned_mask, turned[:, :1] > 128)


def test_rotate90_of_oblong_images_takes_half_turns_only():
    image = photos(2, 20, 30)
    turned, _ = steps.rotate90(image, image, torch.tensor([0, 2]))
    assert torch.equal(turned[1], image[1].rot90(2, (1, 2)))
    with pytest.raises(ValueError, match="half turns"):
        steps.rotate90(image, image, torch.tensor([0, 1]))


def test_flip_is_opencvs():
    image = photos(4, 20, 30)
    horizontal = torch.tensor([False, True, False, True])
    vertical = torch.tensor([False, False, True, True])
    flipped, mask = steps.flip(image, image[:, :1], horizontal, vertical)
    for i, code in ((1, 1), (2, 0), (3, -1)):
        np.testing.assert_array_equal(as_numpy(flipped)[i], cv2.flip(as_numpy(image)[i], code))
    assert torch.equal(flipped[0], image[0])
    assert torch.equal(mask, flipped[:, :1])


@pytest.mark.parametrize(
    ("hue", "saturation", "value"),
    [(20, 0, 0), (-20, 0, 0), (0, 30, 0), (0, -30, 0), (0, 0, 20), (0, 0, -20), (7, -13, 11)],
)
def test_shift_hsv_against_albumentations(hue, saturation, value):
    image = photos(6)
    shifts = (full(6, x) for x in (hue, saturation, value))
    ours = as_numpy(steps.shift_hsv(image.float(), *shifts))
    theirs = np.stack([pixel.shift_hsv(x, hue, saturation, value) for x in as_numpy(image)])
    error = np.abs(ours - theirs)
    # Theirs rounds hue to 2 degrees, which is up to 4 levels of a vivid color.
    assert error.mean() < 1.2
    assert np.quantile(error, 0.99) <= 4


def test_shift_hsv_against_opencv_in_floating_point():
    image = photos(6, seed=3)
    rng = np.random.default_rng(0)
    shifts = rng.uniform(-1, 1, (3, 6)) * np.array([[20], [30], [20]])
    ours = as_numpy(steps.shift_hsv(image.float(), *torch.tensor(shifts, dtype=torch.float32)))
    for i, photo in enumerate(as_numpy(image)):
        hsv = cv2.cvtColor(photo.astype(np.float32), cv2.COLOR_RGB2HSV)
        gray = photo.max(-1) == photo.min(-1)
        hsv[..., 0] = (hsv[..., 0] + 2 * shifts[0, i]) % 360
        hsv[..., 1] = np.where(gray, 0, (hsv[..., 1] + shifts[1, i] / 255).clip(0, 1))
        hsv[..., 2] = (hsv[..., 2] + shifts[2, i]).clip(0, 255)
        expected = cv2.cvtColor(hsv.astype(np.float32), cv2.COLOR_HSV2RGB)
        np.testing.assert_allclose(ours[i], expected, atol=0.01)


def test_shift_hsv_by_nothing_changes_nothing_and_gray_stays_gray():
    image = photos(4).float()
    nothing = full(4, 0)
    shifted = steps.shift_hsv(image, nothing, nothing, nothing)
    torch.testing.assert_close(shifted, image, atol=1e-3, rtol=0)
    gray = torch.arange(256.0).view(1, 1, 16, 16).expand(1, 3, 16, 16)
    shifted = steps.shift_hsv(gray, full(1, 13), full(1, 30), full(1, 20))
    torch.testing.assert_close(shifted, (gray + 20).clamp(max=255))


@pytest.mark.parametrize(("brightness", "contrast"), [(0.2, -0.2), (-0.2, 0.2), (0.07, 0.13)])
def test_brightness_and_contrast_against_albumentations(brightness, contrast):
    image = photos(4)
    peer = RandomBrightnessContrast(
        brightness_limit=(brightness, brightness), contrast_limit=(contrast, contrast), p=1.0
    )
    ours = as_numpy(
        steps.shift_brightness_contrast(image.float(), full(4, brightness), full(4, contrast))
    )
    for mine, photo in zip(ours, as_numpy(image), strict=True):
        theirs = peer(image=photo)["image"].astype(np.float32)
        assert np.abs(mine - theirs).max() <= 1  # theirs is cut to whole numbers


def test_add_noise_against_albumentations():
    image = photos(3)
    noise_unit = torch.randn(image.shape, generator=seeded())
    variance = torch.tensor([10.0, 25.0, 50.0])
    ours = as_numpy(steps.add_noise(image.float(), noise_unit, variance))
    for i, photo in enumerate(as_numpy(image)):
        noise = as_numpy(noise_unit)[i] * float(variance[i]) ** 0.5
        theirs = pixel.add_noise(photo.astype(np.float32) / 255, noise / 255) * 255
        np.testing.assert_allclose(ours[i], theirs, atol=1e-3)


def test_gaussian_blur_against_opencv():
    image = photos(20, 17, 23)
    kernel_size = torch.tensor([1, 3, 5, 7]).repeat(5)
    sigma = torch.linspace(1, 8, 20)
    ours = as_numpy(steps.gaussian_blur(image.float(), kernel_size, sigma))
    for i, photo in enumerate(as_numpy(image)):
        k, s = int(kernel_size[i]), float(sigma[i])
        exact = cv2.GaussianBlur(photo.astype(np.float32), (k, k), s)
        np.testing.assert_allclose(ours[i], exact, atol=0.01)
        rounded = cv2.GaussianBlur(photo, (k, k), s).astype(np.float32)
        assert np.abs(ours[i].round() - rounded).max() <= 1


def test_gaussian_blur_refuses_images_too_small_to_mirror():
    with pytest.raises(ValueError, match="3×9 are too small"):
        steps.gaussian_blur(torch.zeros(1, 3, 3, 9), torch.tensor([3]), full(1, 2))
    steps.gaussian_blur(torch.zeros(1, 3, 4, 4), torch.tensor([7]), full(1, 2))


# --- the draws ---------------------------------------------------------------------------------


def test_draw_has_the_frequencies_of_the_policy():
    n = 100_000
    drawn = draw(n, seeded())

    def fraction(condition):
        return float(condition.float().mean())

    near = {"abs": 0.006}  # four standard errors of a fraction of one half
    for turns, expected in enumerate((5 / 8, 1 / 8, 1 / 8, 1 / 8)):
        assert fraction(drawn.quarter_turns == turns) == pytest.approx(expected, **near)
    both = drawn.horizontal & drawn.vertical
    assert fraction(both) == pytest.approx(1 / 6, **near)
    assert fraction(drawn.horizontal & ~both) == pytest.approx(1 / 6, **near)
    assert fraction(drawn.vertical & ~both) == pytest.approx(1 / 6, **near)
    hsv, linear = drawn.hue != 0, drawn.brightness != 0
    assert fraction(hsv) == pytest.approx(1 / 4, **near)
    assert fraction(linear) == pytest.approx(1 / 4, **near)
    assert not (hsv & linear).any()
    assert torch.equal(hsv, drawn.value != 0)
    for size in (1, 3, 5, 7):
        assert fraction(drawn.kernel_size == size) == pytest.approx(1 / 4, **near)
    # The gates know nothing of each other.
    turned = drawn.quarter_turns != 0
    assert fraction(turned & hsv) == pytest.approx(3 / 32, **near)


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("hue", -20, 20),
        ("saturation", -30, 30),
        ("value", -20, 20),
        ("brightness", -0.2, 0.2),
        ("contrast", -0.2, 0.2),
        ("variance", 10, 50),
        ("sigma", 1, 8),
    ],
)
def test_draw_is_uniform_over_the_ranges_of_the_policy(name, low, high):
    values = getattr(draw(50_000, seeded(1)), name)
    values = (values[values != 0] - low) / (high - low)
    assert 0 <= values.min() < 0.01
    assert 0.99 < values.max() <= 1
    assert float(values.mean()) == pytest.approx(1 / 2, abs=0.01)
    assert float(values.std()) == pytest.approx(12**-0.5, abs=0.01)


def test_noise_in_place_is_that_of_randn():
    noise_unit = torch.full((2, 3, 8, 9), 7.0)
    policy.fill_with_noise(noise_unit, seeded(5))
    assert torch.equal(noise_unit, torch.randn((2, 3, 8, 9), generator=seeded(5)))


def test_draw_for_oblong_images_has_half_turns_only():
    turns = draw(10_000, seeded(), square=False).quarter_turns
    assert set(turns.tolist()) == {0, 2}
    assert float((turns == 2).float().mean()) == pytest.approx(1 / 4, abs=0.02)


# --- the whole ---------------------------------------------------------------------------------


def test_apply_is_its_steps_one_after_the_other():
    image = photos(64)
    mask = (image[:, :1] > 200).float()
    drawn = draw(64, seeded(5))
    noise_unit = torch.randn(image.shape, generator=seeded(6))
    one, its_mask = steps.rotate90(image, mask, drawn.quarter_turns)
    one, its_mask = steps.flip(one, its_mask, drawn.horizontal, drawn.vertical)
    one = steps.shift_hsv(one.float(), drawn.hue, drawn.saturation, drawn.value)
    one = steps.shift_brightness_contrast(one, drawn.brightness, drawn.contrast)
    one = steps.add_noise(one, noise_unit, drawn.variance)
    one = steps.gaussian_blur(one, drawn.kernel_size, drawn.sigma)
    whole, mask = policy.apply(image, mask, drawn, noise_unit)
    torch.testing.assert_close(whole, one, atol=2e-3, rtol=0)
    assert torch.equal(mask, its_mask)


def test_colors_of_all_images_have_the_bits_of_those_computed_for_some(monkeypatch):
    # The first is how an accelerator does it, the second how a CPU does.
    image, mask = photos(40), photos(40)[:, :1]
    drawn = draw(40, seeded(9))
    shifts = drawn.hue, drawn.saturation, drawn.value
    assert 0 < int((drawn.hue != 0).sum()) < 40
    some = policy._shift_some(image.float(), *shifts)
    assert torch.equal(policy._shift_all(image.float(), *shifts), some)
    assert not torch.equal(some, image.float())
    on_a_cpu, _ = augment(image, mask, seeded(9))
    monkeypatch.setattr(policy, "_shift_some", policy._shift_all)
    as_on_a_gpu, _ = augment(image, mask, seeded(9))
    assert torch.equal(as_on_a_gpu, on_a_cpu)


@given(
    st.integers(1, 5),
    st.integers(4, 33),
    st.integers(4, 33),
    st.integers(0, 2**31),
    st.sampled_from([torch.uint8, torch.float32]),
    st.sampled_from([torch.uint8, torch.float32, torch.bool]),
)
def test_augment_of_any_batch(n, height, width, seed, dtype, mask_dtype):
    image = torch.randint(0, 256, (n, 3, height, width), generator=seeded(seed)).to(dtype)
    mask = (image[:, :1] > 99).to(mask_dtype)
    before, mask_before = image.clone(), mask.clone()
    out, out_mask = augment(image, mask, seeded(seed))
    assert out.dtype == torch.float32
    assert out.shape == image.shape
    assert out.min() >= 0
    assert out.max() <= 255.001
    assert out_mask.dtype == mask_dtype
    assert out_mask.shape == mask.shape
    assert torch.equal(out_mask.sum((1, 2, 3)), mask.sum((1, 2, 3)))
    assert torch.equal(image, before)
    assert torch.equal(mask, mask_before)


def test_mask_follows_the_image():
    # A bright cross, off the center, survives noise and blur; its mask must lie on it.
    image = torch.full((200, 3, 24, 24), 60, dtype=torch.uint8)
    image[:, :, 3:9, 5:20] = 200
    image[:, :, 3:20, 5:11] = 200
    mask = image[:, :1] == 200
    out, out_mask = augment(image, mask, seeded(2))
    level = out.mean(1, keepdim=True)
    middle = (level.amax((2, 3), keepdim=True) + level.amin((2, 3), keepdim=True)) / 2
    agree = ((level > middle) == out_mask).float().mean((1, 2, 3))
    assert agree.min() > 0.9
    assert len({tuple(m.flatten().tolist()) for m in out_mask}) == 8  # all turns and flips occur


def test_same_seed_same_batch_and_other_seed_other_batch():
    image, mask = photos(8), photos(8)[:, :1]
    first, first_mask = augment(image, mask, seeded(7))
    second, second_mask = augment(image, mask, seeded(7))
    other, _ = augment(image, mask, seeded(8))
    assert torch.equal(first, second)
    assert torch.equal(first_mask, second_mask)
    assert not torch.equal(first, other)
    generator = seeded(7)
    augment(image, mask, generator)
    continued, _ = augment(image, mask, generator)
    assert not torch.equal(first, continued)


def test_a_sample_does_not_depend_on_its_neighbors():
    image, mask = photos(8), photos(8)[:, :1]
    drawn = draw(8, seeded(3))
    noise_unit = torch.randn(image.shape, generator=seeded(4))
    together, together_mask = policy.apply(image, mask, drawn, noise_unit)
    for i in range(8):
        values = (getattr(drawn, entry.name)[i : i + 1] for entry in fields(drawn))
        alone, alone_mask = policy.apply(
            image[i : i + 1], mask[i : i + 1], policy.Draw(*values), noise_unit[i : i + 1]
        )
        torch.testing.assert_close(alone[0], together[i], atol=1e-3, rtol=0)
        assert torch.equal(alone_mask[0], together_mask[i])


def test_autocast_around_it_changes_nothing():
    image, mask = photos(4), photos(4)[:, :1]
    expected, _ = augment(image, mask, seeded())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside, _ = augment(image, mask, seeded())
    assert torch.equal(inside, expected)


def test_oblong_images_refuse_quarter_turns_drawn_for_squares():
    image = photos(64, 20, 30)
    with pytest.raises(ValueError, match="half turns"):
        policy.apply(image, image[:, :1], draw(64, seeded()), torch.zeros(image.shape))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_on_a_gpu_only_the_noise_differs():
    image, mask = photos(16), photos(16)[:, :1]
    drawn, noise_unit = draw(16, seeded()), torch.randn(image.shape, generator=seeded(1))
    here, mask_here = policy.apply(image, mask, drawn, noise_unit)
    there, mask_there = policy.apply(image.cuda(), mask.cuda(), drawn, noise_unit.cuda())
    torch.testing.assert_close(there.cpu(), here, atol=0.05, rtol=0)
    assert torch.equal(mask_there.cpu(), mask_here)
    first, _ = augment(image.cuda(), mask.cuda(), seeded())
    second, _ = augment(image.cuda(), mask.cuda(), seeded())
    assert first.is_cuda
    assert torch.equal(first, second)
    with pytest.raises(ValueError, match="on the CPU"):
        draw(2, torch.Generator("cuda"))
