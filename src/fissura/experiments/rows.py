"""The losses of the paper's tables with the paper's parameters, and a table's row as a value."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fissura.experiments.datasets import panels
from fissura.experiments.experiment import DataSet, Experiment
from fissura.experiments.results import RunResult
from fissura.training.options import TrainOptions

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


@dataclass(frozen=True)
class PaperFigures:
    """A row of the paper, in percent."""

    iou: float
    f1: float | None = None
    recall: float | None = None
    precision: float | None = None


@dataclass(frozen=True)
class Row:
    """One experiment of a recipe.

    name:  short; what --only takes.
    label: as the table shows it.
    paper: what the paper prints for it, if anything.
    """

    name: str
    label: str
    experiment: Experiment
    paper: PaperFigures | None = None

    @property
    def parameters(self) -> str:
        """The loss's parameters in the paper's letters, such as "γ̂ = 2, δ = 0.7"."""
        config = self.experiment.config
        given = ((letter, getattr(config, name)) for name, letter in GREEK.items())
        return ", ".join(f"{letter} = {value:g}" for letter, value in given if value is not None)


# What a row's trainings gave, by the row's name; rows not run yet are missing.
Found = dict[str, list[RunResult]]


@dataclass(frozen=True)
class Scale:
    """How large a study is; the defaults are the paper's.

    panels:     how many synthetic panels are drawn.
    pretrained: start the networks of Table IV from ImageNet weights, as the paper does.
    area_threshold: of the masks, where it is not the protocol's own; for comparison.
    """

    epochs: int = 100
    width: int = 16
    panels: int = 2051
    pretrained: bool = False
    area_threshold: float | None = None

    def of(self, experiment: Experiment) -> Experiment:
        """Return the experiment at this scale."""
        own = experiment.config.model == "crackseg"
        network = {"width": self.width} if own else {"pretrained": self.pretrained}
        scaled = experiment.at(epochs=self.epochs, area_threshold=self.area_threshold, **network)
        drawn = experiment.data.panels
        if drawn is None:
            return scaled
        return replace(scaled, data=panels(drawn.crack_fraction, self.panels))


@dataclass(frozen=True)
class Recipe:
    """A table or figure of the paper: its experiments, and how its result is shown.

    show: takes the recipe, what was found and a folder; writes files there and returns them.
    needs_weights: the trained networks themselves are shown, not their figures alone.
    """

    name: str
    title: str
    rows: list[Row]
    show: Callable[[Recipe, Found, Path], list[Path]]
    needs_weights: bool = False

    def at(self, scale: Scale) -> Recipe:
        """Return the same recipe at another scale."""
        rows = [replace(row, experiment=scale.of(row.experiment)) for row in self.rows]
        return replace(self, rows=rows)


def experiment(data: DataSet, **options: Any) -> Experiment:
    """Return a training as the paper's: CrackSeg of width 16, 100 epochs; `options` change it."""
    model = {} if "model" in options else {"width": 16}
    return Experiment(
        data, TrainOptions(**{"protocol": data.protocol, "crop": data.crop, **model, **options})
    )


def ours(margin: float, hybrid: dict[str, float] = HYBRID) -> dict[str, Any]:
    """Return the options of the paper's own loss, L_ours; without a margin it is L_HF."""
    if margin == 0:
        return {"loss": "hybrid-focal", **hybrid}
    return {"loss": "hybrid-focal-margin", **hybrid, "margin": margin}


def loss_rows(
    data: DataSet, paper: dict[str, PaperFigures], hybrid: dict[str, float] = HYBRID
) -> list[Row]:
    """Return the twelve rows of Table I, II or III; `hybrid` are the parameters of L_ours."""
    losses = BASELINES | {f"ours-{margin}": ours(margin, hybrid) for margin in MARGINS}
    return [
        Row(name, SYMBOLS.get(name, "L_ours"), experiment(data, **options), paper.get(name))
        for name, options in losses.items()
    ]
