"""Targets: what the program itself leaves. Records, tables, manifests, chunks, stores, results."""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path
from unittest import mock

import cv2
import numpy as np

from .models import write_model
from .photos import drawn, write_geotiffs
from .target import Target, done, fissura

CPU = ("--device", "cpu", "--precision", "float32")


def write_photos() -> None:
    """Write two photos."""
    Path("photos").mkdir()
    for seed in range(2):
        cv2.imwrite(f"photos/{seed}.png", drawn(seed)[0])


def write_inspection() -> None:
    """Measure two masks, whose records have cracks."""
    Path("masks").mkdir()
    for seed in range(2):
        cv2.imwrite(f"masks/{seed}.png", np.roll(drawn()[1], seed, 0))
    done("measure", "masks", "--out", "done")


def read_records(file: Path) -> None:
    """Read the records of an inspection in every way."""
    from fissura.comparison.folder import open_inspection
    from fissura.inspection.records.store import load_outline, load_record, load_widest

    for path in sorted(Path("done/measured").glob("*.npz")):
        load_outline(path)
        load_widest(path)
        record = load_record(path)
        assert record.preview.ndim == 3
    inspected = open_inspection(Path("done"))
    for name in inspected.files:
        inspected.record(name)


def resume_inspection(file: Path) -> int:
    """Go on with an inspection, which reads all of it and writes it again."""
    return fissura("measure", "masks", "--out", "done", "--resume")


def write_two_inspections() -> None:
    """Inspect photos of a rough wall on two dates."""
    write_model()
    Path("photos").mkdir()
    rough = np.random.default_rng(0).integers(0, 255, (80, 120), np.uint8)
    rough = cv2.resize(rough, (240, 160), interpolation=cv2.INTER_CUBIC)
    cv2.imwrite("photos/0.png", rough)
    for out in ("old", "done"):
        done("inspect", "photos", "--model", "model", "--out", out, *CPU)


def compare_inspections(file: Path) -> int:
    """Compare two inspections."""
    return fissura("compare", "old", "done", "--out", "out")


def write_prediction() -> None:
    """Predict two photos and a raster."""
    write_model()
    write_photos()
    done("predict", "photos", "--model", "model", "--out", "done", *CPU)


def resume_prediction(file: Path) -> int:
    """Go on with a prediction."""
    return fissura("predict", "photos", "--model", "model", "--out", "done", "--resume", *CPU)


def measure_prediction(file: Path) -> int:
    """Measure what was predicted."""
    return fissura("measure", "done/masks", "--out", "out")


def write_shards() -> None:
    """Predict two photos in two shards."""
    write_model()
    write_photos()
    for number in (1, 2):
        words = ("--out", f"part-{number}", "--shard", f"{number}/2")
        done("predict", "photos", "--model", "model", *words, *CPU)


def merge_shards(file: Path) -> int:
    """Merge shards."""
    return fissura("merge", "out", "part-1", "part-2")


def write_measured_shards() -> None:
    """Measure masks in two shards."""
    write_inspection()
    shutil.rmtree("done")
    for number in (1, 2):
        done("measure", "masks", "--out", f"part-{number}", "--shard", f"{number}/2")


def write_chunks() -> None:
    """Predict a raster by chunks, and leave it as if it had been killed before the end."""
    from fissura.inference.rasters import raster

    write_geotiffs()
    write_model()
    for file in Path().glob("*.tif"):
        if file.stem != "tiled":
            file.unlink()
    with mock.patch.object(raster, "assemble", side_effect=Interrupted), suppress(Interrupted):
        predict_raster()


class Interrupted(Exception):  # noqa: N818
    """Ends a prediction before its chunks become one image."""


def predict_raster(file: Path | None = None) -> None:
    """Predict a raster by chunks of 32 rows, or go on with it."""
    from fissura.inference.predictor import Predictor
    from fissura.inference.rasters.raster import predict_raster as predict
    from fissura.inference.rasters.raster_files import RasterFiles
    from fissura.raster import open_raster

    predictor = Predictor.load("model", device="cpu", precision="float32")
    with open_raster(Path("tiled.tif")) as raster:
        files = RasterFiles.below(Path("done"), "tiled")
        predict(predictor, raster, files, model="model", chunk_rows=32)


def write_study() -> None:
    """Write a result of a study, and its data's record."""
    from dataclasses import asdict

    from fissura.study.data import panels
    from fissura.study.experiment import Experiment, Run
    from fissura.study.results import RunResult, write_result
    from fissura.training.options import TrainOptions

    for seed in range(2):
        run = Run(Experiment(panels(0.03, 40), TrainOptions(epochs=2)), seed)
        counted = {"images": 3, "groups": 3, "crack_fraction": 0.05, "fingerprint": "a"}
        metrics = {"iou": 0.7, "f1": 0.8, "recall": 0.8, "precision": 0.8}
        result = RunResult(
            key=run.key, seed=seed, identity=run.experiment.identity(), config=asdict(run.config),
            train=counted, test=counted,
            metrics=metrics | {
                "per_image_mean": metrics, "tolerant": metrics, "cldice": 0.8,
                "average_precision": 0.8, "ods_f1": 0.8, "ois_f1": 0.8,
            },
            other_masks=metrics | {"area_threshold": 0.5}, test_curve=[[2, 0.7]],
            counts=[[70, 10, 20], [60, 10, 20], [9, 1, 2]], groups=[0, 1, 2], loss=0.3,
            seconds={"train": 4.0, "evaluate": 0.1}, precision="float32", versions={"torch": "2"},
            machine="one", date="2026-05-06",
        )  # fmt: skip
        write_result(Path("study/runs"), result)


def read_study(file: Path) -> None:
    """Read the results of a study, and sort them as the tables do."""
    from fissura.study.results import index, read_results

    results = read_results(Path("study/runs"))
    index(results.values())
    for result in results.values():
        assert result.counts_array().ndim == 2
        assert isinstance(result.iou, float)


def write_desk() -> None:
    """Open a desk on two photos, edit one, and close it."""
    from tests.serve.desk.conftest import opened

    write_photos()
    desk = opened(Path("photos"))
    revision = desk.store.photo("p1").revision
    body = {"points": [[5, 5], [30, 20]], "radius": 2, "base_revision": revision}
    desk.edit("p1", "paint", body)
    desk.close()


def open_desk(file: Path) -> None:
    """Open the desk again, look at its photos and undo."""
    from tests.serve.desk.conftest import opened

    desk = opened(Path("photos"))
    try:
        for row in desk.store.photos():
            desk.photo(row.id)
            desk.store.history(row.id)
        desk.opened("p1")
    finally:
        desk.close()


RECORDS = ("done/measured/*.npz", "done/*.json")
TARGETS = (
    Target(
        name="records", row="records of inspections", make=write_inspection, call=read_records,
        files=RECORDS, share=80,
    ),
    Target(
        name="resume an inspection", row="records of inspections", make=write_inspection,
        call=resume_inspection, files=("done/*", "done/*/*"), writes=("done",), share=4,
    ),
    Target(
        name="compare", row="records of inspections", make=write_two_inspections,
        call=compare_inspections, files=RECORDS, share=2,
    ),
    Target(
        name="resume a prediction", row="tables and masks of predictions", make=write_prediction,
        call=resume_prediction, files=("done/*", "done/masks/*"), writes=("done",), share=6,
    ),
    Target(
        name="measure a prediction", row="tables and masks of predictions", make=write_prediction,
        call=measure_prediction, files=("done/*.json", "done/masks/*"), share=4,
    ),
    Target(
        name="merge predictions", row="manifests of shards", make=write_shards, call=merge_shards,
        files=("part-*/*.json", "part-*/*.csv"), share=10,
    ),
    Target(
        name="merge inspections", row="manifests of shards", make=write_measured_shards,
        call=merge_shards, files=("part-*/*.json", "part-*/*.csv", "part-*/measured/*"), share=4,
    ),
    Target(
        name="chunks", row="chunks of rasters", make=write_chunks, call=predict_raster,
        files=("done/**/*.npz", "done/**/*.json"), writes=("done", "tiled"), share=20,
    ),
    Target(
        name="study", row="results of studies", make=write_study, call=read_study, share=60,
        writes=(),
    ),
    Target(
        name="desk", row="the desk's store", make=write_desk, call=open_desk,
        files=("photos/**/*",), writes=("photos",), share=15,
    ),
)  # fmt: skip
