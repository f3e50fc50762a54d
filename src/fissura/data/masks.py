"""Tell crack from background in label images, by one rule for a whole set of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fissura.errors import InputError

# Of a set that has only so many values, each is meant; blurred or JPEG edges bring many more.
FEW_VALUES = 8
# A value in between counts as a class of its own from this share of the crack's pixels on.
CLASS_SHARE = 0.05
# Two colors are told apart from this distance on (of 442 between black and white).
COLOR_DISTANCE = 56.0

Color = tuple[int, int, int]


@dataclass(frozen=True)
class MaskRule:
    """How mask values become crack and background.

    A gray mask is crack from `threshold` on. A colored mask is crack where a pixel, projected on
    the line between the two colors, lies nearer to `crack` than to `background`.
    """

    background: int | Color
    crack: int | Color
    threshold: int | None

    def __str__(self) -> str:
        if self.threshold is None:
            return (
                f"crack is the color {self.crack}, background {self.background}, "
                "the nearer one counts"
            )
        if self.threshold == self.crack:
            return f"crack is {self.crack}, background {self.background}"
        return (
            f"crack from {self.threshold} on (values run from {self.background} to {self.crack} "
            "with soft or noisy edges)"
        )

    def apply(self, raw: NDArray[np.uint8]) -> NDArray[np.bool_]:
        """Crack pixels of a mask as `fissura.data.images.read_mask` gives it, shape (h, w)."""
        if self.threshold is not None and raw.ndim == 2:
            return raw >= self.threshold
        pixels = (raw if raw.ndim == 3 else raw[:, :, None]).astype(np.float32)
        background = np.broadcast_to(np.asarray(self.background, np.float32), 3)
        axis = np.broadcast_to(np.asarray(self.crack, np.float32), 3) - background
        return ((pixels - background) * axis).sum(axis=2) >= 0.5 * (axis * axis).sum()


@dataclass
class MaskCensus:
    """Counts of the values in a set of masks; censuses of parts of it can be added up."""

    gray: NDArray[np.int64] = field(default_factory=lambda: np.zeros(256, np.int64))
    # Bins of 16 levels per channel; beside the count the sums of red, green, blue.
    colors: NDArray[np.int64] = field(default_factory=lambda: np.zeros((4096, 4), np.int64))

    @classmethod
    def of(cls, raw: NDArray[np.uint8]) -> MaskCensus:
        """Count one mask, as `fissura.data.images.read_mask` gives it."""
        census = cls()
        if raw.ndim == 2:
            census.gray += np.bincount(raw.ravel(), minlength=256)
            return census
        pixels = raw.reshape(-1, 3).astype(np.int64)
        bins = (pixels >> 4) @ np.array([256, 16, 1])
        census.colors[:, 0] = np.bincount(bins, minlength=4096)
        for channel in range(3):
            sums = np.bincount(bins, weights=pixels[:, channel], minlength=4096)
            census.colors[:, 1 + channel] = sums.astype(np.int64)
        return census

    def __add__(self, other: MaskCensus) -> MaskCensus:
        return MaskCensus(self.gray + other.gray, self.colors + other.colors)


def choose_rule(census: MaskCensus, root: Path) -> MaskRule:
    """Choose the rule that decodes a set of masks, from the values of the whole set.

    Two values or two colors: the greater value, or the rarer color, is crack. Many gray values,
    as anti-aliasing and JPEG leave behind: crack from the middle between the least and the
    greatest on.

    Raises `InputError`, naming `root`, where no crack is marked in the whole set, where more than
    half of it is crack (inverted masks), or where there are several classes.
    """
    if census.colors.any():
        return _choose_colors(census, root)
    values = np.flatnonzero(census.gray)
    if len(values) < 2:
        seen = f"all have the one value {values[0]}" if len(values) else "have no pixels"
        raise InputError(
            f"No mask in {root} marks any crack: they {seen}. At least one must hold a crack."
        )
    background, crack = int(values[0]), int(values[-1])
    if _several_classes(values, census.gray[values]):
        raise InputError(
            f"The masks in {root} have several classes: the values "
            f"{_listed([int(value) for value in values])} were seen. "
            "Save masks with two values, one for crack and one for background."
        )
    threshold = crack if len(values) == 2 else (background + crack + 1) // 2
    share = census.gray[threshold:].sum() / census.gray.sum()
    if share > 0.5:
        raise _inverted(root, share)
    return MaskRule(background, crack, threshold)


def _several_classes(values: NDArray[np.intp], counts: NDArray[np.int64]) -> bool:
    gaps = np.diff(values)
    wide = values[-1] - values[0] > 32
    if len(values) == 2 or (wide and len(values) > FEW_VALUES):
        return False
    if wide and len(values) == 5 and np.ptp(gaps) <= 2:
        return False  # a two-valued mask that was halved in size: quarters of a pixel
    if wide and values[-1] - values[-2] <= 4 and (gaps > 4).sum() == 1:
        return False  # a faint noise at both ends: JPEG of high quality
    return bool((counts[1:-1] > CLASS_SHARE * counts[-1]).any())


def _choose_colors(census: MaskCensus, root: Path) -> MaskRule:
    table = census.colors.copy()
    grays = np.arange(256)
    np.add.at(
        table, (grays >> 4) * 273, np.stack([census.gray, *[census.gray * grays] * 3], axis=1)
    )
    table = table[table[:, 0] > 0]
    table = table[np.argsort(-table[:, 0], kind="stable")]
    counts, colors = table[:, 0], table[:, 1:] / table[:, :1]
    far = np.linalg.norm(colors - colors[0], axis=1) > COLOR_DISTANCE
    if not far.any():
        raise InputError(f"No mask in {root} marks any crack: they all have one color.")
    crack = int(np.argmax(far))
    axis = colors[crack] - colors[0]
    along = np.clip((colors - colors[0]) @ axis / (axis @ axis), 0, 1)
    aside = np.linalg.norm(colors - colors[0] - along[:, None] * axis, axis=1)
    third = (aside > COLOR_DISTANCE) & (counts > CLASS_SHARE * counts[crack])
    names: list[Color] = [_color(color) for color in colors]
    if third.any():
        seen = [names[0], names[crack], *(names[index] for index in np.flatnonzero(third))]
        raise InputError(
            f"The masks in {root} have several classes: the colors (red, green, blue) "
            f"{_listed(seen)} were seen. "
            "Save masks with two colors, one for crack and one for background."
        )
    if max(names[crack]) < 48:
        raise _inverted(root, counts[0] / counts.sum())
    return MaskRule(names[0], names[crack], None)


def _color(mean: NDArray[np.float64]) -> Color:
    red, green, blue = (round(float(value)) for value in mean)
    return red, green, blue


def _listed(values: list[int] | list[Color]) -> str:
    shown = ", ".join(map(str, values[:10]))
    return f"{shown} and {len(values) - 10} more" if len(values) > 10 else shown


def _inverted(root: Path, share: float) -> InputError:
    return InputError(
        f"The masks in {root} look inverted: {share:.0%} of all pixels would be crack. "
        "Invert them so that the crack is the brighter value."
    )
