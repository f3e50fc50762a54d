"""From prepared images to batches: the input of a training step, by seed and position.

Nothing here keeps state. The order of an epoch depends on (seed, epoch), the draws of a step on
(seed, epoch, step); a training that was stopped goes on with the same bits, and trainings with the
same seed but different losses see the same images in the same order with the same augmentation.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxtyping import UInt8
    from numpy.typing import NDArray

# Names the streams of random numbers that are drawn from one seed.
ORDER, STEP = 0, 1
IGNORED = 255  # in the masks of an `ImageStore`, of pixels without a label


@dataclass(frozen=True)
class ImageStore:
    """Images and masks as uint8 tensors on one device; one stacked tensor each where sizes allow.

    Attributes:
        images: (n, 3, h, w), or a list of (3, h, w).
        masks: The same with one channel: 0 and 1, or classes
            (`fissura.data.preparation.prepared`), and `IGNORED`.
        ignores: Whether any pixel is `IGNORED`.
    """

    images: Tensor | list[Tensor]
    masks: Tensor | list[Tensor]
    ignores: bool = False

    @classmethod
    def of(
        cls,
        images: Sequence[NDArray[np.uint8]],
        masks: Sequence[NDArray[Any]],
        device: torch.device,
        valid: Sequence[NDArray[np.bool_]] | None = None,
    ) -> ImageStore:
        """Copy images and masks to a device.

        Args:
            images: RGB, each of shape (h, w, 3).
            masks: True where there is crack, or classes, each of shape (h, w).
            device: Where they shall lie.
            valid: True where a pixel has a label, each of shape (h, w); None: everywhere.
        """
        if valid is not None:
            masks = [np.where(v, m, IGNORED) for m, v in zip(masks, valid, strict=True)]
        ignores = valid is not None
        image_tensors = [
            torch.from_numpy(np.ascontiguousarray(i.transpose(2, 0, 1))) for i in images
        ]
        mask_tensors = [torch.from_numpy(m.astype(np.uint8))[None] for m in masks]
        if len({tuple(tensor.shape) for tensor in image_tensors}) == 1:
            images_, masks_ = torch.stack(image_tensors), torch.stack(mask_tensors)
            return cls(images_.to(device), masks_.to(device), ignores)
        on_device = [i.to(device) for i in image_tensors], [m.to(device) for m in mask_tensors]
        return cls(*on_device, ignores)

    @property
    def uniform(self) -> bool:
        """Whether all images have one size."""
        return isinstance(self.images, Tensor)

    def __len__(self) -> int:
        return len(self.images)

    def batch(
        self,
        indices: NDArray[np.int64],
        *,
        crop: int | None = None,
        rng: np.random.Generator | None = None,
        share: Share | None = None,
    ) -> tuple[UInt8[Tensor, "n 3 h w"], UInt8[Tensor, "n 1 h w"]]:
        """Return the images and masks at `indices`, cropped to crop×crop where that is given.

        Args:
            indices: Of the images, in the order of the batch.
            crop: Side of the crops in pixels; images of differing sizes need it. An image smaller
                than the crop is continued by its mirror image.
            rng: The positions of the crops are drawn from it. A crop without a valid pixel is
                drawn anew, around a valid one.
            share: Which of them to return, cut as in the whole batch; None: all.

        Returns:
            Images (n, 3, h, w) and masks (n, 1, h, w), uint8.

        Raises:
            ValueError: The images differ in size and there is no `crop`, or a `crop` without `rng`.
        """
        if crop is None:
            if not (isinstance(self.images, Tensor) and isinstance(self.masks, Tensor)):
                raise ValueError("images of differing sizes make a batch only with a crop size")
            where = torch.from_numpy(indices if share is None else indices[share.own])
            if self.images.is_cuda:  # from pinned memory, so that the host does not wait
                where = where.pin_memory().to(self.images.device, non_blocking=True)
            return self.images[where], self.masks[where]
        if rng is None:
            raise ValueError("random crops need rng")
        crops = [
            _random_crop(self.images[i], self.masks[i], crop, rng, ignores=self.ignores)
            for i in indices
        ]
        if share is not None:
            crops = [crops[place] for place in share.own]
        return torch.stack([image for image, _ in crops]), torch.stack([mask for _, mask in crops])


@dataclass(frozen=True)
class Share:
    """The images of a batch that one of several processes takes, in the parts it takes them in.

    Attributes:
        whole: Images of the batch.
        parts: int64, places in the batch of this process's images, for each part.
    """

    whole: int
    parts: list[NDArray[np.int64]]

    @classmethod
    def of(cls, whole: int, parts: int, *, rank: int = 0, world: int = 1) -> Share:
        """Share a batch out: first into parts, then each part evenly among the processes.

        So the images of a part do not depend on the number of processes.

        Args:
            whole: Images of the batch, at least `world`.
            parts: Wanted number of parts; fewer where a process would have none in one.
            rank: Number of the process.
            world: How many processes there are.

        >>> [part.tolist() for part in Share.of(7, 2, rank=1, world=2).parts]
        [[1, 3], [5]]
        """
        split = np.array_split(np.arange(whole), max(min(parts, whole // world), 1))
        return cls(whole, [part[rank::world] for part in split])

    @property
    def own(self) -> NDArray[np.int64]:
        """int64, places in the batch of all images of this process."""
        return np.concatenate(self.parts)


def epoch_batches(
    count: int,
    batch_size: int,
    *,
    seed: int,
    epoch: int,
    rank: int = 0,
    world: int = 1,
    least: int = 1,
) -> list[NDArray[np.int64]]:
    """Return the indices of every batch of an epoch, in a random order, for process `rank`.

    The last batch may be smaller. With several processes it is filled up from the front of the
    order, so that each process gets equally many images of it.

    Args:
        count: Number of images.
        batch_size: Of all processes together; each gets an equal fraction of every batch.
        seed: Of the training.
        epoch: Number of the epoch.
        rank: Number of the process.
        world: How many processes there are.
        least: Fewest images of a batch, to which the last one is filled up.

    Returns:
        The indices of each batch's images, of this process alone.

    >>> [batch.tolist() for batch in epoch_batches(5, 2, seed=0, epoch=0)]
    [[2, 4], [3, 0], [1]]
    """
    order = np.random.default_rng([seed, ORDER, epoch]).permutation(count)
    batches = [order[start : start + batch_size] for start in range(0, count, batch_size)]
    batches[-1] = np.resize(
        np.concatenate([batches[-1], order]),
        math.ceil(max(len(batches[-1]), least) / world) * world,
    )
    return [batch[rank::world] for batch in batches]


def step_seed(seed: int, epoch: int, step: int, rank: int = 0) -> int:
    """Return the seed of everything drawn in one step: crops, augmentation, dropout.

    Args:
        seed: Of the training.
        epoch: Number of the epoch.
        step: Number of the step in the epoch.
        rank: Number of the process.

    Returns:
        A seed, 0 or more and below 2⁶³.
    """
    sequence = np.random.SeedSequence([seed, STEP, epoch, step, rank])
    return int(sequence.generate_state(1, np.uint64)[0] >> 1)


def _random_crop(
    image: UInt8[Tensor, "3 h w"],
    mask: UInt8[Tensor, "1 h w"],
    crop: int,
    rng: np.random.Generator,
    *,
    ignores: bool = False,
) -> tuple[UInt8[Tensor, "3 c c"], UInt8[Tensor, "1 c c"]]:
    """Cut the same random square, with a valid pixel in it, from an image and its mask."""
    image, mask = _mirror_up_to(image, crop), _mirror_up_to(mask, crop)
    top = int(rng.integers(image.shape[1] - crop + 1))
    left = int(rng.integers(image.shape[2] - crop + 1))
    window = (slice(None), slice(top, top + crop), slice(left, left + crop))
    if ignores and bool((mask[window] == IGNORED).all()):
        valid = (mask[0] != IGNORED).nonzero()
        row, column = valid[int(rng.integers(len(valid)))].tolist()
        top, left = (
            int(rng.integers(max(0, at - crop + 1), min(at, side - crop) + 1))
            for at, side in ((row, image.shape[1]), (column, image.shape[2]))
        )
        window = (slice(None), slice(top, top + crop), slice(left, left + crop))
    return image[window], mask[window]


def _mirror_up_to(plane: UInt8[Tensor, "c h w"], least: int) -> UInt8[Tensor, "c H W"]:
    """Continue an image by its mirror image until both sides are at least `least`."""
    while (below := least - plane.shape[1]) > 0 or least > plane.shape[2]:
        # One reflection can at most double a side, so small images take several.
        below = min(max(below, 0), plane.shape[1] - 1)
        right = min(max(least - plane.shape[2], 0), plane.shape[2] - 1)
        if below == right == 0:  # a side of one pixel has no mirror image
            lack = (max(least - plane.shape[2], 0), max(least - plane.shape[1], 0))
            return F.pad(plane[None], (0, lack[0], 0, lack[1]), mode="replicate")[0]
        plane = F.pad(plane[None], (0, right, 0, below), mode="reflect")[0]
    return plane
