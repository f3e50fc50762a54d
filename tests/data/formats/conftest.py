"""A small set of drawn photos, and its masks as pixels and outlines, for every layout to hold."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pytest

SIZE = (40, 56)  # height and width
# Outlines along the edges of pixels: a crack with a bend, and one of another width.
CRACKS = (
    [(5, 3), (9, 3), (9, 28), (40, 28), (40, 31), (5, 31)],
    [(20, 4), (50, 4), (50, 6), (20, 6)],
)
HOLE = [(12, 12), (30, 12), (30, 24), (12, 24)], [(14, 14), (28, 14), (28, 22), (14, 22)]
RUST = [(44, 10), (54, 10), (54, 36), (44, 36)]


@dataclass(frozen=True)
class Drawn:
    """A photo as it was drawn: outlines of cracks, one ring with a hole, and a patch of rust."""

    name: str
    photo: np.ndarray
    outlines: list
    ring: tuple | None
    rust: list | None

    def _filled(self, outlines):
        mask = np.zeros(SIZE, bool)
        for outline in outlines:
            # Exact for outlines along the edges of pixels, and slow: the center is inside.
            path = np.array(outline, float)
            for row, column in np.ndindex(*SIZE):
                x, y = column + 0.5, row + 0.5
                crossed = sum(
                    (y0 > y) != (y1 > y) and x < x0 + (y - y0) * (x1 - x0) / (y1 - y0)
                    for (x0, y0), (x1, y1) in zip(path, np.roll(path, -1, 0), strict=True)
                )
                mask[row, column] |= crossed % 2 == 1
        return mask

    @cached_property
    def outlined(self):
        """The cracks that have no holes."""
        return self._filled(self.outlines)

    @cached_property
    def ring_mask(self):
        if self.ring is None:
            return np.zeros(SIZE, bool)
        return self._filled([self.ring[0]]) & ~self._filled([self.ring[1]])

    @cached_property
    def crack(self):
        return self.outlined | self.ring_mask

    @cached_property
    def rust_mask(self):
        return self._filled([self.rust] if self.rust else [])


def draw():
    """Five photos; the last shows no crack."""
    rng = np.random.default_rng(5)
    found = []
    for index in range(5):
        shift = np.array([index % 2, index % 3])
        last = index == 4
        one = Drawn(
            name=f"wall_{index}",
            photo=np.empty(0),
            outlines=[] if last else [(np.array(crack) + shift).tolist() for crack in CRACKS],
            ring=HOLE if index == 1 else None,
            rust=RUST if index in (0, 4) else None,
        )
        photo = rng.normal(170, 4, (*SIZE, 3))
        photo[one.rust_mask] = (90, 120, 170)
        photo[one.crack] = 50
        photo = photo.clip(0, 255).astype(np.uint8)
        found.append(Drawn(one.name, photo, one.outlines, one.ring, one.rust))
    return found


@pytest.fixture(scope="session")
def drawn():
    return draw()
