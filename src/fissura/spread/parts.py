"""Which photos a shard has: as many pixels as every other, the same ones on every machine."""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from fissura.data.images import count_pixels
from fissura.spread.options import Shard

READERS = 16  # headers that are read at once: on a network the answer takes longer than the work
FIXED = 2**17  # pixels that a photo costs beyond its own, so that small ones are spread as well


@dataclass(frozen=True)
class Part:
    """The photos of a shard.

    Attributes:
        shard: Which one it is.
        names: Its photos, and the names of their results, in the order of all.
        numbers: Number of each of its photos among all, from 0.
        photos: Number of the photos of all shards.
        digest: Hash of the names and sizes of all photos; shards of one list have the same.
    """

    shard: Shard
    names: dict[Path, str]
    numbers: dict[Path, int]
    photos: int
    digest: str


def part_of(names: Mapping[Path, str], shard: Shard) -> Part:
    """Find the photos of a shard.

    Only headers are read. A photo that cannot be read belongs to a shard like every other, which
    will tell why.

    Args:
        names: All photos, and the names of their results.
        shard: The shard.
    """
    with ThreadPoolExecutor(READERS) as readers:
        pixels = list(readers.map(count_pixels, names))
    listed = list(names.values())
    said = "".join(f"{name}\t{size}\n" for name, size in zip(listed, pixels, strict=True))
    shards = assign(listed, pixels, shard.count)
    own = {
        file: number
        for number, (file, index) in enumerate(zip(names, shards, strict=True))
        if index == shard.index
    }
    return Part(
        shard=shard,
        names={file: names[file] for file in own},
        numbers=own,
        photos=len(names),
        digest=hashlib.sha256(said.encode("utf-8", "surrogateescape")).hexdigest(),
    )


def assign(names: Sequence[str], pixels: Sequence[int], count: int) -> list[int]:
    """Give each photo to a shard, so that all shards have about as many pixels.

    The largest photo goes first, each to the shard that has least (R. L. Graham, Bounds on
    multiprocessing timing anomalies, SIAM J. Appl. Math. 17, 1969): no shard has more than 4/3 of
    the best that is possible. Photos of one size go round in the order of their names. The order
    in which they are given plays no part.

    Args:
        names: Of the photos, each once.
        pixels: Of each photo.
        count: Number of shards.

    Returns:
        The number of the shard of each photo, from 1.

    >>> assign(["a", "b", "c", "d"], [10, 10, 10, 10], 2)
    [1, 2, 1, 2]
    """
    loads = [(0, index) for index in range(1, count + 1)]
    shards = [0] * len(names)
    for number in sorted(range(len(names)), key=lambda one: (-pixels[one], names[one])):
        load, index = heapq.heappop(loads)
        shards[number] = index
        heapq.heappush(loads, (load + pixels[number] + FIXED, index))
    return shards
