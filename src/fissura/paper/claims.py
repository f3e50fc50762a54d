"""The paper's claims as values: the rows compared, and the difference that it prints."""

from __future__ import annotations

from dataclasses import dataclass, replace

from fissura.paper.figures.fig3 import FRACTIONS
from fissura.paper.losses import ours
from fissura.paper.tables import NETWORKS, TABLE1, TABLE2, TABLE3, TABLE4
from fissura.study.data import panels
from fissura.study.experiment import Experiment, experiment
from fissura.study.recipe import Recipe

# Points of IoU that two losses may differ by and still be called equal.
EQUAL_WITHIN = 0.5

LOSSES = {
    "ours-0.5": "L_ours (m = 0.5)",
    "ours-1.5": "L_ours (m = 1.5)",
    "hf": "L_HF",
    "auf": "L_aUF",
    "bce-dice": "L_bcedice",
}


@dataclass(frozen=True)
class Contrast:
    """The experiments whose IoU is compared.

    Attributes:
        text: A sentence with {by} for "0.31 points above", or below.
        pairs: (a, b) for a − b; or two such, for (a₁ − b₁) − (a₂ − b₂).
    """

    text: str
    pairs: tuple[tuple[Experiment, Experiment], ...]


@dataclass(frozen=True)
class Claim:
    """A claim of the paper, always that the difference is above 0, or (`within`) that it is 0.

    Attributes:
        name: Short name.
        says: The claim in a sentence.
        paper: The difference that the paper prints, in points of IoU, or None.
        contrasts: Comparisons that can decide it; the first that has runs is taken.
        within: Points up to which two losses count as equal, for the claim that they are.
        paper_on: The paper's data set, where ours is a stand-in.
    """

    name: str
    says: str
    paper: float | None
    contrasts: tuple[Contrast, ...]
    within: float | None = None
    paper_on: str = ""


def _claim(
    recipe: Recipe, a: str, b: str, where: str, *, prefix: str = "", within: float | None = None
) -> Claim:
    """Claim that row `a` of a table is above row `b`, by what the paper prints."""
    rows = {row.name: row for row in recipe.rows}
    first, second = rows[prefix + a], rows[prefix + b]
    printed = None
    if first.published and second.published:
        printed = round(first.published.iou - second.published.iou, 2)
    relation = "is above" if within is None else "equals"
    table = recipe.title.partition(":")[0]
    return Claim(
        name=f"{recipe.name}: {prefix}{a}, {prefix}{b}",
        says=f"{LOSSES[a]} {relation} {LOSSES[b]} {where} ({table}).",
        paper=printed,
        contrasts=(
            Contrast(
                f"{LOSSES[a]} is {{by}} {LOSSES[b]} {where}",
                ((first.experiment, second.experiment),),
            ),
        ),
        within=within,
    )


def _on_stand_ins() -> list[Claim]:
    """Return Table III's claim, on the synthetic panels and on the magnetic tiles."""
    on_panels = _claim(TABLE3, "ours-1.5", "hf", "on synthetic panels")
    on_tiles = _claim(TABLE3, "ours-1.5", "hf", "on magnetic tiles", prefix="tile/")
    paper = {"paper": on_panels.paper, "paper_on": " on PanelCrack"}
    return [
        replace(claim, says=claim.says.replace("on ", "on PanelCrack, here on "), **paper)
        for claim in (on_panels, on_tiles)
    ]


def _rarity() -> Claim:
    """Return Fig. 3's claim, on the rarest and the most common cracks that have runs."""

    def gain(fraction: float) -> tuple[Experiment, Experiment]:
        data = panels(fraction)
        return experiment(data, **ours(1.5)), experiment(data, **ours(0))

    return Claim(
        name="fig3: margin and rarity",
        says="The margin helps more where cracks are rarer (Fig. 3).",
        paper=None,
        contrasts=tuple(
            Contrast(
                "on synthetic panels, the gain of m = 1.5 over no margin with "
                f"{100 * rare:g} % crack is {{by}} that with {100 * common:g} %",
                (gain(rare), gain(common)),
            )
            for rare in FRACTIONS
            for common in reversed(FRACTIONS)
            if rare < common
        ),
    )


def _on_networks() -> list[Claim]:
    """Return Table IV's claims, on each network but the tables' own."""
    return [
        _claim(TABLE4, "ours-0.5", other, f"with {title} on DeepCrack-DB", prefix=f"{model}/")
        for model, title in NETWORKS.items()
        if model != "crackseg"
        for other in ("hf", "bce-dice")
    ]


CLAIMS: tuple[Claim, ...] = (
    _claim(TABLE1, "ours-0.5", "hf", "on DeepCrack-DB"),
    *_on_stand_ins(),
    _claim(TABLE1, "ours-0.5", "bce-dice", "on DeepCrack-DB"),
    _claim(TABLE1, "hf", "auf", "on DeepCrack-DB"),
    _rarity(),
    _claim(TABLE2, "ours-0.5", "bce-dice", "on CRACK500", within=EQUAL_WITHIN),
    *_on_networks(),
)
