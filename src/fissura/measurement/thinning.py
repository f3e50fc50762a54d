"""Thinning: a mask becomes lines one pixel wide."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# Neighbors x₁ … x₈ of a pixel, from its right counter-clockwise, as rows and columns away.
NEIGHBORS = ((0, 1), (-1, 1), (-1, 0), (-1, -1), (0, -1), (1, -1), (1, 0), (1, 1))


def thin(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Thin a mask to lines one pixel wide, which keep its connections and ends.

    Two rounds take turns removing pixels, until nothing changes. With the eight neighbors
    x₁ … x₈ from the right counter-clockwise (x₉ = x₁), a pixel is removed where

        Σ over i = 1…4 of [x₂ᵢ₋₁ = 0 and (x₂ᵢ = 1 or x₂ᵢ₊₁ = 1)] = 1,
        2 ≤ min(n₁, n₂) ≤ 3 with n₁ = Σ x₂ᵢ₋₁ ∨ x₂ᵢ and n₂ = Σ x₂ᵢ ∨ x₂ᵢ₊₁, and
        (x₂ ∨ x₃ ∨ ¬x₈) ∧ x₁ = 0 in the first round, (x₆ ∨ x₇ ∨ ¬x₄) ∧ x₅ = 0 in the second.

    Source: Guo and Hall, 'Parallel thinning with two-subiteration algorithms', CACM 32(3), 1989,
    algorithm A1. The result is that of `skimage.morphology.thin`, which visits all pixels of the
    image in each round. Here a round visits only the pixels that have lost a neighbor since the
    same round last visited them, so that the cost is linear in the pixels of the mask, however
    thick it is. It is not Zhang and Suen's thinning (`skeletonize`), which shortens diagonal lines
    that are two pixels wide.

    Args:
        mask: Bool (h, w).

    Returns:
        The lines, bool (h, w).
    """
    padded = np.pad(mask, 1)
    flat = padded.ravel()
    stride = padded.shape[1]
    steps = np.array([rows * stride + columns for rows, columns in NEIGHBORS], np.int64)
    border = np.flatnonzero(flat)
    border = border[_codes(flat, border, steps) != 255]  # inner pixels stay, by both rules
    waiting = [[border], [border]]  # per round, the pixels that it has to visit
    latest = np.empty(len(flat), np.int32)
    turn = 0
    while waiting[0] or waiting[1]:
        pixels = _distinct(waiting[turn], flat, latest)
        waiting[turn] = []
        gone = pixels[REMOVES[turn][_codes(flat, pixels, steps)]]
        if len(gone):
            flat[gone] = False
            beside = _distinct([(gone[:, None] + steps).ravel()], flat, latest)
            waiting[0].append(beside)
            waiting[1].append(beside)
        turn = 1 - turn
    return padded[1:-1, 1:-1].copy()


def _codes(
    flat: NDArray[np.bool_], pixels: NDArray[np.int64], steps: NDArray[np.int64]
) -> NDArray[np.uint8]:
    """Neighborhoods of pixels, a bit per neighbor."""
    code = np.zeros(len(pixels), np.uint8)
    for bit, step in enumerate(steps.tolist()):
        code |= flat[pixels + step].view(np.uint8) << np.uint8(bit)
    return code


def _distinct(
    lists: list[NDArray[np.int64]], flat: NDArray[np.bool_], latest: NDArray[np.int32]
) -> NDArray[np.int64]:
    """Those pixels of some lists that are still there, each once."""
    if not lists:
        return np.empty(0, np.int64)
    pixels = np.concatenate(lists)
    pixels = pixels[flat[pixels]]
    order = np.arange(len(pixels), dtype=np.int32)
    latest[pixels] = order  # of a pixel that is listed twice, one entry stays
    return pixels[latest[pixels] == order]


def _tables() -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Whether a pixel is removed, for each of the 256 neighborhoods, in either round."""
    bits = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1, bitorder="little")
    x1, x2, x3, x4, x5, x6, x7, x8 = bits.astype(bool).T
    odd, even, after = (x1, x3, x5, x7), (x2, x4, x6, x8), (x3, x5, x7, x1)
    triples = list(zip(odd, even, after, strict=True))
    crossings = sum((~a & (b | c)).astype(int) for a, b, c in triples)
    first = sum((a | b).astype(int) for a, b, _ in triples)
    second = sum((b | c).astype(int) for _, b, c in triples)
    fewest = np.minimum(first, second)
    removable = (crossings == 1) & (fewest >= 2) & (fewest <= 3)
    return removable & ~((x2 | x3 | ~x8) & x1), removable & ~((x6 | x7 | ~x4) & x5)


REMOVES = _tables()
