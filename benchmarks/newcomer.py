"""What does training on twenty photos of one's own give in five minutes?

    OMP_NUM_THREADS=1 python benchmarks/newcomer.py DATA/uav_concrete

Twenty photos of the first third by name and number are for training, the last 100 for testing,
since neighboring numbers are tiles of shared photos. Nothing is chosen on the test photos: the
options are those that `fissura check` advises, and the model judged at each time is the one that
lay in the run folder then, with the epoch and the threshold that four of the twenty photos have
chosen.
"""

from __future__ import annotations

import argparse
import json
import shutil
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from fissura.checkpoint import load_model
from fissura.data.folder import find_pairs, natural_order
from fissura.data.preparation.load import PreparedSet, load_split
from fissura.data.preparation.protocols import PROTOCOLS
from fissura.device import choose_device, describe_machine
from fissura.inference.predictor import Predictor
from fissura.metrics.counts import iou, pixel_counts
from fissura.training.options import TrainOptions
from fissura.training.train import train

RESULT = Path(__file__).parent / "results" / "newcomer.json"
FIGURE = Path(__file__).parents[1] / "docs" / "images" / "newcomer.png"
MARKS = (30, 60, 120, 180, 240)  # seconds
TRAIN, TEST, SEED = 20, 100, 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--work", type=Path, default=Path("runs/newcomer"), help="kept for later")
    parser.add_argument("--epochs", type=int, default=100)
    chosen = parser.parse_args()
    folder = chosen.work
    if not (folder / "data").exists():
        choose(chosen.data, folder / "data")
    test = load_split(find_pairs(folder / "data"), "test", PROTOCOLS["native"])
    curves = {
        "crackseg-small as it comes": [[0, 0, test_iou(Path("crackseg-small"), test)]],
        "from crackseg-small": curve(folder / "from crackseg-small", chosen.epochs, test),
    }
    result = {
        "question": (__doc__ or "").partition("\n")[0],
        "command": f"python benchmarks/newcomer.py DATA/uav_concrete --epochs {chosen.epochs}",
        "data": "uav_concrete (CC0)",
        "training_photos": TRAIN,
        "test_photos": TEST,
        "seed": SEED,
        "curves": curves,
        "machine": describe_machine(choose_device("cpu")),
        "date": datetime.now(UTC).date().isoformat(),
    }
    RESULT.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    draw(result)
    print(json.dumps(curves, indent=1))


def choose(data: Path, out: Path) -> None:
    """Link the photos of both splits."""
    photos = sorted((data / "images").iterdir(), key=lambda file: natural_order(file.stem))
    third = np.random.default_rng(SEED).permutation(len(photos) // 3)[:TRAIN]
    splits = {"train": [photos[index] for index in sorted(third)], "test": photos[-TEST:]}
    for split, files in splits.items():
        for part in ("images", "masks"):
            (out / split / part).mkdir(parents=True)
        for file in files:
            (out / split / "images" / file.name).symlink_to(file.resolve())
            mask = next((data / "masks").glob(f"{file.stem}.*"))
            (out / split / "masks" / mask.name).symlink_to(mask.resolve())


def curve(folder: Path, epochs: int, test: PreparedSet) -> list[list[float]]:
    """Train, keep the run folder's model at some times, and judge these afterwards.

    Returns [seconds, epoch, IoU] for each. A finished training is judged without another.
    """
    run, began = folder / "run", time.monotonic()
    kept: list[tuple[float, int]] = []

    def keep(session: object, epoch: int) -> None:
        now = time.monotonic() - began
        if (len(kept) < len(MARKS) and now >= MARKS[len(kept)]) or epoch == epochs:
            shutil.copytree(run / "model", folder / f"epoch{epoch}" / "model")
            kept.append((round(now, 1), epoch))
            (folder / "kept.json").write_text(json.dumps(kept), encoding="utf-8")

    options = TrainOptions(
        start="crackseg-small", width=width(), margin="auto", batch_size=4, crop=256, epochs=epochs
    )
    if not (folder / "kept.json").exists():
        train(folder.parent / "data", out=run, options=options, on_epoch=keep)
    moments = json.loads((folder / "kept.json").read_text(encoding="utf-8"))
    return [[*at, test_iou(folder / f"epoch{at[1]}", test)] for at in moments]


def width() -> int:
    """The width of the model that comes along."""
    return int(load_model(Path("crackseg-small"))[1].options["width"])


def test_iou(model: Path, test: PreparedSet) -> float:
    """The pooled IoU of a model on the test photos, at its own threshold."""
    predictor = Predictor.load(model, device="cpu")
    threshold = load_model(model)[1].threshold
    probs = predictor.probs(test.images)
    counts = [
        pixel_counts(prob >= threshold, mask) for prob, mask in zip(probs, test.masks, strict=True)
    ]
    return round(float(iou(np.sum(counts, axis=0))), 4)


def draw(result: dict) -> None:
    """Draw the curves."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.add_subplot()
    for name, points in result["curves"].items():
        if len(points) == 1:
            axes.axhline(points[0][2], color="0.5", linestyle="--", label=name)
        else:
            seconds, _, values = zip(*points, strict=True)
            axes.plot(np.array(seconds) / 60, values, marker="o", label=name)
    axes.set(xlabel="minutes of training", ylabel=f"IoU on {TEST} other photos", ylim=(0, 1))
    axes.set_title(
        f"{TRAIN} photos of concrete (uav_concrete, CC0), seed {SEED}, {result['date']}\n"
        f"{result['machine']}",
        fontsize=9,
    )
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="0.92")
    axes.legend(loc="lower right")
    figure.savefig(FIGURE, dpi=110, metadata={"Software": None})


if __name__ == "__main__":
    main()
