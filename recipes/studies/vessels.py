"""Draw pictures of thin branching vessels, for losses beyond cracks.

    python recipes/studies/vessels.py OUT [COUNT]
    fissura study recipes/studies/vessels.yaml --data OUT --out results/vessels

Vessels are no cracks: smooth, dark red, tapering from a trunk to twigs, on a bright uneven ground
whose edges fade, with brighter spots and a vein-like texture that is none. Their truth is exact. A
quarter of the pictures, of 96×96, is to test. The same COUNT gives the same pictures.
"""

import sys
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from fissura.files import new_folder

SIDE, FINE = 96, 4  # pixels, and by how much finer it is drawn
GROUND, VESSEL = np.array([202.0, 112.0, 64.0]), np.array([128.0, 48.0, 34.0])


def main(out: Path, count: int) -> None:
    """Draw `count` pictures and write them into `out`."""
    fractions = []
    with new_folder(out) as folder:
        for index in range(count):
            image, mask = draw(np.random.default_rng([2026, index]))
            fractions.append(mask.mean() / 255)
            split = "test" if index % 4 == 3 else "train"
            for part, pixels in (("images", image[..., ::-1]), ("masks", mask)):
                (folder / split / part).mkdir(parents=True, exist_ok=True)
                cv2.imwrite(str(folder / split / part / f"vessels_{index:05d}.png"), pixels)
    print(f"Written: {out}, {count} pictures, {np.mean(fractions):.2%} of their pixels vessel.")


def draw(rng: np.random.Generator) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return a picture, RGB (96, 96, 3), and its mask (96, 96), 0 and 255."""
    cover = np.zeros((SIDE * FINE, SIDE * FINE), np.uint8)
    for _ in range(rng.integers(1, 3)):
        start = rng.uniform(0, 1, 2) * SIDE * FINE
        grow(cover, rng, start, rng.uniform(0, 2 * np.pi), rng.uniform(1.2, 2.6) * FINE)
    covered = cv2.resize(cover, (SIDE, SIDE), interpolation=cv2.INTER_AREA) / 255
    rough = rng.normal(0, 1, (3, SIDE, SIDE)).astype(np.float32)
    cloud, veins, grain = (
        cv2.GaussianBlur(noise, (0, 0), sigma)
        for noise, sigma in zip(rough, (14, 3, 0.7), strict=True)
    )
    row, column = np.mgrid[:SIDE, :SIDE] / SIDE - 0.5
    light = 1 - rng.uniform(0.2, 0.7) * (row**2 + column**2)
    light += 0.10 * cloud / cloud.std() - 0.05 * np.abs(veins / veins.std())
    light += rng.uniform(0.02, 0.06) * grain / grain.std()
    # Where two vessels cross, and along their middle, they are darkest.
    depth = covered * rng.uniform(0.35, 0.8)
    colors = GROUND * (1 - depth[..., None]) + VESSEL * depth[..., None]
    image = np.clip(colors * light[..., None], 0, 255).astype(np.uint8)
    return image, np.where(covered >= 0.5, 255, 0).astype(np.uint8)


def grow(
    cover: NDArray[np.uint8],
    rng: np.random.Generator,
    at: NDArray[np.float64],
    heading: float,
    width: float,
) -> None:
    """Draw a vessel from a point on, and the branches that leave it, until they are too thin."""
    bend = 0.0
    while width > 0.5 * FINE:
        bend = 0.8 * bend + rng.normal(0, 0.06)
        heading += bend
        step = np.array([np.cos(heading), np.sin(heading)]) * 3 * FINE
        cv2.line(cover, *np.round([at, at + step]).astype(int).tolist(), 255, max(1, round(width)),
                 cv2.LINE_AA)  # fmt: skip
        at = at + step
        if not (at >= 0).all() or not (at < cover.shape[0]).all():
            return
        width *= 0.985
        if rng.random() < 0.09:
            side = rng.choice([-1, 1])
            grow(cover, rng, at, heading + side * rng.uniform(0.5, 1.1), 0.65 * width)
            heading -= side * 0.2


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 400)
