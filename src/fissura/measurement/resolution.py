"""Resolution of a photo, in millimeters per pixel: as given, by the optics, or by a marker."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fissura.data.images import exif_of
from fissura.errors import InputError
from fissura.measurement.options import ResolutionOptions
from fissura.measurement.perspective import (
    CORNER_ERROR,
    Perspective,
    check_view,
    from_markers,
    from_rectangle,
    in_words,
    outline,
)
from fissura.pillow import opened_image

FULL_FRAME_MM = 36.0  # the width that 'equivalent' focal lengths refer to
# Tags of EXIF's photo directory.
EXIF_IFD, FOCAL_LENGTH, FOCAL_LENGTH_35 = 0x8769, 0x920A, 0xA405
PLANE_X_RESOLUTION, PLANE_UNIT, PIXEL_X_DIMENSION = 0xA20E, 0xA210, 0xA002
UNIT_MM = {2: 25.4, 3: 10.0, 4: 1.0}  # inch, centimeter, millimeter
TILTED = 1.05  # of a marker's longest side to its shortest, from which on a word is due
SURE = 0.3  # of what the resolution differs by across a photo: an error above is too unsure
# OpenCV's names of families of markers; each holds the smaller ones of its kind.
MARKERS = (
    *("DICT_4X4_1000", "DICT_5X5_1000", "DICT_6X6_1000", "DICT_7X7_1000", "DICT_ARUCO_ORIGINAL"),
    *("DICT_APRILTAG_16h5", "DICT_APRILTAG_25h9", "DICT_APRILTAG_36h10", "DICT_APRILTAG_36h11"),
)


@dataclass(frozen=True)
class Resolution:
    """How many millimeters a pixel shows, and how that is known.

    Attributes:
        mm_per_pixel: Above 0.
        source: Where it comes from, in words, for the report.
        warning: A sentence where it is doubtful, or None.
        perspective: That of a photo of a slanted surface, of whose pixels `mm_per_pixel` is the
            mean; None where all pixels show as much.
    """

    mm_per_pixel: float
    source: str
    warning: str | None = None
    perspective: Perspective | None = None


@dataclass(frozen=True)
class Rectangle:
    """A rectangle of known size on the surface, by its corners in a photo.

    Attributes:
        corners: x and y in pixels of each corner, from the photo's left and top, (0, 0) being the
            center of the first pixel; around the rectangle, the first two along its width.
        width_mm: From the first corner to the second.
        height_mm: From the second corner to the third.
    """

    corners: tuple[tuple[float, float], ...]
    width_mm: float
    height_mm: float


def find_resolution(
    options: ResolutionOptions,
    file: Path,
    image: NDArray[np.uint8] | None,
    size_hw: tuple[int, int],
) -> Resolution | None:
    """Find the resolution of a photo.

    Args:
        options: How it is found.
        file: The photo, for its EXIF data.
        image: RGB (h, w, 3), for a marker; None where it is too large to have it whole.
        size_hw: Its height and width in pixels.

    Returns:
        The resolution, or None where no option gives one.

    Raises:
        InputError: Where the photo lacks the EXIF data or the marker that the options ask for.
    """
    if options.mm_per_pixel is not None:
        return Resolution(options.mm_per_pixel, f"given as {options.mm_per_pixel:g} mm per pixel")
    if options.distance_mm is not None:
        return from_optics(options, file, size_hw)
    if options.marker_mm is not None:
        if image is None:
            raise InputError(
                f"{file} is too large to look for a marker in. Give its --mm-per-pixel."
            )
        return from_marker(image, options.marker_mm, file)
    return None


def by_rectangle(rectangle: Rectangle, file: Path, size_hw: tuple[int, int]) -> Resolution:
    """Return the resolution, and the perspective, that a known rectangle tells.

    Args:
        rectangle: The rectangle.
        file: The photo, for messages.
        size_hw: Its height and width in pixels.

    Raises:
        InputError: A corner lies outside the photo, the corners make no rectangle that a camera
            could see, or the photo shows the surface's horizon.
    """
    height, width = size_hw
    for x, y in rectangle.corners:
        if not (-0.5 <= x <= width - 0.5 and -0.5 <= y <= height - 0.5):
            raise InputError(
                f"{file}: the corner at {x:g}, {y:g} lies outside the photo, which is {width} × "
                f"{height} pixels. Corners are pixels of the whole photo, x before y."
            )
    corners = np.array(rectangle.corners, np.float64)[:, ::-1]
    try:
        found = from_rectangle(corners, rectangle.width_mm, rectangle.height_mm)
    except InputError as error:
        raise InputError(f"{file}: {error}") from error
    check_view(found, size_hw, str(file))
    words = (
        f"perspective by a rectangle of {rectangle.width_mm:g} × {rectangle.height_mm:g} mm: "
        f"{in_words(found, size_hw)}, where its corners are off by {CORNER_ERROR:g} pixel"
    )
    return Resolution(found.mean_mm_per_pixel(size_hw), words, perspective=found)


def from_optics(options: ResolutionOptions, file: Path, size_hw: tuple[int, int]) -> Resolution:
    """Compute the resolution from distance, focal length and sensor.

        mm per pixel = distance · sensor / (focal length · pixels along the sensor's longer side)

    for a surface that faces the camera and is much farther away than the focal length. A focal
    length or sensor that is not among the options is read from EXIF: the sensor by its pixels per
    mm, or as 36 mm · focal length / 'equivalent' focal length, which makers round.

    Args:
        options: With `distance_mm`.
        file: The photo, for its EXIF data.
        size_hw: Its height and width in pixels.

    Raises:
        InputError: Where the focal length or the sensor is not known.
    """
    distance, focal, sensor = (
        options.distance_mm,
        options.focal_length_mm,
        options.sensor_width_mm,
    )
    assert distance is not None
    exif: list[str] = []
    if focal is None or sensor is None:
        known = read_optics(file)
        if focal is None:
            focal = known.focal_length_mm
            exif.append("focal length")
        if sensor is None:
            sensor = known.sensor_width_mm
            exif.append("sensor")
    if focal is None or sensor is None:
        missing = "--focal-length-mm" if focal is None else "--sensor-width-mm"
        raise InputError(
            f"{file} does not tell its camera's {' and '.join(exif)} in its EXIF data, so that the "
            f"distance alone gives no resolution. Add {missing}."
        )
    mm_per_pixel = distance * sensor / (focal * max(size_hw))
    words = (
        f"computed from {distance:g} mm distance, focal length {focal:g} mm, sensor {sensor:.4g} mm"
    )
    if exif:
        words += f" ({' and '.join(exif)} from EXIF)"
    return Resolution(mm_per_pixel, words)


@dataclass(frozen=True)
class Optics:
    """A camera's focal length and longer side of the sensor; None where EXIF lacks them."""

    focal_length_mm: float | None
    sensor_width_mm: float | None


def read_optics(file: Path) -> Optics:
    """Read focal length and longer side of the sensor from a photo's EXIF data."""
    try:
        with opened_image(file) as photo:
            stored = max(photo.size)
            tags = exif_of(photo).get_ifd(EXIF_IFD)
    except InputError:
        return Optics(None, None)
    focal = _number(tags.get(FOCAL_LENGTH))
    # A photo that was made smaller since keeps the resolution of the sensor and its old size.
    pixels = max(_number(tags.get(PIXEL_X_DIMENSION)) or 0, stored)
    resolution = _number(tags.get(PLANE_X_RESOLUTION))
    unit = UNIT_MM.get(int(_number(tags.get(PLANE_UNIT)) or 2))
    if resolution and unit:
        return Optics(focal, pixels / resolution * unit)
    equivalent = _number(tags.get(FOCAL_LENGTH_35))
    sensor = FULL_FRAME_MM * focal / equivalent if focal and equivalent else None
    return Optics(focal, sensor)


def _number(value: object) -> float | None:
    """A tag's value where it is a number above 0: rationals may be 0/0."""
    try:
        number = float(value)  # pyright: ignore[reportArgumentType]
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    return number if 0 < number < math.inf else None


def from_marker(image: NDArray[np.uint8], side_mm: float, file: Path) -> Resolution:
    """Compute the resolution from the ArUco or AprilTag markers in a photo.

    Their sides, with corners to fractions of a pixel, are averaged. Markers that are seen at an
    angle have sides that differ; from 5 % on they tell the perspective of the photo, unless it is
    too unsure, because they are too small: then the resolution carries a warning.

    Args:
        image: RGB (h, w, 3).
        side_mm: Side of the markers' black squares, in millimeters.
        file: The photo, for messages.

    Raises:
        InputError: Where there is no marker.
    """
    import cv2

    gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    settings = cv2.aruco.DetectorParameters()
    settings.cornerRefinementMethod = cv2.aruco.CORNER_REFINE_SUBPIX
    for name in MARKERS:
        family = cv2.aruco.getPredefinedDictionary(getattr(cv2.aruco, name))
        corners, _, _ = cv2.aruco.ArucoDetector(family, settings).detectMarkers(gray)
        if not len(corners):
            continue
        squares = np.array(corners).reshape(-1, 4, 2)
        sides = np.hypot(*(squares - np.roll(squares, 1, axis=1)).transpose(2, 0, 1))
        uneven = float(sides.max() / sides.min())
        warning = None
        size_hw = (image.shape[0], image.shape[1])
        count = f"{len(squares)} markers" if len(squares) > 1 else "a marker"
        kind = name.removeprefix("DICT_").replace("_", " ")
        perspective = _of_markers(squares, side_mm, size_hw) if uneven > TILTED else None
        if perspective is not None:
            return Resolution(
                perspective.mean_mm_per_pixel(size_hw),
                f"perspective by {count} ({kind}) of {side_mm:g} mm: "
                f"{in_words(perspective, size_hw)}",
                perspective=perspective,
            )
        if uneven > TILTED:
            warning = (
                f"The marker in {file} is seen at an angle: its sides differ by "
                f"{uneven - 1:.0%}, and so does the resolution across the photo. It is too small "
                "for the perspective: use larger markers, or several of them, or --table with the "
                "corners of a rectangle."
            )
        return Resolution(
            side_mm / float(sides.mean()),
            f"computed from {count} ({kind}) of {side_mm:g} mm, {sides.mean():.1f} pixels a side",
            warning,
        )
    raise InputError(
        f"No ArUco or AprilTag marker was found in {file}. It must be whole, sharp, with a white "
        "border, and not be mirrored. Or give --mm-per-pixel."
    )


def _of_markers(
    squares: NDArray[Any], side_mm: float, size_hw: tuple[int, int]
) -> Perspective | None:
    """Return the perspective by markers (n, 4, 2), x and y; None where it is too unsure."""
    try:
        found = from_markers(squares[:, :, ::-1].astype(np.float64), side_mm)
        check_view(found, size_hw, "It")
    except (InputError, np.linalg.LinAlgError):
        return None
    seen = outline(size_hw)
    sizes = found.mm_per_pixel(seen)
    differ = float(sizes.max() / sizes.min()) - 1
    return found if float(found.error(seen).max()) < SURE * differ else None
