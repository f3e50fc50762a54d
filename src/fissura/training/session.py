"""`Session`: network, optimizer, loss and images of a running training, and its position."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from fissura.checkpoint import ModelConfig
from fissura.data.mixtures.images import MixedImages
from fissura.data.preparation.batches import ImageStore
from fissura.losses import sum_over_ranks
from fissura.training.options import TrainOptions

if TYPE_CHECKING:
    from lightning_fabric import Fabric
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Planned:
    """A training to be done.

    Attributes:
        run: Folder that it writes.
        data: Folder of its images.
        config: Every other choice.
    """

    run: Path
    data: Path
    config: TrainOptions


@dataclass
class Position:
    """The position that a training has reached.

    Attributes:
        epoch: Epochs done.
        step: Steps done in the next epoch.
        loss_sum: Sum of the losses of these steps, float64, on the device.
        seconds: Seconds that these steps took.
        best_iou: Best IoU on the validation images so far; -1 before the first.
        best_epoch: Epoch that reached it, from 1; 0 before the first.
    """

    epoch: int = 0
    step: int = 0
    loss_sum: Tensor = field(default_factory=lambda: torch.zeros((), dtype=torch.float64))
    seconds: float = 0.0
    best_iou: float = -1.0
    best_epoch: int = 0


@dataclass(frozen=True)
class Session:
    """Everything that the steps of a training need.

    Attributes:
        run: Folder that the training writes.
        fabric: Device, precision and processes.
        config: Options of the training.
        network: The bare network.
        model: The same network as `fabric` runs it.
        optimizer: Optimizer as `fabric` runs it.
        average: Moving average of the network, or None.
        loss: Function of logits and target.
        train: Training images, or a mixture that crops are drawn from.
        validation: Images that choose the epoch and the threshold, or None.
        crop: Side of the random crops in pixels, or None where batches hold whole images.
        card: Description of the model, for predicting.
        fingerprint: Fingerprint of the training images.
    """

    run: Path
    fabric: Fabric
    config: TrainOptions
    network: nn.Module
    model: nn.Module
    optimizer: Any
    average: AveragedModel | None
    loss: Callable[..., Tensor]
    train: ImageStore | MixedImages
    validation: ImageStore | None
    crop: int | None
    card: ModelConfig
    fingerprint: str

    @property
    def judged(self) -> nn.Module:
        """The network that is validated and saved."""
        return self.network if self.average is None else self.average.module

    @property
    def steps_per_epoch(self) -> int:
        """Steps of the optimizer per epoch."""
        return math.ceil(len(self.train) / self.config.batch_size)

    @property
    def pooled(self) -> bool:
        """Whether several processes train as one: on the parts of one batch, with its loss."""
        return self.fabric.world_size > 1 and self.config.pool == "global"

    @property
    def precision(self) -> str:
        """The arithmetic of the network, in words."""
        return "bfloat16" if self.fabric.strategy.precision.precision != "32-true" else "float32"

    def own(self, starts: Sequence[int]) -> Sequence[int]:
        """Return this process's of the batches that are validated.

        Args:
            starts: Of all batches.
        """
        return starts[self.fabric.global_rank :: self.fabric.world_size]

    def added(self, counts: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return counts of pixels, added up over the processes.

        Args:
            counts: Of this process.
        """
        if self.fabric.world_size == 1:
            return counts
        total = sum_over_ranks(torch.from_numpy(counts).to(self.fabric.device))
        return total.cpu().numpy()

    def state(self, position: Position) -> dict[str, Any]:
        """Return everything that `restore` needs to go on with the same bits.

        Args:
            position: Position of the training.
        """
        return {
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "average": None if self.average is None else self.average.state_dict(),
            "position": vars(position) | {"loss_sum": position.loss_sum.cpu()},
            "fingerprint": self.fingerprint,
        }

    def restore(self, state: dict[str, Any]) -> Position:
        """Take over the state of an earlier session.

        Args:
            state: State that `Session.state` returned.

        Returns:
            The position of that session.
        """
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.average is not None:
            self.average.load_state_dict(state["average"])
        return Position(**state["position"])
