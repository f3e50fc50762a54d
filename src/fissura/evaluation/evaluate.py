"""`fissura evaluate`: a trained model and a folder of labeled photos to a report."""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fissura.checkpoint import ModelConfig, find_model, read_config, versions
from fissura.data.folder import find_pairs
from fissura.data.load import PreparedSet, load_split
from fissura.data.protocols import PROTOCOLS, Protocol, choose_protocol
from fissura.device import Precision, describe_machine
from fissura.errors import InputError
from fissura.evaluation.report import Report, refuse_existing, write_report
from fissura.evaluation.score import Scores, score
from fissura.evaluation.summary import summarize
from fissura.inference.predictor import Predictor


def evaluate(
    model: Path,
    data: Path,
    *,
    split: str = "test",
    protocol: str | None = None,
    threshold: float | None = None,
    tolerance: float = 2.0,
    bootstrap: int = 1000,
    seed: int = 0,
    tta: bool = False,
    out: Path | None = None,
    skip_bad: bool = False,
    cache_dir: Path | None = None,
    device: str = "auto",
    precision: Precision = "auto",
) -> Report:
    """Tell how well a model finds the cracks of labeled photos, and write a report.

    Nothing is chosen on these photos: the figures are for the threshold 0.5, and for the one that
    training chose on validation images. What a choice on these photos could have reached stands
    apart, under the name 'oracle'. docs/evaluation.md says what each figure means.

    model:     run folder or model folder.
    data:      folder with photos and masks.
    split:     "test", "val", "train" or "all". A folder without splits is divided as in training.
    protocol:  how photos become images (`fissura.data.protocols.PROTOCOLS`). None: as in the
               training of the model. "native": photos as they are; they are resampled to the
               model's scale and the probabilities back, so that the truth is the photo's own.
    threshold: to look at beside 0.5, in [0, 1], instead of the model's.
    tolerance: in pixels, for the tolerant figures, ≥ 0.
    bootstrap: resamples for the intervals, ≥ 1.
    seed:      of the resamples.
    tta:       average over flips and turns, eight times the work.
    out:       folder for the report, new or empty. None: `evaluation-DATA-SPLIT` beside the
               model's folder, with a number where that exists.
    skip_bad:  go on without files that cannot be used; the report lists them.
    cache_dir: as in `load_split`.
    device, precision: as in `fissura.inference.predictor.Predictor`.

    Returns what was found, and the folder that holds report.html, report.json, per_image.csv and
    the precision-recall curve.

    Raises `InputError` where the model, the data or an option cannot be used, or `out` holds
    anything already.
    """
    began = time.perf_counter()
    _check(threshold, tolerance, bootstrap)
    config = read_config(find_model(model) / "config.json")
    own = _own_protocol(config)
    chosen = own if protocol in (None, own.name) else choose_protocol(str(protocol))
    if out is not None:
        refuse_existing(out)
    images = load_split(
        find_pairs(data, skip_bad=skip_bad), split, chosen, cache_dir=cache_dir, skip_bad=skip_bad
    )
    # Images prepared as for training are at the model's scale already.
    scale = 1.0 if chosen == own and chosen.size_hw else config.scale / images.scale
    at, source = _threshold(threshold, config)
    scores, predictor = score_model(
        model,
        images,
        scale=scale,
        threshold=at,
        source=source,
        tolerance=tolerance,
        tta=tta,
        device=device,
        precision=precision,
    )
    summary = {
        "format": 1,
        "warnings": _warnings(model, images, split, chosen, own, threshold),
        **summarize(scores, resamples=bootstrap, seed=seed),
        "model": _describe_model(model, config, predictor),
        "data": _describe_data(data, split, images),
        "versions": _versions(),
        "machine": describe_machine(predictor.device),
        "seconds": round(time.perf_counter() - began, 2),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    folder = out or _new_folder(model, data, split, chosen, own)
    write_report(scores, summary, folder)
    return Report(summary, scores, folder)


def score_model(
    model: Path,
    images: PreparedSet,
    *,
    scale: float = 1.0,
    threshold: float | None = None,
    source: str = "given",
    tolerance: float = 2.0,
    tta: bool = False,
    device: str = "auto",
    precision: Precision = "auto",
) -> tuple[Scores, Predictor]:
    """Predict the images of a set with a trained model, and compare them with its masks.

    scale:  by which the images are resampled for the network; 1 where they were prepared as in
            its training.
    The other arguments are those of `evaluate`, `fissura.evaluation.score.score` and `Predictor`.
    """
    predictor = Predictor.load(
        model,
        device=device,
        precision=precision,
        scale=scale,
        tta=tta,
        batch_size=_batch_size(images, scale),
    )
    probs = _clipped(_with_progress(predictor.probs(images.images), len(images)))
    scores = score(probs, images, threshold=threshold, source=source, tolerance=tolerance)
    return scores, predictor


def _check(threshold: float | None, tolerance: float, bootstrap: int) -> None:
    if threshold is not None and not 0 <= threshold <= 1:
        raise InputError(f"The threshold is {threshold}, but must be from 0 to 1.")
    if not 0 <= tolerance < float("inf"):
        raise InputError(f"The tolerance is {tolerance} pixels, but must be 0 or more.")
    if bootstrap < 1:
        raise InputError(
            f"The number of bootstrap resamples is {bootstrap}, but must be 1 or more."
        )


def _own_protocol(config: ModelConfig) -> Protocol:
    """Return the protocol that a model was trained with; JSON has turned its tuples into lists."""
    if not config.protocol:
        return PROTOCOLS["native"]
    fields: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value
        for key, value in config.protocol.items()
    }
    return Protocol(**fields)


def _threshold(given: float | None, config: ModelConfig) -> tuple[float | None, str]:
    """Return the threshold to report beside 0.5, if any, and where it comes from."""
    if given is not None:
        return given, "given"
    if config.threshold_source == "fixed" and config.threshold == 0.5:
        return None, "fixed"
    return config.threshold, config.threshold_source


def _batch_size(images: PreparedSet, scale: float) -> int:
    """As many small images at once as have the pixels of four tiles of the predictor."""
    largest = max(mask.size for mask in images.masks) * scale**2
    return int(np.clip(4 * 512 * 512 / max(largest, 1), 4, 64))


def _clipped(probs: Iterable[NDArray[np.float32]]) -> Iterator[NDArray[np.float32]]:
    """Blending tiles may leave [0, 1] by a rounding error."""
    for prob in probs:
        yield np.clip(prob, 0, 1)


def _with_progress(
    probs: Iterator[NDArray[np.float32]], total: int
) -> Iterator[NDArray[np.float32]]:
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    if not console.is_terminal:
        yield from probs
        return
    yield from track(probs, "evaluating", total=total, console=console)


def _warnings(
    model: Path,
    images: PreparedSet,
    split: str,
    chosen: Protocol,
    own: Protocol,
    threshold: float | None,
) -> list[str]:
    """What a reader must know before believing the figures."""
    found = []
    if split in ("train", "all"):
        found.append(
            f"The split '{split}' may hold images that the model was trained on. "
            "These figures say nothing about new photos."
        )
    elif split == "val":
        found.append(
            "The model may have been chosen on these validation images. "
            "These figures are too good for new photos."
        )
    elif seen := _seen_in_training(model, images):
        found.append(
            f"By their names, {seen} of these images served for training or for choosing the model."
        )
    if threshold is not None:
        found.append(
            "The threshold was given by hand. If it was chosen with an eye on these images, its "
            "figures are too good for new photos."
        )
    if chosen != own:
        found.append(
            f"The model was trained on images prepared as '{own.name}', these are prepared as "
            f"'{chosen.name}'. Figures of different preparations cannot be compared."
        )
    return found


def _seen_in_training(model: Path, images: PreparedSet) -> int:
    """Count the images that the run folder's `data.json` names, where there is one."""
    try:
        record = json.loads((find_model(model).parent / "data.json").read_text())
        seen = {*record["train"], *record["validation"]}
    except (OSError, ValueError, KeyError, TypeError):
        return 0
    return sum(name in seen for name in images.names)


def _new_folder(model: Path, data: Path, split: str, chosen: Protocol, own: Protocol) -> Path:
    """Name a folder beside the model's that does not exist yet."""
    parts = ["evaluation", data.resolve().name, split] + [chosen.name] * (chosen != own)
    place, stem = find_model(model).resolve().parent, "-".join(parts)
    folder, number = place / stem, 1
    while folder.exists():
        number += 1
        folder = place / f"{stem}-{number}"
    return folder


def _describe_model(model: Path, config: ModelConfig, predictor: Predictor) -> dict[str, Any]:
    return {
        "path": str(model),
        **asdict(config),
        "scale_of_evaluation": predictor.scale,
        "tta": predictor.tta,
        "precision": str(predictor.dtype).removeprefix("torch."),
    }


def _describe_data(data: Path, split: str, images: PreparedSet) -> dict[str, Any]:
    return {
        "path": str(data),
        "name": data.resolve().name,
        "split": split,
        "split_rule": images.split_rule,
        "fingerprint": images.fingerprint,
        "protocol": asdict(images.protocol),
        "scale": images.scale,
        "mask_rule": images.mask_rule,
        "skipped": [{"file": str(bad.file), "reason": bad.reason} for bad in images.skipped],
    }


def _versions() -> dict[str, str]:
    from importlib.metadata import version

    names = ("numpy", "scikit-image", "opencv-python-headless")
    return {**versions(), "python": platform.python_version(), **{n: version(n) for n in names}}
