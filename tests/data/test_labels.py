"""Masks with pixels that have no label, of several classes, and photos that need no mask."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from fissura.data.folder import find_pairs
from fissura.data.labels import Labels
from fissura.data.preparation.load import load_split
from fissura.data.preparation.protocols import PROTOCOLS, prepare_all, prepare_labeled
from fissura.data.preparation.shrink import shrink_labels, shrink_mask
from fissura.errors import InputError

NATIVE = PROTOCOLS["native"]
THREE = Labels.parse("crack,spalling,rust")


def write(path: Path, values: np.ndarray, *, palette: bool = False) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(values)
    if palette:
        image = image.convert("P")
        image.putpalette([value for i in range(256) for value in (i, 255 - i, (7 * i) % 256)])
    image.save(path)


def photo(seed: int, hw=(24, 32)) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 255, (*hw, 3), dtype=np.uint8)


def index_mask(hw=(24, 32), *, ignored=True) -> np.ndarray:
    mask = np.zeros(hw, np.uint8)
    mask[2:4], mask[8:12, 4:20], mask[16:20, 4:9] = 1, 2, 3
    if ignored:
        mask[:, -6:] = 255
    return mask


@pytest.fixture
def root(tmp_path):
    """Two photos with index masks, in one of which some pixels have no label."""
    for index in range(2):
        write(tmp_path / f"data/images/{index}.png", photo(index))
        write(tmp_path / f"data/masks/{index}.png", index_mask(ignored=index == 0))
    return tmp_path / "data"


def loaded(root, labels, cache, protocol=NATIVE, **options):
    folder = find_pairs(root, labels=labels, **options)
    return load_split(folder, "all", protocol, cache_dir=cache, labels=labels)


# --- names and values ---------------------------------------------------------------------------


def test_names_have_the_values_of_their_places_unless_given():
    assert THREE.values == (1, 2, 3)
    assert Labels.parse("a, b=9 ,c").values == (1, 9, 3)
    assert Labels().default
    assert not Labels(ignore=0).default
    assert Labels.parse("a=255").unlabeled is None
    assert (THREE.unlabeled, replace(THREE, ignore=9).unlabeled) == (255, 9)


@pytest.mark.parametrize(
    ("names", "problem"),
    [
        ("a,,b", "needs a name"),
        ("a/b", "needs a name"),
        ("a,A", "two classes have one name"),
        ("background,a", "is there by itself"),
        ("a=2,b", "two classes have one value: 2, 2"),
        ("a=x", "'x' is no value"),
        ("a=0", "values lie between 1 and 65535"),
    ],
)
def test_names_and_values_that_cannot_be(names, problem):
    with pytest.raises(InputError, match=f"--classes .*{problem}"):
        Labels.parse(names)


def test_a_class_cannot_be_ignored():
    with pytest.raises(InputError, match="is a class and cannot be ignored"):
        Labels.parse("a,b", ignore=2)


# --- ignored pixels -----------------------------------------------------------------------------


def binary(root):
    for index in range(2):
        values = index_mask(ignored=index == 0)
        values[(values > 1) & (values < 255)] = 0
        write(root / f"masks/{index}.png", values)


def test_255_beside_0_and_1_is_ignored(root, tmp_path):
    binary(root)
    images = loaded(root, Labels(), tmp_path)
    assert images.mask_rule == "crack is 1, background 0; 255 is ignored"
    assert [mask.dtype for mask in images.masks] == [bool, bool]
    assert not images.masks[0][:, -6:].any()
    assert [int((~valid).sum()) for valid in images.valid] == [6 * 24, 0]
    assert images.crack_fraction == (2 * 26 + 2 * 32) / (2 * 24 * 32 - 6 * 24)
    again = loaded(root, Labels(), tmp_path)  # from the cache
    assert again.fingerprint == images.fingerprint
    np.testing.assert_array_equal(again.valid, images.valid)


def test_a_second_folder_marks_ignored_pixels(root, tmp_path):
    binary(root)
    by_value = loaded(root, Labels(), tmp_path)
    marked = np.zeros((24, 32), np.uint8)
    marked[:, -6:] = 255
    write(root / "ignored/0.png", marked)
    write(root / "masks/0.png", (index_mask(ignored=False) == 1).astype(np.uint8))
    by_folder = loaded(root, Labels(), tmp_path)
    np.testing.assert_array_equal(by_folder.masks, by_value.masks)
    np.testing.assert_array_equal(by_folder.valid, by_value.valid)
    assert by_folder.fingerprint == by_value.fingerprint
    # The marked pixels belong to the key of the cache.
    write(root / "ignored/0.png", marked[:, ::-1])
    assert not loaded(root, Labels(), tmp_path).valid[0][:, :6].any()
    write(root / "ignored/7.png", marked)
    with pytest.raises(InputError, match=r"ignored/7\.png: has no image"):
        find_pairs(root)


def test_without_ignored_pixels_there_is_no_valid_mask(root, tmp_path):
    binary(root)
    write(root / "masks/0.png", (index_mask(ignored=False) == 1).astype(np.uint8))
    plain = loaded(root, Labels(), tmp_path)
    assert plain.valid is None
    write(root / "ignored/0.png", np.zeros((24, 32), np.uint8))
    assert loaded(root, Labels(), tmp_path).fingerprint == plain.fingerprint
    assert loaded(root, Labels(ignore=9), tmp_path).fingerprint == plain.fingerprint


def test_windows_without_a_valid_pixel_are_left_out(tmp_path):
    mask = np.zeros((512, 1024), np.uint8)
    mask[100:110] = 1
    mask[:, 512:] = 255
    for name, values in {"half": mask, "none": np.full_like(mask, 255)}.items():
        write(tmp_path / f"data/images/{name}.png", photo(1, mask.shape))
        write(tmp_path / f"data/masks/{name}.png", values)
    protocol = replace(PROTOCOLS["crack500"], cracks_only=False)
    images = loaded(tmp_path / "data", Labels(ignore=255), tmp_path, protocol)
    assert images.names == ["images/half_r0_c0"]
    assert [bad.file.name for bad in images.skipped] == ["none.png"]
    assert "no pixel with a label" in images.skipped[0].reason


masks = arrays(np.uint8, (8, 12), elements=st.integers(0, 3))
bools = arrays(np.bool_, (8, 12))


@given(bools)
def test_shrinking_with_everything_valid_is_the_binary_way(mask):
    expected = shrink_mask(mask, (3, 5), 1 / 8)
    for labels in (mask, mask.astype(np.uint8)):
        shrunk, valid = shrink_labels(labels, np.ones_like(mask), (3, 5), 1 / 8)
        np.testing.assert_array_equal(shrunk > 0, expected)
        assert valid is None
    image = np.zeros((8, 12, 3), np.uint8)
    protocol = replace(NATIVE, size_hw=(4, 6))
    ((_, plain),) = prepare_all(image, mask, protocol)
    ((_, same, none),) = prepare_labeled(image, mask, None, protocol)
    np.testing.assert_array_equal(same, plain)
    assert none is None


@given(masks, bools)
def test_shrinking_follows_its_rule_pixel_by_pixel(mask, valid):
    mask[~valid] = 0
    shrunk, kept = shrink_labels(mask, valid, (4, 4), 1 / 4)
    for row in range(4):
        for column in range(4):
            block = np.s_[2 * row : 2 * row + 2, 3 * column : 3 * column + 3]
            known = int(valid[block].sum())
            areas = [int((mask[block] == number).sum()) for number in (1, 2, 3)]
            is_kept = 2 * known >= 6
            expected = 1 + int(np.argmax(areas)) if 4 * sum(areas) >= known else 0
            assert shrunk[row, column] == (expected if is_kept else 0)
            assert (kept is None or kept[row, column]) == is_kept


@given(masks)
def test_overlapping_classes_are_shrunk_each_by_itself(mask):
    shrunk, _ = shrink_labels(mask, None, (2, 3), 1 / 8, overlapping=True)
    for bit in (0, 1):
        alone = shrink_mask(((mask >> bit) & 1) > 0, (2, 3), 1 / 8)
        np.testing.assert_array_equal(((shrunk >> bit) & 1) > 0, alone)


# --- classes ------------------------------------------------------------------------------------


@pytest.mark.parametrize("palette", [False, True], ids=["gray", "palette"])
def test_index_masks_are_classes(root, tmp_path, palette):
    for index in range(2):
        write(root / f"masks/{index}.png", index_mask(ignored=index == 0), palette=palette)
    images = loaded(root, THREE, tmp_path)
    assert images.mask_rule == (
        "crack is 1, spalling is 2, rust is 3, background 0; 255 is ignored (9.4% of the pixels)"
    )
    np.testing.assert_array_equal(images.masks[1], index_mask(ignored=False))
    assert images.masks[1].dtype == np.uint8
    np.testing.assert_array_equal(images.valid[0], index_mask() != 255)
    fractions = images.class_fractions
    assert list(fractions) == ["crack", "spalling", "rust"]
    assert sum(fractions.values()) == pytest.approx(images.crack_fraction)
    rust = images.of_class("rust")
    np.testing.assert_array_equal(rust.masks[1], index_mask() == 3)
    assert rust.crack_fraction == fractions["rust"]
    assert rust.classes == ()
    assert rust.fingerprint != images.fingerprint


def test_values_and_names_change_the_set(root, tmp_path):
    swapped = loaded(root, Labels.parse("rust=3,spalling=2,crack=1"), tmp_path)
    np.testing.assert_array_equal(swapped.masks[1] == 1, index_mask(ignored=False) == 3)
    names = loaded(root, Labels.parse("a,b,c"), tmp_path)
    assert names.fingerprint != loaded(root, THREE, tmp_path).fingerprint


def test_values_that_are_no_class_are_named(root):
    with pytest.raises(
        InputError, match=r"masks/0\.png, masks/1\.png hold 3, which is no class.*--ignore"
    ):
        loaded(root, Labels.parse("crack,spalling"), root.parent)
    with pytest.raises(InputError, match=r"no mask marks any moss. The values .* 0, 1, 2, 3 and"):
        loaded(root, Labels.parse("crack,spalling,rust,moss"), root.parent)
    Image.fromarray(index_mask()).save(root / "masks/0.jpg", quality=60)
    (root / "masks/0.png").unlink()
    with pytest.raises(InputError, match="JPEG changes values"):
        loaded(root, THREE, root.parent)


def test_overlapping_classes_have_a_folder_each(root, tmp_path):
    labels = Labels.parse("crack,rust", overlapping=True)
    crack, rust = np.zeros((2, 24, 32), np.uint8)
    crack[4:8], rust[6:12] = 255, 255
    for index in range(2):
        write(root / f"labels/crack/{index}.png", crack)
    write(root / "labels/Rust/0.png", rust)
    for file in (root / "masks").iterdir():
        file.unlink()
    with pytest.raises(InputError, match=r"images/1\.png: has no mask"):
        find_pairs(root, labels=labels)
    images = loaded(root, labels, tmp_path, empty_if_missing=True)
    np.testing.assert_array_equal(images.masks[0], (crack > 0) + 2 * (rust > 0))
    np.testing.assert_array_equal(images.masks[1], crack > 0)
    assert images.class_fractions == {"crack": 4 / 24, "rust": 3 / 24}
    np.testing.assert_array_equal(images.of_class("rust").masks[0], rust > 0)


# --- photos that need no mask -------------------------------------------------------------------


def test_empty_if_missing(root, tmp_path):
    binary(root)
    write(root / "images/clean.png", photo(5))
    with pytest.raises(InputError, match=r"(?s)images/clean\.png: has no mask.*--empty-if-missing"):
        find_pairs(root)
    folder = find_pairs(root, empty_if_missing=True)
    assert "images without masks and without crack, by --empty-if-missing" in folder.layout
    images = load_split(folder, "all", NATIVE, cache_dir=tmp_path)
    assert images.names == ["images/0", "images/1", "images/clean"]
    assert not images.masks[2].any()
    write(root / "masks/other.png", index_mask())  # a misspelled name is no photo without crack
    with pytest.raises(InputError, match=r"masks/other\.png: has no image"):
        find_pairs(root, empty_if_missing=True)


def test_a_folder_good_needs_no_masks(tmp_path):
    root = tmp_path / "tile"
    for index in range(3):
        write(root / f"train/images/good/{index:03}.png", photo(index))
        write(root / f"test/images/good/{index:03}.png", photo(10 + index))
        write(root / f"test/images/crack/{index:03}.png", photo(20 + index))
        mask = (index_mask(ignored=False) == 1).astype(np.uint8) * 255
        write(root / f"test/masks/crack/{index:03}.png", mask)
    folder = find_pairs(root)
    assert "train/images/good without masks and without crack, in a folder 'good'" in folder.layout
    test = load_split(folder, "test", NATIVE, cache_dir=tmp_path)
    assert [mask.any() for mask in test.masks] == [True] * 3 + [False] * 3
    assert len(folder.splits["train"]) == 3
