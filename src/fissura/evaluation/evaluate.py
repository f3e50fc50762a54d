"""`evaluate`: a report on a trained model, from a folder of labeled photos."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, TypedDict

import numpy as np
from numpy.typing import NDArray

from fissura.checkpoint import ModelConfig, config_of, find_model, versions
from fissura.data.folder import MOST_NOTES
from fissura.data.labels import Labels
from fissura.data.preparation.load import LabeledFolder, PreparedSet
from fissura.data.preparation.protocols import PROTOCOLS, Protocol, choose_protocol
from fissura.device import describe_machine
from fissura.errors import InputError
from fissura.evaluation.class_report import ClassReport, write_class_report
from fissura.evaluation.classes import ClassScores, score_classes, summarize_classes
from fissura.evaluation.clean import load_clean_photos
from fissura.evaluation.options import EvaluateOptions
from fissura.evaluation.report import Report, refuse_existing, write_report
from fissura.evaluation.score import Scores, score
from fissura.evaluation.summary import summarize
from fissura.evaluation.warnings import warnings_for
from fissura.files.shapes import check_shape
from fissura.inference.predictor import Predictor
from fissura.shipped import DEFAULT, MODELS, shipped_folder

DEFAULTS = EvaluateOptions()
MOST = 100_000  # pixels of a side that a protocol may shrink to


def evaluate(
    model: str | Path,
    data: str | Path,
    *,
    options: EvaluateOptions = DEFAULTS,
    out: str | Path | None = None,
    cache_dir: Path | None = None,
) -> Report | ClassReport:
    """Tell how well a model finds the cracks of labeled photos, and write a report.

    Nothing is chosen on these photos: the metrics are for the threshold 0.5, and for the one that
    training chose on validation images. The best threshold for these very photos stands apart,
    under the name 'oracle'. docs/evaluation.md explains each metric.

    Args:
        model: Run folder, model folder, or a name that `fissura models` lists.
        data: Folder with photos and masks. With `options.clean`, photos that show no crack.
        options: See `EvaluateOptions`.
        out: Folder for the report, new or empty. Unless given: `evaluation-DATA-SPLIT` beside the
            model's folder, or, for a model that comes with Fissura,
            `evaluation-MODEL-DATA-SPLIT` below the current folder; with a number where that exists.
        cache_dir: Folder of the prepared images, as in `fissura.data.preparation.load.load_split`.

    Returns:
        All metrics, and the folder that holds report.html, report.json, per_image.csv and the
        precision-recall curve. Of a model of several classes, those of each class.

    Raises:
        InputError: The model or the data cannot be used, or `out` holds anything already.
    """
    began = time.perf_counter()
    model, data = Path(model), Path(data)
    config = config_of(model)
    own = _own_protocol(config, model)
    named = options.protocol
    chosen = own if named in (None, own.name) else choose_protocol(str(named))
    if out is not None:
        refuse_existing(Path(out))
    images, notes = _load(data, config, options, chosen, cache_dir)
    scale = _scale(config, images, prepared=chosen == own and bool(chosen.size_hw))
    scores: Scores | ClassScores
    if config.classes:
        predictor = _predictor(model, images, scale, options)
        scores = score_classes(_probs(predictor, images), images, tolerance=options.tolerance)
        metrics = summarize_classes(scores, resamples=options.bootstrap, seed=options.seed)
    else:
        threshold, source = _threshold(options.threshold, config)
        scores, predictor = score_model(
            model, images, scale=scale, threshold=threshold, source=source, options=options
        )
        metrics = summarize(
            scores,
            resamples=options.bootstrap,
            seed=options.seed,
            literature=options.literature,
        )
    summary = {
        "format": 1,
        "warnings": [*warnings_for(model, config, data, images, chosen, own, options), *notes],
        **metrics,
        "model": _describe_model(model, config, predictor),
        "data": _describe_data(data, options, images),
        "versions": _versions(),
        "machine": describe_machine(predictor.device),
        "seconds": round(time.perf_counter() - began, 2),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    split = "clean" if options.clean else options.split
    stem = "-".join(["evaluation", data.resolve().name, split] + [chosen.name] * (chosen != own))
    folder = Path(out) if out is not None else _new_folder(model, stem)
    if isinstance(scores, ClassScores):
        write_class_report(scores, summary, folder)
        return ClassReport(summary, scores, folder)
    write_report(scores, summary, folder)
    return Report(summary, scores, folder)


def _scale(config: ModelConfig, images: PreparedSet, *, prepared: bool) -> float | Literal["auto"]:
    """Return how images are resampled for a model: as `fissura predict` does it.

    Those that were prepared as for its training are at its scale already.
    """
    if config.auto_scale and images.scale == 1:
        return "auto"
    return 1.0 if prepared else config.scale / images.scale


def _load(
    data: Path,
    config: ModelConfig,
    options: EvaluateOptions,
    protocol: Protocol,
    cache_dir: Path | None,
) -> tuple[PreparedSet, tuple[str, ...]]:
    """Return the images to judge a model by, and what was noticed of their folder."""
    if not options.clean:
        labeled = LabeledFolder.find(data, _labels(config, options), options)
        return labeled.load(options.split, protocol, cache_dir), labeled.folder.notes[:MOST_NOTES]
    images = load_clean_photos(data, options, protocol)
    if config.classes:
        images = replace(
            images,
            masks=[mask.astype(np.uint8) for mask in images.masks],
            classes=config.classes,
            overlapping=config.overlapping,
        )
    return images, ()


def score_model(
    model: Path,
    images: PreparedSet,
    *,
    scale: float | Literal["auto"] = 1.0,
    threshold: float | None = None,
    source: str = "given",
    options: EvaluateOptions = DEFAULTS,
) -> tuple[Scores, Predictor]:
    """Predict the images of a set with a trained model, and compare them with its masks.

    Args:
        model: Run folder or model folder.
        images: Images and masks to compare with.
        scale: Factor by which the images are resampled for the network; 1 where they were prepared
            as in its training, "auto" where each has its own.
        threshold: Probability to report beside 0.5, or None.
        source: Origin of the threshold: "fixed", "validation" or "given".
        options: Tolerance, test-time augmentation, device and precision are taken from here.

    Returns:
        The scores of all images, and the predictor that made them.
    """
    predictor = _predictor(model, images, scale, options)
    probs = _probs(predictor, images)
    scores = score(probs, images, threshold=threshold, source=source, tolerance=options.tolerance)
    return scores, predictor


def _predictor(
    model: Path, images: PreparedSet, scale: float | Literal["auto"], options: EvaluateOptions
) -> Predictor:
    """Load a model to predict the images of a set at a scale."""
    return Predictor.load(
        model,
        device=options.device,
        precision=options.precision,
        scale=scale,
        tta=options.tta,
        batch_size=_batch_size(images, scale),
    )


def _probs(predictor: Predictor, images: PreparedSet) -> Iterator[NDArray[np.float32]]:
    """Predict the images of a set, with a bar that shows how far it is."""
    return _clipped(_with_progress(predictor.probs(images.images), len(images)))


class _Training(TypedDict, total=False):
    """What evaluation takes of what a model's description tells of its training."""

    classes: str | None
    ignore: int | None


def _own_protocol(config: ModelConfig, model: Path) -> Protocol:
    """Return the protocol that a model was trained with; JSON has turned its tuples into lists."""
    try:
        check_shape(config.training, _Training, "training")
        if not config.protocol:
            return PROTOCOLS["native"]
        check_shape(config.protocol, Protocol, "protocol")
        sides = (config.protocol["crop_hw"], config.protocol["size_hw"])
        if not all(1 <= side <= MOST for hw in sides for side in hw or ()):
            raise ValueError(f"the sizes of its protocol are {sides[0]} and {sides[1]}")
        if not 0 < config.protocol.get("area_threshold", 0.5) <= 1:
            raise ValueError("the area threshold of its protocol is not above 0 and at most 1")
    except ValueError as error:
        raise InputError(
            f"The description of the model {model} is damaged: {error}. Download or train it again."
        ) from error
    fields: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value
        for key, value in config.protocol.items()
    }
    return Protocol(**fields)


def _labels(config: ModelConfig, options: EvaluateOptions) -> Labels:
    """Return what the values of masks stand for: as in training, unless the options say more."""
    ignore = config.training.get("ignore") if options.ignore is None else options.ignore
    if not config.classes:
        if options.classes is not None:
            raise InputError("--classes is for models of several classes; this one tells crack.")
        return Labels(ignore=ignore)
    if options.threshold is not None:
        raise InputError("A model of several classes takes the likeliest: leave out --threshold.")
    if options.literature:
        raise InputError("--literature is for models that tell crack; this one has classes.")
    names = options.classes or config.training.get("classes") or ",".join(config.classes)
    labels = Labels.parse(names, overlapping=config.overlapping, ignore=ignore)
    if labels.classes != config.classes:
        raise InputError(
            f"--classes {names}: the model has the classes {', '.join(config.classes)}. Give these "
            "names, in this order, with their values in the masks."
        )
    return labels


def _threshold(given: float | None, config: ModelConfig) -> tuple[float | None, str]:
    """Return the threshold to report beside 0.5, if any, and where it comes from."""
    if given is not None:
        return given, "given"
    if config.threshold_source == "fixed" and config.threshold == 0.5:
        return None, "fixed"
    return config.threshold, config.threshold_source


def _batch_size(images: PreparedSet, scale: float | Literal["auto"]) -> int:
    """Return how many small images have the pixels of four tiles of the predictor."""
    largest = max(mask.size for mask in images.masks) * (1 if scale == "auto" else scale**2)
    return int(np.clip(4 * 512 * 512 / max(largest, 1), 4, 64))


def _clipped(probs: Iterable[NDArray[np.float32]]) -> Iterator[NDArray[np.float32]]:
    """Clip probabilities to [0, 1], which blended tiles may leave by a rounding error."""
    for prob in probs:
        yield np.clip(prob, 0, 1)


def _with_progress(
    probs: Iterator[NDArray[np.float32]], total: int
) -> Iterator[NDArray[np.float32]]:
    """Show a bar on a terminal while the probabilities pass."""
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    if not console.is_terminal:
        yield from probs
        return
    yield from track(probs, "evaluating", total=total, console=console)


def _new_folder(model: Path, stem: str) -> Path:
    """Name a folder that does not exist yet: beside the model's, or below the current folder.

    The latter for a model that comes with Fissura, whose folder is an installed package, and for
    one whose folder must not be written.
    """
    beside = find_model(model).resolve().parent
    if str(model) in MODELS or beside == shipped_folder(DEFAULT).resolve().parent:
        beside, stem = Path(), stem.replace("evaluation", f"evaluation-{model.name}", 1)
    elif not os.access(beside, os.W_OK):
        beside = Path()
    folder, number = beside / stem, 1
    while folder.exists():
        number += 1
        folder = beside / f"{stem}-{number}"
    return folder


def _describe_model(model: Path, config: ModelConfig, predictor: Predictor) -> dict[str, Any]:
    """Return the report's entries on the model."""
    return {
        "path": str(model),
        **asdict(config),
        "scale_of_evaluation": "auto" if predictor.auto_scale else predictor.scale,
        "tta": predictor.tta,
        "precision": str(predictor.dtype).removeprefix("torch."),
    }


def _describe_data(data: Path, options: EvaluateOptions, images: PreparedSet) -> dict[str, Any]:
    """Return the report's entries on the images."""
    return {
        "path": str(data),
        "name": data.resolve().name,
        "split": "clean" if options.clean else options.split,
        "split_rule": images.split_rule,
        "fingerprint": images.fingerprint,
        "protocol": asdict(images.protocol),
        "scale": images.scale,
        "mask_rule": images.mask_rule,
        **({} if images.valid is None else {"ignored_fraction": images.ignored_fraction}),
        "skipped": [{"file": str(bad.file), "reason": bad.reason} for bad in images.skipped],
    }


def _versions() -> dict[str, str]:
    """Return the versions of all that computes metrics."""
    from importlib.metadata import version

    names = ("numpy", "scikit-image", "opencv-python-headless")
    return {**versions(), "python": platform.python_version(), **{n: version(n) for n in names}}
