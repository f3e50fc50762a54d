import json
import shutil

import pytest

from fissura.training.options import TrainOptions
from fissura.training.train import train

SMALL = TrainOptions(width=2, epochs=1, batch_size=4, precision="float32", accelerator="cpu")


@pytest.mark.parametrize(
    ("folders", "layout", "split", "count"),
    [
        (
            {"train": "train", "test": "test"},
            "test/images with masks in test/masks; train/images with masks in train/masks",
            "the folder's own split 'train'",
            10,
        ),
        (
            {"train": "train2017", "test": "test2017"},
            "test2017/images with masks in test2017/masks; "
            "train2017/images with masks in train2017/masks",
            "the folder's own split 'train'",
            10,
        ),
        (
            {"train": "."},
            "images with masks in masks",
            "'train' of a split made by Fissura: 20% of the images for testing, tiles of one photo "
            "together, seed 0",
            8,
        ),
    ],
)
def test_layout_and_split_are_stated_before_the_first_epoch(
    lines, tmp_path, capsys, folders, layout, split, count
):
    for source, name in folders.items():
        shutil.copytree(lines / source, tmp_path / "data" / name)
    train(tmp_path / "data", out=tmp_path / "run", options=SMALL)
    stated, first_epoch, _ = capsys.readouterr().out.partition("epoch    1/1")
    stated = " ".join(stated.split())  # a narrow console breaks lines
    assert first_epoch
    assert "Validation, which chooses the best epoch and the threshold: 20% of the" in stated
    assert f" on {count} images " in stated
    assert f"Layout: {layout}. Split: {split}." in stated
    record = json.loads((tmp_path / "run" / "data.json").read_text(encoding="utf-8"))
    assert (record["layout"], record["split_rule"]) == (layout, split)
