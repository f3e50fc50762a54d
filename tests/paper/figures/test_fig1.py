from __future__ import annotations

import itertools
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from matplotlib.text import Annotation

from fissura.losses import LOSSES
from fissura.paper.figures import fig1
from fissura.paper.figures.diagram import BOX_WIDTH, Edge, check_edge, check_sum, draw_diagram
from fissura.paper.figures.fig1 import (
    DRAWN,
    EDGES,
    FIG1,
    GROUNDS,
    NODES,
    NOTES,
    SIZE,
    SUMS,
    draw_unification,
)
from fissura.paper.losses import SYMBOLS

BY_LOSS = {node.loss: node for node in NODES}
SOUTH, NORTH = (0.0, -1.0), (0.0, 1.0)


def named(edge):
    return f"{edge.source}-{edge.target}"


@pytest.mark.parametrize("edge", EDGES, ids=named)
def test_every_arrow_holds_and_any_other_option_breaks_it(edge):
    check_edge(edge, DRAWN)
    for name in edge.options:
        options = edge.options | {name: 0.35}
        with pytest.raises(RuntimeError, match=f"{edge.source} .* is not {edge.target}"):
            check_edge(replace(edge, options=options), DRAWN)
        # Left open it must hold for any value, the default not being enough.
        left = {other: value for other, value in edge.options.items() if other != name}
        with pytest.raises(RuntimeError, match=f"{edge.source} .* is not {edge.target}"):
            check_edge(replace(edge, options=left), DRAWN)


def test_false_arrows_are_found():
    false = [
        ("asymmetric_focal_margin", {"margin": 0}, "focal"),
        ("focal_margin", {"gamma_hat": 0}, "asymmetric_large_margin"),
        # True at the target's default δ alone.
        ("hybrid_focal_margin", {"margin": 0, "delta": 0.7}, "hybrid_focal"),
    ]
    for source, options, target in false:
        with pytest.raises(RuntimeError, match="diagram would be wrong"):
            check_edge(Edge(source, options, target, SOUTH, NORTH, (0, 0)), DRAWN)


@pytest.mark.parametrize("whole", SUMS)
def test_sums_hold_and_others_do_not(whole):
    check_sum(whole, SUMS[whole], DRAWN)
    with pytest.raises(RuntimeError, match=f"{whole} is not tversky"):
        check_sum(whole, ("tversky", *SUMS[whole][1:]), DRAWN)


@pytest.mark.parametrize("name", ["asymmetric_large_margin", "hybrid_focal"])
def test_a_loss_that_is_slightly_wrong_is_not_drawn(tmp_path, monkeypatch, name):
    right = LOSSES[name]

    def wrong(logits, target, **options):
        return right(logits, target, **options) * (1 + 1e-6)

    wrong.__wrapped__ = right  # so that its options are known
    monkeypatch.setitem(fig1.DRAWN, name, wrong)
    with pytest.raises(RuntimeError, match=name):
        draw_unification(FIG1, {}, tmp_path)
    assert not list(tmp_path.iterdir())


def test_symmetric_large_margin_is_cross_entropy_of_shifted_logits():
    generator = torch.Generator().manual_seed(3)
    z = 3 * torch.randn(2, 1, 4, 5, generator=generator)
    t = (torch.rand(2, 1, 4, 5, generator=generator) < 0.4).float()
    shifted = torch.where(t > 0, z - 0.7, z + 0.7)
    expected = torch.nn.functional.binary_cross_entropy_with_logits(shifted, t)
    torch.testing.assert_close(fig1.symmetric_large_margin(z, t, margin=0.7), expected)


def test_formulas_are_those_of_the_docstrings():
    for node in NODES:
        if node.loss in LOSSES and node.formula:
            text = " ".join(str(LOSSES[node.loss].__doc__).split())
            assert " ".join(node.formula) in text, node.loss
        # A box has a formula or is a sum.
        assert bool(node.formula) != (node.loss in SUMS)
    known = {"ours": "L_ours", **SYMBOLS}.values()
    shared = {node.symbol for node in NODES} & set(known)
    assert shared >= {"L_bce", "L_FL", "L_aFL", "L_HF", "L_ours", "L_bcedice", "L_Tversky"}


def test_highlighted_are_the_losses_that_the_paper_proposes():
    own = {node.loss for node in NODES if node.color is not None}
    assert own == {"asymmetric_focal_margin", "focal_margin", "hybrid_focal_margin"}


def texts_of(svg):
    nodes = ElementTree.parse(svg).iter("{http://www.w3.org/2000/svg}text")
    return ["".join(node.itertext()) for node in nodes]


def test_files_hold_every_name_and_label(tmp_path):
    _, svg = draw_unification(FIG1, {}, tmp_path)
    texts = texts_of(svg)
    for node in NODES:
        assert node.title in texts
    for label in ("m = 0", "γ̂ = 0", "m = 0, γ̂ = 0", "γ = 1", "δ = ½"):
        assert label in texts
    assert texts.count("m = 0, γ̂ = 0") == 2
    words = " ".join(texts)
    for note in NOTES:
        for line in note.text.split("\n"):
            assert line in words


def test_sums_are_written_in_the_boxes():
    figure = draw_diagram(SIZE, NODES, EDGES, SUMS, GROUNDS, NOTES)
    x, y = BY_LOSS["hybrid_focal_margin"].at
    inside = [
        text.get_text()
        for text in figure.axes[0].texts
        if abs(text.get_position()[0] - x) < BOX_WIDTH / 2 and abs(text.get_position()[1] - y) < 0.4
    ]
    assert "".join(inside) == "Lourshybrid_focal_margin" + "LaFM + LFT"


def crosses(start, end, rectangle):
    """Whether a line enters a rectangle (x0, y0, x1, y1), told by points along it."""
    at = np.linspace(0, 1, 400)[:, None]
    points = (1 - at) * np.array(start) + at * np.array(end)
    x0, y0, x1, y1 = rectangle
    return bool(
        (
            (points[:, 0] > x0) & (points[:, 0] < x1) & (points[:, 1] > y0) & (points[:, 1] < y1)
        ).any()
    )


def test_nothing_covers_anything():
    figure = draw_diagram(SIZE, NODES, EDGES, SUMS, GROUNDS, NOTES)
    axes = figure.axes[0]
    to_inches = axes.transData.inverted()
    boxes = {node.loss: (*node.corner((-1, -1)), *node.corner((1, 1))) for node in NODES}
    lines = [
        (BY_LOSS[edge.source].corner(edge.start), BY_LOSS[edge.target].corner(edge.end))
        for edge in EDGES
    ]
    for line in lines:
        for name, box in boxes.items():
            # Its own boxes it touches.
            x0, y0, x1, y1 = box
            assert not crosses(*line, (x0 + 0.01, y0 + 0.01, x1 - 0.01, y1 - 0.01)), name
    outside = []
    for text in axes.texts:
        if isinstance(text, Annotation) or not text.get_text():
            continue
        extent = text.get_window_extent().transformed(to_inches)
        assert extent.x0 > 0.03
        assert extent.x1 < SIZE[0] - 0.03
        assert extent.y0 > 0.03
        assert extent.y1 < SIZE[1] - 0.03
        holding = [
            box for box in boxes.values() if box[0] < text.get_position()[0] < box[2]
            and box[1] < text.get_position()[1] < box[3]
        ]  # fmt: skip
        for x0, y0, x1, y1 in holding:
            assert x0 < extent.x0 < extent.x1 < x1, text.get_text()
            assert y0 < extent.y0 < extent.y1 < y1, text.get_text()
        if not holding:
            outside.append((text.get_text(), (extent.x0, extent.y0, extent.x1, extent.y1)))
    for (words, a), (_, b) in itertools.permutations(outside, 2):
        assert a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1], words
    for words, rectangle in outside:
        assert not any(crosses(*line, rectangle) for line in lines), words
        x0, y0, x1, y1 = rectangle
        for b0, c0, b1, c1 in boxes.values():
            assert x1 <= b0 or b1 <= x0 or y1 <= c0 or c1 <= y0, words
