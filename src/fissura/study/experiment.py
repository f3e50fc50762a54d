"""Experiments, which are data and options of a training, and runs, which add a seed and a key."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from fissura.errors import InputError
from fissura.study.data import DataSet
from fissura.training.options import TrainOptions

# Options by which a machine or a user decides how to compute: the same run on any machine is one.
NOT_IDENTITY = ("seed", "accelerator", "devices", "nodes", "skip_bad")


@dataclass(frozen=True)
class Experiment:
    """A training without its seed.

    Attributes:
        data: The images.
        config: All other options of the training.
    """

    data: DataSet
    config: TrainOptions

    def at(self, **options: Any) -> Experiment:
        """Return the same experiment with other options of the training."""
        return replace(self, config=replace(self.config, **options))

    def identity(self) -> dict[str, Any]:
        """Return what makes two experiments the same: data, and every option that matters.

        Options that have their default are left out. So an option that a later version adds does
        not change the keys of results that are there; nor does a default that has changed since,
        as that of `validation`, which counts as 0 here, and of `model`, which counts as crackseg.
        """
        defaults = {entry.name: entry.default for entry in fields(TrainOptions)}
        defaults |= {"validation": 0, "model": "crackseg"}
        options = {
            name: value
            for name, value in (asdict(self.config) | {"model": self.config.network}).items()
            if name not in NOT_IDENTITY and value != defaults[name]
        }
        return {"data": self.data.name, "loss": self.config.loss, **options}


@dataclass(frozen=True)
class Run:
    """One training of a study: an experiment with a seed.

    Attributes:
        experiment: Data and options.
        seed: Of initial weights, batches and augmentation.
    """

    experiment: Experiment
    seed: int

    @property
    def config(self) -> TrainOptions:
        """The options of the training with this run's seed."""
        return replace(self.experiment.config, seed=self.seed)

    @property
    def key(self) -> str:
        """Name of the run's files: words that a person looks for, and a hash of the identity.

        >>> deepcrack = DataSet("deepcrack", protocol="deepcrack96")
        >>> Run(experiment(deepcrack, width=None, loss="bce"), 3).key
        'deepcrack-bce-100ep-s3-addba734'
        """
        identity = self.experiment.identity()
        digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
        margin = f"-m{identity['margin']}" if "margin" in identity else ""
        model = "" if self.config.network == "crackseg" else f"-{self.config.network}"
        return (
            f"{self.experiment.data.name}{model}-{self.config.loss}{margin}"
            f"-{self.config.epochs}ep-s{self.seed}-{digest[:8]}"
        ).replace(":", "_")


def experiment(data: DataSet, **options: Any) -> Experiment:
    """Return a training as the paper's: CrackSeg of width 16, 100 epochs, all images trained on.

    Args:
        data: The images; they decide protocol and crop unless `options` do.
        **options: Options of `TrainOptions` that change it. With `start` and no option of the
            network it is the network of the model to start from.

    Raises:
        InputError: There is no such option, or no such model to start from.
    """
    known = {entry.name for entry in fields(TrainOptions)}
    if unknown := sorted(options.keys() - known):
        raise InputError(
            f"A training has no option {', '.join(unknown)}. Its options are: "
            f"{', '.join(sorted(known))}."
        )
    paper = {"protocol": data.protocol, "crop": data.crop, "validation": 0.0}
    if options.get("start") is not None:
        from fissura.training.build import like_start  # only here, as it loads torch

        return Experiment(data, like_start(TrainOptions(**{**paper, **options})))
    model = {} if "model" in options else {"width": 16}
    return Experiment(data, TrainOptions(**{**paper, **model, **options}))
