"""Features of a photo, and those of two photos that look alike."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

MOST = 4000  # features of a photo
CELLS = 12  # along each side, over which they are spread
CONTRAST = 0.02  # concrete has little; SIFT's own default is 0.04
RATIO = 0.85  # of the distances to the nearest and the second nearest, at most
CHUNK = 1024  # features that are compared at once


@dataclass(frozen=True, eq=False)
class Features:
    """Points of a photo that are found again on another one.

    Attributes:
        points: (n, 2) x and y in pixels of the whole photo, the strongest first.
        descriptors: (n, 128) unit vectors that tell what each looks like.
        scale: Size of the image that they were found on over that of the photo.
    """

    points: NDArray[np.float64]
    descriptors: NDArray[np.float32]
    scale: float


def find_features(image: NDArray[np.uint8], scale: float = 1.0) -> Features:
    """Find features (SIFT; Lowe, 'Distinctive Image Features', 2004), spread over the image.

    Contrast is evened out first, so that shadows and other light leave them alike. Descriptors are
    compared by the roots of their entries (Arandjelović and Zisserman, 'Three things everyone
    should know to improve object retrieval', 2012).

    Args:
        image: RGB (h, w, 3), whole or shrunk.
        scale: Its size over that of the photo, at most 1.
    """
    gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    even = cv2.createCLAHE(clipLimit=3.0, tileGridSize=(8, 8)).apply(gray)
    # The precise upscale makes positions unbiased.
    sift = cv2.SIFT.create(
        nfeatures=4 * MOST, contrastThreshold=CONTRAST, enable_precise_upscale=True
    )
    keypoints, found = sift.detectAndCompute(even, None)
    if not keypoints:
        return Features(np.empty((0, 2)), np.empty((0, 128), np.float32), scale)
    points = np.array([keypoint.pt for keypoint in keypoints], float)
    strength = np.array([keypoint.response for keypoint in keypoints])
    kept = _spread(points, strength, (image.shape[0], image.shape[1]))
    roots = np.sqrt(found[kept] / np.maximum(found[kept].sum(1, keepdims=True), 1e-6))
    return Features((points[kept] + 0.5) / scale - 0.5, roots.astype(np.float32), scale)


def alike(new: Features, old: Features, most: int = MOST) -> NDArray[np.int64]:
    """Return the features (n, 2) that are each other's nearest, and clearly so: new, old.

    Args:
        new: Features of one photo.
        old: Features of the other one.
        most: Of the strongest features of each that are compared.
    """
    ours, theirs = new.descriptors[:most], old.descriptors[:most]
    if len(ours) < 2 or len(theirs) < 2:
        return np.empty((0, 2), np.int64)
    nearest = np.empty(len(ours), np.int64)
    clear = np.empty(len(ours), bool)
    best = np.full(len(theirs), -1.0, np.float32)
    back = np.zeros(len(theirs), np.int64)
    for begin in range(0, len(ours), CHUNK):
        cosine = ours[begin : begin + CHUNK] @ theirs.T
        rows = np.arange(len(cosine))
        first = cosine.argmax(1)
        top, at = cosine.max(0), cosine.argmax(0)
        back[top > best] = at[top > best] + begin
        best = np.maximum(best, top)
        one = cosine[rows, first].copy()
        cosine[rows, first] = -1
        other = cosine.max(1)
        nearest[begin : begin + CHUNK] = first
        clear[begin : begin + CHUNK] = 1 - one < RATIO**2 * (1 - other)
    own = np.arange(len(ours))
    kept = clear & (back[nearest] == own)
    return np.stack([own[kept], nearest[kept]], 1)


def _spread(
    points: NDArray[np.float64], strength: NDArray[np.floating], size_hw: tuple[int, int]
) -> NDArray[np.int64]:
    """Choose the strongest features of each cell of a grid; return them, the strongest first."""
    size = np.array([size_hw[1], size_hw[0]])
    cell = np.clip((points / size * CELLS).astype(int), 0, CELLS - 1) @ np.array([1, CELLS])
    order = np.argsort(-strength, kind="stable")
    counts = np.bincount(cell, minlength=CELLS**2)
    by_cell = order[np.argsort(cell[order], kind="stable")]
    starts = np.repeat(np.cumsum(counts) - counts, counts)
    rank = np.empty(len(points), np.int64)
    rank[by_cell] = np.arange(len(points)) - starts
    kept = order[rank[order] < max(MOST // CELLS**2, 1)]
    rest = order[rank[order] >= max(MOST // CELLS**2, 1)]
    chosen = np.concatenate([kept, rest[: max(0, MOST - len(kept))]])
    return chosen[np.argsort(-strength[chosen], kind="stable")]
