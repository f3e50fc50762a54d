"""Perspective of a photo: the homography from its pixels to millimeters on a flat surface."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fissura.errors import InputError

CORNER_ERROR = 1.0  # pixels: how far a corner lies from where a person clicked
MARKER_ERROR = 0.2  # pixels: how far the corner of a marker lies from where it was detected
STEEPEST = 12.0  # of the coarsest pixel to the finest one, from which on a photo is refused
STRAIGHT = 1e-6  # of the area of a rectangle to the square of its diagonal: no rectangle below

Points = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Perspective:
    """How a photo shows a flat surface, seen from any side by a lens without distortion.

    Points are row and column in pixels, (0, 0) is the center of the first pixel. On the surface
    they are x to the right and y down, in millimeters, from the first corner of the rectangle or
    marker that it follows from.

    Attributes:
        matrix: Homography (3, 3) from x and y in pixels to x and y in millimeters.
        deviations: (k, 3, 3) homographies, each one standard deviation off in one of the
            directions in which the corners leave it unsure: the variance of whatever follows from
            the homography is the sum of the squares of its differences.
    """

    matrix: NDArray[np.float64]
    deviations: NDArray[np.float64]

    def to_mm(self, points: Points) -> Points:
        """Return where points of the photo lie on the surface.

        Args:
            points: (n, 2) row and column in pixels.

        Returns:
            (n, 2) x and y in millimeters.
        """
        return project(self.matrix, points[:, ::-1])

    def scales(self, points: Points, directions: Points) -> tuple[Points, Points]:
        """Return the local scale along a crack, and across it.

        With J the derivative of the homography at a point and t the direction of the crack there,
        a strip along it of length l and width w in pixels becomes one of length |J·t|·l and area
        |det J|·l·w; so its width, at right angles on the surface, is |det J|/|J·t|·w.

        Args:
            points: (n, 2) row and column in pixels.
            directions: (n, 2) unit vectors along the crack, row and column.

        Returns:
            (n,) millimeters per pixel along, and (n,) across.
        """
        return _scales(self.matrix, points, directions)

    def mm_per_pixel(self, points: Points) -> NDArray[np.float64]:
        """Return (n,) the side in millimeters of a square as large as the pixel at each point."""
        return np.sqrt(np.abs(np.linalg.det(_derivative(self.matrix, points[:, ::-1]))))

    def error(self, points: Points) -> NDArray[np.float64]:
        """Return (n,) the relative standard deviation of `mm_per_pixel` at points."""
        if not len(points):
            return np.empty(0)
        known = self.mm_per_pixel(points)
        other = [Perspective(one, self.deviations[:0]).mm_per_pixel(points) / known - 1
                 for one in self.deviations]  # fmt: skip
        return np.sqrt(np.square(np.array(other)).sum(0)) if other else np.zeros(len(points))

    def area_mm2(self, size_hw: tuple[int, int]) -> float:
        """Return the area of the surface that a photo of this size shows."""
        return _area(self.to_mm(outline(size_hw)))

    def mean_mm_per_pixel(self, size_hw: tuple[int, int]) -> float:
        """Return the root of the area that the mean pixel shows."""
        return math.sqrt(self.area_mm2(size_hw) / (size_hw[0] * size_hw[1]))

    def fields(self) -> dict[str, Any]:
        """Return the homographies as JSON holds them."""
        return {"matrix": self.matrix.tolist(), "deviations": self.deviations.tolist()}

    @classmethod
    def from_fields(cls, fields: dict[str, Any]) -> Perspective:
        """Return the perspective whose `fields` these are."""
        deviations = np.array(fields["deviations"], np.float64).reshape(-1, 3, 3)
        return cls(np.array(fields["matrix"], np.float64).reshape(3, 3), deviations)


def from_rectangle(
    corners: Points, width_mm: float, height_mm: float, corner_error: float = CORNER_ERROR
) -> Perspective:
    """Return the perspective that the four corners of a known rectangle tell.

    Args:
        corners: (4, 2) row and column in pixels, one after the other around the rectangle, the
            first two along its width.
        width_mm: From the first corner to the second.
        height_mm: From the second corner to the third.
        corner_error: Standard deviation of a corner's row and column, in pixels.

    Raises:
        InputError: The corners make no rectangle that a camera could see, or a side is not above 0.
    """
    if not (0 < width_mm < math.inf and 0 < height_mm < math.inf):
        raise InputError(
            f"The rectangle is {width_mm:g} × {height_mm:g} mm; both sides must be above 0."
        )
    corners = np.asarray(corners, np.float64)
    _check_corners(corners)
    flat = np.array([[0, 0], [width_mm, 0], [width_mm, height_mm], [0, height_mm]], np.float64)
    matrix = _through(corners[:, ::-1], flat)
    moved = []
    for at in range(8):
        off = corners.copy()
        off.flat[at] += corner_error
        moved.append(_through(off[:, ::-1], flat))
    return Perspective(matrix, np.array(moved))


def from_markers(
    squares: Points, side_mm: float, corner_error: float = MARKER_ERROR
) -> Perspective:
    """Return the perspective that square markers of one size on the surface tell.

    The first marker gives a homography. Where there are several, their places on the surface are
    not known; homography, places and turns are adjusted together so that the corners' distances
    from where they were detected are least (Gauss-Newton). The farther apart the markers are, the
    surer is the result.

    Args:
        squares: (n, 4, 2) row and column of each marker's corners in pixels, around it.
        side_mm: Their side in millimeters.
        corner_error: Standard deviation of a corner's row and column, in pixels. Where the markers
            fit worse than that, because the surface is not flat, what is left over counts.

    Raises:
        InputError: The corners of the first marker make no square that a camera could see.
    """
    squares = np.asarray(squares, np.float64)
    areas = [_area(square) for square in squares]
    squares = squares[np.argsort(areas)[::-1]]
    first = from_rectangle(squares[0], side_mm, side_mm, corner_error)
    if len(squares) == 1:
        return first
    return _adjusted(first, squares, side_mm, corner_error)


def check_view(perspective: Perspective, size_hw: tuple[int, int], where: str) -> None:
    """Raise `InputError` where a photo shows the surface's horizon, or comes near it.

    There pixels show any number of millimeters, and nothing can be measured.

    Args:
        perspective: The perspective.
        size_hw: Height and width of the photo in pixels.
        where: The photo, for the message.
    """
    seen = outline(size_hw)
    depths = np.column_stack([seen[:, ::-1], np.ones(len(seen))]) @ perspective.matrix[2]
    sizes = perspective.mm_per_pixel(seen)
    steep = sizes.max() / sizes.min()
    if (depths > 0).any() and (depths < 0).any():
        reason = "shows the horizon of the surface that the rectangle or marker lies on"
    elif not steep <= STEEPEST:
        reason = f"sees the surface so steeply that its pixels differ {steep:.0f} times in size"
    else:
        return
    raise InputError(
        f"{where} {reason}, by its corners, so that it has no measure. Check the corners and their "
        "order, or cut the photo to the part that is near."
    )


def in_words(perspective: Perspective, size_hw: tuple[int, int]) -> str:
    """Say how the resolution varies across a photo, and how sure it is at best and at worst."""
    seen = np.concatenate([outline(size_hw), [[(size_hw[0] - 1) / 2, (size_hw[1] - 1) / 2]]])
    sizes, errors = perspective.mm_per_pixel(seen), perspective.error(seen)
    return (
        f"{sizes.min():.4g} to {sizes.max():.4g} mm per pixel across the photo, "
        f"± {errors[-1]:.1%} in its middle and ± {errors.max():.1%} where it is least sure"
    )


def outline(size_hw: tuple[int, int]) -> Points:
    """Return (4, 2) row and column of the outer corners of a photo, around it."""
    bottom, right = size_hw[0] - 0.5, size_hw[1] - 0.5
    return np.array([[-0.5, -0.5], [-0.5, right], [bottom, right], [bottom, -0.5]])


def project(matrix: NDArray[np.float64], points: Points) -> Points:
    """Return points (n, 2), x and y, as a homography (3, 3) maps them."""
    mapped = np.column_stack([points, np.ones(len(points))]) @ matrix.T
    return mapped[:, :2] / mapped[:, 2:]


def _scales(
    matrix: NDArray[np.float64], points: Points, directions: Points
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the scale along a direction at each point, and at right angles to its image."""
    derivative = _derivative(matrix, points[:, ::-1])
    along = np.hypot(*np.einsum("nij,nj->in", derivative, directions[:, ::-1]))
    return along, np.abs(np.linalg.det(derivative)) / along


def _derivative(matrix: NDArray[np.float64], points: Points) -> NDArray[np.float64]:
    """Return (n, 2, 2) the derivative of a homography at points (n, 2), x and y."""
    mapped = np.column_stack([points, np.ones(len(points))]) @ matrix.T
    depth = mapped[:, 2, None, None]
    image = (mapped[:, :2] / mapped[:, 2:])[:, :, None]
    return (matrix[None, :2, :2] - image * matrix[None, 2:, :2]) / depth


def _through(corners: Points, flat: Points) -> NDArray[np.float64]:
    """Return the homography that takes four points, x and y, to four others."""
    rows: list[list[float]] = []
    for (x, y), (u, v) in zip(corners.tolist(), flat.tolist(), strict=True):
        rows.append([x, y, 1, 0, 0, 0, -u * x, -u * y])
        rows.append([0, 0, 0, x, y, 1, -v * x, -v * y])
    solved = np.linalg.solve(np.array(rows), flat.reshape(-1))
    return np.append(solved, 1.0).reshape(3, 3)


def _area(corners: Points) -> float:
    """Return the area of a polygon, whichever way its corners (n, 2) go around."""
    y, x = corners.T
    return abs(float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1)))) / 2


def _check_corners(corners: Points) -> None:
    """Raise `InputError` where four corners make no convex shape with an area."""
    if corners.shape != (4, 2) or not np.isfinite(corners).all():
        raise InputError("A rectangle has four corners, each a column and a row in pixels.")
    sides = np.roll(corners, -1, axis=0) - corners
    after = np.roll(sides, -1, axis=0)
    turns = sides[:, 0] * after[:, 1] - sides[:, 1] * after[:, 0]
    least = STRAIGHT * float(np.square(sides).sum())
    if not ((turns > least).all() or (turns < -least).all()):
        raise InputError(
            "The four corners make no rectangle seen from aside: give them one after the other "
            "around it, the first two along its width."
        )


def _adjusted(
    first: Perspective, squares: Points, side_mm: float, corner_error: float
) -> Perspective:
    """Adjust a homography and the places of all markers to the corners that were detected."""
    square = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float64) * side_mm
    seen = squares[:, :, ::-1]
    # On the surface by the first marker: where the others lie, and how they are turned.
    poses: list[float] = []
    for corners in seen[1:]:
        flat = project(first.matrix, corners)
        x, y = (flat[1] - flat[0]) + (flat[2] - flat[3])
        turn = math.atan2(y, x)
        middle = flat.mean(0) - _turned(square, turn).mean(0)
        poses += [float(middle[0]), float(middle[1]), turn * side_mm]
    back = np.linalg.inv(first.matrix)
    start = np.concatenate([(back / back[2, 2]).reshape(-1)[:8], poses])
    size = np.concatenate([np.abs(start[:8]) + 1e-9, np.full(len(poses), side_mm)])

    def residuals(relative: NDArray[np.float64]) -> NDArray[np.float64]:
        values = relative * size
        matrix = np.append(values[:8], 1.0).reshape(3, 3)
        places = np.concatenate([np.zeros((1, 3)), values[8:].reshape(-1, 3)])
        flat = [_turned(square, place[2] / side_mm) + place[:2] for place in places]
        return (np.stack([project(matrix, one) for one in flat]) - seen).reshape(-1)

    return _least_squares(residuals, start / size, size, corner_error)


def _least_squares(
    residuals: Any, start: NDArray[np.float64], size: NDArray[np.float64], corner_error: float
) -> Perspective:
    """Return the homography with the least residuals, and its standard deviations."""
    from scipy.optimize import least_squares

    found = least_squares(residuals, start, x_scale="jac")
    spare = len(found.fun) - len(found.x)
    sigma = max(corner_error, math.sqrt(float(np.square(found.fun).sum()) / spare))
    covariance = np.linalg.pinv(found.jac.T @ found.jac)[:8, :8] * sigma**2
    values, vectors = np.linalg.eigh(covariance)
    steps = vectors * np.sqrt(np.maximum(values, 0.0))

    def forward(relative: NDArray[np.float64]) -> NDArray[np.float64]:
        matrix = np.linalg.inv(np.append(relative * size[:8], 1.0).reshape(3, 3))
        return matrix / matrix[2, 2]

    moved: Sequence[NDArray[np.float64]] = [forward(found.x[:8] + step) for step in steps.T]
    return Perspective(forward(found.x[:8]), np.array(moved))


def _turned(points: Points, turn: float) -> Points:
    """Return points, x and y, turned about the origin."""
    cosine, sine = math.cos(turn), math.sin(turn)
    return points @ np.array([[cosine, sine], [-sine, cosine]])
