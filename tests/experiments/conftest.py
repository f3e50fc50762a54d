from __future__ import annotations

from dataclasses import asdict, replace
from zlib import crc32

import numpy as np
import pytest

from fissura.experiments.experiment import Run
from fissura.experiments.results import RunResult
from fissura.metrics.counts import METRICS, mean_per_image


def make_run(experiment, seed=0, *, iou=0.7, images=24, photos=12, other=-0.03, **changes):
    """A made-up result: counts per image around an IoU, and the figures that follow from them.

    other:   what masks at 1/2 change the IoU by; None where nothing was resampled.
    changes: fields of the result to replace.
    """
    run = Run(experiment, seed)
    of_photos = np.random.default_rng(crc32(experiment.data.name.encode()))
    groups = np.sort(of_photos.integers(0, photos, images))
    union = of_photos.integers(100, 400, images)
    hardness = of_photos.normal(0, 0.03, photos)[groups]
    own = np.random.default_rng(crc32(run.key.encode())).normal(0, 0.01, images)
    tp = np.round(union * np.clip(iou + hardness + own, 0, 1)).astype(int)
    fp = (union - tp) // 2
    counts = np.stack((tp, fp, union - tp - fp, 9216 - union), axis=1)
    pooled = {name: float(figure(counts.sum(axis=0))) for name, figure in METRICS.items()}
    per_image = {name: mean_per_image(figure(counts)) for name, figure in METRICS.items()}
    described = {"images": images, "groups": photos, "crack_fraction": 0.0516}
    reached = pooled["iou"]
    result = RunResult(
        key=run.key,
        seed=seed,
        identity=experiment.identity(),
        config=asdict(run.config),
        train={**described, "fingerprint": f"train-{experiment.data.name}"},
        test={**described, "fingerprint": f"test-{experiment.data.name}"},
        figures={
            **pooled,
            "per_image_mean": per_image,
            "tolerant": {"precision": 0.91, "recall": 0.9, "f1": 0.905},
            "cldice": 0.85,
            "average_precision": 0.88,
            "ods_f1": 0.86,
            "ois_f1": 0.87,
        },
        other_masks=None
        if other is None
        else {**pooled, "iou": reached + other, "area_threshold": 0.5},
        test_curve=[[10, reached - 0.1], [50, reached + 0.004], [run.config.epochs, reached]],
        counts=counts[:, :3].tolist(),
        groups=groups.tolist(),
        loss=0.3,
        seconds={"train": 480.0, "evaluate": 2.0},
        precision="bfloat16",
        versions={"fissura": "0.1.0", "torch": "2.15.0"},
        machine="Linux x86_64, 2 CPUs, computed on cpu",
        date="2031-05-06",
    )
    return replace(result, **changes)


@pytest.fixture(name="make_run")
def make_run_fixture():
    return make_run


@pytest.fixture
def with_ious(make_run):
    """Runs of one experiment, one per seed; their pooled IoUs are near those given."""

    def build(experiment, ious, first_seed=0, **options):
        return [
            make_run(experiment, first_seed + number, iou=iou, **options)
            for number, iou in enumerate(ious)
        ]

    return build


@pytest.fixture
def by_key():
    """Results as `read_results` gives them, from lists of runs."""
    return lambda *lists: {run.key: run for runs in lists for run in runs}
