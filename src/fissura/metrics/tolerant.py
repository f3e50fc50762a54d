"""Precision, recall and F1 that forgive a displacement of a few pixels.

Where exactly a crack's edge runs is a matter of the annotator's hand; for a crack three pixels
wide, an edge one pixel off halves the IoU.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def tolerant_matches(
    pred: NDArray[np.bool_],
    target: NDArray[np.bool_],
    radius: float = 2.0,
    mask: NDArray[np.bool_] | None = None,
) -> NDArray[np.int64]:
    """Count predicted pixels near the truth, and true pixels near the prediction.

    A pixel is near a mask if a pixel of that mask lies at most `radius` away, as the crow flies,
    between pixel centers. Radius 0 gives the plain counts: confirmed = found = tp, refuted = fp,
    missed = fn.

    Args:
        pred: The predicted mask, bool (h, w).
        target: The true mask, bool (h, w).
        radius: In pixels, at least 0.
        mask: The valid mask, bool (h, w), true where a pixel counts; None: everywhere. The others
            are neither right nor wrong, and make no pixel beside them right.

    Returns:
        int64 (4,), the columns of `fissura.metrics.matches`, for `match_metrics`.

    Raises:
        ValueError: Where the masks differ in size or the radius is negative.

    Differs from the tolerance of Arbeláez et al. (TPAMI 2011), where one true pixel confirms at
    most one predicted pixel: here a thick prediction may be confirmed by a thin truth.

    >>> truth = np.array([[0, 0, 1, 0, 0]], bool)
    >>> tolerant_matches(np.array([[1, 1, 0, 0, 0]], bool), truth, radius=1.0).tolist()
    [1, 1, 1, 0]
    """
    if pred.shape != target.shape or pred.ndim != 2:
        raise ValueError(
            f"pred and target must be (h, w), of one size; got {pred.shape} and {target.shape}."
        )
    if mask is not None:
        if mask.shape != target.shape:
            raise ValueError(f"mask must have the size {target.shape}; got {mask.shape}.")
        pred, target = pred & mask, target & mask
    if not radius >= 0:
        raise ValueError(f"The radius is 0 or more pixels; got {radius}.")
    confirmed = int(np.count_nonzero(pred & near(target, radius)))
    found = int(np.count_nonzero(target & near(pred, radius)))
    refuted = int(np.count_nonzero(pred)) - confirmed
    missed = int(np.count_nonzero(target)) - found
    return np.array([confirmed, refuted, found, missed], np.int64)


def near(mask: NDArray[Any], radius: float) -> NDArray[np.bool_]:
    """Mark the pixels that lie at most `radius` from a pixel of a mask.

    By an exact Euclidean distance transform.

    Args:
        mask: bool (h, w).
        radius: In pixels.

    Returns:
        bool (h, w).
    """
    import cv2

    mask = mask.astype(bool)
    # OpenCV's distances mean nothing where there is no pixel to be distant from.
    if radius < 1 or not mask.any():
        return mask
    distance = cv2.distanceTransform(
        (~mask).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE, dstType=cv2.CV_32F
    )
    # Squared distances between pixels are whole numbers: rounding frees them of float error.
    squared = np.round(distance.astype(np.float64) ** 2)
    return squared <= radius**2
