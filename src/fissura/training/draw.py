"""Which images each step of a training takes, and crops of a mixture that are drawn ahead."""

from __future__ import annotations

import itertools
import os
from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING

from torch import Tensor

from fissura.data.mixtures.ahead import drawn_ahead
from fissura.data.mixtures.images import MixedImages
from fissura.data.preparation.batches import Share, epoch_batches, step_seed
from fissura.training.processes.start import processes_of
from fissura.training.session import Position, Session

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def batches(session: Session, epoch: int) -> list[NDArray[np.int64]]:
    """Return the training images of each step of an epoch, as `train_step` takes them.

    Args:
        session: Session of the training.
        epoch: Number of the epoch, from 0.
    """
    fabric, config = session.fabric, session.config
    own = {"rank": fabric.global_rank, "world": fabric.world_size}
    return epoch_batches(
        len(session.train),
        config.batch_size,
        seed=config.seed,
        epoch=epoch,
        **({"least": fabric.world_size} if session.pooled else own),
    )


def share_of(session: Session, count: int) -> Share | None:
    """Return what this process takes of a batch, and in which parts; None for all of it at once.

    Args:
        session: Session of the training.
        count: Images of the batch.
    """
    fabric, parts = session.fabric, session.config.accumulate
    if session.pooled:
        return Share.of(count, parts, rank=fabric.global_rank, world=fabric.world_size)
    return Share.of(count, parts) if parts > 1 else None


def crops_ahead(
    session: Session, position: Position
) -> Generator[tuple[Tensor, Tensor] | None, None, None]:
    """Yield the batches of all steps from a position on, where processes draw them ahead.

    Args:
        session: Session of the training.
        position: Its position, which is looked at once.

    Yields:
        Images and masks of a mixture; None forever where `train_step` has to draw them.
    """
    on_gpu = session.fabric.device.type == "cuda"
    workers = session.config.workers
    if workers is None:
        here, _ = processes_of(session.config)
        workers = max((os.cpu_count() or 1) // here - 1, 1) if on_gpu else 0
    if not workers or not isinstance(session.train, MixedImages) or session.crop is None:
        yield from itertools.repeat(None)
        return
    steps = _steps_left(session, position.epoch, position.step)
    yield from drawn_ahead(session.train, steps, crop=session.crop, workers=workers, pinned=on_gpu)


def _steps_left(session: Session, first_epoch: int, first_step: int) -> Iterator[tuple[int, int]]:
    """Yield seed and number of crops of each step of a mixture's training that is left."""
    config, rank = session.config, session.fabric.global_rank
    for epoch in range(first_epoch, config.epochs):
        for step, batch in enumerate(batches(session, epoch)):
            if epoch > first_epoch or step >= first_step:
                share = share_of(session, len(batch))
                count = len(batch if share is None else share.own)
                yield step_seed(config.seed, epoch, step, rank), count
