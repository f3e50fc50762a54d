from __future__ import annotations

from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.colors import to_rgb

from fissura.errors import InputError
from fissura.losses import recommended_margin
from fissura.overlay import VERMILION
from fissura.paper.figures.fig3 import Sweep, draw_margins, find_sweeps, margin_of, plot_margins
from fissura.paper.losses import ours
from fissura.study.data import DataSet, panels
from fissura.study.experiment import Run, experiment
from fissura.study.recipe import Recipe, Row
from fissura.study.results import RunResult

COMMON = DataSet("tarmac", "Tarmac", "native")
RARE = DataSet("glass", "Glass", "native")
DRAWN = panels(0.05, 20)
MARGINS = (0.0, 0.5, 1.5)


def recipe(*data, margins=MARGINS):
    # Names tell nothing: what counts are the experiments.
    rows = [
        Row(f"row{index}-{margin}", "", experiment(one, **ours(margin)))
        for index, one in enumerate(data)
        for margin in margins
    ]
    return Recipe(name="fig3", title="Fig. 3", rows=rows, show=plot_margins)


def result(row, seed, iou, crack_fraction):
    run = Run(row.experiment, seed)
    return RunResult(
        key=run.key, seed=seed, identity=run.experiment.identity(), config={},
        train={"crack_fraction": crack_fraction}, test={}, metrics={"iou": iou}, other_masks=None,
        test_curve=[], counts=[], groups=[], loss=0.1, seconds={}, precision="float32",
        versions={}, machine="", date="2025-01-01",
    )  # fmt: skip


def invent(recipe, fractions, seeds=3):
    """IoU: 0.6 plus a hundredth of the margin, plus what seed and margin add."""
    return {
        row.name: [
            result(
                row,
                seed,
                0.6 + 0.01 * margin_of(row) + 0.02 * seed + 0.003 * seed * margin_of(row) ** 2,
                fractions[row.experiment.data.name],
            )
            for seed in range(seeds)
        ]
        for row in recipe.rows
    }


FRACTIONS = {"tarmac": 0.08, "glass": 0.012, DRAWN.name: 0.049}


def texts_of(svg):
    nodes = ElementTree.parse(svg).iter("{http://www.w3.org/2000/svg}text")
    return ["".join(node.itertext()) for node in nodes]


def test_margin_is_that_of_the_experiment():
    rows = recipe(COMMON).rows
    assert [margin_of(row) for row in rows] == [0.0, 0.5, 1.5]
    for loss, margin in (("bce", None), ("hybrid-focal-margin", "auto")):
        odd = replace(rows[1], experiment=rows[1].experiment.at(loss=loss, margin=margin))
        with pytest.raises(ValueError, match=r"row0-0\.5 has no number"):
            margin_of(odd)


def test_panels_are_ordered_by_the_measured_fraction_of_crack(tmp_path):
    plan = recipe(COMMON, RARE, DRAWN)
    sweeps, missing = find_sweeps(plan, invent(plan, FRACTIONS))
    assert [sweep.title for sweep in sweeps] == ["Glass", DRAWN.title, "Tarmac"]
    assert missing == []
    sweeps, _ = find_sweeps(plan, invent(plan, {**FRACTIONS, "glass": 0.3}))
    assert [sweep.title for sweep in sweeps] == [DRAWN.title, "Tarmac", "Glass"]
    files = plot_margins(plan, invent(plan, FRACTIONS), tmp_path)
    assert [file.name for file in files] == ["fig3.png", "fig3.svg"]
    words = " ".join(texts_of(files[1]))
    for expected in (
        "a  Glass",
        f"b  {DRAWN.title}",
        "c  Tarmac",
        "1.2 % crack, IoU 62.0 at m = 0",
        "margin m (3 seeds)",
        "paper's recommendation",
    ):
        assert expected in words
    assert "No results yet" not in words


def test_the_same_results_give_the_same_files(tmp_path):
    plan = recipe(COMMON, RARE)
    one, other = (plot_margins(plan, invent(plan, FRACTIONS), tmp_path / name) for name in "ab")
    assert [file.read_bytes() for file in one] == [file.read_bytes() for file in other]


def test_gains_are_drawn_with_their_spread():
    plan = recipe(COMMON, RARE)
    found = invent(plan, FRACTIONS)
    del found["row0-1.5"][1:]  # of Tarmac, m = 1.5: one seed is left
    sweeps, missing = find_sweeps(plan, found)
    glass, tarmac, best = draw_margins(sweeps, missing).axes
    assert glass.get_ylim() == tarmac.get_ylim()
    expected = {
        margin: [1 * margin + 0.3 * seed * margin**2 for seed in range(3)] for margin in MARGINS
    }
    bars = {float(bar[0].get_xdata()[0]): bar for bar in glass.containers}
    assert set(bars) == set(MARGINS)
    for margin, (marker, _, spread) in bars.items():
        mean, sd = np.mean(expected[margin]), np.std(expected[margin], ddof=1)
        assert marker.get_ydata()[0] == pytest.approx(mean)
        if margin:
            ends = spread[0].get_segments()[0][:, 1]
            assert ends == pytest.approx([mean - sd, mean + sd])
        else:
            assert not spread
        assert to_rgb(marker.get_markerfacecolor()) != (1, 1, 1)
    # Hollow, and without a bar, where there is one seed.
    hollow = {float(bar[0].get_xdata()[0]): bar for bar in tarmac.containers}
    assert to_rgb(hollow[1.5][0].get_markerfacecolor()) == (1, 1, 1)
    assert not hollow[1.5][2]
    assert hollow[0.5][2]
    assert tarmac.get_xlabel() == "margin m (1–3 seeds)"
    # The best of each data set, at its fraction of crack.
    color = tuple(channel / 255 for channel in VERMILION)
    diamonds = [line for line in best.lines if line.get_marker() == "D"]
    assert [line.get_xdata()[0] for line in diamonds] == pytest.approx([1.2, 8.0])
    assert [line.get_ydata()[0] for line in diamonds] == [1.5, 1.5]
    assert to_rgb(diamonds[0].get_markerfacecolor()) == color
    assert to_rgb(diamonds[1].get_markerfacecolor()) == (1, 1, 1)


def test_the_recommendation_is_the_function_itself():
    plan = recipe(COMMON, RARE)
    sweeps, _ = find_sweeps(plan, invent(plan, FRACTIONS))
    *panels_drawn, best = draw_margins(sweeps, []).axes
    dashed = next(line for line in best.lines if line.get_linestyle() == "--")
    fractions = np.asarray(dashed.get_xdata()) / 100
    assert fractions[0] == 0
    assert fractions[-1] > 0.1
    assert list(dashed.get_ydata()) == [recommended_margin(fraction) for fraction in fractions]
    for axes, fraction in zip(panels_drawn, (0.012, 0.08), strict=True):
        dashed = next(line for line in axes.lines if line.get_linestyle() == "--")
        assert set(dashed.get_xdata()) == {recommended_margin(fraction)}


def test_data_sets_that_almost_coincide_do_not_cover_one_another():
    sweeps = [Sweep(f"set {n}", 0.05, {0.0: {0: 0.5}, 1.0: {0: 0.6}}) for n in range(3)]
    best = draw_margins(sweeps, []).axes[-1]
    positions = sorted(line.get_xdata()[0] for line in best.lines if line.get_marker() == "D")
    assert positions[0] == pytest.approx(5.0)
    assert min(np.diff(positions)) > 0.3


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_any_number_of_panels(count):
    sweeps = [
        Sweep(f"set {n}", 0.01 * (n + 1), {0.0: {0: 0.5}, 1.0: {0: 0.6}}) for n in range(count)
    ]
    figure = draw_margins(sweeps, [])
    figure.draw_without_rendering()
    assert len(figure.axes) == count + 1
    extents = [axes.get_window_extent() for axes in figure.axes]
    for index, one in enumerate(extents):
        assert one.width > 100
        assert not any(one.overlaps(other) for other in extents[:index])


def test_what_is_missing_is_named(tmp_path):
    plan = recipe(COMMON, RARE, DRAWN)
    found = invent(plan, FRACTIONS)
    del found["row1-0.0"]  # without m = 0 there is nothing to compare with
    found["row2-0.5"] = found["row2-1.5"] = []
    sweeps, missing = find_sweeps(plan, found)
    assert [sweep.title for sweep in sweeps] == ["Tarmac"]
    assert missing == ["Glass", DRAWN.title]
    words = " ".join(texts_of(plot_margins(plan, found, tmp_path)[1]))
    assert f"No results yet: Glass; {DRAWN.title}." in words
    # Seeds that m = 0 has not, either.
    found = invent(recipe(COMMON), FRACTIONS)
    found["row0-0.0"] = [result(plan.rows[0], 7, 0.5, 0.08)]
    for nothing in ({}, found):
        with pytest.raises(InputError, match=r"nothing to draw for fig3.*m = 0"):
            plot_margins(recipe(COMMON), nothing, tmp_path / "none")
    assert not (tmp_path / "none").exists()


@given(
    iou=st.dictionaries(
        st.sampled_from([0.5, 1.0, 1.5, 2.0]),
        st.dictionaries(st.integers(0, 4), st.integers(0, 1000).map(lambda n: n / 1000)),
    ),
    base=st.dictionaries(
        st.integers(0, 4), st.integers(0, 1000).map(lambda n: n / 1000), min_size=1
    ),
)
def test_best_margin_and_those_near_it_against_loops(iou, base):
    table = {0.0: base, **iou}
    sweep = Sweep("any", 0.05, table)
    means = {}
    for margin in sorted(table):
        pairs = [table[margin][seed] - base[seed] for seed in base if seed in table[margin]]
        if pairs:
            means[margin] = 100 * sum(pairs) / len(pairs)
    assert sweep.margins == list(means)
    assert means[sweep.best] == pytest.approx(max(means.values()), abs=1e-9)
    near = {sweep.best}
    for margin in means:
        leads = [
            100 * (table[sweep.best][seed] - table[margin][seed])
            for seed in table[margin]
            if seed in table[sweep.best]
        ]
        if len(leads) > 1:
            mean = sum(leads) / len(leads)
            spread = (sum((lead - mean) ** 2 for lead in leads) / (len(leads) - 1)) ** 0.5
            if abs(mean - spread) < 1e-9:  # too close to call
                return
            if mean <= spread:
                near.add(margin)
    assert sweep.near_best == sorted(near)
