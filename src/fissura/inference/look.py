"""A look at a photo before it is predicted: how wide are its cracks?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from fissura.inference.resize import resized
from fissura.inference.working_scale import Read, spans

LOOK = 0.25  # scale of the look over that of the photo
SEEN = 0.5  # probability from which a pixel of it is crack
LEAST = 20  # pixels of cracks in it, below which it tells nothing
WIDE = 18.0  # mean width of cracks in pixels above which a photo is better seen at half the scale
THIN = 8.0  # below which a small photo is better seen at twice the scale
SMALL = 256  # pixels of the shorter side of a small photo; it is looked at as it is
SIDE = 1536  # of the windows that are looked at, in pixels


def scale_by_width(width: float, shorter: float) -> float:
    """Return the factor by which a photo is to be seen smaller or larger: 1/2, 1 or 2.

    Cracks that are far wider than those that a network knows are found in pieces; and of a small
    photo cracks that are some pixels wide are found better at twice its size, which costs little
    there. The widths were chosen on held-back images of recipes/general.yaml and on training images
    of DeepCrack and CRACK500, which `fissura-general` has not seen (docs/models.md).

    Args:
        width: Mean width of the cracks in pixels at the present scale, from `mean_width`; 0 where
            none is seen.
        shorter: Shorter side of the photo in pixels at that scale.

    >>> [scale_by_width(width, 1000) for width in (0.0, 5.0, 30.0)]
    [1.0, 1.0, 0.5]
    >>> [scale_by_width(width, 200) for width in (0.0, 5.0, 30.0)]
    [2.0, 2.0, 1.0]
    """
    if shorter <= SMALL:
        return 2.0 if width < THIN else 1.0
    return 0.5 if width > WIDE else 1.0


def look_scale(shorter: float) -> float:
    """Return the scale of the look over that of the photo.

    Args:
        shorter: As of `scale_by_width`.
    """
    return 1.0 if shorter <= SMALL else LOOK


def looks(read: Read, size_hw: tuple[int, int], scale: float) -> Iterator[NDArray[np.uint8]]:
    """Yield windows of a photo for a look at it: all of it, or nine windows of a large one.

    Args:
        read: Gives the pixels of a window by its top, left, bottom and right: uint8 (h, w, 3).
        size_hw: Height and width of the photo in pixels.
        scale: Factor by which they are resampled.
    """
    # Of a photo that was enlarged, the windows show as much as if it were not.
    side = max(round(SIDE * LOOK / scale), 1)
    for top, bottom in spans(size_hw[0], side):
        for left, right in spans(size_hw[1], side):
            size = (max(round((bottom - top) * scale), 1), max(round((right - left) * scale), 1))
            yield resized(read(top, left, bottom, right), size, shrink_by_area=True)


def mean_width(probs: Iterable[NDArray[np.float32]]) -> float:
    """Return the mean width of the cracks of some images, over their crack pixels; 0 for none.

    In a strip of w pixels the distance from its edges is w/4 on average, so that the width is
    4·(d − 1/2), with d the mean distance to the next pixel that is no crack.

    Args:
        probs: Probabilities of crack, float32 (h, w) each.

    >>> strip = np.zeros((60, 90), np.float32)
    >>> strip[20:32] = 1
    >>> round(mean_width([strip]), 1)
    12.0
    """
    total, pixels = 0.0, 0
    for prob in probs:
        crack = prob >= SEEN
        distance = cv2.distanceTransform(crack.astype(np.uint8), cv2.DIST_L2, 5)
        total += float(distance[crack].sum())
        pixels += int(crack.sum())
    return 4 * (total / pixels - 0.5) if pixels >= LEAST else 0.0
