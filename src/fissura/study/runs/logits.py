"""How far crack pixels lie from the decision: mean logits on training and on test images."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from fissura.data.preparation.load import PreparedSet

# Predicts the probability of crack, (h, w), of images, as `Predictor.probs` does.
Predict = Callable[[list[NDArray[np.uint8]]], Iterator[NDArray[np.float32]]]

# Images are taken evenly from a set until they have so many pixels.
MOST_PIXELS = 2**24
# Nearest that a float32 comes to a probability of 1, and the same at 0: logits up to ±16.6.
LEAST = 2.0**-24


def mean_logits(predict: Predict, images: PreparedSet) -> dict[str, float | None]:
    """Return the mean logits of the crack pixels and of the background pixels of a set.

    The logits of crack pixels in the test images are smaller than in the training images where a
    network has learned the few crack pixels of its training by heart. This shift is what a margin
    shall counteract (Li et al., Overfitting of Neural Nets under Class Imbalance: Analysis and
    Improvements for Segmentation, MICCAI 2019).

    Images are as they are, without augmentation. Of large sets, evenly chosen images count.
    Logits come from probabilities, log(p / (1 − p)), so that those beyond ±16.6 count as ±16.6.

    Args:
        predict: The trained network, such as `Predictor.probs`.
        images: Images and masks, prepared as in its training.

    Returns:
        "crack" and "background", means over pixels; None where the set has no such pixel.
    """
    sums, numbers = np.zeros(2), np.zeros(2, np.int64)
    chosen = _evenly([mask.size for mask in images.masks])
    probs = predict([images.images[index] for index in chosen])
    for index, logit in zip(chosen, _logits(probs), strict=True):
        mask = images.masks[index] > 0
        valid = np.ones_like(mask) if images.valid is None else images.valid[index]
        for kind, where in enumerate((mask & valid, ~mask & valid)):
            sums[kind] += float(logit[where].sum())
            numbers[kind] += int(np.count_nonzero(where))
    return {
        name: round(float(total / number), 4) if number else None
        for name, total, number in zip(("crack", "background"), sums, numbers, strict=True)
    }


def _logits(probs: Iterator[NDArray[np.float32]]) -> Iterator[NDArray[np.float64]]:
    """Turn probabilities into logits."""
    for prob in probs:
        inside = np.clip(prob.astype(np.float64), LEAST, 1 - LEAST)
        yield np.log(inside) - np.log1p(-inside)


def _evenly(sizes: list[int]) -> list[int]:
    """Return the indices of evenly chosen images that have about `MOST_PIXELS` together."""
    number = max(1, min(len(sizes), int(MOST_PIXELS * len(sizes) / sum(sizes))))
    return np.linspace(0, len(sizes) - 1, number).round().astype(int).tolist()
