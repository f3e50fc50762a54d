"""Optimisers, the learning-rate schedule and the moving average of the weights."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from fissura.training.config import TrainConfig


def make_optimizer(model: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    """Build the optimiser that the configuration names, in its fused form."""
    shared = {"lr": config.learning_rate, "weight_decay": config.weight_decay, "fused": True}
    if config.optimizer == "sgd":
        return torch.optim.SGD(model.parameters(), momentum=0.9, nesterov=True, **shared)
    build = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[config.optimizer]
    return build(model.parameters(), **shared)


def learning_rate(step: int, *, steps: int, warmup: int, peak: float) -> float:
    """Return the learning rate of a step: a linear rise over `warmup`, then a cosine to 0.

    rate = peak · (step + 1)/warmup                                 while step < warmup,
    rate = peak · (1 + cos(π·(step − warmup)/(steps − warmup)))/2   after it.

    A function of the step alone, so that a resumed training needs no schedule state.

    >>> [round(learning_rate(s, steps=6, warmup=2, peak=1.0), 3) for s in range(6)]
    [0.5, 1.0, 1.0, 0.854, 0.5, 0.146]
    """
    if step < warmup:
        return peak * (step + 1) / warmup
    return peak * (1 + math.cos(math.pi * (step - warmup) / max(steps - warmup, 1))) / 2


def make_average(model: nn.Module, decay: float) -> AveragedModel:
    """Return the exponential moving average of `model`'s weights and BatchNorm statistics."""
    return AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(decay), use_buffers=True)
