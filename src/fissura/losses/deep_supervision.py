"""Deep supervision: one loss over the several outputs of a network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ._valid_pixels import check_option


class DeepSupervisionLoss(nn.Module):
    """A loss of several outputs: the weighted mean of its values at each of them.

    Σ wᵢ·loss(zᵢ, t) / Σ wᵢ, with zᵢ the logits of output i, the final one first, and t the target.
    Where the network returns one tensor, as most do in evaluation mode, it is the loss alone.

    Args:
        loss: a loss that returns a scalar: a function or a module, also of another library.
        weights: wᵢ ≥ 0, one for each output, not all 0; None: 1, ½, ¼ …

    Source: C.-Y. Lee et al., "Deeply-supervised nets", AISTATS 2015; the halved weights are
    those of F. Isensee et al., "nnU-Net", Nature Methods 2021.

    >>> from fissura.losses import BCELoss
    >>> logits, target = torch.tensor([[[2.0, -1.0, 0.0]]]), torch.tensor([[[1, 0, 0]]])
    >>> loss = DeepSupervisionLoss(BCELoss(), weights=(1.0, 0.5))
    >>> loss([logits, torch.zeros_like(logits)], target)
    tensor(0.4829)
    """

    def __init__(self, loss: Callable[..., Tensor], weights: Sequence[float] | None = None) -> None:
        super().__init__()
        for weight in weights or ():
            check_option("Each of the weights", weight, 0.0)
        if weights is not None and not sum(weights) > 0:
            raise ValueError("weights must be None, or have one that is above 0.")
        self.loss = loss
        self.weights = None if weights is None else tuple(weights)

    def forward(
        self,
        logits: Tensor | Sequence[Tensor],
        target: Tensor | Sequence[Tensor],
        *,
        mask: Tensor | Sequence[Tensor] | None = None,
    ) -> Tensor:
        """Return the loss.

        Args:
            logits: those of each output, the final one first; or one tensor.
            target: for all outputs, or one for each of them, of its size.
            mask: the valid pixels, likewise; None: all are valid.

        Returns:
            A scalar.

        Raises:
            ValueError: where there are not as many weights, targets or masks as outputs; and as by
                the loss.
        """
        if isinstance(logits, Tensor):
            return self._at(logits, target, mask)
        count = len(logits)
        weights = self.weights or tuple(0.5**level for level in range(count))
        if len(weights) != count or not count:
            raise ValueError(f"There are {count} outputs, but {len(weights)} weights.")
        targets, masks = _each("targets", target, count), _each("masks", mask, count)
        values = [
            weight * self._at(z, t, valid)
            for weight, z, t, valid in zip(weights, logits, targets, masks, strict=True)
        ]
        return torch.stack(values).sum() / sum(weights)

    def _at(self, logits: Tensor, target: Any, mask: Any) -> Tensor:
        """The loss of one output."""
        return self.loss(logits, target) if mask is None else self.loss(logits, target, mask=mask)

    def extra_repr(self) -> str:
        """Return the weights, for `repr`."""
        return f"weights={self.weights}"


def _each(name: str, given: Any, count: int) -> list[Any]:
    """One of `given` for each output."""
    if given is None or isinstance(given, Tensor):
        return [given] * count
    if len(given) != count:
        raise ValueError(f"There are {count} outputs, but {len(given)} {name}.")
    return list(given)
