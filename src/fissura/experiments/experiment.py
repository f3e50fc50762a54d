"""An experiment as a value: data and configuration; with a seed, one run."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from fissura.training.options import ProtocolName, TrainOptions

# What a machine or a user decides about how to compute; the same run on any machine is one run.
NOT_IDENTITY = ("seed", "accelerator", "devices", "nodes", "skip_bad")


@dataclass(frozen=True)
class Panels:
    """How synthetic panels of 128×128 are drawn: `synthetic.dataset.synth` with seed 0."""

    crack_fraction: float
    count: int = 2051


@dataclass(frozen=True)
class DataSet:
    """A set of images that experiments name.

    name:     also the folder, below the user's data folder, or below the study's for `panels`.
    title:    as tables call it.
    protocol: how photos become training images.
    crop:     side of the random crops in training, or None.
    panels:   how to draw it, where it is synthetic.
    """

    name: str
    title: str
    protocol: ProtocolName
    crop: int | None = None
    panels: Panels | None = None


@dataclass(frozen=True)
class Experiment:
    """What is trained, but for the seed."""

    data: DataSet
    config: TrainOptions

    def at(self, **options: Any) -> Experiment:
        """Return the same with other options of the configuration."""
        return replace(self, config=replace(self.config, **options))

    def identity(self) -> dict[str, Any]:
        """Return what makes two experiments the same: data, and every option that matters.

        Options that have their default are left out, so that an option which a later version adds
        does not make strangers of results that are there.
        """
        defaults = {entry.name: entry.default for entry in fields(TrainOptions)}
        options = {
            name: value
            for name, value in asdict(self.config).items()
            if name not in NOT_IDENTITY and value != defaults[name]
        }
        return {"data": self.data.name, "loss": self.config.loss, **options}


@dataclass(frozen=True)
class Run:
    """One training of a study."""

    experiment: Experiment
    seed: int

    @property
    def config(self) -> TrainOptions:
        """The configuration with this run's seed."""
        return replace(self.experiment.config, seed=self.seed)

    @property
    def key(self) -> str:
        """Name of the run's files: what a person looks for, and a hash of everything.

        >>> from fissura.experiments.datasets import DEEPCRACK
        >>> Run(Experiment(DEEPCRACK, TrainOptions(loss="bce", protocol="deepcrack96")), 3).key
        'deepcrack-bce-100ep-s3-addba734'
        """
        identity = self.experiment.identity()
        digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
        margin = f"-m{identity['margin']}" if "margin" in identity else ""
        model = "" if self.config.model == "crackseg" else f"-{self.config.model}"
        return (
            f"{self.experiment.data.name}{model}-{self.config.loss}{margin}"
            f"-{self.config.epochs}ep-s{self.seed}-{digest[:8]}"
        ).replace(":", "_")
