"""Optimizers, the learning-rate schedule and the moving average of the weights."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from fissura.training.options import TrainOptions


def make_optimizer(model: nn.Module, config: TrainOptions) -> torch.optim.Optimizer:
    """Build the optimizer of a training, in its fused form.

    Args:
        model: Network whose parameters it changes.
        config: Optimizer, learning rate and weight decay are taken from here.
    """
    shared = {"lr": config.learning_rate, "weight_decay": config.weight_decay, "fused": True}
    if config.optimizer == "sgd":
        return torch.optim.SGD(model.parameters(), momentum=0.9, nesterov=True, **shared)
    build = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[config.optimizer]
    return build(model.parameters(), **shared)


def learning_rate(
    step: int, *, steps: int, warmup: int, peak: float, constant: bool = False
) -> float:
    """Return the learning rate of a step: a linear rise, then half a cosine down to 0.

    rate = peak · (step + 1)/warmup                                 while step < warmup,
    rate = peak · (1 + cos(π·(step − warmup)/(steps − warmup)))/2   after it.

    It is a function of the step alone, so that a resumed training needs no schedule state.

    Args:
        step: Steps done in the whole training, from 0.
        steps: Steps of the whole training.
        warmup: Steps of the rise; 0 for none.
        peak: Greatest learning rate.
        constant: Whether it stays at its peak after the rise.

    >>> [round(learning_rate(s, steps=6, warmup=2, peak=1.0), 3) for s in range(6)]
    [0.5, 1.0, 1.0, 0.854, 0.5, 0.146]
    """
    if step < warmup:
        return peak * (step + 1) / warmup
    if constant:
        return peak
    return peak * (1 + math.cos(math.pi * (step - warmup) / max(steps - warmup, 1))) / 2


def make_average(model: nn.Module, decay: float) -> AveragedModel:
    """Make an exponential moving average of a network's weights and BatchNorm statistics.

    average ← decay · average + (1 − decay) · weights, after each step.

    Args:
        model: Network to average; it is copied.
        decay: Weight of the old average, 0 to 1.
    """
    return AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(decay), use_buffers=True)


@torch.no_grad()
def update_average(average: AveragedModel, model: nn.Module) -> None:
    """Move an average towards a network, to the same bits as its own `update_parameters`.

    Unlike that method it copies no count to the device, which would wait for a GPU.

    Args:
        average: Average that `make_average` returned; it changes in place.
        model: Network after its latest step.
    """
    ours, theirs = ([*each.parameters(), *each.buffers()] for each in (average.module, model))
    pairs = list(zip(ours, theirs, strict=True))
    if average.n_averaged == 0:  # this count is on the CPU
        for our, their in pairs:
            our.copy_(their)
    else:
        assert average.multi_avg_fn is not None
        for dtype in {tensor.dtype for tensor in ours}:
            alike = [pair for pair in pairs if pair[0].dtype == dtype]
            average.multi_avg_fn(
                [our for our, _ in alike], [their for _, their in alike], average.n_averaged
            )
    average.n_averaged += 1
