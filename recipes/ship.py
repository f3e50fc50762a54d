"""Turn a trained run into the model that comes with the package, and write its card.

    python recipes/ship.py RUN DATA

Writes src/fissura/shipped/crackseg_small: the weights of RUN in 16 bits, config.json, card.md with
metrics measured on those weights, and failures.jpg. DATA holds deepcrack, crack500 and, as a look
outside the domain, magnetic_tile.
"""

from __future__ import annotations

import json
import sys
import tempfile
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from failure_images import beside_errors, sheet

from fissura.checkpoint import load_model, save_model
from fissura.data.synthetic.dataset import synth
from fissura.evaluation.evaluate import evaluate
from fissura.evaluation.options import EvaluateOptions
from fissura.evaluation.report import Report
from fissura.files import replacing
from fissura.training.config_file import read_config

NAME = "crackseg-small"
FOLDER = Path(__file__).parents[1] / "src/fissura/shipped/crackseg_small"
TERMS = "for non-commercial research and education only (as DeepCrack's images are)"
PANEL_SEED = 1  # the training panels have seed 0
HEIGHT = 260  # of an image of a failure, in pixels

SETS = {
    "DeepCrack test": "deepcrack",
    "CRACK500 test": "crack500",
    "synthetic panels": "panels",
    "Magnetic Tile": "magnetic_tile",
}
NOTES = {
    "DeepCrack test": "237 photos of roads and walls, the official test split, 544×384",
    "CRACK500 test": "422 crops of pavement, 360×360; our split by blocks, see the data's README",
    "synthetic panels": "60 of 256×256 pixels, `fissura synth --seed 1`",
    "Magnetic Tile": "57 cracked tiles; nothing like it was trained on",
}
METRICS = {
    "IoU": ("pooled", "iou"),
    "F1": ("pooled", "f1"),
    "recall": ("pooled", "recall"),
    "precision": ("pooled", "precision"),
    "F1 within 2 px": ("tolerant", "pooled", "f1"),
    "clDice": ("cldice", "per_image_mean"),
}


def ship(run: Path, data: Path) -> None:
    """Write the model's folder anew."""
    model, config = load_model(run)
    for weight in model.parameters():
        # Not what belongs to BatchNorm: a variance of 1e5 is infinite in 16 bits.
        if weight.ndim > 1:
            weight.data = weight.data.half()
    training = {**config.training, "terms": TERMS, "data": "DeepCrack, CRACK500, synthetic panels"}
    save_model(FOLDER, model, replace(config, training=training))
    reports = evaluate_all(data)
    with replacing(FOLDER / "failures.jpg") as temporary:
        cv2.imwrite(str(temporary), failures(reports), [cv2.IMWRITE_JPEG_QUALITY, 85])
    with replacing(FOLDER / "card.md") as temporary:
        temporary.write_text(card(run, reports), encoding="utf-8")
    summaries = {name: report.summary for name, report in reports.items()}
    with replacing(Path(__file__).parent / "crackseg_small.json") as temporary:
        temporary.write_text(json.dumps(compact(summaries), indent=1) + "\n", encoding="utf-8")


def evaluate_all(data: Path) -> dict[str, Report]:
    """Evaluate the shipped weights at native size on each test set."""
    reports = {}
    with tempfile.TemporaryDirectory() as scratch:
        panels = Path(scratch) / "panels"
        synth(panels, count=60, size_hw=(256, 256), test_fraction=1.0, seed=PANEL_SEED)
        for name, folder in SETS.items():
            reports[name] = evaluate(
                FOLDER,
                panels if folder == "panels" else find(data, folder),
                options=EvaluateOptions(split="all" if folder == "magnetic_tile" else "test"),
                out=Path(scratch) / f"report-{folder}",
            )
    return reports


def find(data: Path, folder: str) -> Path:
    """Where a data set lies."""
    return data / folder / "mt_crack" if folder == "magnetic_tile" else data / folder


def compact(summaries: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The metrics and where they come from, without the curves."""
    kept = ("images", "crack_fraction", "at_half", "at_chosen", "average_precision", "oracle",
            "tolerance_px", "bootstrap", "versions", "machine", "created", "seconds")  # fmt: skip
    return {
        name: {key: summary[key] for key in kept if key in summary}
        for name, summary in summaries.items()
    }


def metric(summary: dict[str, Any], path: tuple[str, ...]) -> str:
    """A metric at the stored threshold with its interval."""
    value: Any = summary["at_chosen"]
    for step in path:
        value = value[step]
    if value["low"] is None:
        return f"{value['value']:.3f}"
    return f"{value['value']:.3f} ({value['low']:.3f}–{value['high']:.3f})"


def failures(reports: dict[str, Report]) -> np.ndarray:
    """The worst images of each set side by side, BGR: found, falsely called, missed."""
    drawn = []
    for name, count in (("DeepCrack test", 2), ("CRACK500 test", 2), ("Magnetic Tile", 1)):
        scores = reports[name].scores
        counts = scores.headline.counts
        union = np.maximum(counts[:, :3].sum(1), 1)
        wrong = np.where(scores.headline.counts[:, [0, 2]].sum(1) > 0, counts[:, 0] / union, 1.0)
        for index in np.argsort(wrong, kind="stable")[:count]:
            image, target = scores.data.images[index], scores.data.masks[index]
            drawn.append(beside_errors(image, scores.prediction(int(index)), target, HEIGHT))
    return sheet(drawn)


def describe_stages(run: Path) -> str:
    """A line for each training that led to a run, the first one first."""
    _, config = read_config(run / "config.yaml")
    training = json.loads((run / "model" / "config.json").read_text(encoding="utf-8"))["training"]
    lines = [
        json.loads(line)
        for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    hours = sum(line["seconds"] for line in lines) / 3600
    own = (
        f"- {config.epochs} epochs of random crops of {config.crop}×{config.crop} from "
        f"{training['images']} images, learning rate {config.learning_rate:g}, margin "
        f"{training['margin']:.2f} (by `--margin auto`); best epoch {training['best_epoch']}; "
        f"{hours:.1f} hours on two CPU cores that did other work beside it."
    )
    before = describe_stages(Path(config.start)) + "\n" if config.start else ""
    return before + own


def card(run: Path, reports: dict[str, Report]) -> str:
    """The text of the model card."""
    config = json.loads((FOLDER / "config.json").read_text(encoding="utf-8"))
    parameters = sum(weight.numel() for weight in load_model(FOLDER)[0].state_dict().values())
    size = (FOLDER / "model.safetensors").stat().st_size
    stages = describe_stages(run)
    summary = reports["DeepCrack test"].summary
    heads = " | ".join(METRICS)
    rows = "\n".join(
        f"| {name} | "
        + " | ".join(metric(report.summary, path) for path in METRICS.values())
        + " |"
        for name, report in reports.items()
    )
    notes = "\n".join(f"- {name}: {NOTES[name]}." for name in reports)
    return f"""# {NAME}

Finds cracks in photos of roads, pavements, concrete, walls and panels taken from near by, at full size, pixel by pixel. It is what `fissura predict`, `fissura measure` and `fissura inspect` take when no other model is named.

## Terms

The weights are {TERMS}: they were trained on images that are given away under that condition. Fissura itself is under Apache-2.0. For other uses, train on photos of your own: `fissura train my_photos`.

## What it is

CrackSeg of width {config["options"]["width"]} ({parameters / 1e6:.2f} million parameters, {size / 1e6:.1f} MB with convolutions in 16 bits), trained with `{config["training"]["loss"]}` on photos at their own size: DeepCrack's training split (270 of its 300 photos, each three times; Liu et al. 2019), CRACK500's training split (Zhang et al. 2016, Yang et al. 2019; our blocks) and 216 synthetic panels.

{stages}

Epochs and the threshold {config["threshold"]:.3f} were chosen on validation images from the training splits: 30 photos of DeepCrack, a block of 74 crops of CRACK500, 24 panels. The recipe is in `recipes/` of the project.

## Figures

At the stored threshold, native size, nothing chosen on these images; in brackets 95 % bootstrap intervals over photos. IoU, F1, recall and precision of the crack class from pooled counts; clDice is the mean over images.

| data | {heads} |
|---|{"--:|" * len(METRICS)}
{rows}

{notes}

{summary["machine"]}, torch {summary["versions"]["torch"]}, {datetime.now(UTC):%-d %B %Y}. The intervals of CRACK500 are too narrow: its crops are only numbered and count as photos of their own.

## Known failures

![The worst test images: left the photo, right found (blue), falsely called (orange), missed (yellow)](failures.jpg)

The worst images of DeepCrack's and CRACK500's test splits and of Magnetic Tile (photos: Liu et al. 2019; Yang et al. 2019; Huang et al. 2018). Joints, pencil marks, cables, edges of shadows and wood grain are taken for cracks; hairlines under about two pixels, and faint cracks on busy ground, are missed. CRACK500's masks are drawn wider than the cracks are, so widths on pavement come out large.

## Out of its domain

Photos unlike the training's (other materials, other magnifications, X-ray, night) may go wrong without any sign of it: Magnetic Tile above is an example. Look at the overlays before you trust the numbers, and label a few dozen photos of your own to measure (`fissura evaluate`) or to train on.
"""


if __name__ == "__main__":
    torch.set_num_threads(2)
    ship(Path(sys.argv[1]), Path(sys.argv[2]))
