"""The rule of a set with colored masks: which color is crack."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fissura.data.masks.looks import CLASS_FRACTION, FLAT_FRACTION, MaskLook
from fissura.data.masks.rule import Color, MaskRule, along, upper_8_bits
from fissura.data.masks.sentences import CLASSES, differing, inverted, listed, named
from fissura.errors import InputError

# Two colors are told apart from this distance on (of 442 between black and white).
COLOR_DISTANCE = 56.0
# A third color counts as a class of its own from this fraction of the crack's pixels on.
COLOR_FRACTION = 0.05


def choose_colors(looks: Sequence[tuple[Path, MaskLook]], where: Path) -> MaskRule:
    """Choose the rule of a set with colored masks, among which there may be gray ones.

    See `fissura.data.masks.choose.choose_rule`.
    """
    total = np.zeros((4096, 5), np.int64)
    for _, look in looks:
        total[look.colors[:, 0]] += look.colors[:, 1:]
        grays = upper_8_bits(look.values)
        lines = np.stack(
            [look.counts, *[look.counts * grays] * 3, np.zeros_like(look.counts)], axis=1
        )
        np.add.at(total, (grays >> 4) * 273, lines)
    total = total[total[:, 0] > 0]
    total = total[np.argsort(-total[:, 0], kind="stable")]
    counts, colors, flat = total[:, 0], total[:, 1:4] / total[:, :1], total[:, 4]
    far = np.linalg.norm(colors - colors[0], axis=1) > COLOR_DISTANCE
    if not far.any():
        raise InputError(f"{where}: no mask marks any crack, they all have one color.")
    crack = int(np.argmax(far))
    way = np.clip(along(colors, colors[0], colors[crack]), 0, 1)
    aside = np.linalg.norm(colors - colors[0] - way[:, None] * (colors[crack] - colors[0]), axis=1)
    third = (aside > COLOR_DISTANCE) & (counts > COLOR_FRACTION * counts[crack])
    between = (way > 0.2) & (way < 0.8) & (flat > FLAT_FRACTION * counts)
    third |= between & (counts > CLASS_FRACTION * counts[crack])
    names: list[Color] = [_color(color) for color in colors]
    if third.any():
        seen = [names[0], names[crack], *(names[index] for index in np.flatnonzero(third))]
        colored = [(path, look) for path, look in looks if len(look.colors)]
        raise InputError(
            f"{where}: it is unclear which pixels are crack, since {named(colored, where)} "
            f"{'has' if len(colored) == 1 else 'have'} several colors: (red, green, blue) "
            f"{listed(seen)}. Save masks with two colors, one for crack and one for background. "
            f"{CLASSES}"
        )
    if max(names[crack]) < 48:
        raise inverted(where, counts[0] / counts.sum())
    faint = [
        (path, look)
        for path, look in looks
        if len(look.values) > 1 and np.ptp(upper_8_bits(look.values)) <= COLOR_DISTANCE / 3**0.5
    ]
    if faint:
        raise differing(faint, where)
    return MaskRule(colors=(names[0], names[crack]))


def _color(mean: NDArray[np.float64]) -> Color:
    red, green, blue = (round(float(value)) for value in mean)
    return red, green, blue
