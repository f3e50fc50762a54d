"""Vary a batch of training images at random, on whatever device holds it: the paper's Fig. 2.

`draw` draws one set of parameters per sample, `apply` runs the steps (see `steps`) in the
paper's order, `augment` does both.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from fissura.data.augmentation.steps import (
    add_noise,
    check_turns,
    gaussian_blur,
    move,
    moves_of,
    shift_brightness_contrast,
    shift_hsv,
)

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int, Shaped, UInt8

    from fissura.data.preparation.batches import Share


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

    def of(self, samples: Int[Tensor, " k"]) -> Draw:
        """Return the parameters of some of the samples."""
        return Draw(*(getattr(self, entry.name)[samples] for entry in fields(self)))


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
    *,
    share: Share | None = None,
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
        share: Which images these are of a larger batch, to vary them as in it; None: all.

    Returns:
        The image as float32, 0 to 255, and the mask in its own type.
    """
    n, _, height, width = image.shape
    drawn = draw(share.whole if share else n, generator, square=height == width)
    noise_unit = torch.empty((len(drawn.hue), *image.shape[1:]), device=image.device)
    fill_with_noise(noise_unit, generator)
    if share:
        samples = torch.from_numpy(share.own)
        drawn, noise_unit = drawn.of(samples), noise_unit[samples.to(image.device)]
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
    check_turns(image, drawn.quarter_turns)
    drawn = drawn.to(image.device)

    # A turn is at most one transposition and two flips, so that turn and flip together are too.
    transpose, vertical, horizontal = moves_of(drawn.quarter_turns)
    moves = (transpose, vertical ^ drawn.vertical, horizontal ^ drawn.horizontal)
    image = move(image, *moves).float()
    mask = move(mask, *moves)

    shift_drawn = _shift_some if image.device.type == "cpu" else _shift_all
    image = shift_drawn(image, drawn.hue, drawn.saturation, drawn.value)
    image = shift_brightness_contrast(image, drawn.brightness, drawn.contrast)
    image = add_noise(image, noise_unit, drawn.variance)
    return gaussian_blur(image, drawn.kernel_size, drawn.sigma), mask


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
