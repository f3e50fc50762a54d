"""An endless, seeded stream of images of cracked industrial panels, with exact ground truth.

How an image comes about, one module each: a bare panel of some material (`surfaces`), marks
that are no cracks (`marks`), cracks grown as branching random walks (`habit`, `cracks`), their
exact pixels (`raster`) and their looks (`rendering`), light and camera (`camera`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv, gammaincinv

from fissura.data.synthetic.camera import illumination, photograph
from fissura.data.synthetic.cracks import grow_cracks
from fissura.data.synthetic.habit import choose_habit
from fissura.data.synthetic.marks import UNDER, UPON, Mark, lay_marks
from fissura.data.synthetic.rendering import paint_cracks, tilt_shards
from fissura.data.synthetic.surfaces import bare_panel
from fissura.errors import InputError

SMALLEST, MOST_CRACK = 32, 0.2
TRACED = 0.5  # of the panels have a mark of a kind that is a class
CRACK_FREE = 0.04  # of the images, where cracks are asked for at all
_SPREAD = 2.5  # shape of the distribution of crack fractions: its coefficient of variation is ~ 0.6


@dataclass(frozen=True)
class Panel:
    """An image of a panel and the truth about its cracks.

    Attributes:
        image: RGB, (h, w, 3) uint8.
        mask: (h, w) bool, true where a crack covers at least half of the pixel, or, for a crack
            finer than a pixel, half of what it can cover: where the pixel's center is within
            max(width_px, 1)/2 of the centerline.
        centerline: A (k, 3) float64 array per branch: row, column, width_px; (0, 0) is the center
            of the first pixel. Lines that leave the image end up to two pixels outside it.
    """

    image: NDArray[np.uint8]
    mask: NDArray[np.bool_]
    centerline: list[NDArray[np.float64]]


def draw_panel(
    seed: int,
    index: int = 0,
    *,
    size_hw: tuple[int, int] = (128, 128),
    crack_fraction: float = 0.0315,
) -> Panel:
    """Draw one cracked panel: image number `index` of the endless set `seed`.

    The same arguments give the same bits, whatever was drawn before (on one kind of machine:
    vectorized sines may differ in the last bit between processors).

    The fraction of crack pixels varies from image to image: a beta distribution of mean
    `crack_fraction` (coefficient of variation about 0.6, near a gamma distribution), with four
    per cent of the images free of cracks. Its quantiles are visited by the golden-ratio
    sequence along `index`, so that the mean of any run of images is near `crack_fraction`.

    Args:
        seed: Number of the set, 0 or more.
        index: Number of the image, 0 or more.
        size_hw: Height and width in pixels, 32 or more each. Cracks and textures keep a
            camera's magnification: a larger image shows more of the panel, and widths grow slowly,
            by (shorter side / 128)^0.35.
        crack_fraction: Mean fraction of crack pixels, 0 to 0.2; 0 gives panels without any crack.

    Returns:
        The panel.

    Raises:
        InputError: (a ValueError) An argument is out of its range.

    >>> panel = draw_panel(seed=1, index=2, size_hw=(64, 96))
    >>> panel.image.shape, panel.mask.shape, panel.centerline[0].shape[1]
    ((64, 96, 3), (64, 96), 3)
    """
    return _draw(seed, index, size_hw, crack_fraction, UNDER, None)


def draw_classes(
    seed: int,
    index: int = 0,
    *,
    marks: tuple[str, ...],
    size_hw: tuple[int, int] = (128, 128),
    crack_fraction: float = 0.0315,
) -> tuple[Panel, dict[str, NDArray[np.bool_]]]:
    """Draw a panel, and tell where marks of some kinds are, each of which half of the panels have.

    Args:
        seed: As in `draw_panel`.
        index: As in `draw_panel`.
        marks: Kinds of marks, keys of `fissura.data.synthetic.marks.UNDER`.
        size_hw: As in `draw_panel`.
        crack_fraction: As in `draw_panel`.

    Returns:
        The panel; and of each kind its mask (h, w): the pixels whose color a mark of the kind
        changes by 5 % of white or more. No pixel is in two of them, and none of them on a crack.

    Raises:
        InputError: An argument is out of its range, or there is no such kind.

    >>> _, masks = draw_classes(seed=1, index=4, marks=("seam", "stain"))
    >>> {name: int(mask.sum()) > 0 for name, mask in masks.items()}
    {'seam': True, 'stain': True}
    """
    if unknown := [name for name in marks if name not in UNDER]:
        raise InputError(
            f"The generator draws no {' and no '.join(unknown)}. It draws cracks and "
            f"{', '.join(UNDER)}."
        )
    under = {kind: (draw, TRACED if kind in marks else p) for kind, (draw, p) in UNDER.items()}
    traced = {name: np.zeros(size_hw, np.bool_) for name in marks}
    panel = _draw(seed, index, size_hw, crack_fraction, under, traced)
    return panel, {name: mask & ~panel.mask for name, mask in traced.items()}


def _draw(
    seed: int,
    index: int,
    size_hw: tuple[int, int],
    crack_fraction: float,
    under: dict[str, tuple[Mark, float]],
    traced: dict[str, NDArray[np.bool_]] | None,
) -> Panel:
    """Draw a panel with these marks under its cracks, and note where some of them are."""
    check_request(seed, index, size_hw, crack_fraction)
    streams = [np.random.default_rng(s) for s in np.random.SeedSequence([seed, index]).spawn(6)]
    of_panel, of_marks, of_cracks, of_looks, of_dust, of_camera = streams
    light_angle = float(of_panel.uniform(0, 2 * np.pi))
    surface = bare_panel(of_panel, size_hw, light_angle)
    color, allowed = surface.color, np.ones(size_hw, dtype=bool)
    lay_marks(of_marks, color, allowed, under, traced)
    target = round(_target_fraction(seed, index, crack_fraction) * size_hw[0] * size_hw[1])
    centerline: list[NDArray[np.float64]] = []
    mask = np.zeros(size_hw, dtype=bool)
    if target > 0:
        habit = choose_habit(of_cracks, size_hw, target, surface.brittle)
        centerline, mask = grow_cracks(of_cracks, allowed, target, habit)
    if surface.brittle > 0.5 and of_looks.random() < 0.4:
        tilt_shards(of_looks, color, mask, of_looks.uniform(0.02, 0.12))
    paint_cracks(of_looks, color, centerline, light_angle, brittle=surface.brittle)
    lay_marks(of_dust, color, allowed, UPON)
    falling, mirrored = illumination(of_camera, size_hw, light_angle, surface.gloss, surface.grain)
    color *= falling[..., None]
    color += mirrored[..., None]
    return Panel(photograph(of_camera, color), mask, centerline)


def panels(
    seed: int, *, size_hw: tuple[int, int] = (128, 128), crack_fraction: float = 0.0315
) -> Iterator[Panel]:
    """Draw the panels of a set one after the other, without end.

    Args:
        seed: As in `draw_panel`.
        size_hw: As in `draw_panel`.
        crack_fraction: As in `draw_panel`.

    Yields:
        `draw_panel(seed, 0)`, `draw_panel(seed, 1)` and so on.
    """
    for index in count():
        yield draw_panel(seed, index, size_hw=size_hw, crack_fraction=crack_fraction)


def _target_fraction(seed: int, index: int, crack_fraction: float) -> float:
    """The fraction of crack pixels of one image; see `draw_panel`."""
    if crack_fraction == 0:
        return 0.0
    offset = np.random.default_rng([seed, 0x5EED]).random()
    quantile = (offset + index * ((5**0.5 - 1) / 2)) % 1.0
    if quantile < CRACK_FREE:
        return 0.0
    quantile = (quantile - CRACK_FREE) / (1 - CRACK_FREE)
    mean = crack_fraction / (1 - CRACK_FREE)
    if mean < 1e-4:  # the beta distribution's limit, where its inverse gives up
        return float(mean * gammaincinv(_SPREAD, quantile) / _SPREAD)
    return float(betaincinv(_SPREAD, _SPREAD * (1 / mean - 1), quantile))


def check_request(seed: int, index: int, size_hw: tuple[int, int], crack_fraction: float) -> None:
    """Check the arguments of `draw_panel`.

    Args:
        seed: Number of the set.
        index: Number of the image.
        size_hw: Height and width in pixels.
        crack_fraction: Mean fraction of crack pixels.

    Raises:
        InputError: One is out of its range.
    """
    if seed < 0 or index < 0:
        raise InputError(f"seed and index must be 0 or more, not {seed} and {index}.")
    if min(size_hw) < SMALLEST:
        raise InputError(f"size_hw must be at least {SMALLEST}×{SMALLEST} pixels, not {size_hw}.")
    if not 0 <= crack_fraction <= MOST_CRACK:
        raise InputError(
            f"crack_fraction must lie between 0 and {MOST_CRACK}, not {crack_fraction}."
        )
