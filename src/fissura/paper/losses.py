"""The losses of the paper's tables, with the paper's parameters and symbols."""

from __future__ import annotations

from typing import Any

from fissura.study.data import DataSet
from fissura.study.experiment import experiment
from fissura.study.outputs.markdown import NONE
from fissura.study.recipe import Published, Row

HYBRID = {"gamma_hat": 2.0, "delta": 0.7, "gamma": 0.75}
# The paper's choice for CRACK500: without its margin, about BCE + Dice.
PLAIN_HYBRID = {"gamma_hat": 0.0, "delta": 0.5, "gamma": 1.0}

# Options of `fissura train` for each loss of Tables I to III, in their order.
BASELINES: dict[str, dict[str, Any]] = {
    "bce": {"loss": "bce"},
    "dice": {"loss": "dice"},
    "fl": {"loss": "focal", "gamma_hat": 2.0},
    "afl": {"loss": "asymmetric-focal", "gamma_hat": 2.0},
    "tversky": {"loss": "tversky", "delta": 0.7},
    "ft": {"loss": "focal-tversky", "delta": 0.7, "gamma": 0.75},
    "bce-dice": {"loss": "bce-dice"},
    "hf": {"loss": "hybrid-focal", **HYBRID},
    "auf": {"loss": "unified-focal", "delta": 0.6, "gamma": 0.5},
}
MARGINS = (0.5, 1.0, 1.5)

# As the paper writes them.
SYMBOLS = {
    "bce": "L_bce",
    "dice": "L_dice",
    "fl": "L_FL",
    "afl": "L_aFL",
    "tversky": "L_Tversky",
    "ft": "L_FT",
    "bce-dice": "L_bcedice",
    "hf": "L_HF",
    "auf": "L_aUF",
}
GREEK = {"gamma_hat": "γ̂", "delta": "δ", "gamma": "γ", "margin": "m"}


def parameters(row: Row) -> str:
    """Return the parameters of a row's loss in the paper's letters, or a dash.

    >>> from fissura.study.data import DataSet
    >>> data = DataSet("photos")
    >>> parameters(Row("ours", "L_ours", experiment(data, **ours(0.5, {"delta": 0.7}))))
    'δ = 0.7, m = 0.5'
    """
    config = row.experiment.config
    given = ((letter, getattr(config, name)) for name, letter in GREEK.items())
    return (
        ", ".join(f"{letter} = {value:g}" for letter, value in given if value is not None) or NONE
    )


def ours(margin: float, hybrid: dict[str, float] = HYBRID) -> dict[str, Any]:
    """Return the options of the paper's own loss, L_ours; without a margin it is L_HF."""
    if margin == 0:
        return {"loss": "hybrid-focal", **hybrid}
    return {"loss": "hybrid-focal-margin", **hybrid, "margin": margin}


def loss_rows(
    data: DataSet, printed: dict[str, Published], hybrid: dict[str, float] = HYBRID
) -> list[Row]:
    """Return the twelve rows of Table I, II or III.

    Args:
        data: The data set of the table.
        printed: What the paper prints, by the row's name.
        hybrid: Parameters of L_ours.
    """
    losses = BASELINES | {f"ours-{margin}": ours(margin, hybrid) for margin in MARGINS}
    return [
        Row(name, SYMBOLS.get(name, "L_ours"), experiment(data, **options), printed.get(name))
        for name, options in losses.items()
    ]
