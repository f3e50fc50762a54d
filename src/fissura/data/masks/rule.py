"""How the values of masks become crack and background."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

Color = tuple[int, int, int]


@dataclass(frozen=True)
class Scale:
    """What the gray values of masks mean.

    Attributes:
        background: The value of the background.
        crack: The value of crack.
        threshold: The lowest value that counts as crack.
        files: How many masks have this scale.
    """

    background: int
    crack: int
    threshold: int
    files: int = 1

    def __str__(self) -> str:
        if self.threshold == self.crack:
            return f"crack is {self.crack}, background {self.background}"
        return (
            f"crack from {self.threshold} on (values run from {self.background} to {self.crack} "
            "with soft or noisy edges)"
        )


@dataclass(frozen=True)
class MaskRule:
    """How the values of masks become crack and background.

    A gray mask is crack from a threshold on: that of the first scale whose crack is not below the
    mask's highest value. A colored mask is crack where a pixel, projected on the line between the
    two colors, lies nearer to crack than to background.

    Attributes:
        scales: Of gray masks; ascending, and several where each file has its own.
        colors: Background and crack of colored masks, or None.
        ignore: The value of pixels without a label, or None.
    """

    scales: tuple[Scale, ...] = ()
    colors: tuple[Color, Color] | None = None
    ignore: int | None = None

    def __str__(self) -> str:
        if self.ignore is not None:
            return f"{replace(self, ignore=None)}; {self.ignore} is ignored"
        if self.colors:
            background, crack = self.colors
            return f"crack is the color {crack}, background {background}, the nearer one counts"
        if len(self.scales) == 1:
            return str(self.scales[0])
        return "each by its own scale: " + "; ".join(
            f"{scale} in {counted(scale.files)}" for scale in self.scales
        )

    def apply(self, values: NDArray[Any]) -> NDArray[np.bool_]:
        """Return the crack pixels (h, w) of a mask, as `read_mask` gives it.

        >>> MaskRule((Scale(0, 255, 128),)).apply(np.array([[0, 90, 200]], np.uint8))
        array([[False, False,  True]])
        """
        if (valid := self.valid(values)) is not None:
            values = np.where(valid, values, self.scales[0].background).astype(values.dtype)
        if self.colors is None and values.ndim == 2:
            highest = values.max(initial=0)
            fitting = (scale for scale in self.scales if highest <= scale.crack)
            return values >= next(fitting, self.scales[-1]).threshold
        pixels = values if values.ndim == 3 else upper_8_bits(values)[:, :, None]
        colors = self.colors or ((0, 0, 0), (255, 255, 255))
        return along(pixels.astype(np.float32), *colors) >= 0.5

    def valid(self, values: NDArray[Any]) -> NDArray[np.bool_] | None:
        """Return the pixels (h, w) of a mask that have a label; None where all of them have.

        >>> MaskRule((Scale(0, 1, 1),), ignore=255).valid(np.array([[0, 1, 255]], np.uint8))
        array([[ True,  True, False]])
        """
        if self.ignore is None or values.ndim != 2:
            return None
        valid = values != self.ignore
        return None if valid.all() else valid


def along(pixels: NDArray[Any], background: Any, crack: Any) -> NDArray[Any]:
    """Return where colors (..., 3) lie on the way from background, 0, to crack, 1."""
    start = np.asarray(background, pixels.dtype)
    axis = np.asarray(crack, pixels.dtype) - start
    return ((pixels - start) * axis).sum(axis=-1) / (axis * axis).sum()


def upper_8_bits(values: NDArray[Any]) -> NDArray[Any]:
    """Return values as they are up to 255, and their upper 8 of 16 bits otherwise."""
    return values >> 8 if values.max(initial=0) > 255 else values


def counted(count: int) -> str:
    """Return a number of files in words."""
    return "1 file" if count == 1 else f"{count} files"
