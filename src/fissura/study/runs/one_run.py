"""One run of a study: it is trained, judged on the test images, and leaves a result file."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
from filelock import FileLock

from fissura.checkpoint import ModelConfig, config_of, versions
from fissura.data.folder import CRACK_OR_NOT, find_pairs
from fissura.data.labels import Labels
from fissura.data.preparation.batches import ImageStore
from fissura.data.preparation.load import PreparedSet, load_split
from fissura.data.preparation.protocols import Protocol, choose_protocol
from fissura.device import describe_machine
from fissura.errors import InputError
from fissura.evaluation.evaluate import score_model
from fissura.evaluation.options import EvaluateOptions
from fissura.evaluation.score import Scores
from fissura.evaluation.summary import summarize
from fissura.metrics.counts import BINS, METRICS, counts_at, iou, pixel_counts
from fissura.study.experiment import Run
from fissura.study.results import RunResult, write_result
from fissura.study.runs.logits import mean_logits
from fissura.training.loop import resume, train
from fissura.training.options import TrainOptions, labels_of
from fissura.training.run_folder import read_metrics
from fissura.training.session import Session
from fissura.training.step import validate

# Pixels that the notes of a training may judge, by those that it trains on. A judged pixel takes
# about a third of the time of a trained one.
MOST_JUDGED = 0.15
POOLED = ("iou", "f1", "recall", "precision")


@dataclass(frozen=True)
class Ended:
    """The end of a run: a result, an error, or the signal that stopped it.

    Attributes:
        run: The run.
        result: Its result.
        error: Why it failed.
        stopped_by: Number of the signal that stopped it.

    The last three are None where another process had finished the run meanwhile.
    """

    run: Run
    result: RunResult | None = None
    error: str | None = None
    stopped_by: int | None = None


@dataclass(frozen=True)
class Advanced:
    """News of a run under way.

    Attributes:
        key: Of the run.
        epochs: Epochs done.
    """

    key: str
    epochs: int


def result_file(study: Path, key: str) -> Path:
    """Return the file of a run's result."""
    return study / "runs" / f"{key}.json"


def run_folder(study: Path, key: str) -> Path:
    """Return the folder in which a run trains and its model stays."""
    return study / "trained" / key


def execute(
    run: Run,
    data: Path,
    study: Path,
    *,
    again: bool = False,
    advance: Callable[[Advanced], None] | None = None,
) -> Ended:
    """Train one run, or go on with it, judge it and write its result.

    The training is that of `fissura train` with the same options, in a run folder of its own. A
    run that another process is at is waited for. An error that the user could mend, and a loss that
    becomes NaN, end this run alone.

    Args:
        run: The run.
        data: Folder of its images.
        study: Folder of the study.
        again: Train it even where its result is there, for its weights.
        advance: Called after each epoch.

    Returns:
        The end of the run: a result, an error, or the signal that stopped it.
    """
    with claimed(study, run.key, again=again) as to_do:
        if not to_do:
            return Ended(run)
        folder = run_folder(study, run.key)
        curve = TestCurve.of(run, data, study)

        def watch(session: Session, epoch: int) -> None:
            curve(session, epoch)
            if advance is not None:
                advance(Advanced(run.key, epoch))

        try:
            if (folder / "config.yaml").exists():
                outcome = resume(folder, quiet=True, on_epoch=watch)
            else:
                outcome = train(data, out=folder, options=run.config, quiet=True, on_epoch=watch)
            if outcome.stopped_by is not None:
                return Ended(run, stopped_by=outcome.stopped_by)
            return Ended(run, conclude(run, data, study))
        except (InputError, OSError, RuntimeError) as error:
            return Ended(run, error=str(error))


def conclude(run: Run, data: Path, study: Path) -> RunResult:
    """Judge a finished training on the test images and write its result.

    The state that a training under way needs is removed.

    Args:
        run: The run.
        data: Folder of its images.
        study: Folder of the study.
    """
    folder = run_folder(study, run.key)
    result = score_run(run, data, folder)
    write_result(study / "runs", result)
    shutil.rmtree(folder / "state", ignore_errors=True)
    return result


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
    lines = read_metrics(folder / "metrics.jsonl")
    train_images = prepared_for(config, data, "train")
    return RunResult(
        key=run.key,
        seed=run.seed,
        identity=run.experiment.identity(),
        config=asdict(config),
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


def curve_epochs(last: int, ratio: float = 0.0) -> set[int]:
    """Return the epochs whose test IoU is noted: every tenth of a training, and the last five.

    They are thinned out, the last epoch kept, where many test images stand beside few training
    images, so that the notes take a small part of the time.

    Args:
        last: Number of epochs.
        ratio: Pixels of the test images by those that an epoch trains on.

    >>> sorted(curve_epochs(20)), sorted(curve_epochs(20, ratio=1.5))
    ([2, 4, 6, 8, 10, 12, 14, 16, 17, 18, 19, 20], [12, 20])
    """
    noted = {*range(0, last, max(1, last // 10)), *range(last - 4, last + 1)}
    backwards = sorted((epoch for epoch in noted if epoch > 0), reverse=True)
    most = len(backwards) if not ratio else max(1, int(MOST_JUDGED * last / ratio))
    return {*backwards[:: -(-len(backwards) // most)]}


def pixel_ratio(session: Session, test: ImageStore) -> float:
    """Return the pixels of the test images by those that an epoch trains on.

    Args:
        session: Session of the training.
        test: The test images.
    """
    if session.crop is not None:
        trained = len(session.train) * session.crop**2
    else:
        trained = sum(mask.numel() for mask in session.train.masks)
    return sum(mask.numel() for mask in test.masks) / trained


class TestCurve:
    """Notes the test IoU of some epochs, for the record: nothing is chosen by it.

    These are every tenth of the training and each of the last five epochs. The notes are kept in
    the run folder, so that a resumed training has the epochs before.
    """

    __test__ = False  # no test of pytest's

    def __init__(self, config: TrainOptions, data: Path, folder: Path) -> None:
        self.data = data
        self.file = folder / "test_curve.jsonl"
        self.last = config.epochs

    @classmethod
    def of(cls, run: Run, data: Path, study: Path) -> TestCurve:
        """Return the curve of a run of a study."""
        return cls(run.config, data, run_folder(study, run.key))

    def __call__(self, session: Session, epoch: int) -> None:
        """Judge the session's network if this is one of the epochs; `epoch` counts those done."""
        if epoch not in curve_epochs(self.last):
            return
        config = session.config
        store = _test_store(
            self.data,
            _protocol(config),
            labels_of(config),
            config.empty_if_missing,
            session.fabric.device,
        )
        if epoch not in curve_epochs(self.last, pixel_ratio(session, store)):
            return
        value = float(iou(counts_at(validate(session, store), 0.5)))
        with self.file.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"epoch": epoch, "iou": round(value, 6)}) + "\n")

    def points(self) -> list[list[float]]:
        """Return [epochs done, IoU] of every epoch noted, the later note where there are two."""
        noted = {line["epoch"]: line["iou"] for line in read_metrics(self.file)}
        return [[epoch, noted[epoch]] for epoch in sorted(noted)]


def prepared_for(config: TrainOptions, data: Path, split: str) -> PreparedSet:
    """Return the images of a split as a run of this configuration sees them."""
    if config.classes is not None:
        raise InputError(
            "Studies compare trainings of crack or not: leave out classes, or train and evaluate "
            "models of several classes one by one."
        )
    return prepared(data, split, _protocol(config), labels_of(config), config.empty_if_missing)


@lru_cache(maxsize=8)
def prepared(
    data: Path,
    split: str,
    protocol: Protocol,
    labels: Labels = CRACK_OR_NOT,
    empty_if_missing: bool = False,
) -> PreparedSet:
    """Read and prepare a split once per process; a study's runs share it."""
    folder = find_pairs(data, labels=labels, empty_if_missing=empty_if_missing)
    return load_split(folder, split, protocol, labels=labels)


@lru_cache(maxsize=2)
def _test_store(
    data: Path,
    protocol: Protocol,
    labels: Labels,
    empty_if_missing: bool,
    device: torch.device,
) -> ImageStore:
    """Return the test images on the device, put there once per process."""
    test = prepared(data, "test", protocol, labels, empty_if_missing)
    return ImageStore.of(test.images, test.masks, device, test.valid)


def _protocol(config: TrainOptions) -> Protocol:
    """Return the protocol by which a run prepares its images."""
    return choose_protocol(config.protocol, config.area_threshold)


@contextmanager
def claimed(study: Path, key: str, *, again: bool = False) -> Iterator[bool]:
    """Hold a run for this process; wait while another has it. A process that dies lets go.

    Args:
        study: Folder of the study.
        key: Of the run.
        again: Whether a run that has its result is done all the same.

    Yields:
        Whether there is anything to do: False where the run has its result, from before or from
        the process that was waited for, and shall not be trained `again`.
    """
    file = study / "trained" / f".{key}.lock"
    file.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(file, poll_interval=0.2):
        yield again or not result_file(study, key).exists()


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


def _trained_on(images: PreparedSet, folder: Path) -> PreparedSet:
    """Return the training images without those that were set aside for validation."""
    record = json.loads((folder / "data.json").read_text(encoding="utf-8"))
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
