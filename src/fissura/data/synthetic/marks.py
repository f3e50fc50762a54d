"""Marks on panels that are no cracks: scratches, seams, holes, stains, print, dust."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from fissura.data.synthetic.cracks import wave
from fissura.data.synthetic.noise import Field, Image, clouds, noise, relief
from fissura.data.synthetic.raster import coverage

Skin = NDArray[np.bool_]  # (h, w), where cracks may run
Mark = Callable[[Generator, Image, Skin, float], None]
_FINE = 4  # bits below the pixel in OpenCV's line coordinates


def _stroke(layer: NDArray[np.uint8], xy: NDArray[np.floating], level: float, thick: int) -> None:
    """Draw a line through points (k, 2) of x and y, to fractions of a pixel."""
    points = np.rint(xy * (1 << _FINE)).astype(np.int32).reshape(-1, 1, 2)
    cv2.polylines(layer, [points], False, float(level), thick, cv2.LINE_AA, _FINE)


def _lay(color: Image, layer: NDArray[np.uint8], target: NDArray[np.floating] | float) -> None:
    """Blend `color` towards `target` where the layer is drawn; touches only its bounding box."""
    x, y, width, height = cv2.boundingRect(layer)
    box = np.s_[y : y + height, x : x + width]
    alpha = layer[box].astype(np.float32)[..., None] / 255
    color[box] += alpha * (np.asarray(target, np.float32) - color[box])


def _patch(
    rng: Generator, size_hw: tuple[int, int], radius: float
) -> tuple[tuple[slice, slice], Field, Field]:
    """Choose where a patch lies: its box, and offsets from its center in units of the radius."""
    center = rng.uniform(-0.1, 1.1, 2) * np.array(size_hw)
    low = np.clip((center - 1.5 * radius).astype(int), 0, np.array(size_hw) - 8)
    high = np.clip((center + 1.5 * radius).astype(int), low + 8, np.array(size_hw))
    rows = (np.arange(low[0], high[0], dtype=np.float32)[:, None] - center[0]) / radius
    columns = (np.arange(low[1], high[1], dtype=np.float32) - center[1]) / radius
    box = (slice(int(low[0]), int(high[0])), slice(int(low[1]), int(high[1])))
    return box, rows.astype(np.float32), columns.astype(np.float32)


def _scratches(rng: Generator, color: Image, allowed: Skin, unit: float) -> None:
    """Straight or gently bowed, of even width, lighter or darker; alone or in bundles."""
    size_hw = allowed.shape
    long = float(np.hypot(*size_hw))
    tone = float(np.mean(color[::8, ::8]))
    for _ in range(int(1 + rng.poisson(0.7 * unit))):
        layer = np.zeros(size_hw, np.uint8)
        lighter = rng.random() < (0.75 if tone < 0.35 else 0.5)
        strength, heading = 255 * rng.uniform(0.12, 0.6), rng.uniform(0, np.pi)
        start, length = rng.uniform(0, 1, 2) * size_hw[::-1], long * rng.uniform(0.08, 0.7)
        bow, thick = rng.normal(0, 0.12), max(1, round(unit * rng.uniform(0.2, 1.15)))
        for _ in range(int(rng.choice([1, 1, 1, 2, 3, 7]))):
            begin = start + rng.normal(0, 0.05 * long, 2)
            turn = heading + rng.normal(0, 0.03) + bow * np.linspace(-1, 1, 25)
            steps = length / 24 * np.stack([np.cos(turn), np.sin(turn)], axis=1)
            xy = begin + np.cumsum(steps, axis=0) - steps.sum(axis=0) / 2
            fade = np.clip(0.75 + 0.35 * wave(rng, 24, 5), 0.05, 1) * rng.uniform(0.5, 1)
            for step in range(24):
                _stroke(layer, xy[step : step + 2], strength * fade[step], thick)
        _lay(color, layer, min(0.95, tone + rng.uniform(0.2, 0.5)) if lighter else 0.35 * tone)


def _scuff(rng: Generator, color: Image, allowed: Skin, unit: float) -> None:
    """A rubbed patch: many short, faint, parallel scratches."""
    layer = np.zeros(allowed.shape, np.uint8)
    center, spread = rng.uniform(0, 1, 2) * allowed.shape[::-1], rng.uniform(8, 26) * unit
    heading = rng.uniform(0, np.pi)
    for _ in range(int(rng.integers(15, 60))):
        turn = heading + rng.normal(0, 0.12)
        half = np.array([np.cos(turn), np.sin(turn)]) * rng.exponential(8) * unit
        middle = center + rng.normal(0, spread, 2)
        _stroke(layer, np.stack([middle - half, middle + half]), rng.uniform(15, 75), 1)
    _lay(color, layer, float(rng.choice([0.08, 0.85])))


def _seam(rng: Generator, color: Image, allowed: Skin, unit: float) -> None:
    """A joint between two panels: a straight groove with one lit edge, maybe crossed by another."""
    turn = float(rng.choice([0.0, np.pi / 2])) + rng.normal(0, 0.06)
    wide, depth = rng.uniform(0.8, 4.5) * unit, rng.uniform(0.3, 0.85)
    lit = rng.uniform(0.0, 0.45)
    for angle in (turn, turn + np.pi / 2)[: 1 + int(rng.random() < 0.25)]:
        rows, columns = np.ogrid[: allowed.shape[0], : allowed.shape[1]]
        down = rows - rng.uniform(0.1, 0.9) * allowed.shape[0]
        right = columns - rng.uniform(0.1, 0.9) * allowed.shape[1]
        away = (right * np.cos(angle) + down * np.sin(angle)).astype(np.float32)
        groove = coverage(np.abs(away), wide).astype(np.float32)
        edge = coverage(np.abs(away - wide / 2 - 0.6), 1.2).astype(np.float32)
        color *= (1 - depth * groove)[..., None]
        color += (lit * edge * 0.5)[..., None]


def _panel_edge(rng: Generator, color: Image, allowed: Skin, unit: float) -> None:
    """The panel ends: behind its edge lies the rig or a dark gap; cracks end there too."""
    turn = float(rng.choice(np.arange(4) * np.pi / 2)) + rng.normal(0, 0.05)
    rows = np.linspace(-0.5, 0.5, allowed.shape[0], dtype=np.float32)[:, None] * allowed.shape[0]
    columns = np.linspace(-0.5, 0.5, allowed.shape[1], dtype=np.float32) * allowed.shape[1]
    away = columns * np.float32(np.cos(turn)) + rows * np.float32(np.sin(turn))
    edge = float(away.max()) * rng.uniform(0.72, 0.95)
    bow = np.float32(rng.normal(0, 1.5) * unit) * noise(
        rng, allowed.shape, 0.6 * max(allowed.shape)
    )
    away = (away + bow - edge).astype(np.float32)
    outside = np.clip(away + 0.5, 0, 1)[..., None]
    behind = np.float32(rng.choice([0.03, 0.08, 0.2, 0.55], p=[0.4, 0.3, 0.2, 0.1]))
    ground = behind * (1 + 0.06 * clouds(rng, allowed.shape, 15, 200))[..., None]
    ground = ground * (1 - 0.5 * np.exp(-np.maximum(away, 0) / (4 * unit)))[..., None]
    chamfer = np.exp(-(((away + 1.5 * unit) / (1.2 * unit)) ** 2))[..., None]
    color *= 1 + np.float32(rng.uniform(-0.35, 0.5)) * chamfer
    color += outside * (ground - color)
    allowed &= away < -1.0


def _screw(rng: Generator, color: Image, allowed: Skin, unit: float) -> None:
    """A hole, a rivet or a screw with its slot."""
    light = rng.uniform(0, 2 * np.pi)
    radius = rng.uniform(3.5, 11) * unit
    box, rows, columns = _patch(rng, allowed.shape, radius)
    away = np.sqrt(rows**2 + columns**2)
    inside = np.clip((1 - away) * radius + 0.5, 0, 1)
    edge = np.exp(-(((away - 1) * radius / (0.9 * unit)) ** 2))
    shade = (columns * np.cos(light) + rows * np.sin(light)) / np.maximum(away, 0.1)
    if rng.random() < 0.5:
        gain = 1 - rng.uniform(0.75, 0.97) * inside + 0.45 * edge * shade
    else:
        dome = 1 + 0.35 * shade * away**2 * inside + 0.3 * edge * shade - 0.3 * edge
        turn = rng.uniform(0, np.pi)
        slot = np.abs(columns * np.cos(turn) + rows * np.sin(turn)) < 0.16
        gain = dome * (1 - 0.6 * (slot & (away < 0.75)))
    shadow = np.exp(-np.maximum(away - 1, 0) * radius / (2.5 * unit)) * (1 - inside)
    gain -= 0.25 * shadow * np.clip(-shade, 0, 1)
    color[box] *= np.clip(gain, 0.02, 2.5).astype(np.float32)[..., None]
    allowed[box] &= away > 1 + 1.5 / radius


def _stain(rng: Generator, color: Image, allowed: Skin, unit: float) -> None:
    """A blot of oil, rust or dirt with a ragged, soft edge."""
    box, rows, columns = _patch(rng, allowed.shape, rng.uniform(8, 45) * unit)
    away = np.sqrt(rows**2 + columns**2)
    ragged = away + 0.3 * clouds(rng, away.shape, 3, len(rows) / 3, slope=0.8)
    alpha = 1 / (1 + np.exp(np.clip((ragged - 0.8) / rng.uniform(0.03, 0.25), -30, 30)))
    alpha *= np.clip(3 * (1.45 - away), 0, 1)  # none of it reaches the box's straight edge
    palette = ((0.35, 0.3, 0.25), (0.55, 0.36, 0.2), (0.15, 0.15, 0.16), (0.9, 0.9, 0.88),
               (0.5, 0.5, 0.5))  # fmt: skip
    target = np.array(palette[int(rng.integers(len(palette)))], np.float32)
    strength = rng.uniform(0.1, 0.55)
    target = target * np.float32(0.3 + 0.7 * color[box].mean() / 0.5)
    color[box] += (strength * alpha).astype(np.float32)[..., None] * (target - color[box])


def _water_mark(rng: Generator, color: Image, allowed: Skin, unit: float) -> None:
    """A dried puddle: a thin winding edge, darker or lighter, around a slightly changed tone."""
    box, rows, columns = _patch(rng, allowed.shape, rng.uniform(10, 40) * unit)
    ragged = np.sqrt(rows**2 + columns**2)
    ragged = ragged + 0.16 * clouds(rng, ragged.shape, 9, 60, slope=1.0)
    slope = np.maximum(np.hypot(np.gradient(ragged, axis=0), np.gradient(ragged, axis=1)), 1e-4)
    level = rng.uniform(0.6, 1.0)
    pixels = (ragged - level) / slope
    edge = np.exp(-np.abs(pixels) / rng.uniform(0.7, 1.6)) * np.clip(0.6 + 0.5 * noise(
        rng, ragged.shape, 20), 0, 1)  # fmt: skip
    inner = 1 / (1 + np.exp(np.clip(pixels, -30, 30)))
    sign = rng.choice([-1.0, 1.0], p=[0.65, 0.35])
    gain = 1 + sign * rng.uniform(0.08, 0.35) * edge + rng.uniform(-0.07, 0.05) * inner
    color[box] *= gain.astype(np.float32)[..., None]


def _print(rng: Generator, color: Image, allowed: Skin, unit: float) -> None:
    """Printed or pencilled lines: a serial number, bars, a cross-hair, a ruled line."""
    height, width = allowed.shape
    layer = np.zeros(allowed.shape, np.uint8)
    level, x, y = 255.0, rng.uniform(-0.1, 0.8) * width, rng.uniform(0.1, 1.0) * height
    kind = int(rng.integers(4))
    if kind == 0:
        text = "".join(rng.choice(list("ABCDEHKLMNPRSTX0123456789-."), int(rng.integers(3, 12))))
        face, size = int(rng.choice([0, 2, 3, 4])), rng.uniform(0.28, 0.9) * unit
        thick = 1 + int(rng.random() < 0.3 * size)
        cv2.putText(layer, text, (int(x), int(y)), face, size, level, thick, cv2.LINE_AA)
    elif kind == 1:
        long, step = rng.uniform(8, 22) * unit, rng.uniform(1.6, 3.0) * unit
        for bar in np.cumsum(rng.choice([1.0, 1.0, 1.5, 2.5], int(rng.integers(8, 26)))) * step:
            thick = int(rng.choice([1, 1, 2]) * max(1, unit // 1.5))
            _stroke(layer, np.array([[x + bar, y], [x + bar, y - long]]), level, thick)
    else:
        arms = np.array([[1.0, 0.0], [0.0, 1.0]]) * rng.uniform(10, 200) * unit
        middle = np.array([x, y])
        for arm in arms[: 1 + int(kind == 2)]:
            _stroke(layer, np.stack([middle - arm, middle + arm]), level, int(rng.choice([1, 2])))
    matrix = cv2.getRotationMatrix2D((x, y), float(rng.choice([0, 90]) + rng.normal(0, 4)), 1.0)
    layer = cv2.warpAffine(layer, matrix, (width, height))
    ink = ((0.08, 0.08, 0.09), (0.1, 0.14, 0.4), (0.55, 0.1, 0.1), (0.9, 0.9, 0.88))
    wear = rng.uniform(0.3, 0.85) * np.clip(1 + 0.3 * noise(rng, allowed.shape, 5), 0, 1.2)
    layer = np.clip(layer * wear, 0, 255).astype(np.uint8)
    _lay(color, layer, np.array(ink[int(rng.choice(4, p=[0.5, 0.15, 0.1, 0.25]))]))


def _fingerprint(rng: Generator, color: Image, allowed: Skin, unit: float) -> None:
    """Grease ridges in a soft oval."""
    box, rows, columns = _patch(rng, allowed.shape, rng.uniform(16, 34) * unit)
    ragged = rows**2 + columns**2 * 1.6
    warp = 0.5 * noise(rng, ragged.shape, 30 * unit)
    ridges = np.sin((np.sqrt(ragged) + 0.25 * warp) * rng.uniform(28, 50))
    fade = np.exp(-(ragged**2) * 1.2) * np.clip(0.7 + noise(rng, ragged.shape, 8), 0, 1)
    gain = 1 + rng.uniform(0.03, 0.1) * fade * (ridges + rng.uniform(-0.6, 0.6))
    color[box] *= gain.astype(np.float32)[..., None]


def _dents(rng: Generator, color: Image, allowed: Skin, unit: float) -> None:
    """Pits, chips and bubbles: small dimples shaded by the light."""
    light = rng.uniform(0, 2 * np.pi)
    for _ in range(int(1 + rng.poisson(3 * unit))):
        radius = float(rng.uniform(1.0, 4.5) * unit)
        box, rows, columns = _patch(rng, allowed.shape, 1.6 * radius)
        dimple = np.exp(-1.5 * (rows**2 + columns**2) * 2).astype(np.float32)
        gain = 1 + rng.uniform(0.3, 1.2) * radius * relief(dimple, light) - 0.25 * dimple
        color[box] *= np.clip(gain, 0.1, 2).astype(np.float32)[..., None]


def _dust(rng: Generator, color: Image, allowed: Skin, unit: float) -> None:
    """Specks, and lint: fine curled fibers of even width."""
    for tone in (0.9, 0.08):
        layer = np.zeros(allowed.shape, np.uint8)
        for _ in range(int(rng.poisson(rng.exponential(7) * unit**2))):
            reach = min(0.35 + rng.exponential(0.45), 2.5) * unit * rng.uniform(0.4, 1.2, (7, 1))
            around = np.linspace(0, 2 * np.pi, 7, endpoint=False)
            outline = reach * np.stack([np.cos(around), np.sin(around)], axis=1)
            corners = np.rint((outline + rng.uniform(0, 1, 2) * allowed.shape[::-1]) * (1 << _FINE))
            level = rng.uniform(40, 210)
            cv2.fillPoly(layer, [corners.astype(np.int32)], level, cv2.LINE_AA, _FINE)
        for _ in range(int(rng.poisson(0.45 * unit))):
            count = int(rng.uniform(7, 30) * unit)
            heading = rng.uniform(0, 6.3) + np.cumsum(0.16 * wave(rng, count, 6 * unit)) / unit
            xy = rng.uniform(0, 1, 2) * allowed.shape[::-1] + np.cumsum(
                np.stack([np.cos(heading), np.sin(heading)], axis=1), axis=0
            )
            _stroke(layer, xy, rng.uniform(50, 190), 1)
        if layer.any():
            soft = cv2.GaussianBlur(layer, (0, 0), 0.55).astype(np.uint8)
            _lay(color, soft, tone)


VISIBLE = 0.05  # of white: the change of color from which a pixel belongs to a mark
# Chance of each kind on one panel. Cracks run across the first, the last lie upon cracks.
UNDER: dict[str, tuple[Mark, float]] = {
    "stain": (_stain, 0.28),
    "water mark": (_water_mark, 0.22),
    "print": (_print, 0.13),
    "seam": (_seam, 0.13),
    "screw": (_screw, 0.1),
    "dents": (_dents, 0.12),
    "scuff": (_scuff, 0.14),
    "scratches": (_scratches, 0.42),
    "panel edge": (_panel_edge, 0.09),
}
UPON: dict[str, tuple[Mark, float]] = {
    "fingerprint": (_fingerprint, 0.1),
    "dust": (_dust, 0.5),
}


def lay_marks(
    rng: Generator,
    color: Image,
    allowed: NDArray[np.bool_],
    kinds: dict[str, tuple[Mark, float]],
    traced: dict[str, NDArray[np.bool_]] | None = None,
) -> None:
    """Draw marks of each kind by its chance, in place.

    Large images get more and somewhat larger marks, as they show more of the panel.

    Args:
        rng: The source of randomness.
        color: The panel, (h, w, 3); marks are drawn into it.
        allowed: Where cracks may run, (h, w); it becomes false where a mark leaves no skin of the
            panel.
        kinds: The marks, each with the chance that a panel has it; such as `UNDER` and `UPON`.
        traced: Masks (h, w) of some of the kinds, in which the pixels are noted that a mark of
            the kind visibly changes.
    """
    unit = (min(allowed.shape) / 128) ** 0.35
    rounds = max(1, round((allowed.size / 128**2) ** 0.25))
    for _ in range(rounds):
        for kind, (draw, chance) in kinds.items():
            if rng.random() < (chance if draw is not _panel_edge else chance / rounds):
                if traced is None or kind not in traced:
                    draw(rng, color, allowed, unit)
                    continue
                before = color.copy()
                draw(rng, color, allowed, unit)
                changed = np.abs(color - before).max(axis=2) >= VISIBLE
                for name, mask in traced.items():
                    mask[changed] = name == kind
