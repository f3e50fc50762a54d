"""The probabilities of one chunk of rows of a large image, computed by windows of columns."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from fissura.inference.network import WIDEST
from fissura.inference.prediction import HIGHEST_8
from fissura.inference.predictor import Predictor
from fissura.inference.rasters.windows import Interval, even, filled, intervals
from fissura.raster import Raster

TILES_HALO = 256  # pixels of the network; beyond them, what a tile sees hardly matters
MOST_COLUMNS = 2**14  # of an image that the network sees much smaller


def halo_of(predictor: Predictor) -> int:
    """Return how far around a pixel the network looks, in its own pixels.

    Args:
        predictor: Of the network.
    """
    return predictor.halo or TILES_HALO


def predict_rows(
    predictor: Predictor, raster: Raster, chunk: Interval, advance: Callable[[int], None]
) -> tuple[NDArray[np.uint8], int]:
    """Predict the rows of one chunk; no part of the mask is left out, as it may go on elsewhere.

    Args:
        predictor: Of the model.
        raster: The image.
        chunk: The rows.
        advance: Called with the number of rows that are done since the last call.

    Returns:
        The probabilities of the chunk's own rows, 0 to 255, and how many of its pixels show
        something.
    """
    predictor = predictor.keeping_unsure()
    whole_hw, scale, rows = raster.size_hw, predictor.scale, chunk.stop - chunk.start
    width = whole_hw[1]
    prob, count = np.zeros((rows, width), np.uint8), 0
    first, last = chunk.seen.start, chunk.seen.stop
    image = None
    # The predictor would cut long rows itself, but have all of them in memory at once.
    for columns in _columns(predictor, width):
        left, right = columns.seen.start, columns.seen.stop
        above, before = chunk.start - first, columns.start - left
        own_width = columns.stop - columns.start
        own = slice(above, above + rows), slice(before, before + own_width)
        valid = raster.valid(first, left, last, right)
        shown = rows * own_width if valid is None else np.count_nonzero(valid[own])
        if shown:
            if raster.in_rows and image is None:
                image = raster.read(first, 0, last, width)
            read = raster.read(first, left, last, right) if image is None else image[:, left:right]
            window = even(read if valid is None else filled(read, valid), whole_hw, scale)
            (found,) = predictor.compact([window], highest=HIGHEST_8)
            assert found.prob is not None
            values = np.asarray(found.prob[own], np.uint8)
            prob[:, columns.start : columns.stop] = values if valid is None else values * valid[own]
        count += int(shown)
        advance(rows * columns.stop // width - rows * columns.start // width)
    return prob, count


def _columns(predictor: Predictor, width: int) -> list[Interval]:
    """Cut columns so that the predictor need not do so."""
    halo, scale = halo_of(predictor), predictor.scale
    most = min(WIDEST / scale, MOST_COLUMNS) - 2 * halo / scale
    return intervals(width, max(most, halo / scale), scale, halo)
