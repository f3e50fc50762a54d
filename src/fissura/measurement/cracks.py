"""The measurement of an image: probabilities in, measured cracks out, whole or by windows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from fissura.errors import InputError
from fissura.measurement.assemble import assemble
from fissura.measurement.calibration import Calibration, calibrated
from fissura.measurement.centerline import center
from fissura.measurement.crack import Crack
from fissura.measurement.gaps import bridge_gaps
from fissura.measurement.graph import build_graph, prune
from fissura.measurement.options import MeasureOptions
from fissura.measurement.skeleton import (
    HALO,
    WINDOW,
    Read,
    ReadMask,
    Skeleton,
    chunks,
    find_skeleton,
    label_components,
    moved,
    without_dots,
)
from fissura.measurement.tips import find_tips
from fissura.measurement.widths import measure_widths

MASK_THRESHOLD = 0.5  # between the 0 and 1 of a mask
POINTS_AT_ONCE = 500_000  # of skeletons that are measured together: some 400 bytes each


@runtime_checkable
class PredictionLike(Protocol):
    """The fields of a `fissura.Prediction` that are measured: (h, w) arrays and the threshold."""

    @property
    def prob(self) -> NDArray[np.float32]:
        """Probabilities of crack (h, w)."""
        ...

    @property
    def mask(self) -> NDArray[np.bool_]:
        """Crack pixels (h, w)."""
        ...

    @property
    def threshold(self) -> float:
        """Probability from which a pixel is crack."""
        ...


def measure(
    source: PredictionLike | NDArray[Any],
    *,
    mm_per_pixel: float | None = None,
    threshold: float | None = None,
    mask: NDArray[np.bool_] | None = None,
    options: MeasureOptions | None = None,
    calibration: Calibration | None = None,
    scale: float | None = None,
) -> list[Crack]:
    """Measure the cracks in an image: length, width, area, course.

    A crack is a connected component (diagonal neighbors count) of the pixels with a probability of
    at least `threshold`. Its centerline is the skeleton of the component, pruned of spurs, moved
    into the middle between the edges and smoothed; where it ends freely, it goes on in its
    direction to the crack's tip. Widths are measured across the centerline at each of its points,
    outside the inscribed circles of junctions: from edge to edge, each where the probability passes
    through the threshold (see `fissura.measurement.profiles.find_edges`). A crack that the border
    of the image cuts off lengthwise has no widths there.

    Args:
        source: A `Prediction`, probabilities (h, w) from 0 to 1, or a mask, bool (h, w).
        mm_per_pixel: Resolution, above 0, or None where it is not known; kept in the cracks, whose
            own lengths stay in pixels.
        threshold: Above 0, at most 1. By default that of the prediction, and 0.5 for
            probabilities; of a mask it means nothing.
        mask: The crack pixels, bool (h, w), where they are known already; by default those of the
            prediction, or where the probability reaches the threshold.
        options: How cracks are measured; the defaults are those of `fissura measure`.
        calibration: How the widths that the model finds are off; by default that of the prediction
            at its own threshold, and else none.
        scale: Size at which the model saw the photo over the photo's; by default that of the
            prediction, else 1. It matters with a calibration alone.

    Returns:
        The cracks, longest first, without those whose centerline is shorter than
        `options.min_length` (10 pixels by default), and without those that the model is less sure
        of than `options.min_prob`.

    Raises:
        InputError: For a threshold or a resolution outside these ranges.
        ValueError: For other arrays.

    Examples:
        >>> mask = np.zeros((9, 60), bool)
        >>> mask[3:6, 5:55] = True
        >>> (crack,) = measure(mask, mm_per_pixel=0.2)
        >>> [round(crack.metrics()[name], 2) for name in ("length_mm", "width_mean_mm", "area_mm2")]
        [10.0, 0.6, 6.0]
    """
    if isinstance(source, PredictionLike):
        if threshold is None:
            threshold = source.threshold
            mask = source.mask if mask is None else mask
            calibration = calibration or Calibration.parse(getattr(source, "measuring", {}))
            scale = getattr(source, "scale", 1.0) if scale is None else scale
        source = source.prob
    prob = np.asarray(source)
    if prob.ndim != 2 or not (prob.dtype == np.bool_ or np.issubdtype(prob.dtype, np.floating)):
        raise ValueError(
            "measure takes a prediction, probabilities or a mask, floats or bools (h, w); got "
            f"{prob.dtype} {prob.shape}."
        )
    if prob.dtype == np.bool_ or threshold is None:
        threshold = MASK_THRESHOLD
    known = None if mask is None else np.asarray(mask, np.bool_)
    if known is not None and known.shape != prob.shape:
        raise ValueError(f"The mask is {known.shape}, but the probabilities are {prob.shape}.")

    def read(top: int, left: int, bottom: int, right: int) -> NDArray[np.float32]:
        return prob[top:bottom, left:right].astype(np.float32)

    def read_mask(top: int, left: int, bottom: int, right: int) -> NDArray[np.bool_]:
        assert known is not None
        return known[top:bottom, left:right]

    size_hw = (prob.shape[0], prob.shape[1])
    cracks = measure_windows(
        read,
        size_hw,
        mm_per_pixel=mm_per_pixel,
        threshold=threshold,
        read_mask=None if known is None else read_mask,
        options=options,
    )
    min_prob = None if options is None else options.min_prob
    if calibration is None and not min_prob:
        return cracks
    return calibrated(
        cracks, calibration or Calibration(), read, size_hw, scale=scale or 1.0, min_prob=min_prob
    )


def measure_windows(
    read: Read,
    size_hw: tuple[int, int],
    *,
    threshold: float,
    mm_per_pixel: float | None = None,
    read_mask: ReadMask | None = None,
    options: MeasureOptions | None = None,
    window: int = WINDOW,
    halo: int = HALO,
) -> list[Crack]:
    """Measure the cracks in an image that is read by windows, because it does not fit in memory.

    The result is that of `measure` for the whole image, whatever the size of the windows: no crack
    is cut in two where they meet. The image is read once for its skeleton, and, where there are
    cracks, three times for measuring: a chunk of neighboring cracks at a time, unless gaps are
    bridged.

    Args:
        read: Called with top, left, bottom and right of a window; returns the probabilities in it,
            float32 (h, w).
        size_hw: Height and width of the image.
        threshold: Above 0, at most 1.
        mm_per_pixel: As of `measure`.
        read_mask: Called like `read`; returns the crack pixels, bool (h, w). By default those with
            a probability of at least `threshold`.
        options: As of `measure`.
        window: Side of the windows without their halo, in pixels.
        halo: Least width of the surroundings that are read with a window.

    Returns:
        The cracks, as `measure` does.

    Raises:
        InputError: For a threshold or a resolution out of range.
    """
    options = options or MeasureOptions()
    _check(threshold, mm_per_pixel)
    skeleton = find_skeleton(
        read_mask or _at_least(threshold, read), size_hw, window=window, halo=halo
    )
    return _measured(skeleton, read, threshold, mm_per_pixel, options)


def measure_part(
    read: Read,
    size_hw: tuple[int, int],
    part: tuple[int, int, int, int],
    mask: NDArray[np.bool_],
    *,
    threshold: float,
    mm_per_pixel: float | None = None,
    options: MeasureOptions | None = None,
) -> list[Crack]:
    """Measure some of the cracks of an image, without looking at the rest of it.

    They come out as `measure_windows` has them, to the bit, but for their numbers.

    Args:
        read: As of `measure_windows`, for any window of the image.
        size_hw: Height and width of the image.
        part: Top, left, bottom and right of a part of the image in which the cracks lie whole.
        mask: Bool (h, w) of the part, the pixels of these cracks alone.
        threshold: Above 0, at most 1.
        mm_per_pixel: As of `measure`.
        options: As of `measure`; no gaps are bridged.

    Returns:
        The cracks, as `measure` does.

    Raises:
        InputError: For a threshold or a resolution out of range.
    """
    options = replace(options or MeasureOptions(), bridge=0.0)
    _check(threshold, mm_per_pixel)
    top, left, _, _ = part

    def read_mask(above: int, before: int, below: int, after: int) -> NDArray[np.bool_]:
        return mask[above:below, before:after]

    height, width = mask.shape
    skeleton = moved(find_skeleton(read_mask, (height, width)), (top, left), size_hw)
    return _measured(skeleton, read, threshold, mm_per_pixel, options)


def _measured(
    skeleton: Skeleton,
    read: Read,
    threshold: float,
    mm_per_pixel: float | None,
    options: MeasureOptions,
) -> list[Crack]:
    """Measure the cracks whose skeleton is known."""
    size_hw = skeleton.size_hw
    if options.min_length > 2 and not options.bridge:
        skeleton = without_dots(skeleton)
    kept: list[Crack] = []
    # A bridge may join any two components, so that none can be measured without the others.
    for chunk in [skeleton] if options.bridge else chunks(skeleton, POINTS_AT_ONCE):
        graph = build_graph(chunk)
        prune(graph, options.spur)
        center(graph, read, size_hw, threshold)
        tips = find_tips(graph, read, size_hw, threshold)
        bridged = bridge_gaps(graph, tips, options.bridge)
        widths = measure_widths(graph, bridged, read, size_hw, threshold, options.prob_error)
        kept += assemble(graph, chunk, widths, bridged, mm_per_pixel, options.min_length)
    kept.sort(key=lambda crack: (-crack.length, crack.anchors))
    return [replace(crack, number=number) for number, crack in enumerate(kept, 1)]


def crack_labels(mask: NDArray[np.bool_], cracks: list[Crack]) -> NDArray[np.int32]:
    """Number the pixels of a mask by their cracks.

    Args:
        mask: Bool (h, w), the pixels that the cracks were measured on.
        cracks: From `measure`.

    Returns:
        int32 (h, w), the number of the crack at each of its pixels, 0 elsewhere.
    """
    found, count = label_components(mask)
    numbers = np.zeros(count + 1, np.int32)
    for crack in cracks:
        for row, column in crack.anchors:
            numbers[found[row, column]] = crack.number
    return numbers[found]


def _at_least(threshold: float, read: Read) -> Callable[[int, int, int, int], NDArray[np.bool_]]:
    """Read the mask that a threshold makes of probabilities."""
    return lambda top, left, bottom, right: read(top, left, bottom, right) >= threshold


def _check(threshold: float, mm_per_pixel: float | None) -> None:
    """Raise `InputError` for values out of range."""
    if not 0 < threshold <= 1:
        raise InputError(f"The threshold is {threshold}, but must be above 0 and at most 1.")
    if mm_per_pixel is not None and not 0 < mm_per_pixel < float("inf"):
        raise InputError(f"The resolution is {mm_per_pixel} mm per pixel, but must be above 0.")
