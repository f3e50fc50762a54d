"""COCO: what pycocotools decodes is what was labeled."""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from fissura.inspection.coco import crack_pixels, run_lengths, write_coco

# pycocotools is the reference; it is small, but not on every system.
mask_api = pytest.importorskip("pycocotools.mask")
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def labeled(fake_photo, straight, shape, count, seed, name="site/a"):
    """A photo with `count` cracks of random pixels."""
    labels = np.random.default_rng(seed).integers(0, count + 1, shape).astype(np.int32)
    labels.flat[:count] = np.arange(1, count + 1)
    cracks = [straight(3, 2.0, number=number) for number in range(1, count + 1)]
    return fake_photo(name, cracks, shape), labels


@pytest.fixture
def photos(fake_photo, straight):
    return [
        labeled(fake_photo, straight, (13, 7), 3, seed=0),
        (fake_photo("clean", [], (5, 6)), np.zeros((5, 6), np.int32)),
        labeled(fake_photo, straight, (4, 9), 2, seed=1, name="b"),
    ]


@settings(max_examples=60, deadline=None)
@given(arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, max_side=9)))
def test_run_lengths_decode_to_the_mask(mask):
    positions = np.flatnonzero(mask.T.ravel())
    counts = run_lengths(positions, mask.size)
    assert sum(counts) == mask.size
    assert all(count > 0 for count in counts[1:])
    decoded = mask_api.decode(
        mask_api.frPyObjects({"size": [*mask.shape], "counts": counts}, *mask.shape)
    )
    np.testing.assert_array_equal(decoded.astype(bool), mask)


@settings(max_examples=40, deadline=None)
@given(
    arrays(np.int32, array_shapes(min_dims=2, max_dims=2, max_side=8), elements=st.integers(0, 4))
)
def test_crack_pixels_are_the_labels(labels):
    pixels = crack_pixels(labels)
    assert sorted(pixels) == sorted(set(labels[labels > 0].tolist()))
    for number, positions in pixels.items():
        np.testing.assert_array_equal(positions, np.flatnonzero(labels.T.ravel() == number))


def test_pycocotools_reads_every_mask_back(tmp_path, photos, capsys):
    from pycocotools.coco import COCO

    path = tmp_path / "coco.json"
    write_coco(path, iter(photos))
    read = COCO(str(path))
    capsys.readouterr()
    assert [read.imgs[number]["file_name"] for number in read.imgs] == [
        "site/a.jpg", "clean.jpg", "b.jpg",
    ]  # fmt: skip
    assert [entry["name"] for entry in read.loadCats(read.getCatIds())] == ["crack"]
    for image, (photo, labels) in enumerate(photos, start=1):
        entries = read.loadAnns(read.getAnnIds(imgIds=[image]))
        assert len(entries) == len(photo.cracks)
        for entry in entries:
            mask = labels == entry["attributes"]["crack"]
            np.testing.assert_array_equal(read.annToMask(entry), mask)
            encoded = mask_api.encode(np.asfortranarray(mask, np.uint8))
            assert entry["area"] == mask_api.area(encoded) == mask.sum()
            assert entry["bbox"] == mask_api.toBbox(encoded).tolist()
            assert entry["iscrowd"] == 0
    ids = [entry["id"] for entry in read.dataset["annotations"]]
    assert ids == list(range(1, 6))


def test_attributes_hold_units_and_no_nan(tmp_path, fake_photo, straight):
    cracks = [straight(2, 2.0, mm_per_pixel=0.5), straight(4, math.nan, number=2)]
    labels = np.zeros((60, 80), np.int32)
    labels[2, 4:9], labels[4, 4:9] = 1, 2
    write_coco(tmp_path / "coco.json", [(fake_photo("a", cracks, mm_per_pixel=0.5), labels)])
    first, second = json.loads((tmp_path / "coco.json").read_text())["annotations"]
    assert first["attributes"]["width_max_mm"] == 1.0
    assert first["attributes"]["orientation_deg"] == 12.5
    assert "width_max_px" not in second["attributes"]
    assert second["attributes"]["length_px"] == 40


def test_photos_are_taken_one_at_a_time(tmp_path, photos):
    held = []

    def stream():
        for photo, labels in photos:
            held.append(labels)
            yield photo, labels
            # Everything of this photo is written before the next is asked for.
            text = next(tmp_path.glob(".coco.*")).read_text()
            assert len(text) < 10000
            held.pop()

    write_coco(tmp_path / "coco.json", stream())
    assert not held


def test_no_photo_at_all(tmp_path):
    write_coco(tmp_path / "coco.json", [])
    read = json.loads((tmp_path / "coco.json").read_text())
    assert (read["images"], read["annotations"]) == ([], [])


def test_labels_must_fit(tmp_path, fake_photo, straight):
    photo, labels = labeled(fake_photo, straight, (6, 6), 2, seed=3)
    for wrong, said in (
        (labels[:5], "labels are"),
        (np.where(labels == 2, 0, labels).astype(np.int32), "do not hold the same numbers"),
        (np.where(labels == 2, 7, labels).astype(np.int32), "do not hold the same numbers"),
    ):
        with pytest.raises(ValueError, match=said):
            write_coco(tmp_path / "coco.json", [(photo, wrong)])
    assert not list(tmp_path.iterdir())
