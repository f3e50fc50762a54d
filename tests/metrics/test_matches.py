from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fissura.metrics.matches import match_metrics


@given(st.tuples(*[st.integers(0, 50)] * 4))
def test_by_definition(matches):
    confirmed, refuted, found, missed = matches
    figures = {name: float(value) for name, value in match_metrics(np.array(matches)).items()}
    if confirmed + refuted + found + missed == 0:
        assert set(figures.values()) == {1.0}
        return
    precision = confirmed / (confirmed + refuted) if confirmed + refuted else math.nan
    recall = found / (found + missed) if found + missed else math.nan
    both = 0.0 if math.isnan(precision) or math.isnan(recall) else precision + recall
    f1 = 2 * precision * recall / both if both else 0.0
    for name, expected in (("precision", precision), ("recall", recall), ("f1", f1)):
        assert figures[name] == pytest.approx(expected, nan_ok=True)


def test_shapes():
    assert match_metrics(np.ones((3, 2, 4), int))["f1"].shape == (3, 2)
    with pytest.raises(ValueError, match="four columns"):
        match_metrics(np.ones((3, 2)))
