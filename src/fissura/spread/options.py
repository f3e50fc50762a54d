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

    ray: str | None = None
    """Work on a Ray cluster: its address (auto, local, ray://HOST:10001 or HOST:6379). Without one
    it is auto: the cluster at hand, and where there is none one on this machine. Photos may then be
    an address of an object store, such as s3://bucket/photos."""

    workers: int | None = None
    """Workers of the cluster, each with the model; by default as many as it has room for now."""

    max_workers: int | None = None
    """Workers that it may grow to, where the cluster scales itself; by default --workers."""

    cpus_per_worker: float = 1
    """Processors of a worker."""

    gpus_per_worker: float = 0
    """GPUs of a worker; 0.5 lets two workers share one."""

    def __post_init__(self) -> None:
        if self.shard is not None:
            Shard.parse(self.shard)
            if self.ray is not None:
                raise InputError(
                    "--shard is for machines that don't know of each other, and --ray for those of "
                    "a cluster. Use one of them."
                )
        for name, least in (("workers", 1), ("max_workers", self.workers or 1)):
            value = getattr(self, name)
            if value is not None and value < least:
                option = name.replace("_", "-")
                raise InputError(f"--{option} is {value}; it must be at least {least}.")
        if self.cpus_per_worker <= 0 or self.gpus_per_worker < 0:
            raise InputError(
                "--cpus-per-worker must be above 0, and --gpus-per-worker 0 or more; they are "
                f"{self.cpus_per_worker:g} and {self.gpus_per_worker:g}."
            )


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
