"""What does training on twenty photos of one's own give in a minute, and which start is better?

    OMP_NUM_THREADS=1 python benchmarks/newcomer.py DATA

On surfaces that neither of the models has seen that come along, magnetic tiles and pavements in
shadow: twenty photos of each, drawn by chance for each seed, are for training. The test photos show
other tiles, or are parts of other photos, than those. The options are those that `fissura check`
advises; epoch and threshold are what a fifth of the twenty has chosen. Nothing is chosen on the
test photos.
"""

from __future__ import annotations

import argparse
import json
import re
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from fissura.checkpoint import config_of
from fissura.data.folder import find_pairs
from fissura.data.pairs import Pair
from fissura.data.preparation.load import PreparedSet, load_split
from fissura.data.preparation.protocols import PROTOCOLS
from fissura.device import choose_device, describe_machine
from fissura.inference.predictor import Predictor
from fissura.metrics.counts import iou, pixel_counts
from fissura.training.options import TrainOptions
from fissura.training.train import train

RESULT = Path(__file__).parent / "results" / "newcomer.json"
FIGURE = Path(__file__).parents[1] / "docs" / "images" / "newcomer.png"
# Folder, and what the names of photos of one tile or one road have in common.
SETS = {
    "magnetic tiles": ("magnetic_tile/mt_crack", r"num_(\d*)\d{4}$"),
    "shadowcrack": ("research/shadowcrack", r"^(\w+)-"),
}
STARTS = ("fissura-general", "crackseg-small")
TRAIN, SEEDS = 20, 3
QUESTION = (__doc__ or "").partition("\n")[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=QUESTION)
    parser.add_argument("data", type=Path)
    parser.add_argument("--epochs", type=int, default=30)
    chosen = parser.parse_args()
    trainings = []
    with tempfile.TemporaryDirectory() as folder:
        for title, (place, group) in SETS.items():
            for seed in range(SEEDS):
                data = Path(folder) / f"{title} {seed}"
                choose(find_pairs(chosen.data / place).splits["all"], data, group, seed)
                for start in STARTS:
                    run = Path(folder) / f"{title} {seed} {start}"
                    trainings.append({"set": title} | one(data, run, start, seed, chosen.epochs))
                    print(json.dumps(trainings[-1]), flush=True)
    result = {
        "question": QUESTION,
        "command": f"python benchmarks/newcomer.py DATA --epochs {chosen.epochs}",
        "training_photos": TRAIN,
        "trainings": trainings,
        "machine": describe_machine(choose_device("cpu")),
        "date": datetime.now(UTC).date().isoformat(),
    }
    RESULT.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    draw(result)


def choose(pairs: list[Pair], out: Path, group: str, seed: int) -> None:
    """Link the pairs of both splits: groups by chance until there are enough to train, the rest."""
    grouped: dict[str, list[Pair]] = {}
    for pair in pairs:
        found = re.search(group, pair.image.stem)
        assert found is not None, pair.image
        grouped.setdefault(found[1], []).append(pair)
    names = list(grouped)
    order = [names[index] for index in np.random.default_rng(seed).permutation(len(names))]
    training: list[Pair] = []
    while len(training) < TRAIN:
        training += grouped[order.pop(0)]
    splits = {"train": training[:TRAIN], "test": [one for name in order for one in grouped[name]]}
    for split, chosen in splits.items():
        for pair in chosen:
            assert pair.mask is not None, pair.image
            for part, file in (("images", pair.image), ("masks", pair.mask)):
                place = out / split / part / file.name
                place.parent.mkdir(parents=True, exist_ok=True)
                place.symlink_to(file.resolve())


def one(data: Path, run: Path, start: str, seed: int, epochs: int) -> dict[str, Any]:
    """Train from one of the models; judge it and that model on the other photos."""
    test = load_split(find_pairs(data), "test", PROTOCOLS["native"])
    options = TrainOptions(start=start, margin="auto", batch_size=4, epochs=epochs, seed=seed)
    began = time.monotonic()
    train(data, out=run, options=options, quiet=True)
    seconds = round(time.monotonic() - began, 1)
    before, after = test_iou(Path(start), test), test_iou(run, test)
    found = {"start": start, "seed": seed, "test_photos": len(test.names), "seconds": seconds}
    return found | {"before": before, "after": after}


def test_iou(model: Path, test: PreparedSet) -> float:
    """The pooled IoU of a model on the test photos at their own size, at its own threshold."""
    predictor = Predictor.load(model, device="cpu", scale=1.0)
    threshold = config_of(model).threshold
    probs = predictor.probs(test.images)
    counts = [
        pixel_counts(prob >= threshold, mask) for prob, mask in zip(probs, test.masks, strict=True)
    ]
    return round(float(iou(np.sum(counts, axis=0))), 4)


def draw(result: dict[str, Any]) -> None:
    """Draw IoU before and after each training, a line for each seed."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 3.4), layout="constrained")
    for axes, title in zip(figure.subplots(1, len(SETS), sharey=True), SETS, strict=True):
        for place, (start, color) in enumerate(zip(STARTS, ("#2a78b5", "#8a8a8a"), strict=True)):
            found = [
                entry
                for entry in result["trainings"]
                if (entry["set"], entry["start"]) == (title, start)
            ]
            for entry in found:
                axes.plot(
                    np.array([0, 1]) + 3 * place,
                    [entry["before"], entry["after"]],
                    "o-",
                    color=color,
                )
            mean = np.mean([entry["after"] for entry in found])
            axes.annotate(f"{mean:.2f}", (1.15 + 3 * place, mean), color=color, va="center")
        axes.set_xticks(
            [0, 1, 3, 4], ["as it\ncomes", f"{TRAIN}\nphotos"] * len(STARTS), fontsize=8
        )
        for place, start in enumerate(STARTS):
            axes.text(0.5 + 3 * place, 0.93, start, ha="center", fontsize=8)
        axes.set(title=title, ylim=(0, 1), xlim=(-0.6, 5.2))
        axes.title.set_fontsize(10)
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y", color="0.92")
    figure.axes[0].set_ylabel("IoU on the other photos")
    figure.savefig(FIGURE, dpi=110, metadata={"Software": None})


if __name__ == "__main__":
    main()
