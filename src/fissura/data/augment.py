"""Vary a batch of training images at random, on whatever device holds it: the paper's Fig. 2.

The steps are pure functions with one explicit parameter per sample. `draw` draws the parameters,
`apply` runs the steps in the paper's order, `augment` does both.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int, Shaped, UInt8

LARGEST_KERNEL = 7


@dataclass(frozen=True)
class Draw:
    """One set of random parameters per sample; a step that is not drawn has its neutral value.

    Attributes:
        quarter_turns: Counter-clockwise quarter turns, 0 to 3; 0 or 2 for oblong images.
        horizontal: Whether columns are reversed after the turn.
        vertical: Whether rows are reversed after the turn.
        hue: Shift in OpenCV's units, 180 for the full circle; −20 to 20.
        saturation: Shift in 8-bit units, −30 to 30.
        value: Shift in 8-bit units, −20 to 20.
        brightness: Shift as a fraction of 255, −0.2 to 0.2.
        contrast: Relative change, −0.2 to 0.2.
        variance: Of the noise, in squared 8-bit units, 10 to 50.
        kernel_size: Of the blur, in pixels: 1, 3, 5 or 7.
        sigma: Of the blur, in pixels, 1 to 8.
    """

    quarter_turns: Int[Tensor, " n"]
    horizontal: Bool[Tensor, " n"]
    vertical: Bool[Tensor, " n"]
    hue: Float[Tensor, " n"]
    saturation: Float[Tensor, " n"]
    value: Float[Tensor, " n"]
    brightness: Float[Tensor, " n"]
    contrast: Float[Tensor, " n"]
    variance: Float[Tensor, " n"]
    kernel_size: Int[Tensor, " n"]
    sigma: Float[Tensor, " n"]

    def to(self, device: torch.device) -> Draw:
        """Return the same parameters on `device`; the host does not wait for the copies."""
        values = (getattr(self, entry.name) for entry in fields(self))
        return Draw(*(tensor.to(device, non_blocking=True) for tensor in values))


def draw(n: int, generator: torch.Generator, *, square: bool = True) -> Draw:
    """Draw the parameters of Fig. 2 for `n` samples, on the CPU.

    Every sample, independently: with p = ½ a turn by 0 to 3 quarters, equally likely (0 or 2 where
    the images are not `square`); with p = ½ a flip, horizontal, vertical or both, equally likely;
    then one of two, equally likely: with p = ½ shifts of hue, saturation and value, or with p = ½
    a change of brightness and contrast; always noise; always a blur. Ranges: see `Draw`, all
    uniform.

    Differs from albumentations 1, with which the paper's policy was most likely run: its `OneOf`
    applies the chosen one always, and its blur draws kernels 1, 3, 5, 7 as 1 : 2 : 2 : 2.

    Args:
        n: Number of samples.
        generator: The source of randomness, on the CPU.
        square: Whether the images are square, so that quarter turns keep their size.

    Returns:
        The parameters, on the CPU.

    Raises:
        ValueError: The generator is not on the CPU.

    >>> drawn = draw(4, torch.Generator().manual_seed(0))
    >>> drawn.quarter_turns.tolist(), drawn.kernel_size.tolist()
    ([1, 0, 1, 3], [3, 3, 7, 7])
    """
    if generator.device.type != "cpu":
        raise ValueError(
            f"The generator lives on {generator.device}. Give one on the CPU: the same seed then "
            "draws the same parameters for batches on every device, and no draw waits for a GPU."
        )
    u = torch.rand(14, n, generator=generator)
    signed = 2 * u - 1

    turns = (u[0] < 0.5) * (4 * u[1]).long()
    if not square:
        turns = 2 * (turns // 2)
    flips = u[2] < 0.5
    kind = (3 * u[3]).long()  # 0 horizontal, 1 vertical, 2 both
    color, applied = u[4] < 0.5, u[5] < 0.5
    hsv, linear = color & applied, ~color & applied
    return Draw(
        quarter_turns=turns,
        horizontal=flips & (kind != 1),
        vertical=flips & (kind != 0),
        hue=20 * signed[6] * hsv,
        saturation=30 * signed[7] * hsv,
        value=20 * signed[8] * hsv,
        brightness=0.2 * signed[9] * linear,
        contrast=0.2 * signed[10] * linear,
        variance=10 + 40 * u[11],
        kernel_size=2 * (4 * u[12]).long() + 1,
        sigma=1 + 7 * u[13],
    )


def augment(
    image: UInt8[Tensor, "n 3 h w"] | Float[Tensor, "n 3 h w"],
    mask: Shaped[Tensor, "n 1 h w"],
    generator: torch.Generator,
) -> tuple[Float[Tensor, "n 3 h w"], Shaped[Tensor, "n 1 h w"]]:
    """Vary each image of a batch at random as the paper's Fig. 2 does, and its mask with it.

    In this order: turn, flip, color, noise, blur; `draw` tells the chances, `Draw` the ranges.
    Values are clipped to 0…255 after each step as 8-bit images are, but never rounded (the rounding
    error's variance, 1/12, vanishes beside the noise's 10). The same seed gives the same result on
    one device; another device draws the same parameters but other noise.

    Source: the paper, Fig. 2.

    Args:
        image: RGB in 8-bit units, 0 to 255, uint8 or float.
        mask: Of any type; it follows the turns and flips alone.
        generator: The source of randomness, on the CPU whatever device holds the batch.

    Returns:
        The image as float32, 0 to 255, and the mask in its own type.
    """
    n, _, height, width = image.shape
    drawn = draw(n, generator, square=height == width)
    noise_unit = torch.empty(image.shape, device=image.device)
    fill_with_noise(noise_unit, generator)
    return apply(image, mask, drawn, noise_unit)


def fill_with_noise(noise_unit: Float[Tensor, "n 3 h w"], generator: torch.Generator) -> None:
    """Overwrite `noise_unit`, on any device, with standard normal values.

    Args:
        noise_unit: The tensor to fill.
        generator: The source of randomness, on the CPU; it and the kind of device determine the
            values.
    """
    if noise_unit.device.type != "cpu":
        seed = int(torch.randint(2**62, (1,), generator=generator))
        generator = torch.Generator(noise_unit.device).manual_seed(seed)
    noise_unit.normal_(generator=generator)


@torch.no_grad()
def apply(
    image: UInt8[Tensor, "n 3 h w"] | Float[Tensor, "n 3 h w"],
    mask: Shaped[Tensor, "n 1 h w"],
    drawn: Draw,
    noise_unit: Float[Tensor, "n 3 h w"],
) -> tuple[Float[Tensor, "n 3 h w"], Shaped[Tensor, "n 1 h w"]]:
    """Run the steps of Fig. 2 with parameters drawn before; no randomness in here.

    On an accelerator the host waits for nothing.

    Args:
        image: As in `augment`.
        mask: As in `augment`.
        drawn: The parameters, on the CPU or the device of the image, with even `quarter_turns`
            where the images are not square.
        noise_unit: Standard normal values on the device of the image.

    Returns:
        As `augment` does.

    Raises:
        ValueError: Oblong images shall be turned by a quarter.
    """
    _check_turns(image, drawn.quarter_turns)
    drawn = drawn.to(image.device)

    # A turn is at most one transposition and two flips, so that turn and flip together are too.
    transpose, vertical, horizontal = _turn(drawn.quarter_turns)
    moves = (transpose, vertical ^ drawn.vertical, horizontal ^ drawn.horizontal)
    image = _move(image, *moves).float()
    mask = _move(mask, *moves)

    shift_drawn = _shift_some if image.device.type == "cpu" else _shift_all
    image = shift_drawn(image, drawn.hue, drawn.saturation, drawn.value)
    image = shift_brightness_contrast(image, drawn.brightness, drawn.contrast)
    image = add_noise(image, noise_unit, drawn.variance)
    return gaussian_blur(image, drawn.kernel_size, drawn.sigma), mask


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
    _check_turns(image, quarter_turns)
    moves = _turn(quarter_turns)
    return _move(image, *moves), _move(mask, *moves)


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
    return _move(image, stay, vertical, horizontal), _move(mask, stay, vertical, horizontal)


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


def _check_turns(image: Tensor, quarter_turns: Tensor) -> None:
    """Refuse odd turns of oblong images, where looking at the turns waits for no device."""
    height, width = image.shape[-2:]
    if quarter_turns.device.type != "cpu":
        return
    if height != width and bool((quarter_turns % 2).any()):
        raise ValueError(f"Images of {height}×{width} can only be turned by half turns.")


def _turn(quarter_turns: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Quarter turns as: transpose?, then reverse rows?, reverse columns?"""
    turns = quarter_turns % 4
    return turns % 2 == 1, (turns == 1) | (turns == 2), turns >= 2


def _move(x: Tensor, transpose: Tensor, vertical: Tensor, horizontal: Tensor) -> Tensor:
    """Transpose, reverse rows, reverse columns of the samples for which each is true."""
    if x.shape[-1] == x.shape[-2]:
        x = torch.where(transpose.view(-1, 1, 1, 1), x.transpose(-1, -2), x)
    x = torch.where(vertical.view(-1, 1, 1, 1), x.flip(-2), x)
    return torch.where(horizontal.view(-1, 1, 1, 1), x.flip(-1), x)


def _shift_some(image: Tensor, *shifts: Tensor) -> Tensor:
    """`shift_hsv` of the images that have a shift, in place: the fewest pixels."""
    chosen = torch.stack(shifts).any(0).nonzero()[:, 0]
    if len(chosen):
        image.index_copy_(0, chosen, shift_hsv(image[chosen], *(x[chosen] for x in shifts)))
    return image


def _shift_all(image: Tensor, *shifts: Tensor) -> Tensor:
    """The same bits, computed for every image: no shape depends on what was drawn."""
    changed = torch.stack(shifts).any(0)
    return torch.where(changed.view(-1, 1, 1, 1), shift_hsv(image, *shifts), image)
