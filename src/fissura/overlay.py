"""Draw masks over photographs, in colors that color-blind people can tell apart.

The colors are from Okabe and Ito, 'Color Universal Design', 2008; the three of `error_overlay`
also differ in luminance, so that they survive a black-and-white print.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Color = tuple[int, int, int]

SKY_BLUE: Color = (86, 180, 233)
VERMILION: Color = (213, 94, 0)
YELLOW: Color = (240, 228, 66)
REDDISH_PURPLE: Color = (204, 121, 167)

# Of classes, in their order; Okabe and Ito's colors, and then lighter and darker ones.
CLASS_COLORS: tuple[Color, ...] = (
    *(VERMILION, SKY_BLUE, YELLOW, (0, 158, 115), REDDISH_PURPLE, (0, 114, 178), (230, 159, 0)),
    *((250, 190, 160), (190, 230, 250), (120, 114, 30), (160, 230, 205), (110, 60, 90)),
)

TRUE_POSITIVE = SKY_BLUE
FALSE_POSITIVE = VERMILION
FALSE_NEGATIVE = YELLOW


def hexadecimal(color: Color) -> str:
    """Return a color as HTML and matplotlib have it.

    Args:
        color: Red, green and blue, 0 to 255.

    >>> hexadecimal(SKY_BLUE)
    '#56b4e9'
    """
    return "#" + "".join(f"{channel:02x}" for channel in color)


def overlay(
    image: NDArray[np.uint8],
    mask: NDArray[np.bool_],
    color: Color = VERMILION,
    alpha: float = 0.25,
    outline: int | None = None,
) -> NDArray[np.uint8]:
    """Tint the pixels of a mask and draw a line around them; what lies under them stays visible.

    Args:
        image: RGB, uint8 (h, w, 3).
        mask: Bool (h, w).
        color: RGB, 0 to 255.
        alpha: Strength of the tint inside the mask, 0 (none) to 1 (opaque). The line is opaque.
        outline: Thickness of the line in pixels, outside the mask; 0 for none; None for 1 and one
            more per 1500 pixels of the longer side, so that a reduced view still shows it.

    Returns:
        RGB, uint8 (h, w, 3), a new array.

    >>> overlay(np.zeros((1, 2, 3), np.uint8), np.array([[True, False]]), alpha=1).tolist()
    [[[213, 94, 0], [213, 94, 0]]]
    """
    _check(image, mask)
    if not 0 <= alpha <= 1:
        raise ValueError(f"alpha lies in [0, 1]; got {alpha}.")
    if outline is None:
        outline = outline_of(mask.shape)
    drawn = image.copy()
    drawn[mask] = _mix(image[mask], color, alpha)
    if outline:
        drawn[_grown(mask, outline) & ~mask] = color
    return drawn


def class_color(number: int) -> Color:
    """Return the color of a class by its number, from 0; they repeat after twelve.

    >>> class_color(0) == class_color(12) == VERMILION
    True
    """
    return CLASS_COLORS[number % len(CLASS_COLORS)]


def outline_of(shape: tuple[int, ...]) -> int:
    """Return how thick the line around the masks of an image is, in pixels.

    Args:
        shape: Of the image, (h, w, …).

    >>> outline_of((3000, 4000))
    3
    """
    return 1 + max(shape) // 1500


def error_overlay(
    image: NDArray[np.uint8],
    pred: NDArray[np.bool_],
    target: NDArray[np.bool_],
    alpha: float = 0.9,
) -> NDArray[np.uint8]:
    """Show where a prediction is right and wrong, over a grayed and dimmed image.

    Sky blue: crack found (true positive). Vermilion: called crack, is none (false positive).
    Yellow: crack missed (false negative).

    Args:
        image: RGB, uint8 (h, w, 3).
        pred: The mask that was predicted, bool (h, w).
        target: The true mask, bool (h, w).
        alpha: Opacity of the colors, 0 to 1.

    Returns:
        RGB, uint8 (h, w, 3), a new array.
    """
    _check(image, pred)
    _check(image, target)
    gray = image @ np.array([0.299, 0.587, 0.114])
    drawn = np.repeat((0.5 * gray)[..., None], 3, axis=2).astype(np.uint8)
    for where, color in (
        (pred & target, TRUE_POSITIVE),
        (pred & ~target, FALSE_POSITIVE),
        (~pred & target, FALSE_NEGATIVE),
    ):
        drawn[where] = _mix(drawn[where], color, alpha)
    return drawn


def _mix(pixels: NDArray[np.uint8], color: Color, alpha: float) -> NDArray[np.uint8]:
    """Blend pixels with a color."""
    mixed = (1 - alpha) * pixels.astype(np.float32) + alpha * np.array(color, np.float32)
    return mixed.round().astype(np.uint8)


def _grown(mask: NDArray[np.bool_], steps: int) -> NDArray[np.bool_]:
    """Grow a mask by a pixel in all eight directions, `steps` times."""
    for _ in range(steps):
        tall = mask.copy()
        tall[1:] |= mask[:-1]
        tall[:-1] |= mask[1:]
        mask = tall.copy()
        mask[:, 1:] |= tall[:, :-1]
        mask[:, :-1] |= tall[:, 1:]
    return mask


def _check(image: NDArray[np.uint8], mask: NDArray[np.bool_]) -> None:
    """Raise `ValueError` unless the arrays are an image and a mask of its size."""
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(f"image must be uint8 (h, w, 3); got {image.dtype} {image.shape}.")
    if mask.dtype != np.bool_ or mask.shape != image.shape[:2]:
        raise ValueError(
            f"A mask must be bool {image.shape[:2]} like its image; got {mask.dtype} {mask.shape}."
        )
