"""`PhotoLook`: all that is kept of a photo and its mask once they have been looked at."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from fissura.checks.alike import View
from fissura.checks.lines import Fit, lines_of, unmarked_lines, working_copy
from fissura.checks.strokes import thickness, too_wide

FEWEST_PIXELS = 30  # of crack in the working copy, below which lines and edges are not judged
SMALL_MASK = 64  # pixels of the side of the reduced mask, by which masks of copies are compared


@dataclass(frozen=True)
class ClassLook:
    """A class on one photo.

    Attributes:
        pixels: Its pixels.
        thickness: Median of its thickness in pixels; None where there is none of it.
    """

    pixels: int
    thickness: float | None


@dataclass(frozen=True)
class PhotoLook:
    """All that is kept of a photo and its mask once they have been looked at.

    Attributes:
        name: Name of the photo.
        split: Its split in the folder: "train", "val", "test" or "all".
        size_hw: Its size.
        crack: Crack pixels.
        valid: Pixels with a label.
        view: Reduced views, by which photos are compared.
        small_mask: uint8 (64, 64), the mask reduced by area, 255 where all is crack.
        thickness: Percentiles 5, 50 and 95 of the thickness of its cracks in pixels, or None.
        fit: How the mask lies on lines, or None where there is too little crack to tell.
        wide: Pixels on each side by which the mask is too wide, or None where that is unclear.
        unmarked: Number of long lines off the mask, as strong as those under it, or None.
        classes: A look at each class, of masks of several.
        shared: int64 (k, k), the pixels that each two of k classes have in common, or None.
    """

    name: str
    split: str
    size_hw: tuple[int, int]
    crack: int
    valid: int
    view: View
    small_mask: NDArray[np.uint8]
    thickness: tuple[float, float, float] | None = None
    fit: Fit | None = None
    wide: float | None = None
    unmarked: int | None = None
    classes: tuple[ClassLook, ...] = ()
    shared: NDArray[np.int64] | None = None

    @property
    def fraction(self) -> float:
        """Crack pixels over all pixels with a label."""
        return self.crack / max(self.valid, 1)


def look_at(
    name: str,
    split: str,
    image: NDArray[np.uint8],
    mask: NDArray[np.bool_],
    valid: NDArray[np.bool_] | None = None,
    cracks: NDArray[np.bool_] | None = None,
) -> PhotoLook:
    """Look at a photo and its mask.

    Args:
        name: Name of the photo.
        split: Its split in the folder.
        image: RGB (h, w, 3).
        mask: Bool (h, w).
        valid: Pixels with a label, or None where all have one.
        cracks: What of the mask is to lie on lines, bool (h, w); all of it unless given.
    """
    glance = glance_at(name, split, image, mask, valid)
    mask = mask if cracks is None else cracks
    strokes = thickness(mask)
    if not strokes.size:
        return glance
    thin, middle, thick = (float(value) for value in np.percentile(strokes, (5, 50, 95)))
    where, wide, unmarked = _on_lines(image, mask, middle)
    return replace(glance, thickness=(thin, middle, thick), fit=where, wide=wide, unmarked=unmarked)


def glance_at(
    name: str,
    split: str,
    image: NDArray[np.uint8],
    mask: NDArray[np.bool_],
    valid: NDArray[np.bool_] | None = None,
) -> PhotoLook:
    """Take the reduced views and the amounts alone, in a few milliseconds.

    Args:
        name: Name of the photo.
        split: Its split in the folder.
        image: RGB (h, w, 3).
        mask: Bool (h, w).
        valid: Pixels with a label, or None where all have one.
    """
    side = (SMALL_MASK, SMALL_MASK)
    small = cv2.resize(mask.view(np.uint8) * np.uint8(255), side, interpolation=cv2.INTER_AREA)
    return PhotoLook(
        name=name,
        split=split,
        size_hw=(image.shape[0], image.shape[1]),
        crack=int(np.count_nonzero(mask)),
        valid=mask.size if valid is None else int(np.count_nonzero(valid)),
        view=View.of(image),
        small_mask=np.asarray(small, np.uint8),
    )


def _on_lines(
    image: NDArray[np.uint8], mask: NDArray[np.bool_], thick: float
) -> tuple[Fit | None, float | None, int | None]:
    """How the mask lies on lines, by how much it is too wide, and the lines off it."""
    gray, soft, scale = working_copy(image, mask)
    marked = soft > 0.5
    if np.count_nonzero(marked) < FEWEST_PIXELS:
        return None, None, None
    width = max(thick * scale, 1.0)
    gray, response, where = lines_of(gray, soft, width, scale)
    lines = unmarked_lines(response, marked, width)
    beyond = too_wide(gray, marked, width)
    return where, None if beyond is None else beyond / scale, len(np.unique(lines)) - 1
