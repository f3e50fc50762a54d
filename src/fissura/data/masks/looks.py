"""What one look at a mask tells: its values, and whether they are soft edges or classes.

Soft edges, as anti-aliasing, resampling and JPEG leave behind, lie beside a crack and between its
two values: a pixel there has a neighbor that is darker and one that is brighter. Class labels,
instance ids and unlabeled areas are flat: their pixels have neighbors of the same value, and
nothing brighter or nothing darker beside them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fissura.data.masks.rule import upper_8_bits

# Values in between are meant, as classes are, where so large a fraction of their pixels is flat
# (of soft and noisy edges at most 0.3 were seen), and where so many pixels are.
FLAT_FRACTION, FLAT_PIXELS = 0.5, 9
# A single value in between is meant where its flat pixels are so large a fraction of the crack's.
CLASS_FRACTION = 0.25
# In a mask so large a fraction of the pixels is within an eighth of the background or the crack.
EXTREME_FRACTION = 0.7
RINGING = 8  # pixels from an edge within which JPEG scatters values: the side of its blocks
MOST_LOOKED_AT = 2**20  # pixels of one file whose neighbors are compared


@dataclass(frozen=True)
class MaskLook:
    """What one look at a mask told: its values, and which of them lie flat.

    Attributes:
        values: Gray values that occur, ascending; empty for a colored mask.
        counts: Pixels of each.
        flat: Flat pixels of each but the lowest: two neighbors have the same value, and none is
            brighter, or none darker. Zero of values that need no look.
        colors: Of a colored mask, a line for each color that occurs, as red, green and blue to 4
            bits: its number, its pixels, the sums of their red, green and blue, its flat pixels.
    """

    values: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    counts: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    flat: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    colors: NDArray[np.int64] = field(default_factory=lambda: np.zeros((0, 6), np.int64))

    @classmethod
    def of(cls, values: NDArray[Any], *, lossy: bool = False) -> MaskLook:
        """Look at a mask.

        Args:
            values: As `fissura.data.masks.values.read_mask` gives them.
            lossy: Whether the file is a JPEG, which scatters values beside edges: along straight
                edges they lie in rows and look flat, but mean nothing.
        """
        if values.ndim == 3:
            return cls(colors=_count_colors(values))
        counts = np.bincount(values.ravel())
        seen = np.flatnonzero(counts)
        flat = np.zeros(len(seen), np.int64)
        if len(seen) > 2 or (len(seen) == 2 and well_known(int(seen[-1])) is None):
            looked_at = values > seen[0]
            if lossy:
                looked_at &= ~_ringing(values)
            flat = _flat_pixels(values, looked_at)[seen]
        return cls(seen, counts[seen], flat)

    def without(self, value: int) -> MaskLook:
        """Return the look at the pixels that don't have a value."""
        kept = self.values != value
        return MaskLook(self.values[kept], self.counts[kept], self.flat[kept], self.colors)

    @property
    def middle(self) -> int:
        """The least value that is nearer to the highest than to the lowest."""
        return int(self.values[0] + self.values[-1] + 1) // 2

    def has_soft_edges(self) -> bool:
        """Whether there are values between background and crack."""
        return len(self.values) > 2

    def has_classes(self) -> bool:
        """Whether values between the lowest and the highest are meant, as of classes or ids."""
        if not self.has_soft_edges():
            return False
        lowest, highest = self.values[0], self.values[-1]
        # A brush of 254 beside 255 is no class.
        upper = highest if highest < 250 else max(highest - 4, lowest + 2)
        inner = (self.values > lowest) & (self.values < upper)
        flat, counts, values = self.flat[inner], self.counts[inner], self.values[inner]
        crack = self.counts[self.values >= self.middle].sum()
        if flat.sum() >= max(FLAT_PIXELS, FLAT_FRACTION * counts.sum()):
            return True
        reach = (highest - lowest) / 8
        within = (values > lowest + reach) & (values < highest - reach)
        meant = flat[within & (flat > FLAT_FRACTION * counts)]
        return bool(meant.max(initial=0) > max(CLASS_FRACTION * crack, 64))

    def is_photo(self) -> bool:
        """Whether too many values lie between the extremes for a mask."""
        reach = (self.values[-1] - self.values[0]) / 8
        near = (self.values <= self.values[0] + reach) | (self.values >= self.values[-1] - reach)
        return bool(self.counts[near].sum() < EXTREME_FRACTION * self.counts.sum())


def well_known(highest: int) -> int | None:
    """Return the scale that a highest value belongs to: 1, 255 (nearly, too) or 65535."""
    return {1: 1, 65535: 65535}.get(highest, 255 if 250 <= highest <= 255 else None)


def _ringing(values: NDArray[Any]) -> NDArray[np.bool_]:
    """Mark the values near either end that lie in reach of an edge of a JPEG."""
    gray = upper_8_bits(values).astype(np.uint8)
    lowest, highest = int(gray.min()), int(gray.max())
    square = np.ones((2 * RINGING + 1, 2 * RINGING + 1), np.uint8)
    beside = cv2.dilate(gray, square).astype(np.int32) - cv2.erode(gray, square)
    between = (gray > lowest + (highest - lowest) / 8) & (gray < highest - (highest - lowest) / 8)
    return (2 * beside >= highest - lowest) & ~between


def _flat_pixels(values: NDArray[Any], looked_at: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Count the flat pixels of each value; the index is the value."""
    where = np.flatnonzero(looked_at.ravel())
    step = max(-(-len(where) // MOST_LOOKED_AT), 1)
    rows, columns = np.divmod(where[::step], values.shape[1])
    padded = np.pad(values.astype(np.int32), 1, constant_values=-1)
    center = values[rows, columns].astype(np.int32)
    equal = np.zeros(len(rows), np.int8)
    higher, lower = np.zeros(len(rows), np.bool_), np.zeros(len(rows), np.bool_)
    for down in (0, 1, 2):
        for across in (0, 1, 2):
            beside = padded[rows + down, columns + across]
            equal += beside == center
            higher |= beside > center
            lower |= (beside < center) & (beside >= 0)
    flat = (equal >= 3) & ~(higher & lower)  # itself and two neighbors
    return step * np.bincount(center[flat], minlength=int(values.max()) + 1)


def _count_colors(values: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Count the colors of a mask, see `MaskLook.colors`."""
    pixels = values.reshape(-1, 3).astype(np.int64)
    bins = (pixels >> 4) @ np.array([256, 16, 1])
    table = np.zeros((4096, 6), np.int64)
    table[:, 0] = np.arange(4096)
    table[:, 1] = np.bincount(bins, minlength=4096)
    for channel in range(3):
        sums = np.bincount(bins, weights=pixels[:, channel], minlength=4096)
        table[:, 2 + channel] = sums.astype(np.int64)
    plane = bins.reshape(values.shape[:2])
    equal = np.zeros(plane.shape, np.int8)
    for down, across in ((0, 1), (1, 0), (1, 1), (1, -1)):
        shifted = np.roll(plane, (-down, -across), (0, 1)) == plane
        equal += shifted
        equal += np.roll(shifted, (down, across), (0, 1))
    table[:, 5] = np.bincount(bins[equal.ravel() >= 4], minlength=4096)
    return table[table[:, 1] > 0]
