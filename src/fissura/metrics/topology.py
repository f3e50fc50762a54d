"""clDice: is the crack's centerline found, whatever the crack's width?

IoU is about area, so that a wide crack outweighs ten hairlines; the centerline counts length.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fissura.errors import extra
from fissura.metrics.matches import match_metrics


def centerline_matches(
    pred: NDArray[np.bool_], target: NDArray[np.bool_], mask: NDArray[np.bool_] | None = None
) -> NDArray[np.int64]:
    """Count centerline pixels of each mask that lie inside the other mask.

    With the skeletons S_P, S_L of the prediction V_P and the truth V_L:

        topology precision    |S_P ∩ V_L| / |S_P|
        topology sensitivity  |S_L ∩ V_P| / |S_L|
        clDice                their harmonic mean

    which are `precision`, `recall` and `f1` of `fissura.metrics.matches.match_metrics`, with its
    rules for empty masks.

    Args:
        pred: The predicted mask, bool (h, w).
        target: The true mask, bool (h, w).
        mask: The valid mask, bool (h, w), true where a pixel counts; None: everywhere. Centerlines
            are those of the whole masks, and their pixels count where they are valid.

    Returns:
        int64 (4,), the columns of `fissura.metrics.matches`.

    Raises:
        ValueError: Where the masks differ in size.

    Source: Shit et al., 'clDice – a novel topology-preserving loss function for tubular structure
    segmentation', CVPR 2021, equations (1) to (3); skeletons by Zhang and Suen's thinning
    (scikit-image). Differs in nothing but the empty masks, of which the paper says nothing.
    """
    if pred.shape != target.shape or pred.ndim != 2:
        raise ValueError(
            f"pred and target must be (h, w), of one size; got {pred.shape} and {target.shape}."
        )
    with extra("train", "clDice"):
        from skimage.morphology import skeletonize

    pred_line, target_line = skeletonize(pred), skeletonize(target)
    if mask is not None:
        if mask.shape != target.shape:
            raise ValueError(f"mask must have the size {target.shape}; got {mask.shape}.")
        pred_line, target_line = pred_line & mask, target_line & mask
    confirmed = int(np.count_nonzero(pred_line & target))
    found = int(np.count_nonzero(target_line & pred))
    refuted = int(np.count_nonzero(pred_line)) - confirmed
    missed = int(np.count_nonzero(target_line)) - found
    return np.array([confirmed, refuted, found, missed], np.int64)


def cl_dice(pred: NDArray[np.bool_], target: NDArray[np.bool_]) -> float:
    """Return the clDice of one image; see `centerline_matches`.

    A prediction of a fifth of the crack's width has an IoU of 0.2, but finds the centerline:

    >>> wide, thin = np.zeros((2, 20, 40), bool)
    >>> wide[8:13, 5:35] = True
    >>> thin[10, 5:35] = True
    >>> round(cl_dice(thin, wide), 3)
    0.962
    """
    return float(match_metrics(centerline_matches(pred, target))["f1"])
