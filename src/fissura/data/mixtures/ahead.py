"""Crops of a mixture, drawn ahead by processes of their own while the network trains."""

from __future__ import annotations

import signal
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from fissura.data.mixtures.images import MixedImages
from fissura.errors import InputError

if TYPE_CHECKING:
    from jaxtyping import UInt8
    from torch import Tensor

BATCHES = 4  # that each process is ahead by, at most


class _Batches(Dataset):
    """Batches by their seeds and numbers of crops, each drawn when it is asked for."""

    def __init__(self, images: MixedImages, crop: int) -> None:
        self.images, self.crop = images, crop

    def __getitem__(self, step: tuple[int, int]) -> tuple[Tensor, Tensor]:
        seed, count = step
        rng = np.random.default_rng(seed)
        return self.images.batch(np.arange(count), crop=self.crop, rng=rng)


def drawn_ahead(
    images: MixedImages,
    steps: Iterable[tuple[int, int]],
    *,
    crop: int,
    workers: int,
    pinned: bool = False,
) -> Iterator[tuple[UInt8[Tensor, "n 3 h w"], UInt8[Tensor, "n 1 h w"]]]:
    """Draw the batches of steps in processes, to the bits of `MixedImages.batch`, in their order.

    Args:
        images: The training images.
        steps: Seed and number of crops of each step.
        crop: Side of the crops, in pixels.
        workers: Number of processes.
        pinned: Whether the batches shall lie in memory that a GPU copies from by itself.

    Yields:
        Images (n, 3, crop, crop) and masks (n, 1, crop, crop), uint8.
    """
    loader = DataLoader(
        _Batches(images, crop),
        sampler=steps,
        batch_size=None,
        num_workers=workers,
        prefetch_factor=BATCHES,
        pin_memory=pinned,
        worker_init_fn=_settle,
    )
    yield from map(tuple, loader)


@contextmanager
def dead_processes_named() -> Iterator[None]:
    """Turn torch's error about a dead process, which may interrupt anything, into a sentence.

    Raises:
        InputError: A process of `drawn_ahead` has died.
    """
    try:
        yield
    except RuntimeError as error:
        if "DataLoader worker (pid" not in str(error):
            raise
        raise InputError(
            "A process that draws crops has died, for want of memory perhaps. Take fewer "
            "--workers: write `workers: 0`, which draws them in the training itself, into the "
            f"run's config.yaml, and go on with --resume. ({error})"
        ) from error


def _settle(worker: int) -> None:
    """One thread a process; what a terminal or SLURM signals to all is for the training alone."""
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
