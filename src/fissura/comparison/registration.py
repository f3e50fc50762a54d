"""Registration: where the new photo lies in the old one, how surely, or why that is not known."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from fissura.comparison.features import Features, alike

Matrix = NDArray[np.float64]

REACH = 3.0  # pixels of the shrunk photos within which two features agree
LEAST = 24  # features that must agree
LEAST_FRACTION = 0.08  # of the features that look alike
LEAST_OVERLAP, LEAST_COVERED = 0.1, 0.12  # of the old photo; of the overlap, by those features
LARGEST_SCALE = 5.0  # of one photo against the other
BLOCKS, RESAMPLED = 6, 48  # blocks along a side, and samples of them, for the uncertainty
LEAST_SURE = 5.0  # pixels: a position that is less sure is none
EDGE = 6.0  # pixels at the edge of the new photo where cracks are not compared
NEVER_BELOW = 0.1  # pixels: position error that is always assumed


@dataclass(frozen=True, eq=False)
class Registration:
    """The position of a new photo in an old one.

    Attributes:
        matrix: Homography (3, 3) from x and y of the new photo to those of the old one, in pixels
            of the whole photos; (0, 0) is the center of the first pixel.
        samples: (k, 3, 3) homographies from resampled blocks of features; their scatter is the
            uncertainty of `matrix`.
        old_hw: Height and width of the old photo.
        new_hw: Height and width of the new photo.
        inliers: Number of features that agree with it.
        matches: Number of features that look alike.
        residual: Their reprojection error, root mean square, in pixels of the old photo.
        error: Uncertainty of a position, one standard deviation, root mean square over the
            overlap, in pixels of the old photo.
        overlap: Fraction of the old photo that the new one shows.
        scale: Pixels of the old photo per pixel of the new one, in the middle of the overlap.
    """

    matrix: Matrix
    samples: NDArray[np.float64]
    old_hw: tuple[int, int]
    new_hw: tuple[int, int]
    inliers: int
    matches: int
    residual: float
    error: float
    overlap: float
    scale: float

    def to_old(self, points: NDArray[np.float64], matrix: Matrix | None = None) -> Matrix:
        """Turn rows and columns (n, 2) of the new photo into those of the old one."""
        return project(self.matrix if matrix is None else matrix, points[:, ::-1])[:, ::-1]

    def to_new(self, points: NDArray[np.float64]) -> Matrix:
        """Turn rows and columns (n, 2) of the old photo into those of the new one."""
        return project(_inverse(self.matrix), points[:, ::-1])[:, ::-1]

    def on_new(self, points: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Whether points (n, 2), row and column of the old photo, lie well within the new one."""
        return inside(project(_inverse(self.matrix), points[:, ::-1]), self.new_hw)

    def on_old(self, points: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Whether points (n, 2), row and column of the old photo, lie well within it."""
        return inside(points[:, ::-1], self.old_hw)


def register(
    old: Features, new: Features, old_hw: tuple[int, int], new_hw: tuple[int, int]
) -> Registration | str:
    """Find the homography between two photos of a flat surface, by the features they share.

    Features that look alike are found by `alike`; RANSAC (MAGSAC++; Barath et al. 2020) finds the
    homography with which most of them agree, and least squares make it exact. For its uncertainty
    the features are resampled in blocks of the photo (a spatial bootstrap), so that a surface that
    is not flat, and a lens that bends lines, count as well.

    Args:
        old: Features of the old photo.
        new: Features of the new photo.
        old_hw: Height and width of the old photo.
        new_hw: Height and width of the new photo.

    Returns:
        The registration, or a sentence that says why there is none.
    """
    pairs = alike(new, old)
    if len(pairs) < LEAST:
        return f"Only {_features(len(pairs))} of the two look alike; it takes {LEAST}."
    here, there = new.points[pairs[:, 0]], old.points[pairs[:, 1]]
    reach = REACH / old.scale
    matrix, chosen = cv2.findHomography(here, there, cv2.USAC_MAGSAC, reach, None, 20_000, 0.9999)
    if matrix is None or chosen is None:
        return "No position agrees with the features that look alike."
    fitted = _refined(np.asarray(matrix, float), here, there, reach)
    if fitted is None:
        return "No position agrees with the features that look alike."
    matrix, agree = fitted
    count = int(agree.sum())
    if count < LEAST or count < LEAST_FRACTION * len(pairs):
        return (
            f"Only {count} of {_features(len(pairs))} that look alike agree on one position; it "
            f"takes {max(LEAST, math.ceil(LEAST_FRACTION * len(pairs)))}."
        )
    return _checked(matrix, here[agree], there[agree], len(pairs), old_hw, new_hw)


def project(matrix: Matrix, points: NDArray[np.float64]) -> Matrix:
    """Apply a homography to x and y (n, 2)."""
    if not len(points):
        return np.empty((0, 2))
    mapped = np.column_stack([points, np.ones(len(points))]) @ matrix.T
    return mapped[:, :2] / mapped[:, 2:]


def inside(points: NDArray[np.float64], size_hw: tuple[int, int]) -> NDArray[np.bool_]:
    """Whether x and y (n, 2) lie in a photo, and not at its very edge."""
    high = np.array([size_hw[1], size_hw[0]]) - 1 - EDGE
    return np.all((points >= EDGE) & (points <= high), axis=1)


def _inverse(matrix: Matrix) -> Matrix:
    """Return the homography back."""
    return np.asarray(np.linalg.inv(matrix), np.float64)


def _features(count: int) -> str:
    """Return a number of features in words."""
    return f"{count} feature{'' if count == 1 else 's'}"


def _refined(
    matrix: Matrix, here: Matrix, there: Matrix, reach: float
) -> tuple[Matrix, NDArray[np.bool_]] | None:
    """Fit a homography to all features that agree with it, again and again."""
    within = reach
    for _ in range(4):
        distance = np.hypot(*(project(matrix, here) - there).T)
        agree = distance <= reach
        if agree.sum() < 8:
            return None
        # 1.18: the median distance in a plane, over its standard deviation along an axis.
        spread = float(np.median(distance[agree])) / 1.18
        within = min(reach, max(3.5 * spread, 0.2 * reach))
        agree = distance <= within
        again, _ = cv2.findHomography(here[agree], there[agree], 0)
        if again is None:
            return None
        matrix = np.asarray(again, float)
    return matrix, np.hypot(*(project(matrix, here) - there).T) <= within


def _checked(
    matrix: Matrix,
    here: Matrix,
    there: Matrix,
    matches: int,
    old_hw: tuple[int, int],
    new_hw: tuple[int, int],
) -> Registration | str:
    """Return the registration by features that agree, unless it cannot be true or is not sure."""
    wrong = _implausible(matrix, old_hw, new_hw)
    if wrong:
        return wrong
    overlap = _overlap(matrix, old_hw, new_hw)
    if overlap is None or cv2.contourArea(overlap) < LEAST_OVERLAP * old_hw[0] * old_hw[1]:
        return f"The new photo would show less than {LEAST_OVERLAP:.0%} of the old one."
    area = cv2.contourArea(overlap)
    covered = cv2.contourArea(cv2.convexHull(there.astype(np.float32))) / area
    if covered < LEAST_COVERED:
        return (
            f"The features that agree lie on {covered:.0%} of what both photos show; it takes "
            f"{LEAST_COVERED:.0%}."
        )
    samples = _resampled(here, there, old_hw)
    inverse = _inverse(matrix)
    spots = _grid(overlap)
    shown = project(inverse, spots)
    scatter = np.stack([project(sample, shown) for sample in samples]) - spots
    error = float(np.sqrt((scatter**2).sum(2).mean()))
    if not error <= LEAST_SURE * max(1.0, max(old_hw) / 1600):
        return f"The position is sure to {error:.1f} pixels only; the surface may not be flat."
    middle = spots.mean(0)
    return Registration(
        matrix=matrix,
        samples=samples,
        old_hw=old_hw,
        new_hw=new_hw,
        inliers=len(here),
        matches=matches,
        residual=float(np.sqrt(((project(matrix, here) - there) ** 2).sum(1).mean())),
        error=max(error, NEVER_BELOW),
        overlap=min(1.0, area / (old_hw[0] * old_hw[1])),
        scale=_scale(matrix, project(inverse, middle[None])[0]),
    )


def _corners(size_hw: tuple[int, int]) -> Matrix:
    """Return the corners of a photo, x and y, around it."""
    high, wide = size_hw[0] - 1.0, size_hw[1] - 1.0
    return np.array([[0, 0], [wide, 0], [wide, high], [0, high]])


def _implausible(matrix: Matrix, old_hw: tuple[int, int], new_hw: tuple[int, int]) -> str:
    """Say why no two photos of one surface can lie like this; empty where they can."""
    corners = _corners(new_hw)
    depth = np.column_stack([corners, np.ones(4)]) @ matrix[2]
    if not np.isfinite(matrix).all() or (depth * depth[0] <= 0).any():
        return "The position that most features agree on is no view of a flat surface."
    mapped = project(matrix, corners)
    sides = np.roll(mapped, -1, 0) - mapped
    turns = sides[:, 0] * np.roll(sides, -1, 0)[:, 1] - sides[:, 1] * np.roll(sides, -1, 0)[:, 0]
    if (turns <= 0).any():
        return "The position that most features agree on is mirrored or folded."
    scales = [_scale(matrix, corner) for corner in corners]
    if max(scales) > LARGEST_SCALE or min(scales) < 1 / LARGEST_SCALE:
        return (
            "The position that most features agree on is too much larger, smaller or tilted "
            f"(a pixel of the new photo would be {min(scales):.2g} to {max(scales):.2g} of the "
            "old one)."
        )
    return ""


def _overlap(
    matrix: Matrix, old_hw: tuple[int, int], new_hw: tuple[int, int]
) -> NDArray[np.float32] | None:
    """Return the polygon of the old photo that the new one shows; None where there is none."""
    area, polygon = cv2.intersectConvexConvex(
        project(matrix, _corners(new_hw)).astype(np.float32), _corners(old_hw).astype(np.float32)
    )
    return np.asarray(polygon, np.float32).reshape(-1, 2) if area > 0 else None


def _grid(polygon: NDArray[np.float32]) -> Matrix:
    """Return points spread over a polygon."""
    low, high = polygon.min(0), polygon.max(0)
    axes = [np.linspace(low[axis], high[axis], 14)[1:-1] for axis in (0, 1)]
    points = np.stack(np.meshgrid(*axes), -1).reshape(-1, 2).astype(float)
    within = [cv2.pointPolygonTest(polygon, (float(x), float(y)), False) >= 0 for x, y in points]
    return points[within] if any(within) else polygon.mean(0, keepdims=True).astype(float)


def _resampled(here: Matrix, there: Matrix, old_hw: tuple[int, int]) -> NDArray[np.float64]:
    """Fit homographies to samples of blocks of the features, drawn with replacement."""
    size = np.array([old_hw[1], old_hw[0]])
    block = np.clip((there / size * BLOCKS).astype(int), 0, BLOCKS - 1) @ np.array([1, BLOCKS])
    blocks = [np.flatnonzero(block == number) for number in np.unique(block)]
    rng = np.random.default_rng(0)
    fits = []
    for _ in range(20 * RESAMPLED):
        drawn = np.concatenate([blocks[at] for at in rng.integers(len(blocks), size=len(blocks))])
        if len(np.unique(drawn)) >= 8:
            fit, _ = cv2.findHomography(here[drawn], there[drawn], 0)
            if fit is not None:
                fits.append(fit)
        if len(fits) == RESAMPLED:
            break
    return np.array(fits, float).reshape(-1, 3, 3)


def _scale(matrix: Matrix, at: NDArray[np.float64]) -> float:
    """Return by how much a homography enlarges lengths at a point, on average."""
    beside = project(matrix, at + np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]))
    one, other = beside[1] - beside[0], beside[2] - beside[0]
    return float(math.sqrt(abs(one[0] * other[1] - one[1] * other[0])))
