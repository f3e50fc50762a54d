"""COCO: pycocotools decodes the pixels that were labeled."""

import json
import math

import numpy as np
import pytest

from fissura.data.formats.shapes.runs import crack_runs
from fissura.inspection.exporters.coco import coco

# pycocotools is the reference; it is small, but not on every system.
mask_api = pytest.importorskip("pycocotools.mask")
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def box_of(mask):
    rows, columns = np.nonzero(mask)
    return rows.min(), columns.min(), rows.max() + 1, columns.max() + 1


def labeled(fake_photo, straight, shape, count, seed, name="site/a"):
    """A photo with `count` cracks of random pixels, and their labels."""
    labels = np.random.default_rng(seed).integers(0, count + 1, shape).astype(np.int32)
    labels.flat[:count] = np.arange(1, count + 1)
    cracks = [
        straight(3, 2.0, number=number, box=tuple(map(int, box_of(labels == number))))
        for number in range(1, count + 1)
    ]
    return fake_photo(name, cracks, shape, runs=crack_runs(labels, count)), labels


@pytest.fixture
def photos(fake_photo, straight):
    return [
        labeled(fake_photo, straight, (13, 7), 3, seed=0),
        (fake_photo("clean", [], (5, 6), runs=[]), np.zeros((5, 6), np.int32)),
        labeled(fake_photo, straight, (4, 9), 2, seed=1, name="b"),
    ]


def test_pycocotools_reads_every_mask_back(write, tmp_path, photos, capsys):
    from pycocotools.coco import COCO

    path = tmp_path / "coco.json"
    write(coco(path), [record for record, _ in photos])
    read = COCO(str(path))
    capsys.readouterr()
    assert [read.imgs[number]["file_name"] for number in read.imgs] == [
        "site/a.jpg", "clean.jpg", "b.jpg",
    ]  # fmt: skip
    assert [entry["name"] for entry in read.loadCats(read.getCatIds())] == ["crack"]
    for image, (record, labels) in enumerate(photos, start=1):
        entries = read.loadAnns(read.getAnnIds(imgIds=[image]))
        assert len(entries) == len(record.cracks)
        for entry in entries:
            mask = labels == entry["attributes"]["crack"]
            np.testing.assert_array_equal(read.annToMask(entry), mask)
            encoded = mask_api.encode(np.asfortranarray(mask, np.uint8))
            assert entry["area"] == mask_api.area(encoded) == mask.sum()
            assert entry["bbox"] == mask_api.toBbox(encoded).tolist()
            assert entry["iscrowd"] == 0
    ids = [entry["id"] for entry in read.dataset["annotations"]]
    assert ids == list(range(1, 6))


def test_attributes_hold_units_and_no_nan(write, tmp_path, fake_photo, straight):
    cracks = [straight(2, 2.0, mm_per_pixel=0.5), straight(4, math.nan, number=2)]
    runs = [np.array([[2, 9]]), np.array([[70, 75]])]
    write(coco(tmp_path / "coco.json"), [fake_photo("a", cracks, mm_per_pixel=0.5, runs=runs)])
    first, second = json.loads((tmp_path / "coco.json").read_text())["annotations"]
    assert first["attributes"]["width_max_mm"] == 1.0
    assert first["attributes"]["orientation_deg"] == 12.5
    assert "width_max_px" not in second["attributes"]
    assert second["attributes"]["length_px"] == 40


def test_images_without_runs_are_left_out(write, tmp_path, fake_photo, photos):
    huge = fake_photo("huge", runs=None)
    write(coco(tmp_path / "coco.json"), [huge, photos[0][0]])
    read = json.loads((tmp_path / "coco.json").read_text())
    assert [image["file_name"] for image in read["images"]] == ["site/a.jpg"]
    assert {entry["image_id"] for entry in read["annotations"]} == {1}


def test_each_photo_is_written_before_the_next_comes(tmp_path, photos):
    with coco(tmp_path / "coco.json") as add:
        for record, _ in photos:
            add(record)
    text = (tmp_path / "coco.json").read_text()
    assert text.index('"annotations"') < text.index('"images"')


def test_no_photo_at_all(write, tmp_path):
    write(coco(tmp_path / "coco.json"), [])
    read = json.loads((tmp_path / "coco.json").read_text())
    assert (read["images"], read["annotations"]) == ([], [])


def test_names_that_are_not_unicode(write, tmp_path, fake_photo):
    write(coco(tmp_path / "coco.json"), [fake_photo("Ri\udcdf", [], runs=[])])
    (image,) = json.loads((tmp_path / "coco.json").read_text())["images"]
    assert image["file_name"] == "Ri\\xdf.jpg"
