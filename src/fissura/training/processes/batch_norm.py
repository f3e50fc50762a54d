"""Batch normalization over the images of all processes, as one process would have it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from fissura.losses import sum_over_ranks

if TYPE_CHECKING:
    from jaxtyping import Float


class PooledBatchNorm2d(nn.BatchNorm2d):
    """`nn.BatchNorm2d` whose statistics, in training mode, are those of all processes' images.

    `nn.SyncBatchNorm` is the same for GPUs alone.
    """

    def forward(self, input: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        """Return the normalized features, in the type of the input."""
        if not self.training:
            return super().forward(input)
        assert self.momentum is not None
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        x = input.to(torch.promote_types(input.dtype, torch.float32))
        dims = (0, 2, 3)
        local = torch.cat([x.sum(dims), x.new_tensor([x.numel() / x.shape[1]])])
        *_, number = sums = sum_over_ranks(local)
        centered = x - (sums[:-1] / number).view(1, -1, 1, 1)
        var = sum_over_ranks(centered.square().sum(dims)) / number
        with torch.no_grad():
            self.num_batches_tracked.add_(1)
            self.running_mean.lerp_(sums[:-1] / number, self.momentum)
            self.running_var.lerp_(var * number / (number - 1), self.momentum)
        scale = (var + self.eps).rsqrt() * self.weight
        return torch.addcmul(
            self.bias.view(1, -1, 1, 1), centered, scale.view(1, -1, 1, 1)
        ).to(input.dtype)  # fmt: skip


def pool_batch_norm(network: nn.Module, device: torch.device) -> list[str]:
    """Have the batch normalizations of a network run over the images of all processes.

    Args:
        network: Network, which changes in place; the names of its weights stay.
        device: Device of the training; on GPUs torch's own `nn.SyncBatchNorm` is taken.

    Returns:
        The kinds of those that cannot be pooled, and still see each process's images alone.
    """
    for name, module in [*network.named_modules()]:
        if type(module) is not nn.BatchNorm2d:
            continue
        if device.type == "cpu":
            module.__class__ = PooledBatchNorm2d
        else:
            parent, _, child = name.rpartition(".")
            network.get_submodule(parent).register_module(
                child, nn.SyncBatchNorm.convert_sync_batchnorm(module)
            )
    pooled = (PooledBatchNorm2d, nn.SyncBatchNorm)
    left = {type(m).__name__ for m in network.modules() if isinstance(m, _BatchNorm)}
    return sorted(left - {kind.__name__ for kind in pooled})
