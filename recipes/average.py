"""Average the weights of a model and of one that went on from it.

    python recipes/average.py BEFORE AFTER --mixture recipes/general.yaml --out runs/averaged
    python recipes/average.py BEFORE AFTER --mixture … --out … --look DATA/crack500/train

A training that goes on gains on the surfaces that it sees and loses on others. Weights between
those before and after, w = (1 − fraction)·before + fraction·after, often keep what both have found
(Wortsman et al., Robust fine-tuning of zero-shot models, CVPR 2022). The fraction is the one with
the greatest mean F1 over the surfaces that the mixture keeps out of both trainings, at the
threshold that `fit_threshold.py` chooses for it. OUT is a model folder for `ship_general.py`; both
models are to have been calibrated by it.

Those surfaces cannot tell what a training has gained on others. `--look` tells the pooled IoU on
every ninth image of one more folder, and `--fraction` takes another than the best: both are for
images that no figure is given on, and are to be said in the model's card.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

from fit_threshold import choose, score
from held_back import by_surface, predicted
from torch import Tensor, nn

from fissura.checkpoint import ModelConfig, load_model, save_model
from fissura.data.folder import find_pairs
from fissura.data.mixtures.images import load_mixture
from fissura.data.mixtures.mixture import read_mixture
from fissura.data.preparation.load import load_split
from fissura.data.preparation.prepared import PreparedSet
from fissura.data.preparation.protocols import PROTOCOLS
from fissura.inference.predictor import Predictor

EVERY = 9  # image of a look
FRACTIONS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)


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
    before: dict[str, Tensor],
    model: nn.Module,
    config: ModelConfig,
    held: dict[str, PreparedSet],
    *,
    asked: float | None = None,
    look: PreparedSet | None = None,
) -> dict[str, Any]:
    """Put the best average into a model, and return the mean F1 of each fraction.

    Args:
        before: State of the model that this one went on from.
        model: The network; it changes in place.
        config: Its description.
        held: Images that neither has seen, by surface.
        asked: The fraction to take in place of the best, one of `FRACTIONS`.
        look: Images whose pooled IoU is told as well, and chooses nothing here.
    """
    after = {name: value.clone() for name, value in model.state_dict().items()}
    scores: dict[float, float] = {}
    for fraction in FRACTIONS:
        model.load_state_dict(between(before, after, fraction))
        predictor = Predictor(model, config)
        threshold, min_prob, table = choose(predicted(predictor, held))
        scores[fraction] = table[f"{threshold:.4f}"]["f1"]
        line = f"{fraction:g} of what came after: mean F1 {scores[fraction]:.4f}"
        if look is not None:
            pixels = score(predicted(predictor, {"look": look})["look"], threshold, min_prob)[0]
            line += f", IoU of the look {pixels / (2 - pixels):.3f}"
        print(line, flush=True)
    best = max(scores, key=lambda fraction: scores[fraction]) if asked is None else asked
    model.load_state_dict(between(before, after, best))
    return {"fraction": best, "f1": {f"{each:g}": score for each, score in scores.items()}}


def main() -> None:
    """Average, write the model folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("before", help="run, model folder or name")
    parser.add_argument("after", help="of the training that went on from it")
    parser.add_argument("--mixture", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--fraction", type=float, choices=FRACTIONS, help="in place of the best")
    parser.add_argument("--look", type=Path, help="folder of images and masks")
    asked = parser.parse_args()
    before, _ = load_model(asked.before)
    model, config = load_model(asked.after)
    held = by_surface(load_mixture(read_mixture(asked.mixture))[1])
    look = None
    if asked.look is not None:
        look = load_split(find_pairs(asked.look), "all", PROTOCOLS["native"])
        look = look.subset(range(0, len(look), EVERY))
    found = average(before.state_dict(), model, config, held, asked=asked.fraction, look=look)
    # The IoU there is that of the weights after.
    training = {key: value for key, value in config.training.items() if key != "validation_iou"}
    save_model(asked.out, model, replace(config, training=training | {"averaged": found}))
    print(f"Written: {asked.out}, with {found['fraction']:g} of {asked.after}.")


if __name__ == "__main__":
    main()
