"""Images of failures for a model card: each beside its errors, all of them on one sheet."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from fissura.overlay import error_overlay


def beside_errors(
    image: NDArray[np.uint8], pred: NDArray[np.bool_], truth: NDArray[np.bool_], height: int
) -> NDArray[np.uint8]:
    """An RGB image and its errors side by side, so many pixels high."""
    pair = np.hstack([image, error_overlay(image, pred, truth)])
    width = round(pair.shape[1] * height / pair.shape[0])
    return cv2.resize(pair, (width, height), interpolation=cv2.INTER_AREA).astype(np.uint8)


def sheet(rows: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """RGB images one below the other on white, as BGR."""
    widest = max(row.shape[1] for row in rows)
    framed = [
        cv2.copyMakeBorder(
            row, 0, 6, 0, widest - row.shape[1], cv2.BORDER_CONSTANT, value=(255,) * 3
        )
        for row in rows
    ]
    return np.ascontiguousarray(np.vstack(framed)[..., ::-1]).astype(np.uint8)
