"""A batch that goes through the network in parts, with the loss and gradient of the whole batch.

A loss that pools the batch is no sum of the losses of its parts. So the parts go through the
network twice: without a gradient first, which leaves their logits; these give the loss of the whole
batch and its gradient by each logit, with which the parts go through the network again, backwards.
Only one part's features are in memory at a time. Batch normalization sees each part alone.

Source: L. Gao et al., "Scaling deep contrastive learning batch size under memory limited setup",
RepL4NLP 2021, where the same two passes are called gradient caching.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn


def backward_in_parts(
    fabric: Any, model: nn.Module, parts: list[Tensor], loss_of: Callable[[Any], Tensor]
) -> Tensor:
    """Add the gradient of a batch's loss to the weights, part by part.

    Args:
        fabric: The training's Fabric.
        model: Network as Fabric runs it, in training mode. It returns a tensor, or several.
        parts: Inputs of the network; all processes have equally many.
        loss_of: The loss, given what the network returns for the whole batch.

    Returns:
        The loss of the whole batch.
    """
    states, outputs = [], []
    with torch.no_grad(), unchanged_buffers(model):
        for part in parts:
            states.append(random_state(part.device))
            outputs.append(several(model(part)))
    leaves = [torch.cat(each).requires_grad_() for each in zip(*outputs, strict=True)]
    loss = loss_of(leaves if len(leaves) > 1 else leaves[0])
    slopes = torch.autograd.grad(loss, leaves)
    sizes = [len(part) for part in parts]
    parts_of_slopes = zip(*(slope.split(sizes) for slope in slopes), strict=True)
    for index, (part, state, slope) in enumerate(zip(parts, states, parts_of_slopes, strict=True)):
        set_random_state(state, part.device)  # for dropout: what it was in the first pass
        waits = fabric.world_size > 1 and index < len(parts) - 1
        with fabric.no_backward_sync(model, enabled=waits):
            products = [(z * s).sum() for z, s in zip(several(model(part)), slope, strict=True)]
            fabric.backward(torch.stack(products).sum())
    return loss


def several(output: Any) -> list[Tensor]:
    """What a network returns, as a list."""
    return [output] if isinstance(output, Tensor) else list(output)


@contextmanager
def unchanged_buffers(model: nn.Module) -> Iterator[None]:
    """Run the block and give a network's buffers, such as running means, back as they were."""
    kept = [(buffer, buffer.clone()) for buffer in model.buffers()]
    try:
        yield
    finally:
        for buffer, before in kept:
            buffer.copy_(before)


def random_state(device: torch.device) -> Tensor:
    """The state of the random numbers on a device."""
    return torch.cuda.get_rng_state(device) if device.type == "cuda" else torch.get_rng_state()


def set_random_state(state: Tensor, device: torch.device) -> None:
    """Go back to an earlier state of the random numbers on a device."""
    if device.type == "cuda":
        torch.cuda.set_rng_state(state, device)
    else:
        torch.set_rng_state(state)
