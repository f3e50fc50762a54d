"""`score`: counts of each image, from its probabilities and its mask, behind all metrics."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fissura.data.preparation.load import PreparedSet
from fissura.metrics.counts import BINS, COLUMNS, METRICS, histograms, pixel_counts, threshold_bin
from fissura.metrics.curves import PerImageBest, ois
from fissura.metrics.matches import match_metrics
from fissura.metrics.tolerant import tolerant_matches
from fissura.metrics.topology import centerline_matches

ALARM_PIXELS = 20
"""A false alarm is a predicted component of at least so many pixels on an image without crack."""


@dataclass(frozen=True, eq=False)
class AtThreshold:
    """The counts of every image at one threshold.

    Attributes:
        threshold: k/256, or one beyond the ends of that grid.
        source: Origin of the threshold: "fixed", "validation" or "given"; or "map" where a pixel
            belongs to the likeliest of several classes.
        counts: int64 (n, 4), columns tp fp fn tn.
        tolerant: int64 (n, 4), the same with tolerance (`fissura.metrics.matches`).
        center_line: int64 (n, 4), along centerlines (`fissura.metrics.topology`).
        alarms: int64 (n,), false alarms: predicted components of at least `ALARM_PIXELS` pixels
            where an image has no crack; 0 for images with cracks.
    """

    threshold: float
    source: str
    counts: NDArray[np.int64]
    tolerant: NDArray[np.int64]
    center_line: NDArray[np.int64]
    alarms: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Scores:
    """The counts and predictions of a set of n images, before any averaging.

    Attributes:
        data: The images, with their names and masks.
        histograms: int64 (n, 2, 256), `fissura.metrics.counts.histograms` of each image.
        half: Counts at the threshold 0.5.
        chosen: Counts at the threshold chosen on validation data, or given; None where there is
            none.
        tolerance: Tolerance of `AtThreshold.tolerant`, in pixels.
        predictions: Each image's mask at the headline's threshold, a bit per pixel (`prediction`);
            pixels that don't count are not crack there.
    """

    data: PreparedSet
    histograms: NDArray[np.int64]
    half: AtThreshold
    chosen: AtThreshold | None
    tolerance: float
    predictions: list[NDArray[np.uint8]]

    def __len__(self) -> int:
        return len(self.histograms)

    @property
    def headline(self) -> AtThreshold:
        """The counts at the chosen threshold, or, where there is none, those at 0.5."""
        return self.chosen or self.half

    @cached_property
    def oracle(self) -> PerImageBest:
        """Each image at the threshold that suits it best."""
        return ois(self.histograms)

    def prediction(self, index: int) -> NDArray[np.bool_]:
        """Return the mask (h, w) predicted for an image, at the headline's threshold.

        Args:
            index: Index of the image in the set.
        """
        shape = self.data.masks[index].shape
        bits = np.unpackbits(self.predictions[index], count=shape[0] * shape[1])
        return bits.reshape(shape).astype(bool)

    def valid(self, index: int) -> NDArray[np.bool_] | None:
        """Return the valid mask (h, w) of an image; None where all pixels count.

        Args:
            index: Index of the image in the set.
        """
        return None if self.data.valid is None else self.data.valid[index]

    def per_image(self) -> list[dict[str, Any]]:
        """Return a row of metrics for each image, undefined ones as NaN."""
        half, chosen = _columns(self.half), _columns(self.chosen) if self.chosen else {}
        pixels = self.histograms.sum(axis=(1, 2))
        truth = self.histograms[:, 1].sum(axis=1) / pixels
        rows = []
        for index, (name, mask) in enumerate(zip(self.data.names, self.data.masks, strict=True)):
            row: dict[str, Any] = {
                "name": name,
                "group": self.data.groups[index],
                "height": mask.shape[0],
                "width": mask.shape[1],
                "crack_fraction": float(truth[index]),
            }
            for prefix, columns in (("half", half), ("chosen", chosen)):
                row |= {f"{prefix}_{key}": value[index].item() for key, value in columns.items()}
            row["oracle_f1"] = float(self.oracle.values[index])
            row["oracle_threshold"] = float(self.oracle.thresholds[index])
            rows.append(row)
        return rows


def score(
    probs: Iterable[NDArray[np.float32]],
    data: PreparedSet,
    *,
    threshold: float | None = None,
    source: str = "given",
    tolerance: float = 2.0,
) -> Scores:
    """Compare probabilities with the masks of a set, in one pass, image by image.

    Probabilities are compared one image at a time and not kept. A histogram, a few counts and the
    predicted mask in bits are kept of each image.

    Args:
        probs: As many arrays float32 (h, w) in [0, 1] as `data` has masks, of their sizes and in
            their order; an iterator serves.
        data: The images and the truth.
        threshold: Threshold to score beside 0.5, rounded to the nearest k/256 but beyond the ends
            of that grid; None for 0.5 alone.
        source: Origin of `threshold`: "validation", "given" or "fixed".
        tolerance: Tolerance of the tolerant metrics, in pixels.

    Returns:
        The scores of all images.

    Raises:
        ValueError: The probabilities don't fit the masks, or there are no images.
    """
    wanted = [0.5] if threshold is None else [0.5, _on_grid(threshold)]
    tables, bits = [], []
    # For each threshold, of each image: counts, tolerant and along centerlines too, false alarms.
    found: list[list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], int]]]
    found = [[] for _ in wanted]
    for index, prob in enumerate(probs):
        if index >= len(data) or prob.shape != data.masks[index].shape:
            raise ValueError(_misfit(index, prob.shape, data))
        target = data.masks[index]
        valid = None if data.valid is None else data.valid[index]
        tables.append(histograms(prob, target, valid))
        pred = np.zeros(prob.shape, np.bool_)
        for into, at in zip(found, wanted, strict=True):
            whole = prob >= np.float32(at)
            pred = whole if valid is None else whole & valid
            into.append(
                (
                    pixel_counts(pred, target, valid),
                    tolerant_matches(pred, target, tolerance, valid),
                    centerline_matches(whole, target, valid),
                    0 if target.any() else count_components(pred, ALARM_PIXELS),
                )
            )
        bits.append(np.packbits(pred))
    if len(tables) != len(data) or not tables:
        raise ValueError(f"{len(tables)} probability maps for {len(data)} images; needs one each.")
    stacked = np.stack(tables)
    points = [
        AtThreshold(
            threshold=at,
            source=source if index else "fixed",
            counts=np.stack([counts for counts, _, _, _ in images]),
            tolerant=np.stack([tolerant for _, tolerant, _, _ in images]),
            center_line=np.stack([line for _, _, line, _ in images]),
            alarms=np.array([alarms for _, _, _, alarms in images], np.int64),
        )
        for index, (at, images) in enumerate(zip(wanted, found, strict=True))
    ]
    return Scores(
        data=data,
        histograms=stacked,
        half=points[0],
        chosen=points[1] if len(points) > 1 else None,
        tolerance=tolerance,
        predictions=bits,
    )


def _on_grid(threshold: float) -> float:
    """Return the nearest k/256, or the threshold itself where it lies beyond the grid's ends."""
    near = threshold_bin(threshold) / BINS
    return near if 1 / BINS <= threshold <= (BINS - 1) / BINS else threshold


def count_components(mask: NDArray[np.bool_], least: int) -> int:
    """Count the connected components (8 neighbors) of a mask, but those that are too small.

    Args:
        mask: Mask (h, w).
        least: Pixels of the smallest component that counts.

    >>> count_components(np.array([[1, 0, 1], [0, 1, 0], [0, 0, 0]], bool), 3)
    1
    """
    _, _, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    return int(np.count_nonzero(stats[1:, cv2.CC_STAT_AREA] >= least))


def _misfit(index: int, shape: tuple[int, ...], data: PreparedSet) -> str:
    """Say why probabilities do not fit the masks."""
    if index >= len(data):
        return f"More than {len(data)} probability maps for {len(data)} images."
    return (
        f"The probabilities of image {index} ({data.names[index]}) are {shape}, "
        f"its mask is {data.masks[index].shape}."
    )


def _columns(point: AtThreshold) -> dict[str, NDArray[Any]]:
    """Metrics of every image at one threshold, by the names of the table's columns."""
    counts = point.counts
    tolerant, line = match_metrics(point.tolerant), match_metrics(point.center_line)
    return {
        **{name: counts[:, column] for column, name in enumerate(COLUMNS)},
        **{name: metric(counts) for name, metric in METRICS.items()},
        **{f"tolerant_{name}": values for name, values in tolerant.items()},
        "cldice": line["f1"],
        "false_alarms": point.alarms,
    }
