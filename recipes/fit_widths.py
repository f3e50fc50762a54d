"""How far are the widths that a model measures from the truth, and what ± covers that?

    python recipes/fit_widths.py MODEL DATA     # fit, check on surfaces left out, print and record

The ± is fitted to the held-back photographs of recipes/general.yaml whose masks are known
(uav_concrete, walls, composites); `recipes/ship_general.py` puts it into the model. It is checked
on each of them with a fit to the others, on cracks of exactly known widths drawn on held-back
photos, and on test sets of other surfaces. Of masks the true width is that of the mask itself, so
that an error of who drew it counts as one of the model. The record is width_calibration.json.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from held_back import Predicted, drawn, held_back, model_and_data, predicted, write_record
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.spatial import KDTree

from fissura.inference.predictor import Predictor
from fissura.measurement import measure
from fissura.measurement.calibration import Calibration
from fissura.measurement.options import MeasureOptions

RECORD = Path(__file__).parent / "width_calibration.json"
FITTED_TO = ("uav_concrete", "walls", "composites")
NEAR = 3.0  # pixels within which a sample belongs to a true centerline
EACH = 4000  # samples of a surface, so that each counts alike
BINS = (0.0, 1.5, 2.5, 4.0, 6.0, 10.0, np.inf)  # of measured widths, in which a shift is looked for
FEWEST = 40  # samples of a bin
LEVELS = (0.6827, 0.9545)
STEEPEST = 20.0  # σ where the probability hardly falls: it tells no more

Samples = NDArray[np.float64]  # (n, 3): measured width, σ, true width, in pixels of the network


def samples_of(surface: Predicted, threshold: float) -> Samples:
    """Measure all widths of a surface, and what they ought to be.

    Args:
        surface: With its predictions.
        threshold: The model's.
    """
    rows = [np.empty((0, 3))]
    for index, (prob, mask) in enumerate(zip(surface.probs, surface.masks, strict=True)):
        truth = _truth(mask) if surface.branches is None else surface.branches[index]
        cracks = measure(prob, threshold=threshold)
        if not len(truth) or not cracks:
            continue
        at = np.concatenate([crack.samples for crack in cracks])
        if not len(at):
            continue
        distance, nearest = KDTree(truth[:, :2]).query(at)
        found = np.column_stack(
            [
                np.concatenate([crack.widths for crack in cracks]),
                np.concatenate([crack.width_errors for crack in cracks]),
                truth[nearest, 2],
            ]
        )
        rows.append(surface.scales[index] * found[distance <= NEAR])
    return np.concatenate(rows)


def _truth(mask: NDArray[np.bool_]) -> Samples:
    """Row, column and width along the cracks of a mask."""
    cracks = measure(mask, options=MeasureOptions(min_length=0)) if mask.any() else []
    rows = [np.column_stack([crack.samples, crack.widths]) for crack in cracks]
    return np.concatenate([np.empty((0, 3)), *rows])


def fit(surfaces: Sequence[Samples], exact: Samples | None = None) -> Calibration:
    """Fit shift and ± to surfaces, each of which counts alike.

    A shift is taken in a range of widths where every surface, that of exact widths among them, is
    off in the same direction: then it is the smallest. The three parts of the ± minimize the
    pinball loss of |error| at 68 %; the quantiles of |error| / ± make it 68 %, and tell the factor
    for 95 %.

    Args:
        surfaces: Samples of each.
        exact: Samples of exactly known widths, for the shift alone.
    """
    rng = np.random.default_rng(0)
    alike = [one[rng.choice(len(one), EACH)] for one in surfaces]
    knots, shifts = _shift([*alike, *([] if exact is None else [exact])])
    known = Calibration(widths=knots, shifts=shifts)
    width, sigma, truth = np.concatenate(alike).T
    error = np.abs(known.width_and_error(width, sigma)[0] - truth)
    sigma = np.minimum(sigma, STEEPEST)

    def spread(parts: NDArray[np.float64]) -> NDArray[np.float64]:
        constant, of_width, of_slope = np.exp(parts)
        return constant + of_width * width + of_slope * sigma

    def loss(parts: NDArray[np.float64]) -> float:
        over = error - spread(parts)
        return float(np.mean(np.maximum(LEVELS[0] * over, (LEVELS[0] - 1) * over)))

    start = np.log([0.3, 0.1, 1.0])
    parts = minimize(loss, start, method="Nelder-Mead", options={"maxiter": 800}).x
    ratio = error / spread(parts)
    one, two = (float(np.quantile(ratio, level)) for level in LEVELS)
    constant, of_width, of_slope = (round(float(part) * one, 4) for part in np.exp(parts))
    return replace(
        known,
        constant=constant,
        of_width=of_width,
        of_slope=of_slope,
        factor_95=round(two / one, 3),
    )


def _shift(surfaces: Sequence[Samples]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Measured widths, and by how much all surfaces agree that they are off there."""
    knots, shifts = [], []
    for low, high in pairwise(BINS):
        off, at = [], []
        for one in surfaces:
            inside = one[(one[:, 0] >= low) & (one[:, 0] < high)]
            if len(inside) >= FEWEST:
                off.append(float(np.median(inside[:, 2] - inside[:, 0])))
                at.append(float(np.median(inside[:, 0])))
        if len(off) == len(surfaces):
            agree = all(one > 0 for one in off) or all(one < 0 for one in off)
            knots.append(round(float(np.median(at)), 3))
            shifts.append(round(min(off, key=abs), 3) if agree else 0.0)
    return (tuple(knots), tuple(shifts)) if any(shifts) else ((), ())


def check(calibration: Calibration, samples: Samples) -> dict[str, Any]:
    """Tell what fraction of true widths lies within the ±, and within its factor for 95 %."""
    width, sigma, truth = samples.T
    fixed, spread = calibration.width_and_error(width, np.minimum(sigma, STEEPEST))
    error = np.abs(fixed - truth)
    return {
        "samples": len(samples),
        "error_before": round(float(np.abs(width - truth).mean()), 3),
        "error": round(float(error.mean()), 3),
        "bias": round(float((fixed - truth).mean()), 3),
        "within": round(float((error <= spread).mean()), 3),
        "within_95": round(float((error <= calibration.factor_95 * spread).mean()), 3),
        "within_twice": round(float((error <= 2 * spread).mean()), 3),
        "within_before": round(float((np.abs(width - truth) <= sigma).mean()), 3),
        "median": round(float(np.median(spread)), 3),
    }


def fitted(samples: dict[str, Samples]) -> Calibration:
    """Fit to the surfaces that the ± is fitted to; "drawn" has exact widths."""
    return fit([samples[name] for name in FITTED_TO], samples["drawn"])


def left_out(samples: dict[str, Samples]) -> dict[str, dict[str, Any]]:
    """Check each surface with a fit to the others."""
    return {
        name: check(fit([samples[n] for n in FITTED_TO if n != name], samples["drawn"]), own)
        for name, own in samples.items()
        if name in FITTED_TO
    }


def main() -> None:
    """Fit, check, record."""
    asked = model_and_data(__doc__)
    predictor, held = Predictor.load(asked.model), held_back()
    surfaces = predicted(predictor, {name: held[name] for name in FITTED_TO})
    surfaces["drawn"] = drawn(predictor, held)
    samples = {name: samples_of(own, predictor.threshold) for name, own in surfaces.items()}
    calibration = fitted(samples)
    record: dict[str, Any] = {
        "model": asked.model,
        "calibration": calibration.entries(),
        "left_out": left_out(samples),
        "exact_widths_drawn": check(calibration, samples["drawn"]),
        "unseen": {},
    }
    sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))
    from generalization import CRACKED, read_sets

    sets = {name: own for name, own in read_sets(asked.data).items() if name in CRACKED}
    for name, own in predicted(predictor, sets).items():
        record["unseen"][name] = check(calibration, samples_of(own, predictor.threshold))
    write_record(RECORD, record)


if __name__ == "__main__":
    main()
