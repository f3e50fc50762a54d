"""Choose how the cracks of an image grow: their style, their width, their bends and forks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Habit:
    """How the cracks of one image grow. Lengths in pixels, angles in radians.

    Attributes:
        style: "meander", "star", "network" or "hairline".
        width: Width of a main crack.
        unit: Length by which the bends are measured, 1 at 128², growing slowly with the image.
        wander: Standard deviation of the heading's slow bends.
        jag: Standard deviation of its sudden kinks.
        jag_length: Mean distance of the kinks.
        fork: Children per unit length of a parent.
        fork_angle: Lowest and highest angle between child and parent.
        roughness: Of the width, as a standard deviation of its logarithm.
        stops: Whether a branch that meets another one ends there.
    """

    style: str
    width: float
    unit: float
    wander: float
    jag: float
    jag_length: float
    fork: float
    fork_angle: tuple[float, float]
    roughness: float
    stops: bool


def choose_habit(
    rng: np.random.Generator, size_hw: tuple[int, int], target: int, brittle: float
) -> Habit:
    """Choose how cracks grow that shall cover `target` pixels in all.

    Args:
        rng: The source of randomness.
        size_hw: Height and width of the image in pixels.
        target: Number of crack pixels.
        brittle: 0 for tough, grainy matter (kinks, meanders) to 1 for glass (smooth arcs, stars).
    """
    unit = (min(size_hw) / 128) ** 0.35
    fraction = target / (size_hw[0] * size_hw[1])
    width = 2.1 * unit * float(np.exp(0.33 * rng.standard_normal())) * (fraction / 0.03) ** 0.22
    width = float(np.clip(width, 0.8 * unit, 4.0 * unit))
    width = min(width, (target / 14) ** 0.5)  # however little there is, it is longer than wide
    # No more crack length than can lie in the image without becoming a hatching.
    width = max(width, target / (14.0 * sum(size_hw)))
    styles, weights = ("meander", "star", "network", "hairline"), np.array([0.52, 0.15, 0.2, 0.13])
    weights[1] *= 0.3 + 1.6 * brittle
    if target / width < 130 * unit:
        weights[1:3] = 0.0
    style = str(rng.choice(styles, p=weights / weights.sum()))
    finer = {"hairline": 0.55, "star": 0.7, "network": 0.85}.get(style, 1.0)
    width = max(finer * width, 0.75 * unit, target / (14.0 * sum(size_hw)))
    tough = 1.0 - brittle
    wide = style == "network"
    return Habit(
        style=style,
        width=width,
        unit=unit,
        wander=rng.uniform(0.1, 0.35) + 0.15 * tough,
        jag=(rng.uniform(0.05, 0.25) + tough * rng.uniform(0.1, 0.5))
        * (style != "hairline" or 0.6),
        jag_length=rng.uniform(3.0, 9.0) * unit,
        fork={"meander": rng.uniform(0.004, 0.022), "star": 0.008, "network": 0.018}.get(
            style, 0.003
        )
        / unit,
        fork_angle=(0.9, 1.6) if wide else (0.3, 1.1),
        roughness=rng.uniform(0.06, 0.14) + 0.16 * tough * rng.random(),
        stops=wide or rng.random() < 0.75,
    )
