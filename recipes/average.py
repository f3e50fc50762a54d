"""Average the weights of a model and of one that went on from it.

    python recipes/average.py BEFORE AFTER --mixture recipes/general.yaml --out runs/averaged

A training that goes on gains on the surfaces that it sees and loses on others. Weights between
those before and after, w = (1 − fraction)·before + fraction·after, often keep what both have found
(Wortsman et al., Robust fine-tuning of zero-shot models, CVPR 2022). The fraction is the one with
the greatest mean F1 over the surfaces that the mixture keeps out of both trainings, at the
threshold that `fit_threshold.py` chooses for it. OUT is a model folder for `ship_general.py`; both
models are to have been calibrated by it.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

from fit_threshold import choose
from held_back import by_surface, predicted
from torch import Tensor, nn

from fissura.checkpoint import ModelConfig, load_model, save_model
from fissura.data.mixtures.images import load_mixture
from fissura.data.mixtures.mixture import read_mixture
from fissura.data.preparation.prepared import PreparedSet
from fissura.inference.predictor import Predictor

FRACTIONS = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


def between(
    before: dict[str, Tensor], after: dict[str, Tensor], fraction: float
) -> dict[str, Tensor]:
    """Return the weights between two models, BatchNorm's means and variances among them.

    Args:
        before: State of the first.
        after: State of the second, of the same network.
        fraction: 0 for the first alone, 1 for the second.
    """
    return {
        name: before[name].lerp(new, fraction) if new.dtype.is_floating_point else new
        for name, new in after.items()
    }


def average(
    before: dict[str, Tensor], model: nn.Module, config: ModelConfig, held: dict[str, PreparedSet]
) -> dict[str, Any]:
    """Put the best average into a model, and return the mean F1 of each fraction.

    Args:
        before: State of the model that this one went on from.
        model: The network; it changes in place.
        config: Its description.
        held: Images that neither has seen, by surface.
    """
    after = {name: value.clone() for name, value in model.state_dict().items()}
    scores: dict[float, float] = {}
    for fraction in FRACTIONS:
        model.load_state_dict(between(before, after, fraction))
        threshold, _, table = choose(predicted(Predictor(model, config), held))
        scores[fraction] = table[f"{threshold:.4f}"]["f1"]
        print(f"{fraction:g} of what came after: mean F1 {scores[fraction]:.4f}", flush=True)
    best = max(scores, key=lambda fraction: scores[fraction])
    model.load_state_dict(between(before, after, best))
    return {"fraction": best, "f1": {f"{each:g}": score for each, score in scores.items()}}


def main() -> None:
    """Average, write the model folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("before", help="run, model folder or name")
    parser.add_argument("after", help="of the training that went on from it")
    parser.add_argument("--mixture", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args()
    before, _ = load_model(asked.before)
    model, config = load_model(asked.after)
    held = by_surface(load_mixture(read_mixture(asked.mixture))[1])
    found = average(before.state_dict(), model, config, held)
    # The IoU there is that of the weights after.
    training = {key: value for key, value in config.training.items() if key != "validation_iou"}
    save_model(asked.out, model, replace(config, training=training | {"averaged": found}))
    print(f"Written: {asked.out}, with {found['fraction']:g} of {asked.after}.")


if __name__ == "__main__":
    main()
