"""Every tool's layout is read to the pixel, and trains."""

import numpy as np
import pytest
from PIL import Image

from fissura.data.folder import find_pairs
from fissura.data.formats import rasterize, read_annotations
from fissura.training.loop import train
from fissura.training.options import TrainOptions

from .layouts import LAYOUTS

ONE_EPOCH = TrainOptions(
    width=2, epochs=1, batch_size=4, precision="float32", accelerator="cpu", fused=False
)


@pytest.fixture(params=LAYOUTS)
def written(request, drawn, tmp_path):
    LAYOUTS[request.param](tmp_path / "walls", drawn)
    return request.param, tmp_path / "walls"


def test_masks_are_those_that_were_drawn(written, drawn):
    _, root = written
    by_name = {one.name: one for one in drawn}
    folder = find_pairs(root)
    pairs = [pair for listed in folder.splits.values() for pair in listed]
    assert {pair.image.stem.split(".")[0] for pair in pairs} == set(by_name)
    for pair in pairs:
        one = by_name[pair.image.stem]
        assert pair.image.is_relative_to(root)
        np.testing.assert_array_equal(np.asarray(Image.open(pair.mask)), 255 * one.crack)
    assert "Crack is what is labeled crack; rust counts as background" in folder.described()


def test_it_trains(written, tmp_path):
    _, root = written
    outcome = train(root, out=tmp_path / "run", options=ONE_EPOCH, quiet=True)
    assert outcome.epochs == 1


def test_classes_have_numbers(written, drawn):
    _, root = written
    annotated = read_annotations(root)
    assert annotated is not None
    assert annotated.labels == ("crack", "rust")
    for image in annotated.images:
        one = next(one for one in drawn if one.name == image.image.stem)
        expected = np.where(one.rust_mask, 2, one.crack)
        np.testing.assert_array_equal(rasterize(image, annotated.labels), expected)


def test_own_splits_are_kept(drawn, tmp_path):
    for name in ("roboflow_coco", "yolo", "roboflow_yolo"):
        LAYOUTS[name](tmp_path / name, drawn)
        splits = find_pairs(tmp_path / name).splits
        assert {split: len(pairs) for split, pairs in splits.items()} == {"train": 3, "val": 2}
