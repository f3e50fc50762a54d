"""Photos put through a network each at a scale of its own, by their detail and a look at them."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fissura.inference.batches import Batches, Collect, Made, check_image
from fissura.inference.engines.familiar import Familiar
from fissura.inference.look import look_scale, looks, mean_width, scale_by_width
from fissura.inference.network import ImageNetwork
from fissura.inference.prediction import joined
from fissura.inference.working_scale import Read, scale_by_windows, windows_of


@dataclass(frozen=True)
class OwnScale:
    """Puts photos through a network, each at its own scale; as `Batches` does at one scale.

    Attributes:
        network: The network.
        scale: Factor by which photos are resampled beside their own.
        familiar: What tells photos that are unlike those of the training, or None.
        looks: Whether the network looks at photos first; else their detail alone counts. What is
            crack has to be told from the rest by one threshold for that.
    """

    network: ImageNetwork
    scale: float
    familiar: Familiar | None
    looks: bool = True

    def each(
        self, images: Iterable[NDArray[np.uint8]], collect: Collect, *, go_on: bool = False
    ) -> Iterator[Made]:
        """Predict photos one after the other.

        Args:
            images: RGB, uint8 (h, w, 3).
            collect: Makes the result of the bands of probabilities of an image, and of its size.
            go_on: Give errors instead of raising them.

        Yields:
            What was made of each photo in their order. The unfamiliarity of a photo that is seen
            enlarged is that of the photo as it is, as the training's were.

        Raises:
            InputError: The memory of the device does not suffice.
        """
        for image in images:
            check_image(image)
            began = time.perf_counter()
            try:
                scale, unfamiliarity = self.of(windows_of(image), (image.shape[0], image.shape[1]))
            except Exception as error:
                if not go_on:
                    raise
                yield Made(error.with_traceback(None), 0.0, self.scale)
                continue
            look = time.perf_counter() - began
            alone = iter([image])
            del image
            for made in Batches(self.network, scale, self.familiar).each(
                alone, collect, go_on=go_on
            ):
                unlike = made.unfamiliarity if unfamiliarity is None else unfamiliarity
                yield replace(made, seconds=made.seconds + look, unfamiliarity=unlike)

    def of(self, read: Read, size_hw: tuple[int, int]) -> tuple[float, float | None]:
        """Return the scale of a photo, and its unfamiliarity if a look at it as it is told that.

        Args:
            read: Gives the pixels of a window by its top, left, bottom and right: uint8 (h, w, 3).
            size_hw: Height and width of the photo in pixels.
        """
        scale = self.scale * scale_by_windows(read, size_hw)
        if not self.looks:
            return scale, None
        shorter = min(size_hw) * scale
        look = look_scale(shorter)
        as_it_is = Batches(self.network, 1.0, self.familiar)
        made = list(as_it_is.each(looks(read, size_hw, scale * look), joined))
        factor = scale_by_width(mean_width(one.result for one in made) / look, shorter)
        enlarged = factor > 1 and len(made) == 1
        return scale * factor, made[0].unfamiliarity if enlarged else None
