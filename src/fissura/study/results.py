"""Results of finished runs: one small JSON file each, written, read and found again."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fissura.errors import InputError
from fissura.files import replacing
from fissura.files.documents import read_json
from fissura.files.shapes import check_shape
from fissura.study.experiment import Experiment

FORMAT = 1


# Results by the identity that all runs of an experiment have: the JSON of `Experiment.identity`.
Index = dict[str, list["RunResult"]]


@dataclass(frozen=True)
class RunResult:
    """One training and its metrics on the test images, all as fractions of 1.

    Attributes:
        key: `Run.key`.
        seed: Of the training.
        identity: `Experiment.identity`: data, loss, and every option that is not a default.
        config: Every option of the training.
        train: Images, groups, crack_fraction and fingerprint of the training set.
        test: The same of the test set.
        metrics: Of the crack class at threshold 0.5 after the last epoch: iou, f1, recall,
            precision from pooled counts; "per_image_mean" (the four), "tolerant" (precision,
            recall, f1 within 2 px), "cldice", "average_precision", "ods_f1", "ois_f1" (pooled,
            oracle), as `fissura.evaluation.summary` defines them.
        other_masks: iou, f1, recall, precision of the same predictions against test masks made with
            area threshold 1/2, and that threshold; None where nothing was resampled.
        test_curve: [epochs done, pooled test IoU at 0.5] of some epochs, for the record: nothing
            was chosen by it. It may be empty.
        counts: tp, fp, fn of each test image at threshold 0.5.
        groups: Number of the photo that each test image shows.
        loss: Mean training loss of the last epoch.
        seconds: "train" and "evaluate".
        precision: Of the network's arithmetic in evaluation.
        versions: Of the software.
        machine: Where it was trained.
        date: When it ended.
        format: Of the file.
        chosen: "threshold" that training chose on validation images, "counts" as above and iou, f1,
            recall, precision at it; None where the run had no validation images.
        logits: Mean logits of "crack" and "background" pixels of the "train" and the "test" images
            (`fissura.study.runs.logits`); None in results of version 0.2 and before.
    """

    key: str
    seed: int
    identity: dict[str, Any]
    config: dict[str, Any]
    train: dict[str, Any]
    test: dict[str, Any]
    metrics: dict[str, Any]
    other_masks: dict[str, float] | None
    test_curve: list[list[float]]
    counts: list[list[int]]
    groups: list[int]
    loss: float
    seconds: dict[str, float]
    precision: str
    versions: dict[str, str]
    machine: str
    date: str
    format: int = FORMAT
    chosen: dict[str, Any] | None = None
    logits: dict[str, dict[str, float | None]] | None = None

    @property
    def iou(self) -> float:
        """Pooled IoU at threshold 0.5, the metric that studies compare."""
        return float(self.metrics["iou"])

    def counts_array(self) -> NDArray[np.int64]:
        """Return the counts as (n, 3): tp, fp, fn of each test image."""
        return np.array(self.counts, np.int64)


def write_result(folder: Path, result: RunResult) -> None:
    """Write `folder`/KEY.json, a line per entry, whole or not at all.

    Args:
        folder: The folder `runs` of a study.
        result: The result.
    """
    lines = (
        f"{json.dumps(name)}: {json.dumps(value, ensure_ascii=False)}"
        for name, value in asdict(result).items()
    )
    with replacing(folder / f"{result.key}.json") as temporary:
        temporary.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


def read_result(file: Path) -> RunResult:
    """Read what `write_result` wrote.

    Files of version 0.1 call `metrics` "figures" and `crack_fraction` "crack_share".

    Raises:
        InputError: The file is something else, damaged, or of a newer format.
    """
    try:
        values = read_json(file)
        if values["format"] != FORMAT:
            raise InputError(f"{file} has the format {values['format']}; this Fissura reads 1.")
        if "figures" in values:
            values["metrics"] = values.pop("figures")
        for described in (values["train"], values["test"]):
            if "crack_share" in described:
                described["crack_fraction"] = described.pop("crack_share")
        known = {entry.name for entry in fields(RunResult)}
        values = {name: value for name, value in values.items() if name in known}
        check_shape(values, RunResult)
        result = RunResult(**values)
        _check(result)
    except InputError:
        raise
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise InputError(
            f"{file} is not a result that `fissura study` wrote ({error}). Remove it; the study "
            "then makes it anew."
        ) from error
    return result


def _check(result: RunResult) -> None:
    """Raise an error where a value that tables and statistics take is out of range."""
    check_shape(found := result.metrics["iou"], float, "iou")
    if found < 0 or found > 1:  # NaN is neither, where there is no crack
        raise ValueError(f"its IoU is {found}, and must be a fraction")
    if result.counts_array().shape[1:] != (3,):
        raise ValueError("its counts are not three for each image")


def read_results(folder: Path) -> dict[str, RunResult]:
    """Read every result in a folder; a folder that does not exist has none.

    Args:
        folder: The folder `runs` of a study.

    Returns:
        The results by their keys.

    Raises:
        InputError: One of the files is no result.
    """
    results = (read_result(file) for file in sorted(folder.glob("*.json")))
    return {result.key: result for result in results}


def index(results: Iterable[RunResult]) -> Index:
    """Sort results by experiment, and those of each experiment by seed, for `runs_of`."""
    indexed: Index = {}
    for result in sorted(results, key=lambda result: (result.seed, result.key)):
        indexed.setdefault(json.dumps(result.identity, sort_keys=True), []).append(result)
    return indexed


def runs_of(indexed: Index, experiment: Experiment) -> list[RunResult]:
    """Return the runs of an experiment in the order of their seeds."""
    return indexed.get(json.dumps(experiment.identity(), sort_keys=True), [])
