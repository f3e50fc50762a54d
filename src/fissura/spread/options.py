"""Options of work that is spread over machines, without anything heavy."""

from __future__ import annotations

import re
from dataclasses import dataclass

from fissura.errors import InputError


@dataclass(frozen=True, kw_only=True)
class SpreadOptions:
    """How photos are spread over machines; by default they are not."""

    shard: str | None = None
    """One of N parts of the photos, as 2/4: it alone is worked on, into a folder of its own, and
    `fissura merge` joins the folders of all. Every machine finds the same parts by itself."""

    def __post_init__(self) -> None:
        if self.shard is not None:
            Shard.parse(self.shard)


@dataclass(frozen=True)
class Shard:
    """One of several parts of a list of photos.

    Attributes:
        index: Its number, from 1.
        count: Number of the parts.
    """

    index: int
    count: int

    @classmethod
    def parse(cls, text: str) -> Shard:
        """Read a shard as it is written on the command line.

        Raises:
            InputError: It is none.

        >>> Shard.parse("2/4")
        Shard(index=2, count=4)
        """
        found = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", text.strip())
        if found is None or not 1 <= int(found[1]) <= int(found[2]):
            raise InputError(
                f"--shard {text}: write the number of the part and how many there are, such as 1/4 "
                "to 4/4."
            )
        return cls(int(found[1]), int(found[2]))

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"
