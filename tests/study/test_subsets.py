import numpy as np
import pytest
from PIL import Image

from fissura.data.folder import find_pairs
from fissura.data.splits import group_of
from fissura.errors import InputError
from fissura.study.data import DataSet, locate, panels, subset
from fissura.study.subsets import write_subset


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Ten photos in three tiles each, not split."""
    root = tmp_path_factory.mktemp("photos")
    for part in ("images", "masks"):
        (root / part).mkdir()
    for photo in range(10):
        for tile in range(3):
            content = np.zeros((32, 32), np.uint8)
            content[tile + photo] = 255
            for part in ("images", "masks"):
                Image.fromarray(content).save(root / part / f"p{photo}_tile{tile}.png")
    return root


def stems(folder):
    return {
        split: {pair.name.rpartition("/")[2] for pair in pairs}
        for split, pairs in find_pairs(folder).splits.items()
    }


def test_test_and_validation_stay_and_small_sets_are_parts_of_large_ones(photos, tmp_path):
    for number in (4, 11):
        write_subset(photos, tmp_path / str(number), train=number, validation=6)
    small, large = stems(tmp_path / "4"), stems(tmp_path / "11")
    assert (small["test"], small["val"]) == (large["test"], large["val"])
    assert small["train"] < large["train"]
    assert (len(small["val"]), len(small["train"]), len(large["train"])) == (6, 4, 11)
    groups = [{group_of(name) for name in large[split]} for split in ("train", "val", "test")]
    assert not groups[0] & groups[1] | groups[0] & groups[2] | groups[1] & groups[2]


def test_all_that_is_left_is_trained_on(photos, tmp_path):
    write_subset(photos, tmp_path / "out", train=None, validation=3)
    found = stems(tmp_path / "out")
    assert sum(map(len, found.values())) == 30


def test_too_many_are_refused(photos, tmp_path):
    with pytest.raises(InputError, match=r"24 training images\. That is too few"):
        write_subset(photos, tmp_path / "out", train=20, validation=6)
    assert not (tmp_path / "out").exists()


def test_a_recipe_names_subsets(photos, tmp_path):
    named = subset(DataSet("tiles", folder="photos"), 4, 6)
    root = tmp_path / "root"
    root.mkdir()
    (root / "photos").symlink_to(photos)
    folder = locate(named, root, tmp_path / "study")
    assert folder == tmp_path / "study" / "data" / "tiles-4of-6val"
    assert len(stems(folder)["train"]) == 4


def test_panels_are_drawn_once_for_all_their_subsets(tmp_path):
    for number in (2, 5):
        folder = locate(panels(0.05, 12, training_images=number), None, tmp_path)
        assert len(stems(folder)["train"]) == number
        assert len(stems(folder)["test"]) == 3
    assert sorted(path.name for path in (tmp_path / "data").iterdir()) == [
        "panels-5pc-12",
        "panels-5pc-12-2of",
        "panels-5pc-12-5of",
    ]
