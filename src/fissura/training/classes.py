"""Trainings of several classes: their loss, their targets, and the metrics of an epoch."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from fissura.data.preparation.prepared import PreparedSet
from fissura.errors import InputError
from fissura.losses import LOSSES, SOFTMAX_LOSSES, PerClassLoss
from fissura.metrics.counts import METRICS
from fissura.training.options import TrainOptions, labels_of

if TYPE_CHECKING:
    from jaxtyping import UInt8
    from numpy.typing import NDArray


def rare_numbers(config: TrainOptions) -> list[int] | None:
    """Return the numbers of the classes that `--rare` names, from 1; None where it is not given.

    Args:
        config: Options of a training of several classes.

    Raises:
        InputError: A name is none of the classes.
    """
    if config.rare is None:
        return None
    classes = labels_of(config).classes
    names = [name.strip() for name in config.rare.split(",") if name.strip()]
    unknown = [name for name in names if name not in classes]
    if unknown or not names:
        raise InputError(
            f"--rare {config.rare}: {', '.join(unknown) or 'nothing'} is none of the classes "
            f"{', '.join(classes)}."
        )
    return [classes.index(name) + 1 for name in names]


def rare_fraction(config: TrainOptions, train: PreparedSet) -> float:
    """Return the fraction of the valid pixels that belong to rare classes, at most 1.

    Args:
        config: Options of a training of several classes.
        train: Training images.
    """
    numbers = rare_numbers(config)
    chosen = [c for n, c in enumerate(train.classes, start=1) if numbers is None or n in numbers]
    return min(sum(train.class_fractions[name] for name in chosen), 1.0)


def class_loss(config: TrainOptions, options: dict[str, Any]) -> Callable[..., Tensor]:
    """Return the loss of several classes: softmax, or, where they overlap, a binary one of each.

    Args:
        config: Name of the loss, and the classes.
        options: Options of the loss.

    Raises:
        InputError: `--rare` is given to a loss that treats all classes alike.
    """
    name = config.loss.replace("-", "_")
    if config.overlapping:
        return PerClassLoss(partial(LOSSES[name], **options))
    loss, rare = SOFTMAX_LOSSES[name], rare_numbers(config)
    if rare is None:
        return partial(loss, **options)
    if "rare" not in inspect.signature(loss).parameters:
        raise InputError(
            f"The loss {config.loss} treats all classes alike: leave out --rare, or take one of "
            "the asymmetric losses, hybrid-focal-margin or unified-focal."
        )
    return partial(loss, rare=rare, **options)


def class_targets(mask: UInt8[Tensor, "n 1 h w"], config: TrainOptions) -> UInt8[Tensor, "n k h w"]:
    """Return what the loss compares with: numbers of classes, or, where they overlap, channels.

    Args:
        mask: Classes as in `fissura.data.preparation.prepared.PreparedSet`, without `IGNORED`.
        config: Options of the training.
    """
    if not config.overlapping:
        return mask
    count = len(labels_of(config).classes)
    bits = torch.arange(count, device=mask.device, dtype=torch.uint8).view(1, count, 1, 1)
    return (mask >> bits) & 1


def true_masks(targets: UInt8[Tensor, "n k h w"], config: TrainOptions) -> NDArray[np.bool_]:
    """Return where each class is in targets, bool (n, k, h, w).

    Args:
        targets: From `class_targets`.
        config: Options of the training.
    """
    if config.overlapping:
        return targets.cpu().numpy() > 0
    count = len(labels_of(config).classes)
    numbers = torch.arange(1, count + 1, device=targets.device).view(1, count, 1, 1)
    return (targets == numbers).cpu().numpy()


def class_metrics(counts: NDArray[np.int64], classes: tuple[str, ...]) -> dict[str, float]:
    """Return the entries of a line of metrics: means over the classes, and each class's IoU.

    Args:
        counts: From `validate_classes`. A class that is neither there nor predicted has IoU 1 and
            is left out of the means.
        classes: Their names.
    """
    there = counts[:, :3].sum(axis=1) > 0
    line = {
        name: float(METRICS[name](counts[there]).mean()) if there.any() else 1.0
        for name in ("iou", "f1")
    }
    return line | {
        f"iou_{name}": float(METRICS["iou"](counts[number])) for number, name in enumerate(classes)
    }
