from __future__ import annotations

import numpy as np
import pytest

from fissura.data.preparation.load import PreparedSet
from fissura.data.preparation.protocols import PROTOCOLS


def prepared(n=7, sizes=((24, 31), (40, 20)), seed=0, empty=(), groups=None):
    """Images with a slanted dark line, of differing sizes; those in `empty` without it."""
    generator = np.random.default_rng(seed)
    images, masks = [], []
    for index in range(n):
        height, width = sizes[index % len(sizes)]
        row, column = np.mgrid[:height, :width]
        start, slope = generator.uniform(5, height - 5), generator.uniform(-0.3, 0.3)
        mask = np.abs(row - start - slope * column) < generator.uniform(1, 3)
        if index in empty:
            mask = np.zeros_like(mask)
        image = generator.integers(120, 180, (height, width, 3))
        image[mask] -= 90
        images.append(image.astype(np.uint8))
        masks.append(mask)
    names = [f"test/images/{index}" for index in range(n)]
    return PreparedSet(
        images=images,
        masks=masks,
        names=names,
        groups=groups or names,
        protocol=PROTOCOLS["native"],
        scale=1.0,
        mask_rule="crack is 255, background 0",
        split_rule="the folder's own split 'test'",
        skipped=[],
    )


def guess(data, seed=1):
    """Probabilities as of a mediocre model."""
    generator = np.random.default_rng(seed)
    return [
        np.clip(
            0.25 * generator.random(mask.shape) + generator.uniform(0.1, 0.6) * mask + 0.1, 0, 1
        ).astype(np.float32)
        for mask in data.masks
    ]


@pytest.fixture
def data():
    return prepared()


@pytest.fixture(name="prepared")
def prepared_fixture():
    return prepared


@pytest.fixture(name="guess")
def guess_fixture():
    return guess
