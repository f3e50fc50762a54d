"""Predictions of models of several classes: probabilities, and the map of the classes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from fissura.checkpoint import ModelConfig
from fissura.errors import InputError
from fissura.inference.prediction import HIGHEST_8, Prediction


@dataclass(frozen=True)
class ClassPrediction:
    """The classes of one photo.

    Attributes:
        classes: Their names, without the background.
        overlapping: Whether a pixel may belong to several of them.
        probs: Probabilities, float32 (h, w, c), 0 to 1: of the background, first, and of each
            class; where classes overlap, of each class alone.
        map: uint8 (h, w), the number of the likeliest: 0 background, 1 the first class, and so on.
            Where classes overlap, bit c − 1 is set where the c-th has a probability of ½ or more.
        seconds: Duration of the prediction, without reading the file.
    """

    classes: tuple[str, ...]
    overlapping: bool
    probs: NDArray[np.float32]
    map: NDArray[np.uint8]
    seconds: float

    def prob(self, name: str) -> NDArray[np.float32]:
        """Return the probability of a class, float32 (h, w), 0 to 1.

        Args:
            name: The class.

        Raises:
            InputError: There is no such class.
        """
        return self.probs[:, :, channel_of(self.classes, self.overlapping, name)]

    def mask(self, name: str) -> NDArray[np.bool_]:
        """Return the pixels of a class in the map, bool (h, w).

        Args:
            name: The class.

        Raises:
            InputError: There is no such class.
        """
        channel_of(self.classes, self.overlapping, name)
        return is_class(self.map, self.classes.index(name), overlapping=self.overlapping)

    def of_class(self, name: str, threshold: float = 0.5) -> Prediction:
        """Return one class as a prediction of crack or not, to be measured.

        Args:
            name: The class.
            threshold: Probability from which a pixel counts as this class. At ½ or more it is then
                the likeliest, too; where no class reaches ½, the map may show one that this mask
                does not.

        Raises:
            InputError: There is no such class.
        """
        prob = self.prob(name)
        mask = prob >= threshold
        return Prediction(prob, mask, threshold, float(mask.mean()), self.seconds)


def is_class(map_: NDArray[np.uint8], number: int, *, overlapping: bool) -> NDArray[np.bool_]:
    """Return where a map shows the class of a number, from 0 without the background."""
    return ((map_ >> number) & 1) > 0 if overlapping else map_ == number + 1


def channel_of(classes: tuple[str, ...], overlapping: bool, name: str) -> int:
    """Return the channel of a class in logits and probabilities.

    Raises:
        InputError: There is no such class.
    """
    if name not in classes:
        has = f"has the classes {', '.join(classes)}" if classes else "tells crack or not alone"
        raise InputError(f"There is no class {name!r}: the model {has}.")
    return classes.index(name) + (not overlapping)


def activation(config: ModelConfig) -> Callable[[Tensor], Tensor]:
    """Return the function from logits (n, k, h, w) to probabilities of the same shape.

    Args:
        config: Description of the model.
    """
    if config.classes and not config.overlapping:
        return lambda logits: logits.float().softmax(1)
    return lambda logits: logits.float().sigmoid()


def chosen_channel(config: ModelConfig, of_class: str | None) -> int | None:
    """Return the channel of crack, or of the class that was chosen; None for all classes.

    Args:
        config: Description of the model.
        of_class: One of its classes, or None.

    Raises:
        InputError: The model has no such class.
    """
    if of_class is not None:
        return channel_of(config.classes, config.overlapping, of_class)
    return None if config.classes else 0


def map_of(probs: NDArray[np.float32], *, overlapping: bool) -> NDArray[np.uint8]:
    """Return the map (h, w) of classes of probabilities (h, w, c), see `ClassPrediction`."""
    if not overlapping:
        return probs.argmax(axis=2).astype(np.uint8)
    bits = (probs >= 0.5) << np.arange(probs.shape[2])
    return bits.sum(axis=2).astype(np.uint8)


def compacted_classes(
    bands: Iterable[NDArray[np.float32]],
    size_hw: tuple[int, int],
    config: ModelConfig,
    highest: int | None,
) -> tuple[NDArray[np.uint8], NDArray[Any] | None, tuple[float, ...]]:
    """Make the map, integers of the probabilities, and the fraction of each class.

    Args:
        bands: Bands of rows from top to bottom, float32 (rows, w, c).
        size_hw: Height and width of the whole.
        config: Description of the model.
        highest: The integer that stands for the probability 1; None for no probabilities.
    """
    map_, prob, done = np.empty(size_hw, np.uint8), None, 0
    for band in bands:
        rows = slice(done, done + len(band))
        done += len(band)
        map_[rows] = map_of(band, overlapping=config.overlapping)
        if highest is not None:
            kind = np.uint8 if highest == HIGHEST_8 else np.uint16
            if prob is None:
                prob = np.empty((*size_hw, band.shape[2]), kind)
            prob[rows] = np.rint(band * np.float32(highest)).astype(kind)
    fractions = tuple(
        float(is_class(map_, number, overlapping=config.overlapping).mean())
        for number in range(len(config.classes))
    )
    return map_, prob, fractions
