"""Compare an exported model with torch on photos, before anybody relies on it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fissura.data.images import read_image
from fissura.errors import InputError
from fissura.inference.classes import is_class, map_of
from fissura.inference.predictor import Predictor
from fissura.shipped import PHOTOS

TOLERANCE = 1e-3  # of a probability, in float32; what is measured lies about 1e-6
LEAST_IOU = 0.999  # of the masks
# Of the photos that come along, the sizes that are compared: none divides by 32, one is small, and
# none has the proportions of the example that the conversion ran.
CROPS_HW = ((448, 431), (301, 448), (97, 130))


@dataclass(frozen=True)
class Parity:
    """How an exported model differs from torch in float32.

    Attributes:
        photos: Number of photos that were compared.
        largest: Largest difference of a probability.
        iou: Smallest IoU of two masks of a photo, or of a class, at the model's threshold; 1 where
            both are empty.
    """

    photos: int
    largest: float
    iou: float

    def __str__(self) -> str:
        """In words."""
        return (
            f"on {self.photos} photos, probabilities differ by {self.largest:.1g} at most from "
            f"those of torch, and masks have an IoU of at least {self.iou:.5f} with its own"
        )


def compare(file: Path, model: str | Path) -> Parity:
    """Compare an exported model with the one that it was made of, on the CPU in float32.

    Args:
        file: The exported model.
        model: Run folder, model folder, or name of a model that comes with Fissura.

    Raises:
        InputError: It differs by more than `TOLERANCE`, or its masks by more than `LEAST_IOU`.
    """
    return compared(
        Predictor.load(file, device="cpu", precision="float32", scale=1.0, keep_unsure=True),
        Predictor.load(model, device="cpu", precision="float32", scale=1.0, keep_unsure=True),
        photos(),
    )


def compared(exported: Predictor, original: Predictor, images: list[NDArray[np.uint8]]) -> Parity:
    """Compare two predictors on photos; see `compare`."""
    largest, least = 0.0, 1.0
    for image in images:
        found, wanted = exported.prob(image), original.prob(image)
        largest = max(largest, float(np.abs(found - wanted).max()))
        pairs = zip(masks_of(found, original), masks_of(wanted, original), strict=True)
        least = min(least, *(iou(one, other) for one, other in pairs))
    parity = Parity(len(images), largest, least)
    if not (largest <= TOLERANCE and least >= LEAST_IOU):  # a NaN is no agreement
        raise InputError(
            f"The exported model does not compute what the model does: {parity}; at most "
            f"{TOLERANCE:g} and at least {LEAST_IOU:g} are allowed. It was not written. Please "
            "report this, with the name of the network."
        )
    return parity


def photos() -> list[NDArray[np.uint8]]:
    """Return parts of three photos that come with Fissura, RGB, each of another size."""
    files = sorted(PHOTOS.glob("*.jpg"))
    return [
        read_image(file)[:height, :width]
        for file, (height, width) in zip(files, CROPS_HW, strict=False)
    ]


def masks_of(prob: NDArray[np.float32], predictor: Predictor) -> list[NDArray[np.bool_]]:
    """Return the mask of crack, or of each class that the predictor tells apart.

    Args:
        prob: From `predictor.prob`, or from another one of the same model.
        predictor: Its threshold and classes count.
    """
    if not predictor.classes:
        return [prob >= predictor.threshold]
    overlapping = predictor.config.overlapping
    found = map_of(prob, overlapping=overlapping)
    return [
        is_class(found, number, overlapping=overlapping) for number in range(len(predictor.classes))
    ]


def iou(found: NDArray[np.bool_], wanted: NDArray[np.bool_]) -> float:
    """Return the IoU of two masks, 1 where both are empty."""
    union = np.count_nonzero(found | wanted)
    return np.count_nonzero(found & wanted) / union if union else 1.0
