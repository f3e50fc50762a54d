"""Counts that differ seen from the prediction and seen from the truth.

With a tolerance, or along centerlines, 'true positive' has two meanings: a predicted pixel that
lies on (near) a crack, and a crack pixel that lies on (near) a predicted one. Arrays of matches
have four columns in their last dimension:

    confirmed  predicted pixels that are right
    refuted    predicted pixels that are wrong
    found      true pixels that were found
    missed     true pixels that were not

Empty masks are treated as in `fissura.metrics.counts`: both sides empty → everything 1; one side
empty → its own ratio is NaN, the other 0, F1 0.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

COLUMNS = ("confirmed", "refuted", "found", "missed")


def match_metrics(matches: NDArray[Any]) -> dict[str, NDArray[np.float64]]:
    """Return precision, recall and F1, their harmonic mean.

    precision = confirmed / (confirmed + refuted), recall = found / (found + missed),
    f1 = 2·precision·recall / (precision + recall).

    Args:
        matches: (..., 4), the columns of this module.

    Returns:
        "precision", "recall" and "f1", each (...).

    >>> {name: float(value) for name, value in match_metrics(np.array([3, 1, 3, 3])).items()}
    {'precision': 0.75, 'recall': 0.5, 'f1': 0.6}
    """
    if matches.ndim == 0 or matches.shape[-1] != len(COLUMNS):
        raise ValueError(f"matches needs four columns last; its shape is {matches.shape}.")
    confirmed, refuted, found, missed = np.moveaxis(np.asarray(matches, np.float64), -1, 0)
    predicted, true = confirmed + refuted, found + missed
    # The harmonic mean written with the counts, so that a side that is empty gives 0, not 0/0.
    f1 = _ratio(2 * confirmed * found, confirmed * true + found * predicted)
    f1 = np.where((confirmed * found == 0) & (predicted + true > 0), 0.0, f1)
    both_empty = predicted + true == 0
    return {
        "precision": np.where(both_empty, 1.0, _ratio(confirmed, predicted)),
        "recall": np.where(both_empty, 1.0, _ratio(found, true)),
        "f1": np.where(both_empty, 1.0, f1),
    }


def _ratio(numerator: Any, denominator: Any) -> NDArray[np.float64]:
    value = np.full(np.shape(denominator), np.nan)
    np.divide(numerator, denominator, out=value, where=denominator > 0)
    return value
