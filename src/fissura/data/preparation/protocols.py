"""Cut and shrink photos and masks to the sizes that the experiments train on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fissura.data.preparation.shrink import shrink_labels
from fissura.errors import InputError


@dataclass(frozen=True)
class Protocol:
    """How photos become training images. Sizes are (height, width).

    Attributes:
        name: The key in `PROTOCOLS`.
        crop_hw: Size of the window that is cut out; None: all of the photo, or, where `size_hw` is
            given, the largest window in its center of the same aspect as `size_hw`. A photo smaller
            than `crop_hw` is treated in that way, too.
        size_hw: The size that the window is resampled to, by areas; None: its own.
        area_threshold: Fraction of a new pixel's area, in (0, 1], from which it is crack.
        cracks_only: Leave out windows without a crack pixel (`load_split` does).
        tiled: Cut as many windows of `crop_hw` as about fit, instead of one in the center.

    >>> from dataclasses import replace
    >>> replace(PROTOCOLS["deepcrack96"], area_threshold=0.5).area_threshold
    0.5
    """

    name: str
    crop_hw: tuple[int, int] | None
    size_hw: tuple[int, int] | None
    area_threshold: float = 1 / 8
    cracks_only: bool = False
    tiled: bool = False

    @property
    def scale(self) -> float:
        """Training size over photo size where every photo holds a whole crop, otherwise 1.

        `PreparedSet.scale` is the scale that a set of real photos got.
        """
        if self.crop_hw is None or self.size_hw is None:
            return 1.0
        return self.size_hw[0] / self.crop_hw[0]


PROTOCOLS: dict[str, Protocol] = {
    # Photos as they are, of differing sizes.
    "native": Protocol("native", None, None),
    # DeepCrack-DB as in the paper's Section IV-A.
    "deepcrack96": Protocol("deepcrack96", (384, 384), (96, 96)),
    # CRACK500 likewise: photos are cut into windows of 512×512, crops that come smaller are kept.
    "crack500": Protocol("crack500", (512, 512), (128, 128), cracks_only=True, tiled=True),
    # PanelCrack, and its synthetic stand-in.
    "panel128": Protocol("panel128", None, (128, 128)),
}


def choose_protocol(name: str, area_threshold: float | None = None) -> Protocol:
    """Return a protocol by name, with another area threshold where one is given.

    Args:
        name: A key of `PROTOCOLS`.
        area_threshold: Fraction of a new pixel's area, in (0, 1], from which it is crack; None
            keeps the protocol's.

    Returns:
        The protocol.

    Raises:
        InputError: The name is unknown, or the threshold lies outside (0, 1].

    >>> choose_protocol("deepcrack96", 0.5).area_threshold
    0.5
    """
    if name not in PROTOCOLS:
        raise InputError(f"There is no protocol {name!r}. Choose one of: {', '.join(PROTOCOLS)}.")
    if area_threshold is not None and not 0 < area_threshold <= 1:
        raise InputError(
            f"The area threshold is {area_threshold}, but must be a fraction of a pixel's area, "
            "above 0 and at most 1."
        )
    protocol = PROTOCOLS[name]
    return protocol if area_threshold is None else replace(protocol, area_threshold=area_threshold)


@dataclass(frozen=True)
class Window:
    """A rectangle of a photo, in pixels, and its position in the grid of a photo's windows."""

    top: int
    left: int
    height: int
    width: int
    row: int = 0
    column: int = 0


def windows(photo_hw: tuple[int, int], protocol: Protocol) -> list[Window]:
    """List the windows that a protocol cuts from a photo, row by row.

    A single window lies in the center. Several are spread evenly from edge to edge, as many as the
    photo's sides hold, rounded; so they overlap a little, or leave gaps of less than half a window.

    Args:
        photo_hw: Height and width of the photo.
        protocol: How it is cut.

    Returns:
        At least one window.

    Raises:
        InputError: The window would be smaller than `size_hw`, so that shrinking it would mean
            inventing pixels.

    >>> windows((384, 544), PROTOCOLS["deepcrack96"])
    [Window(top=0, left=80, height=384, width=384, row=0, column=0)]
    """
    wanted = protocol.crop_hw or protocol.size_hw
    if wanted is None:
        return [Window(0, 0, *photo_hw)]
    fit = min(photo_hw[0] / wanted[0], photo_hw[1] / wanted[1])
    if protocol.crop_hw is not None:
        fit = min(fit, 1.0)
    height, width = (
        min(side, max(1, round(fit * full))) for side, full in zip(photo_hw, wanted, strict=True)
    )
    size = protocol.size_hw
    if size is not None and (height < size[0] or width < size[1]):
        raise InputError(
            f"A photo of {photo_hw[1]}×{photo_hw[0]} pixels (width × height) is too small for the "
            f"protocol {protocol.name}: a window of {width}×{height} can be cut from it, but it "
            f"must have at least {size[1]}×{size[0]}. Take another --protocol, such as native."
        )
    tops = _spread(photo_hw[0], height, protocol.tiled)
    lefts = _spread(photo_hw[1], width, protocol.tiled)
    return [
        Window(top, left, height, width, row, column)
        for row, top in enumerate(tops)
        for column, left in enumerate(lefts)
    ]


def prepare(
    image: NDArray[np.uint8], mask: NDArray[np.bool_], protocol: Protocol
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Cut and shrink a photo and its mask to the one image that a protocol makes of it.

    Args:
        image: RGB of shape (height, width, 3).
        mask: True where there is crack, of shape (height, width).
        protocol: How the photo is cut and shrunk.

    Returns:
        The image and its mask.

    Raises:
        InputError: As `windows` does.
        ValueError: The protocol makes several images (take `prepare_all`).
    """
    prepared = prepare_all(image, mask, protocol)
    if len(prepared) != 1:
        raise ValueError(f"{protocol.name} makes {len(prepared)} images of one {mask.shape}")
    return prepared[0]


def prepare_all(
    image: NDArray[np.uint8], mask: NDArray[np.bool_], protocol: Protocol
) -> list[tuple[NDArray[np.uint8], NDArray[np.bool_]]]:
    """Cut and shrink all windows of a photo and its mask, in the order of `windows`.

    Args:
        image: RGB of shape (height, width, 3).
        mask: True where there is crack, of shape (height, width).
        protocol: How the photo is cut and shrunk.

    Returns:
        An image and its mask for each window.

    Raises:
        InputError: As `windows` does.
        ValueError: Image and mask have different sizes.
    """
    return [(cut, cut_mask) for cut, cut_mask, _ in prepare_labeled(image, mask, None, protocol)]


def prepare_labeled(
    image: NDArray[np.uint8],
    mask: NDArray[Any],
    valid: NDArray[np.bool_] | None,
    protocol: Protocol,
    *,
    overlapping: bool = False,
) -> list[tuple[NDArray[np.uint8], NDArray[Any], NDArray[np.bool_] | None]]:
    """Cut and shrink all windows of a photo, its mask, of classes too, and its valid mask.

    Args:
        image: RGB of shape (height, width, 3).
        mask: Of shape (height, width), as in `fissura.data.preparation.prepared.PreparedSet`.
        valid: True where a pixel has a label, of shape (height, width); None: everywhere.
        protocol: How the photo is cut and shrunk.
        overlapping: Whether the bits of the mask are classes.

    Returns:
        An image, its mask and its valid mask for each window.

    Raises:
        InputError: As `windows` does.
        ValueError: Image and masks have different sizes.
    """
    if image.shape[:2] != mask.shape or image.ndim != 3:
        raise ValueError(f"image {image.shape} and mask {mask.shape} don't fit")
    if valid is not None and valid.shape != mask.shape:
        raise ValueError(f"mask {mask.shape} and valid mask {valid.shape} don't fit")
    prepared = []
    for window in windows(mask.shape, protocol):
        rows = slice(window.top, window.top + window.height)
        columns = slice(window.left, window.left + window.width)
        cut, cut_mask = image[rows, columns], mask[rows, columns]
        cut_valid = None if valid is None else valid[rows, columns]
        size = protocol.size_hw
        if size is not None and size != cut_mask.shape:
            cut = cv2.resize(cut, (size[1], size[0]), interpolation=cv2.INTER_AREA)
            cut_mask, cut_valid = shrink_labels(
                cut_mask, cut_valid, size, protocol.area_threshold, overlapping=overlapping
            )
        if cut_valid is not None:
            cut_valid = np.ascontiguousarray(cut_valid)
        prepared.append((np.ascontiguousarray(cut), np.ascontiguousarray(cut_mask), cut_valid))
    return prepared


def _spread(length: int, side: int, tiled: bool) -> list[int]:
    """Starts of the windows along one side."""
    count = max(1, round(length / side)) if tiled else 1
    spare = length - side
    return [spare // 2] if count == 1 else [spare * i // (count - 1) for i in range(count)]
