"""Which parts of a mask is a model so unsure of that it is better to leave them out?

    python recipes/fit_alarms.py MODEL DATA     # fit, check on photos left out, print and record

A part is left out where the mean probability of its ten surest pixels is below `min_prob`
(`fissura.inference.unsure`). It is fitted to the held-back images of recipes/general.yaml: the
least value with which at most 5 % of the photos of each set without cracks show a part of 10
pixels, the shortest crack of `fissura inspect`. What that costs is told as the fraction of true
crack pixels that is lost with it. `fissura inspect` leaves out cracks by the ten surest points of
their centerline, so that it shows none of the parts that are left out here. The record is
alarms.json.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from held_back import Predicted, held_back, model_and_data, predicted, write_record
from numpy.typing import NDArray

from fissura.inference.prediction import crack_values
from fissura.inference.predictor import Predictor
from fissura.measurement.calibration import surest_pixels
from fissura.metrics.bootstrap import as_sums, intervals, mean_of_sums

RECORD = Path(__file__).parent / "alarms.json"
WANTED = 0.05  # photos without cracks that may show a part
SMALLEST = 10  # pixels of a part that counts
NEAR = 5  # side of the square around a true crack that counts as it, in pixels


@dataclass(frozen=True)
class Found:
    """The parts of the masks that a model finds on the images of a surface.

    Attributes:
        photos: Number of images.
        photo: Of each part, the number of its image, (n,).
        certainty: How sure the model is of it, (n,).
        pixels: Its size, (n,).
        true: Fraction of its pixels that lie on a true crack, (n,).
        cracked: Whether any image shows a crack.
    """

    photos: int
    photo: NDArray[np.int64]
    certainty: NDArray[np.float64]
    pixels: NDArray[np.float64]
    true: NDArray[np.float64]
    cracked: bool

    def alarms(self, least: float) -> NDArray[np.float64]:
        """Whether each image shows a part, 0 or 1, without those below a certainty."""
        shown = np.zeros(self.photos)
        shown[self.photo[(self.certainty >= least) & (self.pixels >= SMALLEST)]] = 1
        return shown

    def lost(self, least: float) -> dict[str, float]:
        """Fractions of the pixels that are rightly and wrongly called crack, and left out then."""
        out = self.certainty < least
        right, wrong = self.pixels * self.true, self.pixels * (1 - self.true)
        return {
            "true_pixels_lost": round(float(right[out].sum() / max(right.sum(), 1e-9)), 4),
            "false_pixels_removed": round(float(wrong[out].sum() / max(wrong.sum(), 1e-9)), 4),
        }


def find(surface: Predicted, threshold: float) -> Found:
    """Find the parts of the masks of a surface, none left out.

    Args:
        surface: With its predictions.
        threshold: The model's.
    """
    rows = [np.empty((0, 4))]
    for index, (prob, mask, scale) in enumerate(
        zip(surface.probs, surface.masks, surface.scales, strict=True)
    ):
        near = cv2.dilate(mask.astype(np.uint8), np.ones((NEAR, NEAR), np.uint8)) > 0
        values = crack_values(prob, prob >= threshold)
        _, labels = cv2.connectedComponents((values > 0).astype(np.uint8), connectivity=8)
        inside = values > 0
        order = np.argsort(labels[inside], kind="stable")
        parts, starts = np.unique(labels[inside][order], return_index=True)
        if not len(parts):
            continue
        for own, true in zip(
            np.split(values[inside][order], starts[1:]),
            np.split(near[inside][order], starts[1:]),
            strict=True,
        ):
            sure = np.sort(own)[::-1][: surest_pixels(scale)].mean() / 255
            rows.append(np.array([[index, sure, len(own), true.mean()]]))
    table = np.concatenate(rows).T
    return Found(
        len(surface.probs), table[0].astype(np.int64), table[1], table[2], table[3],
        surface.cracked,
    )  # fmt: skip


def least_certainty(found: Mapping[str, Found]) -> float:
    """Return the least certainty with which few enough photos without cracks show a part.

    Args:
        found: Of each surface, of which those without cracks count, each on its own.
    """
    clean = [one for one in found.values() if not one.cracked]
    values = np.unique(np.concatenate([[0.0], *(one.certainty for one in clean)]))
    for least in (*values.tolist(), 1.0):
        above = np.nextafter(least, 2.0)
        if max(one.alarms(above).mean() for one in clean) <= WANTED:
            return float(np.ceil(1000 * above) / 1000)
    return 1.0


def check(found: Found, least: float) -> dict[str, Any]:
    """Tell what a certainty does on a surface."""
    if found.cracked:
        return found.lost(least)
    row: dict[str, Any] = {"photos": found.photos}
    for name, at in (("alarms_before", 0.0), ("alarms", least)):
        one = intervals(as_sums(found.alarms(at)), lambda sums: {"m": mean_of_sums(sums)})["m"]
        row[name] = [round(value, 4) for value in (one.value, one.low, one.high)]
    return row


def crossed(found: Mapping[str, Found]) -> dict[str, Any]:
    """Fit on half of the photos without cracks, and count alarms on the other half, both ways."""
    alarms = {name: 0.0 for name, one in found.items() if not one.cracked}
    for half in (0, 1):
        least = least_certainty({n: _half(found[n], half) for n in alarms})
        for name in alarms:
            alarms[name] += float(_half(found[name], 1 - half).alarms(least).mean()) / 2
    return {name: round(value, 4) for name, value in alarms.items()}


def _half(one: Found, half: int) -> Found:
    """Every second photo."""
    mine = one.photo % 2 == half
    return Found(
        (one.photos + 1 - half) // 2, one.photo[mine] // 2, one.certainty[mine], one.pixels[mine],
        one.true[mine], one.cracked,
    )  # fmt: skip


def main() -> None:
    """Fit, check, record."""
    asked = model_and_data(__doc__)
    predictor = Predictor.load(asked.model)
    threshold = predictor.threshold
    held = {n: find(own, threshold) for n, own in predicted(predictor, held_back()).items()}
    least = least_certainty(held)
    record: dict[str, Any] = {
        "model": asked.model,
        "min_prob": least,
        "held_back": {name: check(one, least) for name, one in held.items()},
        "photos_left_out_of_the_fit": crossed(held),
        "unseen": {},
    }
    sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))
    from generalization import CLEAN, CRACKED, read_sets

    sets = {n: own for n, own in read_sets(asked.data).items() if n in CLEAN or n in CRACKED}
    for name, own in predicted(predictor, sets).items():
        record["unseen"][name] = check(find(own, threshold), least)
    write_record(RECORD, record)


if __name__ == "__main__":
    main()
