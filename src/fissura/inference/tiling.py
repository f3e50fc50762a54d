"""Run a function over overlapping tiles of an image of any size and blend what it returns.

Knows no model: it takes any callable from a batch of tiles to a batch of values.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

if TYPE_CHECKING:
    from jaxtyping import Float, Shaped

ALIGN = 32
HALO = 32


@dataclass(frozen=True)
class Axis:
    """How tiles cover one axis of an image.

    Attributes:
        length: Of the axis, in pixels.
        tile: Length of every tile; at most `length` rounded up to the alignment.
        starts: First pixel of each tile, ascending from 0.
        weights: (tiles, tile) float32: the weight of each tile at each pixel that it covers. Over
            all tiles the weights of a pixel add up to 1.
    """

    length: int
    tile: int
    starts: tuple[int, ...]
    weights: Float[Tensor, "tiles tile"]


def cover(length: int, tile: int, overlap: float, *, align: int = ALIGN, halo: int = HALO) -> Axis:
    """Lay tiles along an axis, evenly, and weigh them with a Gaussian.

    An axis no longer than `tile` is one tile of its own length. Otherwise all tiles have length
    `tile`, start at multiples of `align` (so that the pooling grids of a network lie in a tile as
    they lie in the whole image) and overlap by at least `overlap`·`tile`; the last one may end up
    to `align` − 1 pixels past the end.

    The weight of tile i at its pixel x is exp(−(x − c)²/2σ²), c its center and σ = tile/8, divided
    by the sum of all tiles' weights there. Where a neighbor can take over, the outer `halo`
    pixels weigh nothing: a network sees padding there instead of the image.

    Args:
        length: Of the axis, in pixels, at least 1.
        tile: Length of a tile, a multiple of `align`.
        overlap: Fraction of a tile, 0 to below 1.
        align: Multiple at which tiles start.
        halo: Pixels at a tile's ends that do not count.

    Returns:
        Where the tiles lie and how they weigh.

    Raises:
        ValueError: An argument is out of its range.

    >>> axis = cover(1000, 512, 0.25)
    >>> axis.starts, axis.starts[-1] + axis.tile
    ((0, 256, 512), 1024)
    """
    if tile < align or tile % align:
        raise ValueError(f"The tile size must be a multiple of {align}, but is {tile}.")
    if not 0 <= overlap < 1:
        raise ValueError(f"The overlap must be at least 0 and below 1, but is {overlap}.")
    if length < 1:
        raise ValueError("An image must have at least one pixel.")
    if length <= tile:
        return Axis(length, length, (0,), torch.ones(1, length))
    stride = max(math.floor(tile * (1 - overlap) / align), 1)  # in units of align, as all below
    last = math.ceil((length - tile) / align)
    gaps = math.ceil(last / stride)
    starts = tuple(align * (i * last // gaps) for i in range(gaps + 1))
    return Axis(length, tile, starts, _weights(starts, tile, halo))


def blend_tiles(
    image: Shaped[Tensor, "h w c"],
    function: Callable[[Tensor], Tensor],
    *,
    tile: int = 512,
    overlap: float = 0.25,
    batch_size: int = 1,
    align: int = ALIGN,
    halo: int = HALO,
) -> Float[Tensor, "*k h w"]:
    """Apply a function to overlapping tiles of an image and blend its values.

    value(y, x) = Σᵢⱼ uᵢ(y)·vⱼ(x)·function(tileᵢⱼ), u and v the weights of `cover` along the axes.
    Away from the image's border it equals function(image) where values depend on no more than the
    surrounding `HALO` pixels (and the overlap is at least two halos), and is close to it where
    farther surroundings matter little.

    All tiles of an image have one size. Where the last ones reach past the border, the border
    pixels are repeated.

    Args:
        image: Any type, (h, w, c).
        function: From tiles (n, tile_h, tile_w, c) of the image's type and device to values
            (n, tile_h, tile_w), or (n, k, tile_h, tile_w), on any device, the same at each call.
        tile: See `cover`.
        overlap: See `cover`.
        batch_size: The largest n, at least 1.
        align: See `cover`.
        halo: See `cover`.

    Returns:
        float32 (h, w), or (k, h, w), on the device of the values.

    Raises:
        ValueError: An argument is out of its range.

    >>> image = torch.arange(70 * 90.0).view(70, 90, 1)
    >>> blended = blend_tiles(image, lambda tiles: tiles[..., 0] / 2, tile=64)
    >>> torch.allclose(blended, image[..., 0] / 2)
    True
    """
    bands = blend_bands(
        image, function, tile=tile, overlap=overlap, batch_size=batch_size, align=align, halo=halo
    )
    return torch.cat(list(bands), -2)


def blend_bands(
    image: Shaped[Tensor, "h w c"],
    function: Callable[[Tensor], Tensor],
    *,
    tile: int = 512,
    overlap: float = 0.25,
    batch_size: int = 1,
    align: int = ALIGN,
    halo: int = HALO,
    apply: Callable[[Callable, Iterable], Iterable] = map,
) -> Iterator[Float[Tensor, "*k rows w"]]:
    """Compute the rows of `blend_tiles` from top to bottom in bands.

    Beside the image, memory is needed for one batch and one row of tiles alone.

    Args:
        image: See `blend_tiles`.
        function: See `blend_tiles`.
        tile: See `cover`.
        overlap: See `cover`.
        batch_size: See `blend_tiles`.
        align: See `cover`.
        halo: See `cover`.
        apply: Applies a function to batches, as `map` does; `Stages.map` computes several at once.

    Yields:
        float32 (rows, w), or (k, rows, w).

    Raises:
        ValueError: An argument is out of its range.
    """
    if batch_size < 1:
        raise ValueError(f"The batch size must be at least 1, but is {batch_size}.")
    height, width, _ = image.shape
    rows, columns = (
        cover(length, tile, overlap, align=align, halo=halo) for length in (height, width)
    )
    if len(rows.starts) == len(columns.starts) == 1:
        yield function(image.unsqueeze(0))[0].float()
        return

    first, band = 0, None  # the first row that a tile to come may add to, and those from it on
    row_weights, column_weights = rows.weights, columns.weights

    def values_of(batch: list[tuple[int, int]]) -> Tensor:
        tiles = [_tile(image, rows, columns, i, j) for i, j in batch]
        return function(torch.stack(tiles)).float()

    batches = _batches(rows, columns, batch_size)
    for batch, values in zip(batches, apply(values_of, batches), strict=True):
        if band is None:
            band = torch.zeros(*values.shape[1:-2], 0, width, device=values.device)
            row_weights, column_weights = row_weights.to(band), column_weights.to(band)
        for (i, j), value in zip(batch, values, strict=True):
            top, left = rows.starts[i], columns.starts[j]
            if top > first:
                yield band[..., : top - first, :]
                first, band = top, band[..., top - first :, :]
            missing = min(rows.tile, height - top) - band.shape[-2]
            band = F.pad(band, (0, 0, 0, missing)) if missing > 0 else band
            covered = band[..., : rows.tile, left : left + columns.tile]
            h, w = covered.shape[-2:]
            weight = row_weights[i, :h, None] * column_weights[j, None, :w]
            covered.addcmul_(value[..., :h, :w], weight)
    assert band is not None
    yield band


def _weights(starts: tuple[int, ...], tile: int, halo: int) -> Tensor:
    """Gaussian weights of tiles along an axis, normalized so that they add up to 1 everywhere."""
    x = torch.arange(tile, dtype=torch.float64)
    gaussian = torch.exp(-0.5 * ((x - (tile - 1) / 2) / (tile / 8)) ** 2)
    weights = gaussian.repeat(len(starts), 1)
    for i in range(len(starts) - 1):
        shared = starts[i] + tile - starts[i + 1]
        unused = min(halo, shared // 2)  # both neighbors give up as much, and one must remain
        weights[i, tile - unused :] = 0
        weights[i + 1, :unused] = 0
    total = torch.zeros(starts[-1] + tile, dtype=torch.float64)
    for start, weight in zip(starts, weights, strict=True):
        total[start : start + tile] += weight
    for start, weight in zip(starts, weights, strict=True):
        weight /= total[start : start + tile]
    return weights.float()


def _batches(rows: Axis, columns: Axis, size: int) -> list[list[tuple[int, int]]]:
    """The numbers of the tiles along both axes, in batches."""
    numbers = list(product(range(len(rows.starts)), range(len(columns.starts))))
    return [numbers[first : first + size] for first in range(0, len(numbers), size)]


def _tile(image: Tensor, rows: Axis, columns: Axis, i: int, j: int) -> Tensor:
    """Cut out one tile, (tile_h, tile_w, c); its border pixels repeated past the image's end."""
    top, left = rows.starts[i], columns.starts[j]
    pixels = image[top : top + rows.tile, left : left + columns.tile]
    below, right = rows.tile - pixels.shape[0], columns.tile - pixels.shape[1]
    if not below and not right:
        return pixels
    y = torch.arange(rows.tile, device=image.device).clamp_(max=pixels.shape[0] - 1)
    x = torch.arange(columns.tile, device=image.device).clamp_(max=pixels.shape[1] - 1)
    return pixels[y][:, x]
