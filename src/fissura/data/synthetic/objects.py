"""Things on photographed surfaces that look like cracks and are none."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from fissura.data.synthetic.cracks import wave
from fissura.data.synthetic.noise import Field, Image, noise

_FINE = 4  # bits below the pixel in OpenCV's line coordinates


def _line(size_hw: tuple[int, int], xy: NDArray[np.floating], thick: float) -> Field:
    """Coverage of a line through points (k, 2) of x and y, (h, w), 0 to 1."""
    enlarged = 2 if thick < 4 else 1  # OpenCV's lines have whole widths
    layer = np.zeros((enlarged * size_hw[0], enlarged * size_hw[1]), np.uint8)
    points = np.rint(enlarged * xy * (1 << _FINE)).astype(np.int32).reshape(-1, 1, 2)
    cv2.polylines(layer, [points], False, 255, max(1, round(enlarged * thick)), cv2.LINE_AA, _FINE)
    if enlarged > 1:
        small = (size_hw[1], size_hw[0])
        layer = np.asarray(cv2.resize(layer, small, interpolation=cv2.INTER_AREA))
    return layer.astype(np.float32) / 255


def _path(rng: Generator, size_hw: tuple[int, int], bends: float) -> NDArray[np.float64]:
    """A smooth path across the image; `bends` is the standard deviation of its heading."""
    count = 60
    long = 1.5 * float(np.hypot(*size_hw))
    heading = rng.uniform(0, 2 * np.pi) + bends * np.cumsum(wave(rng, count, 12)) / 6
    steps = long / count * np.stack([np.cos(heading), np.sin(heading)], axis=1)
    walked = np.cumsum(steps, axis=0)
    middle = rng.uniform(0.15, 0.85, 2) * np.array(size_hw[::-1])
    return walked - walked[count // 2] + middle


def _across(size_hw: tuple[int, int], angle: float, rng: Generator) -> Field:
    """Signed distance from a random straight line, in pixels, (h, w)."""
    rows, columns = np.ogrid[: size_hw[0], : size_hw[1]]
    down, right = (
        rows - rng.uniform(0.1, 0.9) * size_hw[0],
        columns - rng.uniform(0.1, 0.9) * size_hw[1],
    )
    return (right * np.cos(angle) + down * np.sin(angle)).astype(np.float32)


def _cable(rng: Generator, color: Image) -> None:
    """A cable, a wire or a hose, lit along one side, with its shadow on the surface."""
    size_hw = color.shape[:2]
    xy = _path(rng, size_hw, rng.uniform(0.02, 0.5))
    thick = float(np.exp(rng.uniform(np.log(1.2), np.log(9))))
    shift = rng.normal(0, 1.2 * thick + 2, 2)
    shadow = cv2.GaussianBlur(_line(size_hw, xy + shift, thick), (0, 0), rng.uniform(0.6, 3))
    color *= 1 - np.float32(rng.uniform(0.1, 0.5)) * shadow[..., None]
    body = _line(size_hw, xy, thick)[..., None]
    tone = np.float32(rng.choice([0.05, 0.1, 0.3, 0.8])) * np.exp(rng.normal(0, 0.1, 3))
    color += body * (tone.astype(np.float32) - color)
    if thick > 2.5:
        light = _line(size_hw, xy + 0.25 * thick, max(0.3 * thick, 0.5))[..., None]
        color += np.float32(rng.uniform(0, 0.3)) * light * body


def _joint(rng: Generator, color: Image) -> None:
    """A straight joint, saw cut or formwork seam: even in width, maybe with a second one."""
    angle = float(rng.choice([0.0, np.pi / 2])) + rng.normal(0, 0.25)
    wide = float(np.exp(rng.uniform(np.log(0.8), np.log(9))))
    depth, lit = rng.uniform(0.15, 0.85), rng.uniform(0, 0.3)
    rough = rng.uniform(0, 0.8) * noise(rng, color.shape[:2], rng.uniform(3, 12))
    soft = rng.uniform(0.5, 1.5)
    for turned in (angle, angle + np.pi / 2)[: 1 + int(rng.random() < 0.3)]:
        away = _across(color.shape[:2], turned, rng) + rough
        groove = 1 / (1 + np.exp(np.clip((np.abs(away) - wide / 2) / soft * 2, -30, 30)))
        edge = np.exp(-(((away - wide / 2 - 0.8) / 1.2) ** 2))
        color *= (1 - np.float32(depth) * groove)[..., None]
        color += np.float32(lit) * edge[..., None] * color


def _ridge(rng: Generator, color: Image) -> None:
    """The ridge that a gap in the formwork leaves: lit on one side, in shade on the other."""
    angle = float(rng.choice([0.0, np.pi / 2])) + rng.normal(0, 0.1)
    wide = rng.uniform(0.8, 3)
    away = _across(color.shape[:2], angle, rng) + 0.4 * noise(rng, color.shape[:2], 6)
    fade = np.clip(0.7 + 0.5 * noise(rng, color.shape[:2], 60), 0, 1)
    slope = -away / wide * np.exp(0.5 - 0.5 * (away / wide) ** 2) * fade
    color *= (1 + np.float32(rng.uniform(0.15, 0.5)) * slope)[..., None]


def _sealed(rng: Generator, color: Image) -> None:
    """A sealed crack: a band of bitumen or mortar, even in width, with round ends."""
    xy = _path(rng, color.shape[:2], rng.uniform(0.3, 1.2))
    begin = int(rng.integers(0, 20))
    band = _line(color.shape[:2], xy[begin : begin + int(rng.integers(20, 60))], rng.uniform(6, 22))
    band = cv2.GaussianBlur(band, (0, 0), rng.uniform(0.6, 2))[..., None]
    tone = np.float32(rng.choice([0.04, 0.08, 0.5, 0.75])) * (
        1 + 0.1 * noise(rng, color.shape[:2], 3)
    )
    color += np.float32(rng.uniform(0.6, 1)) * band * (tone[..., None] - color)


def _pencil(rng: Generator, color: Image) -> None:
    """Lines of pencil, chalk or crayon, by hand or along a ruler, and numbers."""
    size_hw = color.shape[:2]
    tone = np.array([(0.2, 0.2, 0.22), (0.1, 0.15, 0.5), (0.6, 0.1, 0.1), (0.9, 0.9, 0.88)])[
        int(rng.choice(4, p=[0.45, 0.15, 0.15, 0.25]))
    ]
    layer = np.zeros(size_hw, np.float32)
    thick = rng.uniform(0.6, 3)
    for _ in range(int(rng.integers(1, 4))):
        xy = _path(rng, size_hw, rng.choice([0.01, 0.15]))
        begin = int(rng.integers(0, 30))
        layer += _line(size_hw, xy[begin : begin + int(rng.integers(8, 40))], thick)
    if rng.random() < 0.4:
        text = np.zeros(size_hw, np.uint8)
        at = (int(rng.uniform(0, 0.7) * size_hw[1]), int(rng.uniform(0.2, 0.95) * size_hw[0]))
        word = "".join(rng.choice(list("0123456789mRABLx.,="), int(rng.integers(2, 7))))
        cv2.putText(text, word, at, 16, rng.uniform(0.5, 2), 255, max(1, round(thick)), cv2.LINE_AA)
        layer += text.astype(np.float32) / 255
    worn = np.clip(0.6 + 0.4 * noise(rng, size_hw, 2.5), 0, 1) * rng.uniform(0.35, 0.95)
    alpha = (np.clip(layer, 0, 1) * worn)[..., None]
    color += alpha * (tone.astype(np.float32) - color)


def _branches(rng: Generator, color: Image) -> None:
    """The shadow of twigs or a fence, or the twigs themselves."""
    size_hw = color.shape[:2]
    layer = np.zeros(size_hw, np.float32)
    main = _path(rng, size_hw, 0.3)
    layer += _line(size_hw, main, rng.uniform(2, 8))
    for _ in range(int(rng.integers(2, 9))):
        at = main[int(rng.integers(5, 55))]
        own = _path(rng, size_hw, 0.5)
        own = own - own[0] + at
        layer += _line(size_hw, own[: int(rng.integers(6, 30))], rng.uniform(0.8, 4))
    layer = np.clip(layer, 0, 1)
    if rng.random() < 0.7:  # a shadow
        soft = cv2.GaussianBlur(layer, (0, 0), rng.uniform(0.8, 4))
        color *= 1 - np.float32(rng.uniform(0.2, 0.6)) * soft[..., None]
    else:
        tone = np.array([0.25, 0.2, 0.12]) * rng.uniform(0.3, 1.6)
        if rng.random() < 0.4:
            tone = np.array([0.18, 0.3, 0.1]) * rng.uniform(0.5, 1.5)
        color += layer[..., None] * (tone.astype(np.float32) - color)


OBJECTS: dict[str, Callable[[Generator, Image], None]] = {
    "cable": _cable,
    "joint": _joint,
    "ridge": _ridge,
    "sealed crack": _sealed,
    "pencil": _pencil,
    "branches": _branches,
}


def lay_objects(rng: Generator, color: Image, *, mean: float = 0.7) -> None:
    """Lay a random number of things that are no cracks on a photographed surface, in place.

    Args:
        rng: The source of randomness.
        color: RGB in [0, 1], (h, w, 3); it is changed.
        mean: How many on average.
    """
    kinds = list(OBJECTS.values())
    for _ in range(min(int(rng.poisson(mean)), 3)):
        kinds[int(rng.integers(len(kinds)))](rng, color)
