"""One class of masks that hold several is measured, by its value or by the name of a result's."""

import csv
import json

import numpy as np
import pytest
from PIL import Image

from fissura.cli import run
from fissura.errors import InputError
from fissura.inspection.photos.class_masks import class_of_map, given_class, read_class

CLASSES = np.zeros((80, 120), np.uint8)
CLASSES[20:24, 8:100] = 1
CLASSES[50:57, 10:90] = 3
RUST = CLASSES == 3


def saved(path, values, mode="L"):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(values)
    if mode == "P":
        image = image.convert("P")
        image.putpalette([200, 30, 40] * 256)
    image.save(path)
    return path


@pytest.mark.parametrize("mode", ["L", "P"])
def test_a_class_is_read_by_its_value(tmp_path, mode):
    file = saved(tmp_path / "a.png", CLASSES, mode)
    mask, words = read_class(file, given_class("rust=3"))
    np.testing.assert_array_equal(mask, RUST)
    assert words == "an index mask (rust is 3)"
    mask, words = read_class(file, given_class("joint=2"))
    assert not mask.any()
    assert words.endswith("the value 2 is not in it)")


@pytest.mark.parametrize("typed", ["rust=", "=3", "rust=x", "rust=0", "rust=70000"])
def test_values_that_are_none_are_refused(typed):
    with pytest.raises(InputError, match="is written as rust=3"):
        given_class(typed)


def test_photos_and_colors_are_no_index_masks(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (60, 90, 3), dtype=np.uint8)
    one = given_class("rust=3")
    with pytest.raises(InputError, match="has colors"):
        read_class(saved(tmp_path / "color.png", noise), one)
    with pytest.raises(InputError, match="as those of a photo do"):
        read_class(saved(tmp_path / "photo.png", np.ascontiguousarray(noise[..., 0])), one)
    with pytest.raises(InputError, match="is a JPEG"):
        read_class(saved(tmp_path / "mask.jpg", CLASSES), one)


def test_the_command_measures_one_class_of_index_masks(tmp_path, capsys):
    masks = saved(tmp_path / "masks" / "a.png", CLASSES).parent
    out = tmp_path / "rust"
    assert run(["measure", str(masks), "--of-class", "rust=3", "--out", str(out)]) == 0
    assert "read as an index mask (rust is 3)" in capsys.readouterr().err
    with (out / "cracks.csv").open(encoding="utf-8-sig") as file:
        assert len(list(csv.DictReader(file))) == 1
    np.testing.assert_array_equal(np.asarray(Image.open(out / "masks" / "a.png")) > 0, RUST)
    # Without a class, the sentence says how to name it.
    assert run(["measure", str(masks), "--out", str(tmp_path / "unclear")]) == 1
    assert "--of-class rust=2" in capsys.readouterr().err
    # A name alone needs a value where Fissura did not write the masks.
    words = ["measure", str(masks), "--of-class", "rust", "--out", str(tmp_path / "named")]
    assert run(words) == 2
    assert "--of-class rust=2" in capsys.readouterr().err


def test_maps_of_results_know_their_classes(tmp_path, capsys):
    found = tmp_path / "found"
    masks = saved(found / "masks" / "a.png", CLASSES, "P").parent
    told = {"classes": ["background", "crack", "joint", "rust"], "inputs": [], "threshold": 0.5}
    (found / "prediction.json").write_text(json.dumps(told), encoding="utf-8")
    out = tmp_path / "rust"
    assert run(["measure", str(masks), "--of-class", "rust", "--out", str(out)]) == 0
    np.testing.assert_array_equal(np.asarray(Image.open(out / "masks" / "a.png")) > 0, RUST)
    capsys.readouterr()
    assert run(["measure", str(masks), "--out", str(tmp_path / "all")]) == 1
    assert "a map of the classes crack, joint, rust. Say with --of-class" in capsys.readouterr().err


@pytest.mark.parametrize("classes", [None, ["crack", "wet"], "crack"])
def test_masks_of_crack_or_not_have_no_class(tmp_path, classes):
    assert class_of_map(tmp_path / "a.png", {"classes": classes}, None) is None
