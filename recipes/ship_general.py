"""Turn a trained run of recipes/general.yaml or recipes/research.yaml into a model that is shipped.

    python recipes/ship_general.py fissura-general RUN           # calibrate, choose the threshold
    python benchmarks/generalization.py DATA fissura-general     # measure it
    python recipes/card.py fissura-general RUN DATA              # write the card and its pictures

`--out` makes a model folder elsewhere, and its record beside it; the package stays. `--last` takes
the last epoch of the run, not its best one, for `average.py`. Everything is chosen on the groups
that the mixture keeps out of the training. Temperature and bias become part of the last
convolution, so that the probabilities are calibrated as they are.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import fit_widths
import numpy as np
import torch
from fit_familiar import familiar_of
from fit_threshold import choose
from held_back import by_surface, drawn, predicted
from numpy.typing import NDArray
from scipy.optimize import minimize
from torch import nn

from fissura.checkpoint import ModelConfig, load_model, save_model
from fissura.data.mixtures.images import load_mixture
from fissura.data.mixtures.mixture import read_mixture
from fissura.data.preparation.prepared import PreparedSet
from fissura.files import replacing
from fissura.inference.predictor import Predictor
from fissura.shipped import shipped_folder
from fissura.training.run_folder import load_state

# The mixture and the record of each, in this folder.
FILES = {
    "fissura-general": ("general.yaml", "general.json"),
    "fissura-research": ("research.yaml", "research.json"),
}
PIXELS = 20_000  # of each validation surface, that the temperature is fitted to
BINS = 15  # of the calibration curve


def ship(
    run: Path, mixture_file: Path, out: Path, record_file: Path, *, last: bool = False
) -> None:
    """Write the model's folder anew, without its card."""
    model, config = last_of(run) if last else load_model(run)
    mixture = read_mixture(mixture_file)
    _, held = load_mixture(mixture)
    surfaces = by_surface(held)
    temperature, bias, before, after = calibrate(model, config, surfaces)
    head: nn.Conv2d = model.get_submodule("head")  # pyright: ignore[reportAssignmentType]
    with torch.no_grad():
        head.weight /= temperature
        assert head.bias is not None
        head.bias.copy_(head.bias / temperature + bias)
    for weight in model.parameters():
        # Not what belongs to BatchNorm: a variance of 1e5 is infinite in 16 bits.
        if weight.ndim > 1:
            weight.data = weight.data.half()
    training = {key: value for key, value in config.training.items() if key != "start"}
    steps = training.get("steps") or run_steps(run)  # a model of average.py tells them itself
    training |= {"steps": steps, "data": mixture.credits}
    if mixture.terms:
        training["terms"] = mixture.terms
    config = replace(config, training=training, measuring={})
    save_model(out, model, config)
    # As everybody loads it: in the precision of the machine.
    predictor = Predictor.load(out)
    found = predicted(predictor, surfaces)
    threshold, min_prob, table = choose(found)
    found |= {"drawn": drawn(predictor, surfaces)}
    widths = {
        name: fit_widths.samples_of(found[name], threshold)
        for name in (*fit_widths.FITTED_TO, "drawn")
    }
    measuring = replace(fit_widths.fitted(widths), min_prob=min_prob).entries()
    config = replace(
        config, threshold=threshold, threshold_source="validation", measuring=measuring
    )
    save_model(out, model, config)
    familiar_of(Predictor.load(out), mixture_file).save(out)
    record: dict[str, Any] = {
        "steps": steps,
        "averaged": training.get("averaged"),
        "temperature": round(temperature, 4),
        "bias": round(bias, 4),
        "calibration_error_before": before,
        "calibration_error_after": after,
        "threshold": threshold,
        "validation": table,
        "measuring": measuring,
    }
    with replacing(record_file) as temporary:
        temporary.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(record, indent=1))


def last_of(run: Path) -> tuple[nn.Module, ModelConfig]:
    """A run's model with the moving average of the last epoch in place of the best one's."""
    model, config = load_model(run)
    state = load_state(run)
    if state is None:
        raise SystemExit(f"{run}: has no state/state.pt, of which the last weights are taken.")
    prefix = "module."
    model.load_state_dict(
        {k.removeprefix(prefix): v for k, v in state["average"].items() if k.startswith(prefix)}
    )
    lines = (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    line = json.loads(lines[-1])
    training = config.training | {"best_epoch": line["epoch"], "steps": line["step"]}
    return model, replace(config, training=training)


def run_steps(run: Path) -> int:
    """Steps of the epoch that the run's model is of."""
    best = json.loads((run / "model/config.json").read_text(encoding="utf-8"))["training"]
    lines = [
        json.loads(line)
        for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    return next(line["step"] for line in lines if line["epoch"] == best["best_epoch"])


def calibrate(
    model: nn.Module, config: ModelConfig, surfaces: dict[str, PreparedSet]
) -> tuple[float, float, dict[str, float], dict[str, float]]:
    """Fit a temperature and a bias to the validation surfaces, each of which counts alike.

    Returns the two, and the expected calibration error of each surface before and after.
    """
    predictor = Predictor(model, config)
    rng = np.random.default_rng(0)
    logits, truth = {}, {}
    for name, images in surfaces.items():
        each = max(PIXELS // len(images), 200)
        found: list[NDArray[Any]] = []
        for prob, mask in zip(predictor.probs(images.images), images.masks, strict=True):
            chosen = rng.integers(0, mask.size, each)
            p = np.clip(prob.reshape(-1)[chosen].astype(np.float64), 1e-7, 1 - 1e-7)
            found.append(np.stack([np.log(p / (1 - p)), mask.reshape(-1)[chosen]]))
        logits[name], truth[name] = np.concatenate(found, axis=1)

    def loss(values: NDArray[np.float64]) -> float:
        temperature, bias = np.exp(values[0]), values[1]
        return float(
            np.mean(
                [
                    np.mean(np.logaddexp(0, z) - truth[name] * z)
                    for name in logits
                    for z in (logits[name] / temperature + bias,)
                ]
            )
        )

    fitted = minimize(loss, np.zeros(2), method="Nelder-Mead").x
    temperature, bias = float(np.exp(fitted[0])), float(fitted[1])
    before = {name: calibration_error(logits[name], truth[name]) for name in logits}
    after = {
        name: calibration_error(logits[name] / temperature + bias, truth[name]) for name in logits
    }
    return temperature, bias, before, after


def calibration_error(logits: NDArray[np.float64], truth: NDArray[np.float64]) -> float:
    """Expected calibration error: the mean distance of probability and frequency, by bins."""
    prob = 1 / (1 + np.exp(-logits))
    bins = np.minimum((prob * BINS).astype(int), BINS - 1)
    error = sum(
        abs(float(prob[bins == b].mean() - truth[bins == b].mean())) * np.mean(bins == b)
        for b in range(BINS)
        if (bins == b).any()
    )
    return round(float(error), 4)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=FILES)
    parser.add_argument("run", type=Path)
    parser.add_argument("--out", type=Path, help="model folder; the package's unless given")
    parser.add_argument("--last", action="store_true", help="the last epoch, not the best")
    asked = parser.parse_args()
    mixture, record = (Path(__file__).with_name(file) for file in FILES[asked.name])
    if asked.out is not None:
        record = asked.out.with_suffix(".json")
    ship(asked.run, mixture, asked.out or shipped_folder(asked.name), record, last=asked.last)
