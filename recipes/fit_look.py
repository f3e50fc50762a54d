"""From which width of its cracks is a photo better seen at half, or at twice, its scale?

    python recipes/fit_look.py MODEL DATA

`fissura.inference.look` has two limits. Here both scales are predicted for images that
`fissura-general` has not learned from, and F1 by pixel is told for several limits: the held-back
photos of recipes/general.yaml, and some training photos of DeepCrack and CRACK500. Images at 1/2
and 1/4 of their size stand for small photos. Threshold and `min_prob` are the model's. The record
is look.json, for each size and surface the fraction of photos at the other scale, and F1, by limit.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from held_back import held_back, model_and_data, write_record
from numpy.typing import NDArray

from fissura.data.folder import find_pairs
from fissura.data.preparation.load import PreparedSet, load_split
from fissura.data.preparation.protocols import PROTOCOLS
from fissura.inference.look import SMALL, look_scale, looks, mean_width
from fissura.inference.predictor import Predictor
from fissura.inference.working_scale import windows_of
from fissura.metrics.counts import f1, pixel_counts

RECORD = Path(__file__).parent / "look.json"
SURFACES = ("uav_concrete", "walls", "composites")
UNSEEN = {"deepcrack/train": 6, "crack500/train": 27}  # every so many
SIZES = (1, 2, 4)  # of the photo over the image's
LIMITS = {"wide": (12, 14, 16, 18, 20, 24, None), "thin": (0, 4, 6, 8, 10, 12, None)}


@dataclass(frozen=True)
class Seen:
    """An image at two scales.

    Attributes:
        width: Of its cracks, by a look at it.
        own: Counts of pixels at its own scale, (4,).
        other: The same at half the scale; of a small image at twice.
    """

    width: float
    own: NDArray[np.int64]
    other: NDArray[np.int64]


def main() -> None:
    """Predict, count, record."""
    asked = model_and_data(__doc__)
    predictor, held = Predictor.load(asked.model), held_back()
    surfaces = {name: held[name] for name in SURFACES}
    for name, every in UNSEEN.items():
        images = load_split(find_pairs(asked.data / name), "all", PROTOCOLS["native"])
        surfaces[name] = images.subset(range(0, len(images), every))
    rows: dict[str, Any] = {}
    for shrunk in SIZES:
        for name, own in surfaces.items():
            rows.setdefault(f"1/{shrunk}", {})[name] = both_scales(predictor, own, shrunk)
            print(shrunk, name, rows[f"1/{shrunk}"][name], flush=True)
    write_record(RECORD, {"model": asked.model, "threshold": predictor.threshold, "sizes": rows})


def both_scales(predictor: Predictor, data: PreparedSet, shrunk: int) -> dict[str, Any]:
    """F1 of a set by limit: "wide" of those that may be halved, "thin" of small ones."""
    found: dict[str, list[Seen]] = {"wide": [], "thin": []}
    for image, mask in zip(data.images, data.masks, strict=True):
        if shrunk > 1:
            size = (image.shape[1] // shrunk, image.shape[0] // shrunk)
            part = cv2.resize(mask.astype(np.float32), size, interpolation=cv2.INTER_AREA)
            image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
            mask = np.asarray(part) >= 0.5
        small = min(mask.shape) <= SMALL
        found["thin" if small else "wide"].append(seen(predictor, image, mask, small=small))
    return {
        name: {
            "images": len(images),
            **{str(limit): at_limit(images, name, limit) for limit in LIMITS[name]},
        }
        for name, images in found.items()
        if images
    }


def seen(
    predictor: Predictor, image: NDArray[np.uint8], mask: NDArray[np.bool_], *, small: bool
) -> Seen:
    """Predict an image at both scales, and look at it."""
    size_hw = (image.shape[0], image.shape[1])
    look = look_scale(min(size_hw))
    windows = looks(windows_of(image), size_hw, look)
    width = mean_width(predictor.keeping_unsure().at(1.0).probs(windows)) / look
    own, other = (
        pixel_counts(next(predictor.at(scale).predictions([image])).mask, mask)
        for scale in (1.0, 2.0 if small else 0.5)
    )
    return Seen(width, own, other)


def at_limit(images: list[Seen], name: str, limit: float | None) -> dict[str, float]:
    """The fraction of images at the other scale, and F1; None stands for no limit."""
    most = float("inf") if limit is None else limit
    others = [one.width > most if name == "wide" else one.width < most for one in images]
    counts = sum(one.other if other else one.own for one, other in zip(images, others, strict=True))
    return {"other": round(float(np.mean(others)), 3), "f1": round(float(f1(counts)), 4)}


if __name__ == "__main__":
    main()
