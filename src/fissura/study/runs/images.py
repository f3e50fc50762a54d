"""The images of a run, read and prepared once for all runs of a process."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from fissura.data.folder import CRACK_OR_NOT, find_pairs
from fissura.data.labels import Labels
from fissura.data.preparation.load import PreparedSet, load_split
from fissura.data.preparation.protocols import Protocol, choose_protocol
from fissura.errors import InputError
from fissura.training.options import TrainOptions, labels_of


def prepared_for(config: TrainOptions, data: Path, split: str) -> PreparedSet:
    """Return the images of a split as a run of this configuration sees them."""
    if config.classes is not None:
        raise InputError(
            "Studies compare trainings of crack or not: leave out classes, or train and evaluate "
            "models of several classes one by one."
        )
    return prepared(data, split, protocol_of(config), labels_of(config), config.empty_if_missing)


@lru_cache(maxsize=8)
def prepared(
    data: Path,
    split: str,
    protocol: Protocol,
    labels: Labels = CRACK_OR_NOT,
    empty_if_missing: bool = False,
) -> PreparedSet:
    """Read and prepare a split once per process; a study's runs share it."""
    folder = find_pairs(data, labels=labels, empty_if_missing=empty_if_missing)
    return load_split(folder, split, protocol, labels=labels)


def protocol_of(config: TrainOptions) -> Protocol:
    """Return the protocol by which a run of this configuration prepares its images."""
    return choose_protocol(config.protocol, config.area_threshold)
