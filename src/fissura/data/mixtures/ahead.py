"""Crops of a mixture, drawn ahead by processes of their own while the network trains."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Generator, Iterable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TYPE_CHECKING

import cv2
import numpy as np
import torch

from fissura.data.mixtures.images import MixedImages
from fissura.errors import InputError

if TYPE_CHECKING:
    from jaxtyping import UInt8
    from numpy.typing import NDArray
    from torch import Tensor

BATCHES = 4  # that each process is ahead by, at most
Drawn = tuple["NDArray[np.uint8]", "NDArray[np.uint8]"]
_own: list[tuple[MixedImages, int]] = []  # of a process that draws: the images, the side of a crop


def drawn_ahead(
    images: MixedImages,
    steps: Iterable[tuple[int, int]],
    *,
    crop: int,
    workers: int,
    pinned: bool = False,
) -> Generator[tuple[UInt8[Tensor, "n 3 h w"], UInt8[Tensor, "n 1 h w"]], None, None]:
    """Draw the batches of steps in processes, to the bits of `MixedImages.batch`, in their order.

    Args:
        images: The training images.
        steps: Seed and number of crops of each step.
        crop: Side of the crops, in pixels.
        workers: Number of processes.
        pinned: Whether the batches shall lie in memory that a GPU copies from by itself.

    Yields:
        Images (n, 3, crop, crop) and masks (n, 1, crop, crop), uint8.

    Raises:
        InputError: A process has died.
    """
    pool = ProcessPoolExecutor(workers, initializer=_settle, initargs=(images, crop))
    ahead: deque[Future[Drawn]] = deque()

    def first() -> tuple[Tensor, Tensor]:
        image, mask = (torch.from_numpy(array) for array in ahead.popleft().result())
        return (image.pin_memory(), mask.pin_memory()) if pinned else (image, mask)

    try:
        for step in steps:
            ahead.append(pool.submit(_draw, *step))
            if len(ahead) > BATCHES * workers:
                yield first()
        while ahead:
            yield first()
    except BrokenProcessPool as error:
        raise InputError(
            "A process that draws crops has died, for want of memory perhaps. Take fewer "
            "--workers: write `workers: 0`, which draws them in the training itself, into the "
            "run's config.yaml, and go on with --resume."
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _settle(images: MixedImages, crop: int) -> None:
    """One thread a process; what a terminal or SLURM signals to all is for the training alone."""
    _own.append((images, crop))
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """End this process when the training has been killed."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _draw(seed: int, count: int) -> Drawn:
    """Draw a batch, in a process of the pool."""
    images, crop = _own[0]
    image, mask = images.batch(np.arange(count), crop=crop, rng=np.random.default_rng(seed))
    return image.numpy(), mask.numpy()
