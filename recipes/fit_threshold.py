"""From which probability is a pixel crack, and which parts of the mask are left out?

`choose` answers both at once, on images that no training has seen: a lower threshold finds cracks
whole and more that is none, of which `min_prob` then has to leave out more (fit_alarms.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from fit_alarms import find, least_certainty
from held_back import Predicted

from fissura.inference.prediction import lowered
from fissura.measurement.calibration import surest_pixels
from fissura.metrics.counts import f1, pixel_counts
from fissura.metrics.curves import THRESHOLDS
from fissura.metrics.matches import match_metrics
from fissura.metrics.tolerant import tolerant_matches

TRIED = THRESHOLDS[16:192:8]
TOLERANCE = 2.0  # pixels


def choose(found: Mapping[str, Predicted]) -> tuple[float, float, dict[str, Any]]:
    """Choose the threshold and `min_prob`.

    For each threshold, `min_prob` is the least with which few enough photos without cracks show a
    part. The threshold has the greatest mean F1 then, over the surfaces with cracks. Pixels are not
    pooled over surfaces, or the largest would choose. F1 within 2 pixels is told, but does not
    choose: it would forgive masks that are a pixel too wide, and widths are measured on them.

    Args:
        found: What the model finds on each surface, however unsure it is.

    Returns:
        The threshold, `min_prob`, and a table of what each threshold would have given.
    """
    clean = {name: own for name, own in found.items() if not own.cracked}
    cracked = {name: own for name, own in found.items() if own.cracked}
    table: dict[str, Any] = {}
    scores, leasts = [], []
    for at in TRIED.tolist():
        least = least_certainty({name: find(own, at) for name, own in clean.items()})
        rows = {name: score(own, at, least) for name, own in cracked.items()}
        means = np.mean(list(rows.values()), axis=0)
        scores.append(means[0])
        leasts.append(least)
        table[f"{at:.4f}"] = {
            "min_prob": least,
            "f1": round(float(means[0]), 4),
            "f1_within_2px": round(float(means[1]), 4),
            "surfaces": {name: [round(one, 4) for one in row] for name, row in rows.items()},
        }
    best = int(np.argmax(scores))
    return float(TRIED[best]), leasts[best], table


def score(surface: Predicted, threshold: float, min_prob: float) -> tuple[float, float]:
    """Return F1, and F1 within 2 pixels, of a surface without parts that the model is unsure of.

    Args:
        surface: With its predictions.
        threshold: Probability from which a pixel counts as crack.
        min_prob: As of `fissura.inference.unsure.unsure_pixels`.
    """
    pixels, near = np.zeros((1, 4), np.int64), np.zeros((1, 4), np.int64)
    for prob, mask, scale in zip(surface.probs, surface.masks, surface.scales, strict=True):
        kept = lowered(prob.copy(), threshold, min_prob, surest_pixels(scale))
        sure = kept >= np.float32(threshold)
        pixels += pixel_counts(sure, mask)
        near += tolerant_matches(sure, mask, TOLERANCE)
    return float(f1(pixels)[0]), float(match_metrics(near)["f1"][0])
