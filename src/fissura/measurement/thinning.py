"""Thinning of masks that are mostly empty."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# Neighbors x₁ … x₈ of a pixel, from its right counter-clockwise, as rows and columns away.
NEIGHBORS = ((0, 1), (-1, 1), (-1, 0), (-1, -1), (0, -1), (1, -1), (1, 0), (1, 1))


def thin(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Thin a mask (h, w) to lines one pixel wide, which keep its connections and ends.

    In turn two rounds take away pixels, until nothing changes. With the eight neighbors
    x₁ … x₈ from the right counter-clockwise (x₉ = x₁), a pixel goes where

        Σ over i = 1…4 of [x₂ᵢ₋₁ = 0 and (x₂ᵢ = 1 or x₂ᵢ₊₁ = 1)] = 1,
        2 ≤ min(n₁, n₂) ≤ 3 with n₁ = Σ x₂ᵢ₋₁ ∨ x₂ᵢ and n₂ = Σ x₂ᵢ ∨ x₂ᵢ₊₁, and
        (x₂ ∨ x₃ ∨ ¬x₈) ∧ x₁ = 0 in the first round, (x₆ ∨ x₇ ∨ ¬x₄) ∧ x₅ = 0 in the second.

    Source: Guo and Hall, 'Parallel thinning with two-subiteration algorithms', CACM 32(3), 1989,
    algorithm A1. The result is that of `skimage.morphology.thin`, which goes through all pixels of
    the picture, where this one goes through those of the mask. Not Zhang and Suen's thinning
    (`skeletonize`), which eats up diagonal lines that are two pixels wide.
    """
    padded = np.pad(mask, 1)
    flat = padded.ravel()
    stride = padded.shape[1]
    steps = np.array([rows * stride + columns for rows, columns in NEIGHBORS])
    order = np.empty(flat.size, np.int32)
    inside = np.flatnonzero(flat)
    # A pixel is looked at again in a round only where a neighbor has gone since that round's last
    # turn: nothing else changes the answer. So the work is that of the pixels, however thick.
    waiting = [inside, inside]
    while len(waiting[0]) or len(waiting[1]):
        for turn, goes in enumerate(GOES):
            pixels = waiting[turn]
            gone = pixels[goes[_codes(flat, pixels, steps)]]
            flat[gone] = False
            beside = (gone[:, None] + steps).ravel()
            beside = _once(beside[flat[beside]], order)
            waiting[turn] = beside
            other = np.concatenate([waiting[1 - turn], beside])
            waiting[1 - turn] = _once(other[flat[other]], order)
    return padded[1:-1, 1:-1].copy()


def _codes(
    flat: NDArray[np.bool_], pixels: NDArray[np.intp], steps: NDArray[np.intp]
) -> NDArray[np.uint8]:
    """Return the neighborhood of each pixel, a bit for each neighbor that is in the mask."""
    code = np.zeros(len(pixels), np.uint8)
    for bit, step in enumerate(steps):
        code |= flat[pixels + step].view(np.uint8) << np.uint8(bit)
    return code


def _once(pixels: NDArray[np.intp], order: NDArray[np.int32]) -> NDArray[np.intp]:
    """Return the pixels without repetitions; `order` is working memory of the size of the mask."""
    numbers = np.arange(len(pixels), dtype=np.int32)
    order[pixels] = numbers
    return pixels[order[pixels] == numbers]


def _tables() -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Whether a pixel goes, for each of the 256 neighborhoods, in the first and second round."""
    bits = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1, bitorder="little")
    x1, x2, x3, x4, x5, x6, x7, x8 = bits.astype(bool).T
    odd, even, after = (x1, x3, x5, x7), (x2, x4, x6, x8), (x3, x5, x7, x1)
    triples = list(zip(odd, even, after, strict=True))
    crossings = sum((~a & (b | c)).astype(int) for a, b, c in triples)
    first = sum((a | b).astype(int) for a, b, _ in triples)
    second = sum((b | c).astype(int) for _, b, c in triples)
    fewest = np.minimum(first, second)
    may_go = (crossings == 1) & (fewest >= 2) & (fewest <= 3)
    return may_go & ~((x2 | x3 | ~x8) & x1), may_go & ~((x6 | x7 | ~x4) & x5)


GOES = _tables()
