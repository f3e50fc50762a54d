"""Photos put through a network: small ones of one size in batches, large ones by bands."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fissura.errors import InputError
from fissura.inference.engines.familiar import Familiar, Pooled, mean_of
from fissura.inference.network import ImageNetwork
from fissura.inference.resize import resized, resized_bands

Bands = Iterable[NDArray[np.float32]]
Collect = Callable[[Bands, tuple[int, int]], Any]

LARGEST_GROUP = 64  # of small images: more win nothing, and results should come steadily
LARGEST_GROUP_PIXELS = 2**26  # of photos that are much larger than the network sees them


@dataclass(frozen=True)
class Made:
    """What was made of a photo, and how.

    Attributes:
        result: What `collect` made of its probabilities, or the exception.
        seconds: The time that it took; that of a batch is shared out evenly.
        scale: Factor by which it was resampled.
        unfamiliarity: How unlike the photos of the training it is, where the model can tell.
    """

    result: Any
    seconds: float
    scale: float
    unfamiliarity: float | None = None


@dataclass(frozen=True)
class Batches:
    """Puts photos through a network at one scale.

    Attributes:
        network: The network.
        scale: Factor by which photos are resampled.
        familiar: What tells photos that are unlike those of the training, or None.
    """

    network: ImageNetwork
    scale: float
    familiar: Familiar | None

    def each(
        self, images: Iterable[NDArray[np.uint8]], collect: Collect, *, go_on: bool = False
    ) -> Iterator[Made]:
        """Predict photos one after the other.

        Small images of one size are predicted in batches. No image is held for longer than its
        own prediction takes.

        Args:
            images: RGB, uint8 (h, w, 3).
            collect: Makes the result of the bands of probabilities of an image, and of its size.
            go_on: Give errors instead of raising them.

        Yields:
            What was made of each photo in their order.

        Raises:
            InputError: The memory of the device does not suffice.
        """
        predict = self._attempted if go_on else self._collected
        group: list[NDArray[np.uint8]] = []
        for image in images:
            check_image(image)
            if group and image.shape != group[0].shape:
                yield from predict(group, collect)
            group.append(image)
            full = len(group) == self._group_size(image)
            del image
            if full:
                yield from predict(group, collect)
        if group:
            yield from predict(group, collect)

    def _attempted(self, group: list[NDArray[np.uint8]], collect: Collect) -> list[Made]:
        """As `_collected`; where a batch fails, its images are tried one by one."""
        images = list(group) if len(group) > 1 else None
        try:
            return [*self._collected(group, collect)]
        except Exception as error:
            if images is None:
                return [Made(error.with_traceback(None), 0.0, self.scale)]
        return [result for image in images for result in self._attempted([image], collect)]

    def _group_size(self, image: NDArray[np.uint8]) -> int:
        """How many images of this size are predicted at once: 1 where it has to be cut."""
        height, width = self._scaled(image)
        if self.network.streaming is None and max(height, width) > self.network.tile:
            return 1
        at_once = self.network.pixels_at_once // (height * width)
        return max(1, min(at_once, LARGEST_GROUP, LARGEST_GROUP_PIXELS // image[..., 0].size))

    def _collected(self, group: list[NDArray[np.uint8]], collect: Collect) -> list[Made]:
        """Predict images of one size, and empty their list: many small ones, or a large one."""
        began, network = time.perf_counter(), self.network
        images, group[:] = list(group), []
        size = self._scaled(images[0])
        full_size = images[0].shape[:2]
        inputs = [torch.from_numpy(resized(image, size, shrink_by_area=True)) for image in images]
        unlike: list[float] | list[None] = [None] * len(images)
        try:
            with network.stages() as stages:
                if len(inputs) > 1:
                    batches = torch.stack(inputs).chunk(stages.count)
                    found = list(stages.map(self._batch, batches))
                    probs = torch.cat([prob for prob, _ in found])
                    if self.familiar is not None:
                        features = np.concatenate([pooled.mean() for _, pooled in found])
                        unlike = self.familiar.unfamiliarity(features)
                    results = [
                        collect([resized(_on_cpu(prob), full_size)], full_size) for prob in probs
                    ]
                else:
                    pooled: list[Pooled] | None = None if self.familiar is None else []
                    bands = network.bands(inputs[0], stages, pooled)
                    bands = (_on_cpu(band) for band in bands)
                    results = [collect(resized_bands(bands, size, full_size), full_size)]
                    if self.familiar is not None and pooled is not None:
                        unlike = self.familiar.unfamiliarity(mean_of(pooled))
        except torch.OutOfMemoryError as error:
            raise InputError(
                f"The memory of {network.device} does not suffice for {network.batch_size} tiles "
                f"of {network.tile}×{network.tile} pixels. Use a smaller --tile or --batch-size."
            ) from error
        seconds = (time.perf_counter() - began) / len(images)
        return [
            Made(result, seconds, self.scale, each)
            for result, each in zip(results, unlike, strict=True)
        ]

    def _batch(self, images: Tensor) -> tuple[Tensor, Pooled]:
        """Probabilities of a batch, and what its images are like, where the model can tell."""
        pooled = Pooled()
        return self.network.batch(images, None if self.familiar is None else pooled), pooled

    def _scaled(self, image: NDArray[np.uint8]) -> tuple[int, int]:
        """Height and width of an image after resampling."""
        height, width, _ = image.shape
        return max(round(height * self.scale), 1), max(round(width * self.scale), 1)


def _on_cpu(probs: Tensor) -> NDArray[np.float32]:
    """Probabilities as an array (rows, w), or (rows, w, c) of several classes."""
    values = probs if probs.ndim == 2 else probs.movedim(0, -1).contiguous()
    return values.cpu().numpy()


def check_image(image: NDArray[np.uint8]) -> None:
    """Raise `ValueError` for arrays that are no photos.

    Args:
        image: Whatever was given.
    """
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
        raise ValueError(
            f"An image must be an array of uint8 of shape (height, width, 3), RGB, but this is "
            f"{image.dtype} of shape {image.shape}."
        )
