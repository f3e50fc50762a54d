"""Shards are the same everywhere, hold every photo once, and have about as many pixels."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fissura.errors import InputError
from fissura.spread.options import Shard, SpreadOptions
from fissura.spread.parts import FIXED, assign, part_of

SIZES = st.lists(st.integers(0, 10**8), min_size=1, max_size=40)


@pytest.mark.parametrize("text", ["0/4", "5/4", "1", "1/0", "-1/2", "a/b", "1/2/3", ""])
def test_what_is_no_shard_is_refused(text):
    with pytest.raises(InputError, match="--shard"):
        SpreadOptions(shard=text)


@given(SIZES, st.integers(1, 8), st.randoms())
def test_the_order_of_the_photos_plays_no_part(pixels, count, random):
    names = [f"photo {number}" for number in range(len(pixels))]
    shards = dict(zip(names, assign(names, pixels, count), strict=True))
    assert set(shards.values()) <= set(range(1, count + 1))
    order = list(range(len(names)))
    random.shuffle(order)
    again = assign([names[one] for one in order], [pixels[one] for one in order], count)
    assert {names[one]: shard for one, shard in zip(order, again, strict=True)} == shards


@given(SIZES, st.integers(1, 8))
def test_no_shard_has_more_than_the_least_one_and_a_photo(pixels, count):
    names = [f"{number:03}" for number in range(len(pixels))]
    loads = [0] * count
    for size, shard in zip(pixels, assign(names, pixels, count), strict=True):
        loads[shard - 1] += size + FIXED
    assert max(loads) - min(loads) <= max(pixels) + FIXED


def test_parts_are_made_of_headers_alone(tmp_path):
    names = {}
    for number in range(6):
        file = tmp_path / f"{number}.png"
        cv2.imwrite(str(file), np.zeros((20 + 90 * number, 50), np.uint8))
        file.write_bytes(file.read_bytes()[:60])  # the header is whole, the pixels are not
        names[file] = f"{number}"
    (tmp_path / "bad.png").write_bytes(b"nothing")
    names[tmp_path / "bad.png"] = "bad"
    parts = [part_of(names, Shard(index, 3)) for index in (1, 2, 3)]
    numbers = [number for part in parts for number in part.numbers.values()]
    assert sorted(numbers) == list(range(7))
    assert {part.digest for part in parts} == {parts[0].digest}
    assert parts[0].photos == 7
    assert {name for part in parts for name in part.names.values()} == set(names.values())
    fewer = part_of({file: name for file, name in names.items() if name != "bad"}, Shard(1, 3))
    assert fewer.digest != parts[0].digest
