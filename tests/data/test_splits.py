"""Splits are partitions, keep groups whole, and depend on nothing but names and seed."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fissura.data.splits import group_of, split_groups
from fissura.errors import InputError


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("exp1_num_249594", "exp6_num_249821"),
        ("20160222_081011_1_361", "20160222_081011_1281_721"),
        ("20160222_081011", "20160222_081011_641_1"),
        ("11215-7", "11215-12"),
        ("11116", "11116-4"),
        ("IMG_6472-3", "IMG_6472-8"),
        ("img_003_r2_c1", "img_003_r0_c0"),
        ("img_003_x0_y512", "img_003_x512_y0"),
        ("wall_tile3", "wall_tile_12"),
        ("wall_patch_0_1", "wall"),
        ("wall_aug1", "wall_hflip"),
        ("wall_r0_c1_flip", "wall_r3_c3"),
        ("wall_jpg.rf.0a1b2c", "wall_jpg.rf.ffee11"),
        ("train/images/11215-7", "train/images/11215-8"),
    ],
)
def test_images_of_one_thing(first, second):
    assert group_of(first) == group_of(second)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("1", "2"),
        ("IMG_0001", "IMG_0002"),
        ("DSC-1", "DSC-2"),
        ("20160222_081011_1_361", "20160222_081012_1_361"),
        ("11215-7", "11216-7"),
        ("2016-02-22", "2016-02-23"),
        ("img_003_r2_c1", "img_004_r2_c1"),
        ("a/1", "b/1"),
        ("exp1_num_3191", "exp1_num_32128"),
        ("crack1", "crack2"),
        ("_r0_c0", "_r0_c1x"),
    ],
)
def test_images_of_different_things(first, second):
    assert group_of(first) != group_of(second)


names = st.lists(
    st.builds(lambda photo, tile: f"wall{photo}_tile{tile}", st.integers(0, 30), st.integers(0, 5)),
    min_size=1,
    max_size=60,
    unique=True,
)
wanted = st.dictionaries(
    st.sampled_from(["train", "val", "test"]), st.floats(0.05, 1), min_size=1, max_size=3
)


@given(names=names, fractions=wanted, seed=st.integers(0, 2**32), order=st.randoms())
@settings(deadline=None)
def test_splits(names: list[str], fractions: dict[str, float], seed: int, order: random.Random):
    groups = {group_of(name) for name in names}
    if len(groups) < len(fractions):
        with pytest.raises(InputError, match="cannot be split"):
            split_groups(names, fractions, seed)
        return
    chosen = split_groups(names, fractions, seed)
    assert list(chosen) == list(fractions)
    assert sorted(index for split in chosen.values() for index in split) == list(range(len(names)))
    assert all(split and split == sorted(split) for split in chosen.values())
    by_split = [{group_of(names[index]) for index in split} for split in chosen.values()]
    assert sum(map(len, by_split)) == len(groups)
    shuffled = order.sample(names, len(names))
    again = split_groups(shuffled, fractions, seed)
    for split, indices in chosen.items():
        assert {names[i] for i in indices} == {shuffled[i] for i in again[split]}


@given(count=st.integers(10, 200), fraction=st.floats(0.1, 0.9), seed=st.integers(0, 99))
@settings(deadline=None)
def test_single_images_hit_the_fraction(count: int, fraction: float, seed: int):
    chosen = split_groups([str(i) for i in range(count)], {"a": fraction, "b": 1 - fraction}, seed)
    assert abs(len(chosen["a"]) - fraction * count) <= 1


@given(names=names, seed=st.integers(0, 99))
@settings(deadline=None)
def test_groups_miss_the_fraction_by_no_more_than_a_group(names: list[str], seed: int):
    sizes = [sum(group_of(other) == group_of(name) for other in names) for name in names]
    if len({group_of(name) for name in names}) < 4:
        return
    chosen = split_groups(names, {"train": 0.8, "val": 0.2}, seed)
    assert abs(len(chosen["val"]) - 0.2 * len(names)) <= max(sizes)


def test_the_split_is_the_same_for_ever():
    chosen = split_groups([str(i) for i in range(10)], {"train": 0.8, "test": 0.2}, seed=0)
    assert chosen["test"] == [0, 1]
    other = split_groups([str(i) for i in range(10)], {"train": 0.8, "test": 0.2}, seed=2)
    assert other != chosen


def test_own_groups():
    names = ["a1", "a2", "b1", "b2", "c1", "c2"]
    chosen = split_groups(names, {"train": 2, "test": 1}, 0, group_of=lambda name: name[0])
    assert len(chosen["train"]) == 4
    assert len({names[i][0] for i in chosen["test"]}) == 1


def test_one_photo_cannot_be_split():
    with pytest.raises(InputError, match=r"^2 images cannot .* only 1 photo \(wall\), and tiles"):
        split_groups(["wall_r0_c0", "wall_r0_c1"], {"train": 0.8, "test": 0.2}, 0)
    with pytest.raises(ValueError, match="positive"):
        split_groups(["1"], {"train": 0.0}, 0)
