"""Bare panels: materials with their colors, textures and gloss."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from fissura.data.synthetic.noise import Field, Image, clouds, noise, relief

Color = tuple[float, float, float]


@dataclass(frozen=True)
class Surface:
    """A bare panel before light falls on it.

    Attributes:
        color: RGB in [0, 1], (h, w, 3), as a camera would render it under even light.
        gloss: How strongly lamps show in it: 0 dull to 1 mirror.
        brittle: How its cracks run: 0 tough to 1 glass.
        grain: Direction of brushing, in radians, or None.
    """

    color: Image
    gloss: float
    brittle: float
    grain: float | None = None


def _tinted(base: Color, gain: Field, tint: Field | None = None, hue: Color = (0, 0, 0)) -> Image:
    """Return base·gain as (h, w, 3), moved towards `hue` by the field `tint`."""
    color = gain[..., None] * np.array(base, np.float32)
    if tint is not None:
        color += tint[..., None] * np.array(hue, np.float32)
    return color


def _vary(rng: np.random.Generator, color: Color, amount: float = 0.06) -> Color:
    level = np.exp(1.5 * amount * rng.standard_normal())
    varied = np.array(color) * level * np.exp(0.5 * amount * rng.standard_normal(3))
    red, green, blue = np.clip(varied, 0.02, 0.97).tolist()
    return red, green, blue


def _pick(rng: np.random.Generator, palette: tuple[Color, ...], amount: float = 0.06) -> Color:
    return _vary(rng, palette[int(rng.integers(len(palette)))], amount)


def _glass(rng: np.random.Generator, size_hw: tuple[int, int], light: float) -> Surface:
    """Display glass: dark or lit, with a faint pixel grid and smears of wiping."""
    palette = (
        (0.10, 0.11, 0.13), (0.13, 0.16, 0.20), (0.17, 0.19, 0.18), (0.22, 0.30, 0.34),
        (0.30, 0.42, 0.55), (0.40, 0.52, 0.50), (0.62, 0.70, 0.73), (0.33, 0.32, 0.37),
    )  # fmt: skip
    base = _pick(rng, palette, 0.15)
    gain = 1 + 0.05 * clouds(rng, size_hw, 20, max(size_hw) / 2, slope=0.6)
    if rng.random() < 0.6:
        wiping = float(rng.uniform(0, np.pi))
        scale = rng.uniform(4, 9) * (min(size_hw) / 128) ** 0.35
        smear = noise(rng, size_hw, scale, stretch=rng.uniform(4, 9), angle=wiping)
        gain += (
            rng.uniform(0.02, 0.07)
            * smear
            * np.clip(noise(rng, size_hw, 0.45 * max(size_hw)) + 0.3, 0, 2)
        )
    if rng.random() < 0.4:
        period = rng.uniform(2.4, 4.5)
        turn = rng.uniform(-0.15, 0.15)
        columns = np.arange(size_hw[1]) * np.cos(turn) + np.arange(size_hw[0])[:, None] * np.sin(
            turn
        )
        gain += rng.uniform(0.01, 0.04) * np.sin(2 * np.pi * columns / period)
    far = (rng.uniform(-0.1, 0.1) + rng.uniform(-0.05, 0.05, 3)) * max(base)
    glow = noise(rng, size_hw, 0.7 * max(size_hw))
    color = _tinted(base, gain.astype(np.float32), glow, tuple(far))
    return Surface(color, gloss=rng.uniform(0.4, 1.0), brittle=1.0)


def _brushed_metal(rng: np.random.Generator, size_hw: tuple[int, int], light: float) -> Surface:
    palette = (
        (0.62, 0.63, 0.64), (0.70, 0.70, 0.69), (0.45, 0.46, 0.48), (0.30, 0.31, 0.33),
        (0.72, 0.60, 0.40), (0.68, 0.45, 0.33), (0.36, 0.42, 0.52), (0.52, 0.50, 0.46),
    )  # fmt: skip
    grain = float(rng.choice([0.0, np.pi / 2]) + 0.06 * rng.standard_normal())
    fine = noise(rng, size_hw, 1.0, stretch=rng.uniform(15, 90), angle=grain)
    broad = noise(rng, size_hw, rng.uniform(2.5, 6), stretch=rng.uniform(15, 60), angle=grain)
    stripes = noise(rng, size_hw, rng.uniform(15, 40), stretch=12, angle=grain)
    amount = rng.uniform(0.03, 0.075)
    gain = 1 + amount * (fine + 0.7 * broad) + rng.uniform(0.0, 0.1) * stripes
    gain += 0.02 * clouds(rng, size_hw, 1.2, 6)
    return Surface(_tinted(_pick(rng, palette), gain), rng.uniform(0.3, 0.8), 0.3, grain)


def _coated(rng: np.random.Generator, size_hw: tuple[int, int], light: float) -> Surface:
    """Lacquered or powder-coated metal: even color, orange peel."""
    palette = (
        (0.86, 0.86, 0.84), (0.72, 0.73, 0.72), (0.55, 0.57, 0.58), (0.34, 0.36, 0.38),
        (0.22, 0.34, 0.52), (0.26, 0.42, 0.36), (0.62, 0.20, 0.17), (0.80, 0.62, 0.22),
        (0.76, 0.70, 0.58), (0.45, 0.55, 0.62), (0.74, 0.44, 0.24), (0.17, 0.18, 0.19),
    )  # fmt: skip
    scale = rng.uniform(2.5, 7.5)
    peel = relief(noise(rng, size_hw, scale) + 0.6 * noise(rng, size_hw, 2.2 * scale), light)
    gain = 1 + rng.uniform(0.02, 0.16) * scale / 4 * peel
    gain += rng.uniform(0.01, 0.05) * clouds(rng, size_hw, 8, max(size_hw) / 2, slope=0.6)
    gain += rng.uniform(0.0, 0.025) * noise(rng, size_hw, 1.2)
    return Surface(_tinted(_pick(rng, palette, 0.1), gain), rng.uniform(0.1, 0.7), 0.5)


def _ceramic(rng: np.random.Generator, size_hw: tuple[int, int], light: float) -> Surface:
    palette = (
        (0.90, 0.89, 0.86), (0.83, 0.80, 0.73), (0.70, 0.71, 0.70), (0.66, 0.45, 0.33),
        (0.55, 0.66, 0.64), (0.48, 0.56, 0.66), (0.76, 0.66, 0.55), (0.36, 0.33, 0.31),
    )  # fmt: skip
    drift = clouds(rng, size_hw, 5, max(size_hw), slope=rng.uniform(0.3, 0.8))
    gain = 1 + rng.uniform(0.01, 0.06) * drift
    if rng.random() < 0.5:
        speck = noise(rng, size_hw, rng.uniform(1.5, 4))
        gain -= rng.uniform(0.08, 0.35) * np.clip(speck - rng.uniform(1.5, 2.3), 0, 1)
    if rng.random() < 0.4:
        vein = np.abs(clouds(rng, size_hw, 10, max(size_hw) / 2, slope=0.9))
        gain -= rng.uniform(0.03, 0.12) * np.exp(-((vein / 0.25) ** 2))
    tint = rng.uniform(0.0, 0.03) * drift
    color = _tinted(_pick(rng, palette, 0.08), gain, tint, (1.0, 0.3, -0.8))
    return Surface(color, rng.uniform(0.2, 0.9), 0.75)


def _woven(rng: np.random.Generator, size_hw: tuple[int, int], light: float) -> Surface:
    """Carbon- or glass-fiber twill under resin."""
    period = rng.uniform(5, 13) * (min(size_hw) / 128) ** 0.3
    turn = float(rng.uniform(0, np.pi / 2))
    rows, columns = np.mgrid[: size_hw[0], : size_hw[1]].astype(np.float32)
    rows += 0.35 * noise(rng, size_hw, 30)
    columns += 0.35 * noise(rng, size_hw, 30)
    across = (columns * np.cos(turn) + rows * np.sin(turn)) / np.float32(period)
    down = (rows * np.cos(turn) - columns * np.sin(turn)) / np.float32(period)
    over = np.floor(across).astype(np.int32) + np.floor(down).astype(np.int32)
    warp = (over % 4 < 2) if rng.random() < 0.7 else (over % 2 == 0)
    round_across = np.sin(np.pi * (across - np.floor(across)))
    round_down = np.sin(np.pi * (down - np.floor(down)))
    tow = np.where(warp, 0.75 + 0.5 * round_across, 0.55 + 0.25 * round_down)
    tow += 0.10 * np.where(
        warp,
        noise(rng, size_hw, 1.0, stretch=9, angle=turn + np.pi / 2),
        noise(rng, size_hw, 1.0, stretch=9, angle=turn),
    )
    depth = rng.uniform(0.25, 0.9)
    gain = (1 + depth * (tow - 0.9) * 0.7).astype(np.float32)
    gain *= 1 + 0.04 * clouds(rng, size_hw, 10, max(size_hw) / 2)
    palette = ((0.20, 0.21, 0.22), (0.15, 0.16, 0.17), (0.28, 0.29, 0.30), (0.58, 0.62, 0.52),
               (0.62, 0.56, 0.34))  # fmt: skip
    return Surface(_tinted(_pick(rng, palette, 0.1), gain), rng.uniform(0.2, 0.8), 0.55)


def _cement(rng: np.random.Generator, size_hw: tuple[int, int], light: float) -> Surface:
    palette = (
        (0.60, 0.60, 0.58), (0.68, 0.66, 0.61), (0.48, 0.49, 0.50), (0.70, 0.62, 0.54),
        (0.56, 0.42, 0.36), (0.52, 0.56, 0.52),
    )  # fmt: skip
    grit = noise(rng, size_hw, 1.2) + 0.8 * noise(rng, size_hw, rng.uniform(2, 5))
    bumps = relief(noise(rng, size_hw, 2.5) + 1.5 * noise(rng, size_hw, 8), light)
    stains = clouds(rng, size_hw, 14, max(size_hw), slope=0.4)
    gain = 1 + rng.uniform(0.02, 0.07) * grit + rng.uniform(0.03, 0.16) * bumps
    gain += rng.uniform(0.03, 0.08) * stains
    pits = noise(rng, size_hw, rng.uniform(2, 6)) - rng.uniform(1.9, 2.6)
    gain *= 1 - rng.uniform(0.2, 0.5) * np.clip(2.5 * pits, 0, 1)
    color = _tinted(_pick(rng, palette, 0.08), gain, 0.02 * stains, (1.0, 0.5, 0.0))
    return Surface(color, 0.0, 0.1)


def _laminate(rng: np.random.Generator, size_hw: tuple[int, int], light: float) -> Surface:
    """Wood veneer, phenolic sheet, decor board: long grain in two browns or grays."""
    palette = (
        (0.62, 0.46, 0.31), (0.46, 0.31, 0.21), (0.72, 0.60, 0.44), (0.52, 0.50, 0.47),
        (0.34, 0.25, 0.19), (0.78, 0.73, 0.65),
    )  # fmt: skip
    grain = float(rng.choice([0.0, np.pi / 2]) + 0.15 * rng.standard_normal())
    fiber = noise(rng, size_hw, 1.2, stretch=18, angle=grain)
    ring = noise(rng, size_hw, rng.uniform(4, 10), stretch=rng.uniform(10, 25), angle=grain)
    wide = noise(rng, size_hw, rng.uniform(18, 40), stretch=7, angle=grain)
    rings = np.sin(2.2 * (ring + 1.8 * wide))
    gain = 1 + rng.uniform(0.02, 0.06) * fiber + rng.uniform(0.03, 0.11) * rings + 0.05 * wide
    color = _tinted(_pick(rng, palette, 0.08), gain, 0.03 * rings, (0.6, 0.0, -0.6))
    return Surface(color, rng.uniform(0.0, 0.4), 0.3, grain)


def _molded(rng: np.random.Generator, size_hw: tuple[int, int], light: float) -> Surface:
    """Molded plastic or cast metal: pebbled or sandblasted skin."""
    palette = (
        (0.20, 0.20, 0.21), (0.34, 0.34, 0.35), (0.52, 0.51, 0.49), (0.74, 0.71, 0.65),
        (0.24, 0.28, 0.34), (0.44, 0.36, 0.30), (0.30, 0.36, 0.31), (0.66, 0.68, 0.70),
    )  # fmt: skip
    scale = rng.uniform(1.6, 4.5)
    skin = np.minimum(np.abs(noise(rng, size_hw, scale)), 1.2) if rng.random() < 0.5 else None
    height = 2.2 * skin if skin is not None else noise(rng, size_hw, scale)
    gain = 1 + rng.uniform(0.06, 0.24) * relief(height, light)
    gain += 0.03 * clouds(rng, size_hw, 6, max(size_hw) / 2)
    return Surface(_tinted(_pick(rng, palette, 0.1), gain), rng.uniform(0.0, 0.5), 0.35)


MATERIALS: dict[str, tuple[Callable[..., Surface], float]] = {
    "glass": (_glass, 0.2),
    "brushed metal": (_brushed_metal, 0.16),
    "coated metal": (_coated, 0.2),
    "ceramic": (_ceramic, 0.15),
    "woven composite": (_woven, 0.07),
    "fiber cement": (_cement, 0.1),
    "laminate": (_laminate, 0.06),
    "molded": (_molded, 0.06),
}


def bare_panel(rng: np.random.Generator, size_hw: tuple[int, int], light_angle: float) -> Surface:
    """Draw a bare panel of a random material.

    Args:
        rng: The source of randomness.
        size_hw: Height and width in pixels.
        light_angle: Direction that the light comes from, in radians.
    """
    weights = np.array([weight for _, weight in MATERIALS.values()])
    chosen = int(rng.choice(len(weights), p=weights / weights.sum()))
    surface = list(MATERIALS.values())[chosen][0](rng, size_hw, light_angle)
    if rng.random() < 0.12:  # a black-and-white line camera, as on many production lines
        gray = surface.color @ np.array([0.299, 0.587, 0.114], np.float32)
        color = np.repeat(gray[..., None], 3, axis=2)
        return Surface(color, surface.gloss, surface.brittle, surface.grain)
    return surface
