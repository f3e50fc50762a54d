"""What a finished run leaves: one small JSON file, and how such files are read again."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fissura.errors import InputError
from fissura.files import replacing

FORMAT = 1


@dataclass(frozen=True)
class RunResult:
    """One training and how it did on the test images; figures are fractions of 1.

    key:        `Run.key`.
    identity:   `Experiment.identity`: data, loss, and every option that is not a default.
    config:     every option of the training, complete.
    train, test: images, groups, crack_fraction and fingerprint of the two sets.
    figures:    of the crack class at threshold 0.5, last epoch: iou, f1, recall, precision from
                pooled counts; "per_image_mean" (the four), "tolerant" (precision, recall, f1
                within 2 px), "cldice", "average_precision", "ods_f1", "ois_f1" (pooled, oracle),
                as `fissura.evaluation.summary` defines them.
    other_masks: iou, f1, recall, precision of the same predictions against test masks made with
                area threshold 1/2, and that threshold; None where nothing was resampled.
    test_curve: [epochs done, pooled test IoU at 0.5] of some epochs, for the record: nothing was
                chosen by it. May be empty.
    counts:     tp, fp, fn of each test image at threshold 0.5.
    groups:     number of the photo that each test image shows.
    loss:       mean training loss of the last epoch.
    seconds:    "train" and "evaluate".
    precision, versions, machine, date: of the training.
    """

    key: str
    seed: int
    identity: dict[str, Any]
    config: dict[str, Any]
    train: dict[str, Any]
    test: dict[str, Any]
    figures: dict[str, Any]
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

    @property
    def iou(self) -> float:
        """Pooled IoU at threshold 0.5, the figure that the paper's tables compare."""
        return self.figures["iou"]

    def counts_array(self) -> NDArray[np.int64]:
        """Return the counts as (n, 3): tp, fp, fn of each test image."""
        return np.array(self.counts, np.int64)


def write_result(folder: Path, result: RunResult) -> None:
    """Write `folder`/KEY.json, a line per entry, whole or not at all."""
    lines = (
        f"{json.dumps(name)}: {json.dumps(value, ensure_ascii=False)}"
        for name, value in asdict(result).items()
    )
    with replacing(folder / f"{result.key}.json") as temporary:
        temporary.write_text("{\n" + ",\n".join(lines) + "\n}\n")


def read_result(file: Path) -> RunResult:
    """Read what `write_result` wrote.

    Raises `InputError` for a file that is something else, damaged, or of a newer format.
    """
    try:
        values = json.loads(file.read_text())
        if values["format"] != FORMAT:
            raise InputError(f"{file} has the format {values['format']}; this Fissura reads 1.")
        for part in (values["train"], values["test"]):
            if "crack_share" in part:  # its name until version 0.2
                part["crack_fraction"] = part.pop("crack_share")
        known = {entry.name for entry in fields(RunResult)}
        return RunResult(**{name: value for name, value in values.items() if name in known})
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{file} is not a result that `fissura study` wrote ({error}). Remove it; the study "
            "then makes it anew."
        ) from error


def read_results(folder: Path) -> dict[str, RunResult]:
    """Read every result in a folder, by its key; a folder that does not exist has none."""
    results = (read_result(file) for file in sorted(folder.glob("*.json")))
    return {result.key: result for result in results}
