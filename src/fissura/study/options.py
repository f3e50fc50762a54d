"""`Budget` and `StudyOptions`: the size and the options of a study, importable without torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fissura.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Budget:
    """The size of a study's trainings; None leaves an option as the recipe has it."""

    epochs: int | None = None
    """How many times each training image is seen."""

    width: int | None = None
    """Channels of CrackSeg's U-Net basis at full size."""

    panels: int | None = None
    """Number of synthetic panels to draw, where the recipe has any."""

    pretrained: bool | None = None
    """Start networks other than CrackSeg from ImageNet weights; they are downloaded on first
    use."""

    area_threshold: float | None = None
    """Fraction of a shrunken pixel's area that must be crack to call it crack."""


@dataclass(frozen=True, kw_only=True)
class StudyOptions:
    """The options of `fissura study`, but for the budget."""

    data: Path | None = None
    """Folder of your images, or that holds the data sets of the recipe, each in a folder of its
    name."""

    runs: int | None = None
    """Trainings per row of the recipe, with different seeds; as many as the recipe says, or ten,
    unless given."""

    first_seed: int = 0
    """The seeds count up from this one."""

    only: tuple[str, ...] = ()
    """Names of the rows to train; all unless given."""

    workers: int | None = None
    """Trainings at once, each in a process of its own; one per core on a CPU, and one on a GPU,
    unless given."""

    ray: str | None = None
    """Do the trainings on a Ray cluster: its address, or nothing for the one at hand, as of
    `fissura inspect`; docs/machines.md. They are as many at once as it has processors, or GPUs."""

    device: str = "auto"
    """Where to compute: auto, cpu or cuda."""

    estimate: bool = False
    """Only tell what the study will cost, by timed steps on this machine, and train nothing."""

    def __post_init__(self) -> None:
        if self.runs is not None and self.runs < 1:
            raise InputError(f"--runs is {self.runs}; a row needs at least one.")
        if self.first_seed < 0:
            raise InputError(f"--first-seed is {self.first_seed}; it must be 0 or more.")
        if self.workers is not None and self.workers < 1:
            raise InputError(f"--workers is {self.workers}; it must be at least 1.")
