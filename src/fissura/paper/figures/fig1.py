"""Fig. 1: the focal margin losses unify the focal and the large-margin losses.

Drawn from the code: every arrow, and every sum in a box, is first checked on random logits.
"""

from __future__ import annotations

from pathlib import Path

import torch.nn.functional as F
from torch import Tensor

from fissura.losses import LOSSES
from fissura.overlay import REDDISH_PURPLE, SKY_BLUE, YELLOW
from fissura.paper.figures.diagram import (
    Edge,
    Ground,
    Losses,
    Node,
    Note,
    check_edge,
    check_sum,
    draw_diagram,
)
from fissura.study.outputs.figure_files import save_figure
from fissura.study.recipe import Found, Recipe


def symmetric_large_margin(logits: Tensor, target: Tensor, *, margin: float = 0.5) -> Tensor:
    """Large-margin loss with the margin on both classes, after Li et al. 2019.

    −mean[t·log σ(z−m) + (1−t)·log σ(−z−m)], with z the logits, t the target and m the margin. In
    the package it is `focal_margin_loss(gamma_hat=0)`.

    Args:
        logits: z, any shape.
        target: t, of the same shape, 0 to 1.
        margin: m, 0 or more.
    """
    crack, background = F.logsigmoid(logits - margin), F.logsigmoid(-logits - margin)
    return -(target * crack + (1 - target) * background).mean()


DRAWN: Losses = {**LOSSES, "symmetric_large_margin": symmetric_large_margin}

# The sums that the boxes of the compound losses show.
SUMS = {
    "hybrid_focal_margin": ("asymmetric_focal_margin", "focal_tversky"),
    "hybrid_focal": ("asymmetric_focal", "focal_tversky"),
    "bce_dice": ("bce", "dice"),
}

# Inches; three columns, and five rows from above.
SIZE = (8.1, 7.8)
LEFT, MIDDLE, RIGHT = 1.45, 4.15, 6.85
ASYMMETRIC, PLAIN, SYMMETRIC, COMPOUND, OVERLAP = 6.73, 5.2, 3.67, 2.12, 1.12
TALL, LOW = 0.88, 0.66

NODES = [
    Node("asymmetric_large_margin", "asymmetric_large_margin", "L_aM",
         ("−mean[t·log p̂", "+ (1−t)·log(1−p)]"), (LEFT, ASYMMETRIC), TALL),
    Node("asymmetric_focal_margin", "asymmetric_focal_margin", "L_aFM",
         ("−mean[t·log p̂", "+ p^γ̂·(1−t)·log(1−p)]"), (MIDDLE, ASYMMETRIC), TALL, REDDISH_PURPLE),
    Node("asymmetric_focal", "asymmetric_focal", "L_aFL",
         ("−mean[t·log p", "+ p^γ̂·(1−t)·log(1−p)]"), (RIGHT, ASYMMETRIC), TALL),
    Node("bce", "bce", "L_bce",
         ("−mean[t·log p", "+ (1−t)·log(1−p)]"), (MIDDLE, PLAIN), TALL),
    Node("symmetric_large_margin", "focal_margin with γ̂ = 0", "L_M",
         ("−mean[t·log σ(z−m)", "+ (1−t)·log σ(−z−m)]"), (LEFT, SYMMETRIC), TALL),
    Node("focal_margin", "focal_margin", "L_FM",
         ("−mean[(1−p)^γ̂·t·log σ(z−m)", "+ p^γ̂·(1−t)·log σ(−z−m)]"), (MIDDLE, SYMMETRIC), TALL,
         REDDISH_PURPLE),
    Node("focal", "focal", "L_FL",
         ("−mean[(1−p)^γ̂·t·log p", "+ p^γ̂·(1−t)·log(1−p)]"), (RIGHT, SYMMETRIC), TALL),
    Node("hybrid_focal_margin", "hybrid_focal_margin", "L_ours",
         (), (LEFT, COMPOUND), LOW, REDDISH_PURPLE),
    Node("hybrid_focal", "hybrid_focal", "L_HF", (), (MIDDLE, COMPOUND), LOW),
    Node("bce_dice", "bce_dice", "L_bcedice", (), (RIGHT, COMPOUND), LOW),
    Node("focal_tversky", "focal_tversky", "L_FT", ("(1 − TI)^γ",), (LEFT, OVERLAP), LOW),
    Node("tversky", "tversky", "L_Tversky", ("1 − TI",), (MIDDLE, OVERLAP), LOW),
    Node("dice", "dice", "L_dice", ("1 − (2Σpt + s)/(Σp + Σt + s)",), (RIGHT, OVERLAP), LOW),
]  # fmt: skip

WEST, EAST, NORTH, SOUTH = (-1.0, 0.0), (1.0, 0.0), (0.0, 1.0), (0.0, -1.0)
ABOVE = (0.0, 0.13)

EDGES = [
    Edge("asymmetric_focal_margin", {"gamma_hat": 0}, "asymmetric_large_margin", WEST, EAST, ABOVE),
    Edge("asymmetric_focal_margin", {"margin": 0}, "asymmetric_focal", EAST, WEST, ABOVE),
    Edge("asymmetric_focal_margin", {"margin": 0, "gamma_hat": 0}, "bce", SOUTH, NORTH,
         (0.46, 0.0)),
    Edge("asymmetric_large_margin", {"margin": 0}, "bce", SOUTH, (-1.0, 0.5), (0.28, 0.15)),
    Edge("asymmetric_focal", {"gamma_hat": 0}, "bce", SOUTH, (1.0, 0.5), (-0.28, 0.15)),
    Edge("focal_margin", {"gamma_hat": 0}, "symmetric_large_margin", WEST, EAST, ABOVE),
    Edge("focal_margin", {"margin": 0}, "focal", EAST, WEST, ABOVE),
    Edge("focal_margin", {"margin": 0, "gamma_hat": 0}, "bce", NORTH, SOUTH, (0.46, 0.0)),
    Edge("symmetric_large_margin", {"margin": 0}, "bce", NORTH, (-1.0, -0.5), (0.28, -0.15)),
    Edge("focal", {"gamma_hat": 0}, "bce", NORTH, (1.0, -0.5), (-0.28, -0.15)),
    Edge("hybrid_focal_margin", {"margin": 0}, "hybrid_focal", EAST, WEST, ABOVE),
    # Dice adds its smoothing to 2·TP, Tversky to TP.
    Edge("hybrid_focal", {"gamma_hat": 0, "delta": 0.5, "gamma": 1, "smooth": 0.5}, "bce_dice",
         EAST, WEST, (0.0, 0.27), {"smooth": 1}),
    Edge("focal_tversky", {"gamma": 1}, "tversky", EAST, WEST, ABOVE),
    Edge("tversky", {"delta": 0.5, "smooth": 0.5}, "dice", EAST, WEST, ABOVE, {"smooth": 1}),
]  # fmt: skip


# The paper's names of the two kinds of entropy losses, and its own between them.
FAMILIES_Y = (3.1, 7.62)
GROUNDS = [
    Ground((0.36, 2.54), FAMILIES_Y, YELLOW, "regularizer-based: margin m"),
    Ground((3.06, 5.24), FAMILIES_Y, None, "focal margin"),
    Ground((5.76, 7.94), FAMILIES_Y, SKY_BLUE, "focal-based: exponent γ̂"),
]
NOTES = [
    Note((0.2, ASYMMETRIC), "asymmetric", upright=True),
    Note((0.2, SYMMETRIC), "symmetric", upright=True),
    Note((0.2, COMPOUND), "compound", upright=True),
    Note((0.2, OVERLAP), "overlap", upright=True),
    Note((LEFT, PLAIN), "z logit, t target\np = σ(z)\np̂ = σ(z − m)"),
    Note((RIGHT, PLAIN), "asymmetric: only cracks\nhave a margin, only\nbackground fades"),
    Note(
        (SIZE[0] / 2, 0.38),
        "An arrow says which options turn one loss into another. Each was checked on random logits "
        "before this was drawn.\nStrong frame: the paper's own losses (Li et al. 2021 have L_aFM, "
        "too). TI: Tversky index. Dice smoothed by s is Tversky smoothed by s/2.",
    ),
]


def draw_unification(recipe: Recipe, found: Found, folder: Path) -> list[Path]:
    """Check every arrow and sum, then draw Fig. 1 as `folder`/fig1.png and .svg.

    Args:
        recipe: Its name is that of the files.
        found: Not used: the figure needs no results.
        folder: Where to write.

    Returns:
        The files.

    Raises:
        RuntimeError: A claim of the diagram does not hold in the code.
    """
    for edge in EDGES:
        check_edge(edge, DRAWN)
    for whole, parts in SUMS.items():
        check_sum(whole, parts, DRAWN)
    figure = draw_diagram(SIZE, NODES, EDGES, SUMS, GROUNDS, NOTES)
    return save_figure(figure, folder, recipe.name)


FIG1 = Recipe(
    name="fig1",
    title="Fig. 1: how the losses belong together",
    rows=[],
    show=draw_unification,
)
