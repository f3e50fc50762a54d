"""A split from folder to arrays: real figures, faults, the cache."""

import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fissura.data.folder import find_pairs
from fissura.data.preparation.load import default_cache_dir, load_split
from fissura.data.preparation.protocols import PROTOCOLS
from fissura.errors import InputError

SHARED = Path(__file__).resolve().parents[3].parent / "shared" / "data"
NATIVE = PROTOCOLS["native"]


def draw(root: Path, name: str, *, hw=(20, 30), crack=True, value=255, at=3) -> None:
    for part in ("images", "masks"):
        (root / part / name).parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(zlib.crc32(name.encode())).integers(
        0, 256, (*hw, 3), dtype=np.uint8
    )
    Image.fromarray(noise).save(root / f"images/{name}.png")
    mask = np.zeros(hw, np.uint8)
    mask[at] = value * crack
    Image.fromarray(mask).save(root / f"masks/{name}.png")


@pytest.fixture
def root(tmp_path) -> Path:
    for index in range(10):
        draw(tmp_path / "data", str(index), at=index)
    return tmp_path / "data"


@pytest.fixture
def cache_dir(tmp_path) -> Path:
    return tmp_path / "cache"


def test_what_is_loaded(root, cache_dir):
    loaded = load_split(find_pairs(root), "all", NATIVE, cache_dir=cache_dir)
    assert loaded.names == loaded.groups == [f"images/{index}" for index in range(10)]
    assert len(loaded) == 10
    assert loaded.uniform
    assert loaded.scale == 1
    assert loaded.crack_fraction == 1 / 20
    assert loaded.mask_rule == "crack is 255, background 0"
    assert loaded.skipped == []
    for index, (image, mask) in enumerate(zip(loaded.images, loaded.masks, strict=True)):
        np.testing.assert_array_equal(image, np.asarray(Image.open(root / f"images/{index}.png")))
        assert (mask[index].all(), mask.sum()) == (True, 30)


def test_a_split_is_made_where_there_is_none(root, cache_dir):
    folder = find_pairs(root)
    train, test = (
        load_split(folder, split, NATIVE, cache_dir=cache_dir) for split in ("train", "test")
    )
    assert (len(train), len(test)) == (8, 2)
    assert not set(train.names) & set(test.names)
    assert "20% of the images for testing" in test.split_rule
    assert test.split_rule.endswith("seed 0")
    other = load_split(folder, "test", NATIVE, cache_dir=cache_dir, split_seed=3)
    assert other.names != test.names
    assert other.split_rule.endswith("seed 3")


def test_own_groups_are_kept(root, cache_dir):
    halves = load_split(
        find_pairs(root), "test", NATIVE, cache_dir=cache_dir,
        group_of=lambda name: str(int(name[-1]) // 5),
    )  # fmt: skip
    assert len(halves) == 5
    assert len(set(halves.groups)) == 1


def test_the_folders_own_split(root, cache_dir):
    for split in ("train", "test"):
        draw(root / split, "1")
    folder = find_pairs(root, skip_bad=True)
    test = load_split(folder, "test", NATIVE, cache_dir=cache_dir)
    assert test.names == ["test/images/1"]
    assert test.split_rule == "the folder's own split 'test'"
    assert len(test.skipped) == 10  # the pairs outside train and test
    with pytest.raises(InputError, match="has no split 'val'; it has train, test"):
        load_split(folder, "val", NATIVE, cache_dir=cache_dir)


def test_no_validation_split_in_a_flat_folder(root, cache_dir):
    with pytest.raises(InputError, match="has no split 'val'; it has train, test"):
        load_split(find_pairs(root), "val", NATIVE, cache_dir=cache_dir)


def test_the_rule_holds_for_all_splits(tmp_path, cache_dir):
    draw(tmp_path / "data/train", "1", value=1)
    draw(tmp_path / "data/test", "1", crack=False)
    folder = find_pairs(tmp_path / "data")
    test = load_split(folder, "test", NATIVE, cache_dir=cache_dir)
    assert test.mask_rule == "crack is 1, background 0"
    assert test.crack_fraction == 0


def test_tiles_scales_and_cracks_only(tmp_path, cache_dir):
    draw(tmp_path / "data", "wide", hw=(200, 400))
    draw(tmp_path / "data", "empty", hw=(256, 256), crack=False)
    half = np.zeros((200, 400), np.uint8)
    half[40:80, 350:] = 255
    draw(tmp_path / "data", "half", hw=(200, 400))
    Image.fromarray(half).save(tmp_path / "data/masks/half.png")
    loaded = load_split(
        find_pairs(tmp_path / "data"), "all", PROTOCOLS["crack500"], cache_dir=cache_dir
    )
    assert loaded.names == ["images/half_r0_c1", "images/wide_r0_c0", "images/wide_r0_c1"]
    assert loaded.groups == ["images/half", "images/wide", "images/wide"]
    assert loaded.scale == 128 / 200
    everything = replace(PROTOCOLS["crack500"], cracks_only=False)
    assert (
        len(load_split(find_pairs(tmp_path / "data"), "all", everything, cache_dir=cache_dir)) == 5
    )


def test_nothing_with_a_crack_is_left(tmp_path, cache_dir):
    draw(tmp_path / "data/train", "1", hw=(128, 128))
    draw(tmp_path / "data/test", "1", hw=(128, 128), crack=False)
    with pytest.raises(InputError, match=r"No image in the split 'test' of .* none shows a crack"):
        load_split(
            find_pairs(tmp_path / "data"), "test", PROTOCOLS["crack500"], cache_dir=cache_dir
        )


def cut_off(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-30])  # the header is whole, the pixels are not


@pytest.mark.parametrize("which", ["images", "masks"])
def test_truncated_files(root, cache_dir, which):
    cut_off(root / which / "4.png")
    folder = find_pairs(root)
    with pytest.raises(InputError, match=rf"1 file .*:\s+{which}/4\.png: cannot be read, "):
        load_split(folder, "all", NATIVE, cache_dir=cache_dir)
    for _ in ("fresh", "cached"):
        loaded = load_split(folder, "all", NATIVE, cache_dir=cache_dir, skip_bad=True)
        assert len(loaded) == 9
        assert [bad.file for bad in loaded.skipped] == [root / which / "4.png"]
    with pytest.raises(InputError, match="cannot be used"):
        load_split(folder, "all", NATIVE, cache_dir=cache_dir)


def test_all_truncated(root, cache_dir):
    folder = find_pairs(root)
    for path in root.glob("masks/*"):
        cut_off(path)
    with pytest.raises(InputError, match=r"(?s)10 files .*and 5 more"):
        load_split(folder, "all", NATIVE, cache_dir=cache_dir, skip_bad=True)


def test_photos_too_small_for_the_protocol_are_named(root, cache_dir):
    draw(root, "big", hw=(128, 128))
    folder = find_pairs(root)
    with pytest.raises(InputError, match=r"(?s)10 files.*images/0\.png: A photo of 30×20 pixels"):
        load_split(folder, "all", PROTOCOLS["panel128"], cache_dir=cache_dir)
    loaded = load_split(folder, "all", PROTOCOLS["panel128"], cache_dir=cache_dir, skip_bad=True)
    assert loaded.names == ["images/big"]


def test_too_much_for_the_memory(root, cache_dir, monkeypatch):
    monkeypatch.setattr("fissura.data.preparation.load.memory_of_machine", lambda: 8.0 * 6000 - 1)
    with pytest.raises(InputError, match=r"The images .* Take a --protocol"):
        load_split(find_pairs(root), "all", NATIVE, cache_dir=cache_dir)


def test_subset_and_fingerprint(root, cache_dir):
    loaded = load_split(find_pairs(root), "all", NATIVE, cache_dir=cache_dir)
    part = loaded.subset([3, 1])
    assert part.names == ["images/3", "images/1"]
    assert part.masks[0] is loaded.masks[3]
    assert part.fingerprint == loaded.subset([3, 1]).fingerprint != loaded.fingerprint
    assert len(loaded.fingerprint) == 64
    assert loaded.subset([1, 3]).fingerprint != part.fingerprint


def test_differing_sizes(root, cache_dir):
    draw(root, "large", hw=(40, 50))
    for _ in ("fresh", "cached"):
        loaded = load_split(find_pairs(root), "all", NATIVE, cache_dir=cache_dir)
        assert not loaded.uniform
        assert loaded.images[-1].shape == (40, 50, 3)


def refuse(*_):
    raise AssertionError("decoded although it is in the cache")


def test_the_cache_saves_the_decoding(root, cache_dir, monkeypatch):
    fresh = load_split(find_pairs(root), "train", NATIVE, cache_dir=cache_dir)
    assert len(list(cache_dir.iterdir())) == 1
    monkeypatch.setattr("fissura.data.preparation.prepare.read_with_masks", refuse)
    monkeypatch.setattr("fissura.data.preparation.prepare.read_mask", refuse)
    cached = load_split(find_pairs(root), "train", NATIVE, cache_dir=cache_dir)
    assert cached.fingerprint == fresh.fingerprint
    assert cached.masks[0].dtype == bool
    assert (cached.mask_rule, cached.scale, cached.groups) == (
        fresh.mask_rule, fresh.scale, fresh.groups,
    )  # fmt: skip
    moved = root.rename(root.with_name("moved"))
    assert load_split(find_pairs(moved), "train", NATIVE, cache_dir=cache_dir).names == fresh.names


def test_changed_content_or_options_are_noticed(root, cache_dir):
    first = load_split(find_pairs(root), "all", NATIVE, cache_dir=cache_dir)
    draw(root, "0", at=7)
    second = load_split(find_pairs(root), "all", NATIVE, cache_dir=cache_dir)
    assert second.fingerprint != first.fingerprint
    assert second.masks[0][7].all()
    load_split(find_pairs(root), "all", replace(NATIVE, cracks_only=True), cache_dir=cache_dir)
    assert len(list(cache_dir.iterdir())) == 3


@pytest.mark.parametrize("damage", ["cut", "empty", "garbage", "flip"])
def test_a_damaged_cache_is_rebuilt(root, cache_dir, damage):
    fresh = load_split(find_pairs(root), "all", NATIVE, cache_dir=cache_dir)
    (entry,) = cache_dir.iterdir()
    content = bytearray(entry.read_bytes())
    if damage == "flip":
        content[len(content) // 2] ^= 1
    changed = {"cut": content[:3000], "empty": b"", "garbage": b"x" * 500, "flip": content}[damage]
    entry.write_bytes(changed)
    assert (
        load_split(find_pairs(root), "all", NATIVE, cache_dir=cache_dir).fingerprint
        == fresh.fingerprint
    )
    assert len(entry.read_bytes()) == len(content)


def test_a_cache_that_cannot_be_written_is_no_error(root, tmp_path):
    (tmp_path / "file").write_text("not a folder")
    assert len(load_split(find_pairs(root), "all", NATIVE, cache_dir=tmp_path / "file")) == 10


def test_default_cache_dir(monkeypatch, tmp_path):
    monkeypatch.setenv("FISSURA_CACHE", str(tmp_path / "own"))
    assert default_cache_dir() == tmp_path / "own"
    monkeypatch.delenv("FISSURA_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_cache_dir() == tmp_path / "fissura"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert default_cache_dir() == Path.home() / ".cache/fissura"


@pytest.mark.parametrize(
    ("name", "protocol", "split", "count", "fraction", "scale"),
    [
        ("deepcrack", "deepcrack96", "train", 300, 0.0447, 0.25),
        pytest.param(
            *("deepcrack", "deepcrack96", "test", 237, 0.0602, 0.25), marks=pytest.mark.slow
        ),
        pytest.param(
            *("crack500", "crack500", "train", 1332, 0.0920, 128 / 360), marks=pytest.mark.slow
        ),
        pytest.param(
            *("crack500", "crack500", "test", 422, 0.0950, 128 / 360), marks=pytest.mark.slow
        ),
        ("magnetic_tile/mt_crack", "native", "all", 57, 0.0037, 1.0),
    ],
)
def test_real_data(cache_dir, name, protocol, split, count, fraction, scale):
    if not (SHARED / name).is_dir():
        pytest.skip(f"{SHARED / name} is not on this machine")
    loaded = load_split(find_pairs(SHARED / name), split, PROTOCOLS[protocol], cache_dir=cache_dir)
    assert len(loaded) == count
    assert loaded.crack_fraction == pytest.approx(fraction, abs=6e-5)
    assert loaded.scale == scale
    assert loaded.mask_rule == "crack is 255, background 0"


def test_an_all_empty_real_set(cache_dir):
    if not (SHARED / "magnetic_tile").is_dir():
        pytest.skip(f"{SHARED / 'magnetic_tile'} is not on this machine")
    with pytest.raises(InputError, match=r"mt_free: no mask marks any crack"):
        load_split(find_pairs(SHARED / "magnetic_tile/mt_free"), "all", NATIVE, cache_dir=cache_dir)
