"""What is converted comes back the same, pixel by pixel, in every format that is written."""

import json
import shutil
from typing import get_args

import cv2
import numpy as np
import pytest
from PIL import Image

from fissura.cli.convert import Format
from fissura.data.annotation_options import AnnotationOptions
from fissura.data.conversion.convert import EXPORTERS, convert
from fissura.data.conversion.options import ConvertOptions
from fissura.data.folder import find_pairs
from fissura.data.formats import rasterize, read_annotations
from fissura.errors import InputError

from .layouts import LAYOUTS, save_photos

POLYGONS = ConvertOptions(polygons=True)


def as_annotations(root):
    """Turn Label Studio's predictions into annotations, as accepting them does."""
    file = root / "tasks.json"
    if file.exists():
        tasks = json.loads(file.read_text())
        for task in tasks:
            task["annotations"] = task.pop("predictions")
        file.write_text(json.dumps(tasks))


def indices_of(root, labels=("crack", "rust")):
    """Masks of classes by the names of the photos."""
    as_annotations(root)
    annotated = read_annotations(root)
    assert annotated is not None
    assert not annotated.skipped
    return {image.image.stem: rasterize(image, labels) for image in annotated.images}


def of_masks(root):
    files = sorted(root.rglob("masks/**/*.png"))
    return {file.stem: np.asarray(Image.open(file)) for file in files}


@pytest.fixture(scope="module")
def supervisely(drawn, tmp_path_factory):
    """A source with bitmaps and polygons with holes."""
    root = tmp_path_factory.mktemp("supervisely") / "walls"
    LAYOUTS["supervisely"](root, drawn)
    return root


@pytest.fixture(scope="module")
def expected(drawn):
    return {one.name: np.where(one.rust_mask, 2, one.crack) for one in drawn}


def test_all_formats_are_written():
    assert set(EXPORTERS) == set(get_args(Format))


@pytest.mark.parametrize("polygons", [False, True])
@pytest.mark.parametrize("to", EXPORTERS)
def test_it_comes_back_the_same(supervisely, expected, tmp_path, to, polygons):
    options = ConvertOptions(polygons=polygons)
    done = convert(supervisely, tmp_path / "out", to, options=options)
    assert (done.images, done.labels, done.skipped) == (5, ("crack", "rust"), [])
    found = of_masks(tmp_path / "out") if to == "masks" else indices_of(tmp_path / "out")
    assert found.keys() == expected.keys()
    for name, mask in expected.items():
        np.testing.assert_array_equal(found[name], mask, err_msg=name)


@pytest.mark.parametrize("to", EXPORTERS)
def test_splits_and_polygons_are_kept(drawn, expected, tmp_path, to):
    LAYOUTS["yolo"](tmp_path / "walls", drawn)
    convert(tmp_path / "walls", tmp_path / "out", to, options=POLYGONS)
    if to == "masks":
        splits = {file.parents[1].name for file in (tmp_path / "out").rglob("masks/*.png")}
        assert splits == {"train", "val"}
        return
    found = indices_of(tmp_path / "out")
    for name, mask in expected.items():
        np.testing.assert_array_equal(found[name], mask)
    if to != "label-studio":  # which keeps splits in the data of its tasks
        splits = find_pairs(tmp_path / "out").splits
        assert {split: len(pairs) for split, pairs in splits.items()} == {"train": 3, "val": 2}


def test_an_outline_keeps_its_points(drawn, tmp_path):
    """No detour over pixels where both formats have outlines."""
    LAYOUTS["cvat"](tmp_path / "walls", drawn)
    convert(tmp_path / "walls", tmp_path / "out", "yolo")
    rows = (tmp_path / "out/labels/train/wall_2.txt").read_text().splitlines()
    assert [len(row.split()) for row in rows] == [13, 9]


@pytest.mark.parametrize("command", ["prediction.json", "inspection.json"])
@pytest.mark.parametrize("to", EXPORTERS)
def test_results_become_pre_labels(drawn, tmp_path, to, command):
    save_photos(tmp_path / "photos", drawn)
    (tmp_path / "results/masks").mkdir(parents=True)
    for one in drawn:
        mask = (255 * one.crack).astype(np.uint8)
        Image.fromarray(mask).save(tmp_path / f"results/masks/{one.name}.png")
    settings = {"inputs": [str(tmp_path / "photos")]}
    (tmp_path / "results" / command).write_text(json.dumps(settings))
    done = convert(tmp_path / "results", tmp_path / "out", to)
    assert done.labels == ("crack",)
    found = of_masks(tmp_path / "out") if to == "masks" else indices_of(tmp_path / "out")
    for one in drawn:
        np.testing.assert_array_equal(found[one.name] > 0, one.crack)
    shutil.move(tmp_path / "photos", tmp_path / "elsewhere")
    with pytest.raises(InputError, match=r"no longer at .*photos\. Say with --photos"):
        convert(tmp_path / "results", tmp_path / "again", to)
    options = ConvertOptions(photos=tmp_path / "elsewhere", copy_photos=False)
    assert convert(tmp_path / "results", tmp_path / "again", to, options=options).images == 5
    assert not list((tmp_path / "again").rglob("*.jpg"))


@pytest.mark.parametrize("overlapping", [False, True])
def test_results_of_several_classes_keep_them(drawn, expected, tmp_path, overlapping):
    """Maps whose values are classes; or, where these overlap, a folder of masks for each."""
    save_photos(tmp_path / "photos", drawn)
    for one in drawn:
        masks = {"": expected[one.name]}
        if overlapping:
            masks = {"crack": 255 * one.crack, "rust": 255 * one.rust_mask}
        for folder, mask in masks.items():
            (tmp_path / "results/masks" / folder).mkdir(parents=True, exist_ok=True)
            image = Image.fromarray(mask.astype(np.uint8), "L" if overlapping else "P")
            if not overlapping:
                image.putpalette([0, 0, 0, 255, 0, 0, 0, 0, 255])
            image.save(tmp_path / "results/masks" / folder / f"{one.name}.png")
    classes = ["background"] * (not overlapping) + ["crack", "rust"]
    settings = {"inputs": [str(tmp_path / "photos")], "classes": classes}
    (tmp_path / "results/prediction.json").write_text(json.dumps(settings))
    assert convert(tmp_path / "results", tmp_path / "out", "coco").labels == ("crack", "rust")
    for name, mask in indices_of(tmp_path / "out").items():
        np.testing.assert_array_equal(mask, expected[name])


def test_photos_with_masks_are_a_source(drawn, tmp_path):
    save_photos(tmp_path / "walls/images", drawn)
    (tmp_path / "walls/masks").mkdir()
    (tmp_path / "walls/ignored").mkdir()
    for one in drawn:
        mask = one.crack.astype(np.uint8)
        Image.fromarray(mask).save(tmp_path / f"walls/masks/{one.name}.png")
    unlabeled = (255 * drawn[0].rust_mask).astype(np.uint8)
    Image.fromarray(unlabeled).save(tmp_path / f"walls/ignored/{drawn[0].name}.png")
    done = convert(tmp_path / "walls", tmp_path / "out", "labelme")
    assert done.notes == [
        "1 area without a label became background, for labelme has no such thing."
    ]
    for name, mask in indices_of(tmp_path / "out").items():
        np.testing.assert_array_equal(mask, next(o.crack for o in drawn if o.name == name))
    convert(tmp_path / "walls", tmp_path / "coco", "coco", options=POLYGONS)
    for name, mask in indices_of(tmp_path / "coco").items():
        one = next(one for one in drawn if one.name == name)
        expected = np.where(one.rust_mask & (name == drawn[0].name), 255, one.crack)
        np.testing.assert_array_equal(mask, expected)
    convert(tmp_path / "walls", tmp_path / "masks", "masks")
    again = np.asarray(Image.open(tmp_path / f"masks/ignored/{drawn[0].name}.png"))
    np.testing.assert_array_equal(again, unlabeled)


def test_masks_of_several_classes_are_a_source(supervisely, expected, tmp_path):
    convert(supervisely, tmp_path / "masks", "masks")
    options = ConvertOptions(classes="crack,rust")
    convert(tmp_path / "masks", tmp_path / "out", "cvat", options=options)
    for name, mask in indices_of(tmp_path / "out").items():
        np.testing.assert_array_equal(mask, expected[name])


def test_chosen_labels_alone_are_written(supervisely, expected, tmp_path):
    options = AnnotationOptions(labels="RUST")
    convert(supervisely, tmp_path / "out", "coco", annotations=options)
    found = indices_of(tmp_path / "out", ("rust",))
    for name, mask in expected.items():
        np.testing.assert_array_equal(found[name], mask == 2)


def test_an_oriented_photo_gets_upright_annotations(tmp_path):
    """A mask that fits the photo as it is stored turns with it."""
    image = np.full((20, 30, 3), 160, np.uint8)
    mask = np.zeros((20, 30), np.uint8)
    mask[2:5, 4:20] = 255
    exif = Image.Exif()
    exif[0x0112] = 6
    for part, array, options in (("images", image, {"exif": exif}), ("masks", mask, {})):
        (tmp_path / "walls" / part).mkdir(parents=True)
        Image.fromarray(array).save(tmp_path / "walls" / part / "1.png", **options)
    convert(tmp_path / "walls", tmp_path / "out", "coco")
    (found,) = indices_of(tmp_path / "out").values()
    np.testing.assert_array_equal(255 * found, cv2.rotate(mask, cv2.ROTATE_90_CLOCKWISE))


def test_nothing_is_overwritten(supervisely, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/mine.txt").write_text("mine")
    with pytest.raises(InputError, match=r"out exists already\. Give a new folder"):
        convert(supervisely, tmp_path / "out", "coco")
    assert [file.name for file in tmp_path.rglob("*")] == ["out", "mine.txt"]


def test_unknown_sources_and_formats(supervisely, tmp_path):
    with pytest.raises(InputError, match=r"There is no format 'tfrecord'\. Choose one of: masks"):
        convert(supervisely, tmp_path / "out", "tfrecord")
    with pytest.raises(InputError, match="nowhere does not exist"):
        convert(tmp_path / "nowhere", tmp_path / "out", "coco")
    with pytest.raises(InputError, match="--photos says where the photos of results lie"):
        convert(supervisely, tmp_path / "out", "coco", options=ConvertOptions(photos=tmp_path))
