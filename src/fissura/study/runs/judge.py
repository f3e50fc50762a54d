"""The result of a finished training: its metrics on the test images, and what it was."""

from __future__ import annotations

from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import Any, TypedDict

import numpy as np

from fissura.checkpoint import ModelConfig, config_of, versions
from fissura.data.preparation.load import PreparedSet
from fissura.data.preparation.protocols import choose_protocol
from fissura.device import describe_machine
from fissura.errors import InputError
from fissura.evaluation.evaluate import score_model
from fissura.evaluation.options import EvaluateOptions
from fissura.evaluation.score import Scores
from fissura.evaluation.summary import summarize
from fissura.files.documents import read_json
from fissura.files.shapes import check_shape
from fissura.metrics.counts import BINS, METRICS, counts_at, pixel_counts
from fissura.study.experiment import Run
from fissura.study.results import RunResult
from fissura.study.runs.curve import TestCurve
from fissura.study.runs.images import prepared, prepared_for
from fissura.study.runs.logits import mean_logits
from fissura.training.options import TrainOptions, labels_of
from fissura.training.run_folder import read_metrics

POOLED = ("iou", "f1", "recall", "precision")


def score_run(run: Run, data: Path, folder: Path) -> RunResult:
    """Return the result of the finished training in `folder`."""
    config = run.config
    began = perf_counter()
    test = prepared_for(config, data, "test")
    scores, predictor = score_model(
        folder,
        test,
        options=EvaluateOptions(device=config.accelerator, precision=config.precision),
    )
    lines = read_metrics(folder / "metrics.jsonl", "loss", "seconds")
    train_images = prepared_for(config, data, "train")
    return RunResult(
        key=run.key,
        seed=run.seed,
        identity=run.experiment.identity(),
        config=asdict(config) | {"model": config.network},
        train=_describe(train_images),
        test=_describe(test),
        metrics=_metrics(scores),
        other_masks=_against_other_masks(scores, data, config),
        test_curve=TestCurve(config, data, folder).points(),
        counts=scores.half.counts[:, :3].tolist(),
        groups=np.unique(np.array(test.groups), return_inverse=True)[1].tolist(),
        loss=lines[-1]["loss"],
        chosen=_at_chosen(scores, config_of(folder)),
        logits={
            "train": mean_logits(predictor.probs, _trained_on(train_images, folder)),
            "test": mean_logits(predictor.probs, test),
        },
        seconds={
            "train": round(sum(line["seconds"] for line in lines), 1),
            "evaluate": round(perf_counter() - began, 1),
        },
        precision=str(predictor.dtype).removeprefix("torch."),
        versions=versions(),
        machine=describe_machine(predictor.device),
        date=datetime.now(UTC).date().isoformat(),
    )


def _describe(images: PreparedSet) -> dict[str, Any]:
    """Return how many images and photos a set has, its fraction of crack, its fingerprint."""
    return {
        "images": len(images),
        "groups": len(set(images.groups)),
        "crack_fraction": round(images.crack_fraction, 6),
        "fingerprint": images.fingerprint,
    }


def _metrics(scores: Scores) -> dict[str, Any]:
    """All metrics, without intervals."""
    summary = summarize(scores, resamples=1)
    half = summary["at_half"]

    def values(of: dict[str, Any], names: tuple[str, ...]) -> dict[str, float | None]:
        return {name: of[name]["value"] for name in names}

    return {
        **values(half["pooled"], POOLED),
        "per_image_mean": values(half["per_image_mean"], POOLED),
        "tolerant": values(half["tolerant"]["pooled"], ("precision", "recall", "f1")),
        "cldice": half["cldice"]["pooled"]["value"],
        "average_precision": summary["average_precision"]["value"],
        "ods_f1": summary["oracle"]["ods"]["f1"]["value"],
        "ois_f1": summary["oracle"]["ois"]["pooled"]["f1"]["value"],
    }


class _Trained(TypedDict):
    """What a study takes of the record of a training's images."""

    train: list[str]


def _trained_on(images: PreparedSet, folder: Path) -> PreparedSet:
    """Return the training images without those that were set aside for validation."""
    try:
        record = read_json(folder / "data.json")
        check_shape(record, _Trained)
    except (OSError, ValueError) as error:
        raise InputError(
            f"{folder / 'data.json'} is damaged ({error}). Remove {folder}; the study then trains "
            "it anew."
        ) from error
    names = {*record["train"]}
    return images.subset([index for index, name in enumerate(images.names) if name in names])


def _at_chosen(scores: Scores, card: ModelConfig) -> dict[str, Any] | None:
    """Judge the predictions at the threshold that training chose; None where it chose none."""
    if card.threshold_source != "validation":
        return None
    # The ends of the grid stand for thresholds beyond them.
    threshold = float(np.clip(card.threshold, 1 / BINS, 1 - 1 / BINS))
    counts = counts_at(scores.histograms, threshold)
    pooled = counts.sum(axis=0)
    return {
        "threshold": threshold,
        **{name: round(float(METRICS[name](pooled)), 6) for name in POOLED},
        "counts": counts[:, :3].tolist(),
    }


def _against_other_masks(
    scores: Scores, data: Path, config: TrainOptions
) -> dict[str, float] | None:
    """Judge the same predictions by test masks made with area threshold 1/2 (or 1/8)."""
    own = scores.data.protocol
    if scores.data.scale == 1:
        return None
    threshold = 1 / 8 if own.area_threshold == 1 / 2 else 1 / 2
    # Without `cracks_only` every crop is there, whatever its masks are.
    other = replace(choose_protocol(config.protocol, threshold), cracks_only=False)
    masks = prepared(data, "test", other, labels_of(config), config.empty_if_missing)
    valid = masks.valid or [None] * len(masks)
    by_name = {n: (m, v) for n, m, v in zip(masks.names, masks.masks, valid, strict=True)}
    counts = np.sum(
        [
            pixel_counts(scores.prediction(index), *by_name[name])
            for index, name in enumerate(scores.data.names)
        ],
        axis=0,
    )
    metrics = {name: round(float(METRICS[name](counts)), 6) for name in POOLED}
    return {"area_threshold": threshold, **metrics}
