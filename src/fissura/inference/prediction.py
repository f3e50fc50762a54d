"""The result of predicting one photo: probabilities and mask, whole or in a compact form."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fissura.inference.unsure import in_bands, unsure_pixels

HIGHEST_8, HIGHEST_16 = 255, 65535  # integers that stand for the probability 1


@dataclass(frozen=True)
class Prediction:
    """The cracks of one photo.

    Attributes:
        prob: Probability of crack, float32 (h, w), 0 to 1. Parts of the mask that the model is
            nowhere sure of are left out by bringing them just below `threshold`, see `lowered`.
        mask: Crack pixels, bool (h, w): where `prob` ≥ `threshold`.
        threshold: Probability from which a pixel counts as crack, 0 to 1.
        crack_fraction: Fraction of the pixels that are crack, 0 to 1.
        seconds: Duration of the prediction, without reading the file.
        scale: Factor by which the photo was resampled for the network.
        measuring: What `fissura.measure` has to know of the model, from its config.json; empty
            where that was not measured, or where the threshold is another than the model's.
        unfamiliarity: How unlike the model's training photos the photo is, see
            `fissura.inference.engines.familiar`; None where the model has no statistics of these.
    """

    prob: NDArray[np.float32]
    mask: NDArray[np.bool_]
    threshold: float
    crack_fraction: float
    seconds: float
    scale: float = 1.0
    measuring: Mapping[str, Any] = field(default_factory=dict)
    unfamiliarity: float | None = None


@dataclass(frozen=True)
class CompactPrediction:
    """The cracks of one photo in a form that takes as little memory as a huge photo needs.

    Attributes:
        mask: uint8 (h, w), 255 where the probability is at least `threshold`, else 0.
        prob: The probabilities as integers, uint8 or uint16 (h, w), see `quantized`; None where
            they were not asked for.
        threshold: As in `Prediction`.
        crack_fraction: As in `Prediction`.
        seconds: As in `Prediction`.
        scale: As in `Prediction`.
        fractions: Of a model of several classes, the fraction of the pixels of each; `mask` is then
            the map of `fissura.inference.classes.ClassPrediction`, `prob` has a channel for each
            of its probabilities, and `crack_fraction` counts all classes.
        unfamiliarity: As in `Prediction`.
    """

    mask: NDArray[np.uint8]
    prob: NDArray[np.uint8] | NDArray[np.uint16] | None
    threshold: float
    crack_fraction: float
    seconds: float
    scale: float = 1.0
    fractions: tuple[float, ...] = ()
    unfamiliarity: float | None = None


def quantized(
    prob: NDArray[np.float32], mask: NDArray[np.bool_], threshold: float, highest: int
) -> NDArray[Any]:
    """Store probabilities as integers that give the same mask when they are read again.

    q = round(highest·prob), but at least L where `mask` is true, and below L elsewhere; L is
    `lowest_crack(threshold, highest)`. So q / highest ≥ threshold exactly where `mask` is true.

    Args:
        prob: Probabilities, float32 (h, w), 0 to 1.
        mask: Crack pixels, bool (h, w): where `prob` ≥ `threshold`.
        threshold: 0 to 1.
        highest: The integer that stands for the probability 1: 255 or 65535.

    Returns:
        uint8 or uint16 (h, w).

    >>> prob = np.array([[0.4999, 0.5001]], np.float32)
    >>> quantized(prob, prob >= 0.5, 0.5, 255).tolist()
    [[127, 128]]
    """
    lowest = lowest_crack(threshold, highest)
    values = np.rint(prob * np.float32(highest))
    below = np.float32(max(lowest - 1, 0))
    np.minimum(values, below, out=values, where=~mask)
    np.maximum(values, np.float32(lowest), out=values, where=mask)
    return values.astype(np.uint8 if highest <= HIGHEST_8 else np.uint16)


def lowest_crack(threshold: float, highest: int) -> int:
    """Return the lowest integer L with L / highest ≥ threshold, in float32; at least 1.

    Args:
        threshold: 0 to 1.
        highest: The integer that stands for the probability 1.

    >>> lowest_crack(0.5, 255), lowest_crack(0.6, 255), lowest_crack(0, 255)
    (128, 153, 1)
    """
    near = math.floor(highest * threshold) - 1
    candidates = np.arange(max(near, 1), min(near + 4, highest) + 1, dtype=np.float32)
    reaching = candidates / np.float32(highest) >= np.float32(threshold)
    return int(candidates[np.argmax(reaching)]) if reaching.any() else highest


def joined(bands: Iterable[NDArray[np.float32]], size_hw: tuple[int, int]) -> NDArray[np.float32]:
    """Put bands of probabilities together.

    Args:
        bands: Bands of rows from top to bottom, float32 (rows, w), or (rows, w, c) of classes.
        size_hw: Height and width of the whole.

    Returns:
        float32 (h, w), or (h, w, c).
    """
    prob, done = np.empty(size_hw, np.float32), 0
    for band in bands:
        if band.ndim == 3 and prob.ndim == 2:
            prob = np.empty((*size_hw, band.shape[2]), np.float32)
        prob[done : done + len(band)] = band
        done += len(band)
    return prob


def compacted(
    bands: Iterable[NDArray[np.float32]],
    size_hw: tuple[int, int],
    threshold: float,
    highest: int | None,
) -> tuple[NDArray[np.uint8], NDArray[Any] | None]:
    """Make crack pixels with their probabilities, and integers of all, of bands of probabilities.

    Args:
        bands: Bands of rows from top to bottom, float32 (rows, w).
        size_hw: Height and width of the whole.
        threshold: Probability from which a pixel counts as crack.
        highest: The integer that stands for the probability 1; None for no probabilities.

    Returns:
        `crack_values`, of which `sure_mask` makes the mask, and `CompactPrediction.prob`.
    """
    values, done = np.empty(size_hw, np.uint8), 0
    kind = np.uint8 if highest == HIGHEST_8 else np.uint16
    prob = None if highest is None else np.empty(size_hw, kind)
    for band in bands:
        rows = slice(done, done + len(band))
        done += len(band)
        crack = band >= threshold
        values[rows] = crack_values(band, crack)
        if prob is not None and highest is not None:
            prob[rows] = quantized(band, crack, threshold, highest)
    return values, prob


def crack_values(prob: NDArray[np.float32], crack: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Return the probabilities of crack pixels as integers from 1 to 255, and 0 elsewhere.

    Args:
        prob: Probabilities, (h, w), 0 to 1.
        crack: Crack pixels, (h, w).
    """
    values = np.maximum(np.rint(prob * np.float32(HIGHEST_8)), 1)
    return np.where(crack, values, 0).astype(np.uint8)


def sure_mask(
    values: NDArray[np.uint8],
    prob: NDArray[Any] | None,
    lowest: int,
    min_prob: float,
    surest: int,
) -> float:
    """Make the mask of crack pixels, in place, without parts that the model is nowhere sure of.

    Args:
        values: From `crack_values`; becomes 255 where crack is.
        prob: Integers of the probabilities, which are brought below `lowest` where crack pixels are
            left out; or None.
        lowest: Lowest integer of a crack pixel, from `lowest_crack`.
        min_prob: As of `unsure_pixels`; 0 leaves out nothing.
        surest: As of `unsure_pixels`.

    Returns:
        The fraction of crack pixels.
    """
    top = 0
    for unsure in unsure_pixels(in_bands(values), min_prob, surest) if min_prob else ():
        rows = slice(top, top + len(unsure))
        top += len(unsure)
        values[rows][unsure] = 0
        if prob is not None:
            prob[rows][unsure] = lowest - 1
    np.multiply(values > 0, np.uint8(255), out=values)
    return float(np.count_nonzero(values) / values.size)


def lowered(
    prob: NDArray[np.float32], threshold: float, min_prob: float, surest: int
) -> NDArray[np.float32]:
    """Bring parts of the mask that the model is nowhere sure of just below the threshold, in place.

    Args:
        prob: Probabilities, (h, w), 0 to 1.
        threshold: Probability from which a pixel counts as crack.
        min_prob: As of `unsure_pixels`; 0 leaves all as it is.
        surest: As of `unsure_pixels`.

    Returns:
        `prob`.
    """
    if not min_prob:
        return prob
    values = crack_values(prob, prob >= threshold)
    below, top = np.nextafter(np.float32(threshold), np.float32(0)), 0
    for unsure in unsure_pixels(in_bands(values), min_prob, surest):
        prob[top : top + len(unsure)][unsure] = below
        top += len(unsure)
    return prob
