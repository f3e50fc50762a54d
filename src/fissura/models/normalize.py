"""How pixels become the numbers that a network sees."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from jaxtyping import Num


def normalize(
    image: Num[Tensor, "n 3 h w"],
    mean: tuple[float, float, float],
    std: tuple[float, float, float],
) -> Num[Tensor, "n 3 h w"]:
    """Return (image/255 − mean)/std in float32 and channels-last layout.

    Args:
        image: In 8-bit units, 0 to 255, of any dtype.
        mean: Per channel, of images scaled to [0, 1].
        std: Standard deviation per channel, of images scaled to [0, 1].

    >>> image = torch.full((1, 3, 1, 1), 255, dtype=torch.uint8)
    >>> normalize(image, (0.5, 0.5, 0.0), (0.5, 0.25, 1.0)).flatten().round(decimals=4).tolist()
    [1.0, 2.0, 1.0]
    """
    scale = _numbers([1 / (255 * s) for s in std], image.device)
    shift = _numbers([-m / s for m, s in zip(mean, std, strict=True)], image.device)
    image = image.to(torch.float32, memory_format=torch.channels_last)
    return torch.addcmul(shift.view(3, 1, 1), image, scale.view(3, 1, 1))


def _numbers(values: list[float], device: torch.device) -> Tensor:
    """Return the values as a tensor made on `device`.

    A copy from the host would wait for a GPU.
    """
    return torch.stack([torch.full((), value, device=device) for value in values])
