from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from fissura.study.data import DataSet
from fissura.study.outputs.comparison import comparison_markdown, sections
from fissura.study.outputs.thresholds import logit_shift, seed_interval, threshold_table
from fissura.study.recipe import Recipe, cross
from fissura.study.statistics import compare

RECIPE = Recipe(
    title="Two margins",
    name="two",
    rows=cross({"m0": {"loss": "bce"}, "m1": {"loss": "dice"}}, [DataSet("bridges")]),
)


def judged(run, gain, precision):
    """A run that gains some points of IoU at its own threshold."""
    tp, fp, fn = run.counts_array().T
    moved = (fp * gain).astype(int)
    counts = np.stack((tp, fp - moved, fn), axis=1).tolist()
    logits = {"train": {"crack": 3.0, "background": -6.0}, "test": {"crack": 1.5, "background": -5}}
    return replace(
        run,
        chosen={"threshold": 0.25, "iou": 0.7, "counts": counts},
        logits=logits,
        metrics=run.metrics | {"average_precision": precision},
    )


@pytest.fixture
def found(with_ious):
    return {
        row.name: [
            judged(run, 0.5 * index, 0.8 + 0.01 * run.seed * (1 - index))
            for run in with_ious(row.experiment, [0.7, 0.71, 0.72])
        ]
        for index, row in enumerate(RECIPE.rows)
    }


def test_each_threshold_has_its_difference(found):
    table = threshold_table("Bridges", RECIPE.rows, RECIPE.rows[0], found)
    first, second = (dict(zip(table.head, row, strict=True)) for row in table.rows)
    assert (first["Threshold"], first["Δ IoU at 0.5"], first["Seeds"]) == ("0.25", "–", "3")
    assert first["Shift of crack logits"] == "1.50 ± 0.00"
    sides = [
        [replace(run, counts=run.chosen["counts"]) for run in found[row.name]]
        for row in RECIPE.rows
    ]
    expected = compare(sides[1], sides[0])
    assert second["Δ IoU at chosen"] == f"{100 * expected.mean:+.2f}"
    assert second["Δ average precision"] == "−1.00"
    low, high = seed_interval([0, -1, -2])
    assert second["95 % interval over seeds"] == f"{low:.2f} to {high:.2f}".replace("-", "−")


def test_the_interval_is_that_of_scipy():
    values = [0.3, -0.1, 0.4, 0.2]
    expected = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert seed_interval(values) == pytest.approx((expected.low, expected.high))
    assert np.isnan(seed_interval([1.0])).all()


def test_only_runs_with_a_chosen_threshold_have_the_table(found, with_ious):
    assert "Only another threshold?" in comparison_markdown(RECIPE, found)
    plain = {row.name: with_ious(row.experiment, [0.7, 0.71]) for row in RECIPE.rows}
    assert "Only another threshold?" not in comparison_markdown(RECIPE, plain)
    assert sections(RECIPE, plain)[0].thresholds(plain) is None
    assert logit_shift(plain["m0"][0]) is None
