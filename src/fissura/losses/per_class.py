"""Overlapping classes: a binary loss of each channel, summed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn


class PerClassLoss(nn.Module):
    """A loss of classes that may overlap: the sum of a binary loss over the channels.

    Σ_c loss(z_c, t_c), with z_c the logit of class c, of which p_c = σ(z_c) is the probability, and
    t_c its target. There is no channel for the background: it is where no class is.

    Args:
        loss: a binary loss that returns a scalar: a function or a module, also of another library.

    Source: the paper's sums over the classes c, each seen as a binary problem of its own.

    >>> from fissura.losses import BCELoss
    >>> logits, target = torch.tensor([[[2.0], [-1.0]]]), torch.tensor([[[1], [0]]])
    >>> PerClassLoss(BCELoss())(logits, target)
    tensor(0.4402)
    """

    def __init__(self, loss: Callable[..., Tensor]) -> None:
        super().__init__()
        self.loss = loss

    def forward(self, logits: Tensor, target: Tensor, *, mask: Tensor | None = None) -> Tensor:
        """Return the loss.

        Args:
            logits: (N, K, *spatial), of K classes.
            target: of the same shape.
            mask: the valid pixels, of the same shape or with one channel; None: all are valid.

        Returns:
            A scalar.

        Raises:
            ValueError: for targets of another shape, and as by the loss.
        """
        if logits.ndim < 2 or target.shape != logits.shape:
            raise ValueError(
                f"target must have the shape of logits, {tuple(logits.shape)}, a channel for each "
                f"class, but has the shape {tuple(target.shape)}."
            )
        values = []
        for c in range(logits.shape[1]):
            given: dict[str, Any] = {}
            if mask is not None:
                given["mask"] = mask if mask.shape[1] == 1 else mask[:, c : c + 1]
            values.append(self.loss(logits[:, c : c + 1], target[:, c : c + 1], **given))
        return torch.stack(values).sum()
