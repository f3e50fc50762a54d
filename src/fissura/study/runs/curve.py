"""The test IoU of some epochs of a run, noted for the record."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path

import torch

from fissura.data.labels import Labels
from fissura.data.preparation.batches import ImageStore
from fissura.data.preparation.protocols import Protocol
from fissura.metrics.counts import counts_at, iou
from fissura.study.runs.images import prepared, protocol_of
from fissura.training.options import TrainOptions, labels_of
from fissura.training.run_folder import read_metrics
from fissura.training.session import Session
from fissura.training.step import validate

# Pixels that the notes of a training may judge, by those that it trains on. A judged pixel takes
# about a third of the time of a trained one.
MOST_JUDGED = 0.15


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

    def __call__(self, session: Session, epoch: int) -> None:
        """Judge the session's network if this is one of the epochs; `epoch` counts those done."""
        if epoch not in curve_epochs(self.last):
            return
        config = session.config
        store = _test_store(
            self.data,
            protocol_of(config),
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
        noted = {line["epoch"]: line["iou"] for line in read_metrics(self.file, "iou")}
        return [[epoch, noted[epoch]] for epoch in sorted(noted)]


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
