"""Every tool's layout is read to the pixel, and trains."""

import numpy as np
import pytest
from PIL import Image

from fissura.data.folder import find_pairs
from fissura.data.formats import rasterize, read_annotations
from fissura.training.options import TrainOptions
from fissura.training.train import train

from .layouts import LAYOUTS, ONE_CLASS

ONE_EPOCH = TrainOptions(
    width=2, epochs=1, batch_size=4, precision="float32", accelerator="cpu", fused=False
)


@pytest.fixture(params=LAYOUTS)
def written(request, drawn, tmp_path):
    LAYOUTS[request.param](tmp_path / "walls", drawn)
    return request.param, tmp_path / "walls"


def drawn_as(drawn, name):
    """The drawn photo of a name, with whatever a format adds to it."""
    return next(one for one in drawn if one.name in name)


def test_masks_are_those_that_were_drawn(written, drawn):
    layout, root = written
    folder = find_pairs(root)
    pairs = [pair for listed in folder.splits.values() for pair in listed]
    assert len(pairs) == len(drawn)
    for place, pair in enumerate(pairs):
        one = drawn[place] if layout == "hugging_face" else drawn_as(drawn, pair.name)
        assert pair.image.is_relative_to(root) != (layout == "hugging_face")
        np.testing.assert_array_equal(np.asarray(Image.open(pair.mask)), 255 * one.crack)
    said = "Crack is what is labeled crack; rust counts as background"
    assert (said in folder.described()) != (layout in ONE_CLASS)


def test_it_trains(written, tmp_path):
    _, root = written
    outcome = train(root, out=tmp_path / "run", options=ONE_EPOCH, quiet=True)
    assert outcome.epochs == 1


def test_classes_have_numbers(written, drawn):
    layout, root = written
    annotated = read_annotations(root)
    assert annotated is not None
    assert annotated.labels == (("crack",) if layout in ONE_CLASS else ("crack", "rust"))
    if layout not in ONE_CLASS:
        for image in annotated.images:
            one = drawn_as(drawn, image.name)
            expected = np.where(one.rust_mask, 2, one.crack)
            np.testing.assert_array_equal(rasterize(image, annotated.labels), expected)


def test_own_splits_are_kept(drawn, tmp_path):
    for name in ("roboflow_coco", "yolo", "roboflow_yolo"):
        LAYOUTS[name](tmp_path / name, drawn)
        splits = find_pairs(tmp_path / name).splits
        assert {split: len(pairs) for split, pairs in splits.items()} == {"train": 3, "val": 2}
