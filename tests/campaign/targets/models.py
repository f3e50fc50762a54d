"""Targets: model folders, exported models, and what a training leaves."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from .target import Target, done, fissura


def write_model(folder: str = "model") -> None:
    """Write a small untrained model."""
    import torch

    from fissura.checkpoint import ModelConfig, save_model
    from fissura.models import build_model

    torch.manual_seed(0)
    # Untrained, it gives about 1/2 everywhere: nothing is crack.
    card = ModelConfig(
        model="crackseg",
        options={"width": 2},
        scale=0.5,
        threshold=0.9,
        training={"loss": "bce", "epochs": 1},
    )
    save_model(folder, build_model("crackseg", width=2), card)
    (Path(folder) / "card.md").write_text("# A card\n\nIt is small.\n", encoding="utf-8")


def read_model(file: Path) -> None:
    """Load a model folder and predict with it."""
    from fissura.checkpoint import config_of, name_of_model
    from fissura.inference.predictor import Predictor

    name_of_model("model")
    config_of("model")
    predictor = Predictor.load("model", device="cpu", precision="float32")
    prob = predictor.prob(np.full((32, 40, 3), 150, np.uint8))
    assert prob.shape == (32, 40)


def write_exported() -> None:
    """Export a small model in the formats whose readers are here."""
    write_model()
    for suffix in ("onnx", "safetensors", "torchscript", "xml"):
        done("export", "model", f"exported.{suffix}")


def read_exported(file: Path) -> None:
    """Load an exported model and predict with it; OpenVINO's has its weights beside it."""
    from fissura.checkpoint import config_of
    from fissura.inference.predictor import Predictor

    model = file.with_suffix(".xml") if file.suffix == ".bin" else file
    config_of(model)
    predictor = Predictor.load(model, device="cpu")
    prob = predictor.prob(np.full((32, 40, 3), 150, np.uint8))
    assert prob.shape == (32, 40)


def write_run() -> None:
    """Train for an epoch on four small images, and for a second one until the state."""
    chance = np.random.default_rng(0)
    for part in ("images", "masks"):
        Path("data", part).mkdir(parents=True)
    for number in range(4):
        mask = np.zeros((32, 32), np.uint8)
        cv2.line(mask, (0, 4 * number), (31, 20), 255, 2)
        image = chance.normal(150, 9, (32, 32, 3)) - 0.4 * mask[..., None]
        cv2.imwrite(f"data/images/{number}.png", image.clip(0, 255).astype(np.uint8))
        cv2.imwrite(f"data/masks/{number}.png", mask)
    done(
        "train", "data", "--out", "run", "--epochs", "1", "--width", "2", "--batch-size", "2",
        "--validation", "0.25", "--accelerator", "cpu",
    )  # fmt: skip
    for file in Path("run").rglob("events.*"):
        file.unlink()


def read_run(file: Path) -> None:
    """Read what a training left, as resuming does."""
    from fissura.training.config_file import read_config
    from fissura.training.run_folder import keep_metrics, load_state

    read_config(Path("run/config.yaml"))
    load_state(Path("run"))
    keep_metrics(Path("run/metrics.jsonl"), 1)


def resume_run(file: Path) -> int:
    """Go on with a training."""
    return fissura("train", "--resume", "run")


def evaluate_run(file: Path) -> int:
    """Judge the trained model on its images."""
    return fissura("evaluate", "run", "data", "--device", "cpu")


def write_cache() -> None:
    """Prepare the images of a folder, so that they are in the cache."""
    write_run()
    Path("cache").mkdir()
    load_from_cache(Path())


def load_from_cache(file: Path) -> None:
    """Load a folder by its cache."""
    from fissura.data.folder import find_pairs
    from fissura.data.preparation.load import load_split
    from fissura.data.preparation.protocols import PROTOCOLS

    folder = find_pairs(Path("data"))
    loaded = load_split(folder, "all", PROTOCOLS["native"], cache_dir=Path("cache"))
    assert len(loaded.images) == len(loaded.masks) == 4


RUN = ("run/config.yaml", "run/state/*", "run/metrics.jsonl", "run/data.json")
TARGETS = (
    Target(
        name="model", row="model folders", make=write_model, call=read_model,
        files=("model/*.json", "model/*.safetensors"), share=30,
    ),
    Target(
        name="exported", row="exported models", make=write_exported, call=read_exported,
        files=("exported.*",), share=3,
    ),
    Target(
        name="run", row="run folders", make=write_run, call=read_run, files=RUN,
        writes=("run",), share=100,
    ),
    Target(
        name="resume", row="run folders", make=write_run, call=resume_run, files=RUN,
        writes=("run",), share=3,
    ),
    Target(
        name="evaluate", row="run folders", make=write_run, call=evaluate_run,
        files=("run/*.json", "run/model/*"), writes=("run", "evaluation"), share=2,
    ),
    Target(
        name="cache", row="cache files", make=write_cache, call=load_from_cache, files=("cache/*",),
        writes=("cache",), share=100,
    ),
)  # fmt: skip
