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
    steps = [rows * stride + columns for rows, columns in NEIGHBORS]
    pixels = np.flatnonzero(flat)
    changed = True
    while changed:
        changed = False
        for goes in GOES:
            code = np.zeros(len(pixels), np.uint8)
            for bit, step in enumerate(steps):
                code |= flat[pixels + step].view(np.uint8) << np.uint8(bit)
            gone = goes[code]
            if gone.any():
                flat[pixels[gone]] = False
                pixels = pixels[~gone]
                changed = True
    return padded[1:-1, 1:-1].copy()


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
