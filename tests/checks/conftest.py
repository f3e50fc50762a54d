"""Photos of a made-up surface with dark cracks, and folders of them."""

from pathlib import Path

import cv2
import numpy as np
import pytest

SIDE = 160


def draw(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A photo (h, w, 3) with stains and grain, and the mask of a crack of 5 pixels."""
    rng = np.random.default_rng(seed)
    stains = cv2.resize(rng.normal(0, 18, (14, 14)), (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
    image = 150 + stains + rng.normal(0, 5, (SIDE, SIDE))
    points = np.column_stack([np.linspace(10, SIDE - 10, 9), rng.uniform(20, SIDE - 20, 9)])
    points[:, 1] = cv2.GaussianBlur(points[:, 1:], (1, 5), 1.2)[:, 0]
    mask = np.zeros((SIDE, SIDE), np.uint8)
    cv2.polylines(mask, [points.round().astype(np.int32)], False, 255, 5)
    image -= cv2.GaussianBlur(mask, (0, 0), 0.7) * (70 / 255)
    photo = np.repeat(image[:, :, None], 3, axis=2).clip(0, 255).astype(np.uint8)
    return photo, mask > 0


def write(root: Path, pairs: list[tuple[np.ndarray, np.ndarray]]) -> Path:
    """Write photos and masks named a, b, c and so on."""
    for part in ("images", "masks"):
        (root / part).mkdir(parents=True)
    for index, (image, mask) in enumerate(pairs):
        name = f"{chr(97 + index)}.png"
        cv2.imwrite(str(root / "images" / name), image)
        cv2.imwrite(str(root / "masks" / name), mask.astype(np.uint8) * 255)
    return root


@pytest.fixture(scope="session")
def surfaces() -> list[tuple[np.ndarray, np.ndarray]]:
    return [draw(seed) for seed in range(25)]


@pytest.fixture(scope="session")
def clean(surfaces, tmp_path_factory) -> Path:
    """A folder in which nothing is wrong."""
    return write(tmp_path_factory.mktemp("clean") / "photos", surfaces)


@pytest.fixture(name="write", scope="session")
def write_fixture():
    return write
