"""Photos that look alike: copies, also turned ones, photos of one place, and overlapping tiles."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

Kind = Literal["copy", "place", "overlap"]

THUMB, FINE = 32, 128  # pixels of the side of the two reduced views
CANDIDATE = 0.6  # correlation of thumbnails from which the finer views are compared
COPY, PLACE = 0.9, 0.5  # correlation of the finer views
# Heights of the peak of the phase correlation, in standard deviations: one that needs agreement
# beside it, and one that no chance makes.
OVERLAP, SURE = 15.0, 20.0
# One strong edge at the same place, such as the rim of a panel, or a round hole, makes views
# correlate as a whole; what shows one place correlates in most of its parts.
PARTS, AGREE = 4, 0.2  # parts of each side, and the least median correlation of two parts
LEAST_COMMON = 0.1  # fraction of a view that two tiles have in common at least
NEIGHBORS = 12  # files in natural order after each that are tried for overlaps
ORIENTATIONS: tuple[tuple[str, Callable[[NDArray[Any]], NDArray[Any]]], ...] = (
    ("", lambda a: a),
    ("turned by 180°", lambda a: a[::-1, ::-1]),
    ("turned by 90°", lambda a: np.rot90(a)),
    ("turned by 270°", lambda a: np.rot90(a, 3)),
    ("mirrored left to right", lambda a: a[:, ::-1]),
    ("mirrored top to bottom", lambda a: a[::-1]),
    ("transposed", lambda a: a.T),
    ("transposed the other way", lambda a: a[::-1, ::-1].T),
)
MOST_TURNED = 6000  # photos up to which turned copies are sought among all pairs
ROWS = 512  # of the table of all pairs that are held at once


@dataclass(frozen=True)
class View:
    """Two reduced views of a photo: band-passed, of mean 0 and length 1.

    Attributes:
        thumb: float32 (32, 32).
        fine: float16 (128, 128).
    """

    thumb: NDArray[np.float32]
    fine: NDArray[np.float16]

    @classmethod
    def of(cls, image: NDArray[np.uint8]) -> View:
        """Reduce a photo, RGB (h, w, 3)."""
        gray = np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8)
        return cls(_reduced(gray, THUMB, THUMB / 6), _reduced(gray, FINE, 4).astype(np.float16))


@dataclass(frozen=True)
class Alike:
    """Two photos that look alike.

    Attributes:
        first: Index of one.
        second: Index of the other, which is greater.
        kind: "copy" for one picture stored twice, "place" for one place or background in two
            pictures, "overlap" for two tiles with a part in common.
        how: How the second is turned against the first, or "".
        strength: Correlation of the finer views; of overlaps the height of the peak.
    """

    first: int
    second: int
    kind: Kind
    how: str
    strength: float


def find_alike(views: Sequence[View], order: Sequence[int] = ()) -> list[Alike]:
    """Find the pairs of photos that look alike, each once, the likest first.

    Thumbnails of all pairs are compared in all eight orientations; those that resemble each other
    are compared in more detail. Overlapping tiles are sought among the next `NEIGHBORS` files.

    Args:
        views: The photos.
        order: Indices of the photos in the natural order of their names, for overlaps; none: don't
            look for any.
    """
    found: dict[tuple[int, int], Alike] = {}
    if not views:
        return []
    thumbs = np.stack([view.thumb for view in views])
    for how, turn in ORIENTATIONS[: None if len(views) <= MOST_TURNED else 1]:
        for first, second in _candidates(thumbs, np.stack([turn(one) for one in thumbs])):
            one = views[first].fine.astype(np.float32)
            other = turn(views[second].fine).astype(np.float32)
            strength = float(np.vdot(one, other))
            known = found.get((first, second))
            if strength < PLACE or (known is not None and strength <= known.strength):
                continue
            kind: Kind = "copy" if strength >= COPY else "place"
            if kind == "copy" or agreement(one, other) >= AGREE:
                found[first, second] = Alike(first, second, kind, how, strength)
    for pair, strength in _overlaps(views, order):
        if pair not in found:
            found[pair] = Alike(*pair, "overlap", "", strength)
    rank = {"copy": 0, "place": 1, "overlap": 2}
    return sorted(found.values(), key=lambda pair: (rank[pair.kind], -pair.strength, pair.first))


def _candidates(
    thumbs: NDArray[np.float32], turned: NDArray[np.float32]
) -> Iterator[tuple[int, int]]:
    """Yield pairs whose thumbnails resemble each other, the smaller index first."""
    flat = np.ascontiguousarray(turned).reshape(len(turned), -1).T
    for start in range(0, len(thumbs), ROWS):
        table = thumbs[start : start + ROWS].reshape(-1, THUMB**2) @ flat
        for row, column in np.argwhere(table > CANDIDATE):
            if start + row < column:
                yield int(start + row), int(column)


def _overlaps(
    views: Sequence[View], order: Sequence[int]
) -> Iterator[tuple[tuple[int, int], float]]:
    """Yield pairs of neighboring files that have a part in common, and the height of the peak.

    The peak is that of the phase correlation (Kuglin and Hines, 'The phase correlation image
    alignment method', 1975). The part in common is what lies on top of each other there.
    """
    window = np.outer(np.hanning(FINE), np.hanning(FINE)).astype(np.float32)
    before: deque[tuple[int, NDArray[np.complex64]]] = deque(maxlen=NEIGHBORS)
    for index in order:
        fine = views[index].fine.astype(np.float32)
        spectrum = np.fft.rfft2(fine * window)
        for other, its in before:
            cross = spectrum * np.conj(its)
            there = np.fft.irfft2(cross / (np.abs(cross) + 1e-9))
            peak = float(there.max() / (there.std() + 1e-12))
            if peak < OVERLAP:
                continue
            row, column = np.unravel_index(int(there.argmax()), there.shape)
            its_fine = views[other].fine.astype(np.float32)
            shared = _in_common(fine, its_fine, int(row), int(column))
            if peak >= SURE or any(agreement(*parts) >= AGREE for parts in shared):
                yield (min(index, other), max(index, other)), peak
        before.append((index, spectrum.astype(np.complex64)))


def _in_common(
    one: NDArray[np.float32], other: NDArray[np.float32], down: int, right: int
) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Yield what two views have in common, where one is the other shifted by so much, modulo FINE.

    A shift to the left is one to the right by what is left of the side, so there are up to four.
    """
    for rows in (down, down - FINE):
        for columns in (right, right - FINE):
            mine = one[max(rows, 0) : FINE + rows, max(columns, 0) : FINE + columns]
            its = other[max(-rows, 0) : FINE - rows, max(-columns, 0) : FINE - columns]
            if mine.size >= LEAST_COMMON * FINE**2:
                yield mine, its


def agreement(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """Return the median correlation of two views' parts, `PARTS` by `PARTS` of them.

    Args:
        one: Float32 (h, w).
        other: Of the same shape.
    """
    values = []
    for mine, its in zip(_parts(one), _parts(other), strict=True):
        mine, its = mine - mine.mean(), its - its.mean()
        length = float(np.linalg.norm(mine)) * float(np.linalg.norm(its))
        values.append(float(np.vdot(mine, its)) / max(length, 1e-9))
    return float(np.median(values))


def _parts(view: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
    """Yield a view's parts, row by row."""
    for rows in np.array_split(view, PARTS, axis=0):
        yield from np.array_split(rows, PARTS, axis=1)


def _reduced(gray: NDArray[np.uint8], side: int, sigma: float) -> NDArray[np.float32]:
    """Shrink a photo by area, take away what is coarser than `sigma`, and scale it to length 1."""
    small = cv2.resize(gray, (side, side), interpolation=cv2.INTER_AREA).astype(np.float32)
    small = small - cv2.GaussianBlur(small, (0, 0), sigma)
    small -= small.mean()
    return (small / max(float(np.linalg.norm(small)), 1e-6)).astype(np.float32)
