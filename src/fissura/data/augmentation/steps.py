"""The steps of augmentation: pure functions with one explicit parameter per sample."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int, Shaped

LARGEST_KERNEL = 7


def rotate90(
    image: Shaped[Tensor, "n c h w"],
    mask: Shaped[Tensor, "n d h w"],
    quarter_turns: Int[Tensor, " n"],
) -> tuple[Shaped[Tensor, "n c h w"], Shaped[Tensor, "n d h w"]]:
    """Turn each image and its mask counter-clockwise by its number of quarter turns.

    Args:
        image: A batch of images.
        mask: Their masks.
        quarter_turns: How often each is turned.

    Returns:
        Images and masks of the same shapes.

    Raises:
        ValueError: Images that are not square shall be turned by an odd number of quarters: the
            batch would no longer have one size.

    >>> image = torch.tensor([[1, 2], [3, 4]]).view(1, 1, 2, 2)
    >>> rotate90(image, image, torch.tensor([1]))[0].squeeze().tolist()
    [[2, 4], [1, 3]]
    """
    check_turns(image, quarter_turns)
    moves = moves_of(quarter_turns)
    return move(image, *moves), move(mask, *moves)


def flip(
    image: Shaped[Tensor, "n c h w"],
    mask: Shaped[Tensor, "n d h w"],
    horizontal: Bool[Tensor, " n"],
    vertical: Bool[Tensor, " n"],
) -> tuple[Shaped[Tensor, "n c h w"], Shaped[Tensor, "n d h w"]]:
    """Reverse the columns and the rows of some samples.

    Args:
        image: A batch of images.
        mask: Their masks.
        horizontal: True for the samples whose columns are reversed.
        vertical: True for the samples whose rows are reversed.

    Returns:
        Images and masks of the same shapes.
    """
    stay = torch.zeros_like(horizontal)
    return move(image, stay, vertical, horizontal), move(mask, stay, vertical, horizontal)


def shift_hsv(
    image: Float[Tensor, "n 3 h w"],
    hue: Float[Tensor, " n"],
    saturation: Float[Tensor, " n"],
    value: Float[Tensor, " n"],
) -> Float[Tensor, "n 3 h w"]:
    """Shift hue, saturation and value of RGB images in OpenCV's 8-bit units (180, 255, 255).

    Hue goes round, saturation and value are clipped to 0…255. Gray pixels stay gray, as in
    albumentations 2 (version 1 turned them reddish). Differs from OpenCV on 8-bit images in not
    rounding the three, which there costs some gray levels.

    Args:
        image: RGB, 0 to 255.
        hue: Shift of each sample, in units of 180 for the full circle.
        saturation: Shift of each sample, in units of 255.
        value: Shift of each sample, in units of 255.

    Returns:
        RGB, 0 to 255.

    >>> red = torch.tensor([255.0, 0.0, 0.0]).view(1, 3, 1, 1)
    >>> shift_hsv(red, *torch.tensor([[60.0], [0.0], [-55.0]])).flatten().tolist()
    [0.0, 200.0, 0.0]
    """
    hue, saturation, value = (x.view(-1, 1, 1) for x in (hue, saturation, value))
    red, green, blue = image.unbind(1)
    top = image.amax(1)
    chroma = top - image.amin(1)
    colored = chroma > 0
    divisor = torch.where(colored, chroma, 1)
    # The hue in sextants of the circle: red 0, green 2, blue 4.
    sextant = torch.where(
        top == red,
        (green - blue) / divisor,
        torch.where(top == green, (blue - red) / divisor + 2, (red - green) / divisor + 4),
    )
    sextant = (sextant + hue / 30).remainder_(6)
    saturated = (chroma / top.clamp(min=1e-6) + saturation / 255).clamp_(0, 1) * colored
    top = (top + value).clamp_(0, 255)

    # A channel falls from the top to the bottom as the hue goes from one to two sextants from it.
    home = torch.arange(0.0, 6.0, 2.0, device=image.device).view(3, 1, 1)
    distance = (sextant.unsqueeze(1) - home).abs_()
    fall = torch.minimum(distance, 6 - distance).sub_(1).clamp_(0, 1)
    return top.unsqueeze(1) * (1 - saturated.unsqueeze(1) * fall)


def shift_brightness_contrast(
    image: Float[Tensor, "n 3 h w"], brightness: Float[Tensor, " n"], contrast: Float[Tensor, " n"]
) -> Float[Tensor, "n 3 h w"]:
    """Return (1 + contrast)·image + 255·brightness, clipped to 0…255.

    As albumentations with `brightness_by_max`: contrast is about black, not about the mean.

    Args:
        image: RGB, 0 to 255.
        brightness: Shift of each sample, as a fraction of 255.
        contrast: Relative change of each sample.
    """
    factor, shift = (1 + contrast).view(-1, 1, 1, 1), (255 * brightness).view(-1, 1, 1, 1)
    return (image * factor).add_(shift).clamp_(0, 255)


def add_noise(
    image: Float[Tensor, "n 3 h w"],
    noise_unit: Float[Tensor, "n 3 h w"],
    variance: Float[Tensor, " n"],
) -> Float[Tensor, "n 3 h w"]:
    """Return image + √variance·noise_unit, clipped to 0…255.

    Args:
        image: RGB, 0 to 255.
        noise_unit: Standard normal values, one per pixel and channel.
        variance: Of each sample's noise, in squared 8-bit units.
    """
    return image.addcmul(noise_unit, variance.sqrt().view(-1, 1, 1, 1)).clamp_(0, 255)


def gaussian_blur(
    image: Float[Tensor, "n c h w"], kernel_size: Int[Tensor, " n"], sigma: Float[Tensor, " n"]
) -> Float[Tensor, "n c h w"]:
    """Blur each image with its own Gaussian, k(x) ∝ exp(−x²/2σ²) for |x| ≤ (kernel_size − 1)/2.

    The border is mirrored about its outermost pixel, OpenCV's BORDER_REFLECT_101.

    Args:
        image: A batch of images.
        kernel_size: Of each sample, odd, 1 to 7 pixels; 1 for no blur.
        sigma: Of each sample, above 0, in pixels.

    Returns:
        Images of the same shape.

    Raises:
        ValueError: The images are less than 4 pixels high or wide, too small to be mirrored.
    """
    n, channels, height, width = image.shape
    radius = LARGEST_KERNEL // 2
    if min(height, width) <= radius:
        raise ValueError(
            f"Images of {height}×{width} are too small to blur; at least {radius + 1} pixels "
            "are needed each way."
        )
    # All kernels are padded with zeros to the largest size, and samples and channels become
    # channels of one image: one depthwise convolution, at 7×7 faster than two separable ones.
    x = torch.arange(-radius, radius + 1, device=image.device)
    line = torch.exp(-0.5 * (x / sigma[:, None]) ** 2) * (2 * x.abs() < kernel_size[:, None])
    line = (line / line.sum(1, keepdim=True)).repeat_interleave(channels, dim=0)
    kernel = (line[:, None, :] * line[:, :, None]).unsqueeze(1)
    flat = F.pad(image, (radius,) * 4, mode="reflect").flatten(0, 1).unsqueeze(0)
    with torch.autocast(image.device.type, enabled=False):
        blurred = F.conv2d(flat, kernel, groups=n * channels)
    return blurred.view(n, channels, height, width)


def check_turns(image: Tensor, quarter_turns: Tensor) -> None:
    """Refuse quarter turns of oblong images, where looking at the turns waits for no device.

    Args:
        image: A batch of images.
        quarter_turns: How often each is turned.

    Raises:
        ValueError: Images that are not square shall be turned by an odd number of quarters.
    """
    height, width = image.shape[-2:]
    if quarter_turns.device.type != "cpu":
        return
    if height != width and bool((quarter_turns % 2).any()):
        raise ValueError(f"Images of {height}×{width} can only be turned by half turns.")


def moves_of(quarter_turns: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return quarter turns as moves: whether to transpose, then to reverse rows, and columns.

    Args:
        quarter_turns: How often each image is turned counter-clockwise.
    """
    turns = quarter_turns % 4
    return turns % 2 == 1, (turns == 1) | (turns == 2), turns >= 2


def move(x: Tensor, transpose: Tensor, vertical: Tensor, horizontal: Tensor) -> Tensor:
    """Transpose some samples, then reverse the rows and the columns of some.

    Args:
        x: A batch of images or masks.
        transpose: True for the samples to transpose, none where they are not square.
        vertical: True for the samples whose rows are reversed.
        horizontal: True for the samples whose columns are reversed.
    """
    if x.shape[-1] == x.shape[-2]:
        x = torch.where(transpose.view(-1, 1, 1, 1), x.transpose(-1, -2), x)
    x = torch.where(vertical.view(-1, 1, 1, 1), x.flip(-2), x)
    return torch.where(horizontal.view(-1, 1, 1, 1), x.flip(-1), x)
