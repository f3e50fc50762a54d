"""Shards of predictions, merged, give the files and the table of one run."""

import csv
import json

import cv2
import numpy as np
import pytest
import torch
from rich.console import Console

from fissura.checkpoint import ModelConfig, save_model
from fissura.errors import InputError
from fissura.inference.files.folder import predict
from fissura.inference.options import PredictOptions
from fissura.inspection.shards import merge
from fissura.models import build_model
from fissura.spread.options import SpreadOptions

CPU = PredictOptions(device="cpu", precision="float32")


@pytest.fixture(scope="module", params=["crack", "classes"])
def model(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    torch.manual_seed(0)
    several = request.param == "classes"
    card = ModelConfig(
        model="crackseg",
        options={"width": 2} | ({"channels": 2} if several else {}),
        threshold=0.45,
        **({"classes": ("crack", "rust"), "overlapping": True} if several else {}),
    )
    save_model(folder, build_model("crackseg", **card.options), card)
    return folder


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    (folder / "deck").mkdir(parents=True)
    for number in range(9):
        image = np.random.default_rng(number).integers(0, 256, (40, 56, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / ("deck" if number % 2 else "") / f"{number}.png"), image)
    (folder / "bad.jpg").write_bytes(b"nothing")
    return folder


def run(photos, out, model, shard=None):
    return predict(
        photos,
        out,
        model=model,
        options=CPU,
        probabilities=True,
        console=Console(quiet=True),
        spreading=SpreadOptions(shard=shard),
    )


def table(out):
    """The rows of a table, without the seconds that each photo took."""
    with (out / "predictions.csv").open(newline="", encoding="utf-8") as file:
        return [row[:-1] for row in csv.reader(file)]


def contents(out):
    return {
        path.relative_to(out).as_posix(): path.read_bytes()
        for path in out.rglob("*")
        if path.is_file() and path.name != "predictions.csv"
    }


@pytest.mark.parametrize("count", [1, 3])
def test_merged_predictions_are_those_of_one_run(count, model, photos, tmp_path):
    run(photos, tmp_path / "whole", model)
    folders = [tmp_path / f"{index}" for index in range(1, count + 1)]
    for index, folder in enumerate(folders, start=1):
        run(photos, folder, model, f"{index}/{count}")
    merged = merge(tmp_path / "merged", folders)
    assert merged.table == tmp_path / "merged" / "predictions.csv"
    assert [failed.file.name for failed in merged.failures] == ["bad.jpg"]
    assert table(tmp_path / "merged") == table(tmp_path / "whole")
    assert len(table(tmp_path / "whole")) == 10
    assert contents(tmp_path / "merged") == contents(tmp_path / "whole")


def test_predictions_know_no_limits_and_lost_rows_are_noticed(model, photos, tmp_path):
    run(photos, tmp_path / "1", model, "1/1")
    with pytest.raises(InputError, match="no limits"):
        merge(tmp_path / "merged", [tmp_path / "1"], limits="limits.yaml")
    file = tmp_path / "1" / "predictions.csv"
    lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
    file.write_text("".join(lines[:-1]), encoding="utf-8")
    with pytest.raises(InputError, match="8 rows, but shard 1/1 has 9 photos"):
        merge(tmp_path / "merged", [tmp_path / "1"])
    assert json.loads((tmp_path / "1" / "prediction.json").read_text())["shard"] == "1/1"
