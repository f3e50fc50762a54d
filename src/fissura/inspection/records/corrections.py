"""Corrections: the cracks of a corrected mask beside those that the model found on the photo."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fissura.data.formats.shapes.runs import crack_runs
from fissura.measurement.crack import Crack

FOUND, CORRECTED, ADDED, REJECTED, GIVEN = "found", "corrected", "added", "rejected", "given"
# What each status means; "rejected" is that of a crack of the model, the others of measured ones.
STATUSES = {
    FOUND: "as the model found it, up to one pixel at its edges",
    CORRECTED: "found by the model and changed by hand",
    ADDED: "drawn by hand where the model found nothing",
    REJECTED: "found by the model and erased by hand",
    GIVEN: "from a given mask; what the model found there is not known",
}


@dataclass(frozen=True)
class ModelCrack:
    """A crack that the model found, and what became of it.

    Attributes:
        number: Its number among those that the model found.
        length: Length of its centerline in pixels.
        width_max: Its largest width in pixels, or NaN.
        box: Top, left, bottom and right of its pixels.
        became: Number of the crack that it is now, or most of it; 0 where it was rejected.
    """

    number: int
    length: float
    width_max: float
    box: tuple[int, int, int, int]
    became: int


@dataclass(frozen=True, kw_only=True)
class Correction:
    """What a corrected mask changed on a photo.

    Attributes:
        mask: Where the mask comes from, in words.
        given: Digest of the mask that was given; empty where the photo's own mask was edited.
        statuses: A key of `STATUSES` for each crack of the record.
        model_cracks: The cracks that the model found; empty where they are not known.
    """

    mask: str
    given: str = ""
    statuses: list[str] = field(default_factory=list)
    model_cracks: list[ModelCrack] = field(default_factory=list)

    @classmethod
    def from_fields(cls, fields: dict[str, Any]) -> Correction:
        """Return the correction whose fields were written as JSON."""
        cracks = [
            ModelCrack(**crack | {"box": tuple(crack["box"])}) for crack in fields["model_cracks"]
        ]
        return cls(
            mask=fields["mask"],
            given=fields["given"],
            statuses=list(fields["statuses"]),
            model_cracks=cracks,
        )

    @property
    def rejected(self) -> list[ModelCrack]:
        """The cracks of the model that are no more."""
        return [crack for crack in self.model_cracks if not crack.became]

    def counts(self) -> dict[str, int]:
        """Return the number of cracks of each status that occurs, in the order of `STATUSES`."""
        all_of = [*self.statuses, *(REJECTED for _ in self.rejected)]
        return {status: all_of.count(status) for status in STATUSES if status in all_of}

    def words(self) -> str:
        """Say what was changed, in a line.

        >>> Correction(mask="masks/a.png", statuses=["found", "added"]).words()
        'mask corrected (masks/a.png): 1 found, 1 added'
        """
        told = ", ".join(f"{count} {status}" for status, count in self.counts().items())
        return f"mask corrected ({self.mask}): {told or 'no crack'}"


@dataclass(frozen=True, eq=False)
class Found:
    """What the model found on a photo.

    Attributes:
        cracks: Its cracks, numbered from 1.
        runs: The runs of each one's pixels, as those of a record; None where they are not known.
        measuring: The options that they were measured with, by name.
        specks: The runs of pixels that were too short to be cracks; None where not known.
    """

    cracks: list[Crack]
    runs: list[NDArray[np.int64]] | None
    measuring: dict[str, Any]
    specks: NDArray[np.int64] | None = None


def review(
    correction: Correction,
    cracks: Sequence[Crack],
    labels: NDArray[np.int32] | None,
    model: Found | None,
    *,
    keep: bool,
    min_length: float = 0.0,
) -> tuple[list[Crack], Correction]:
    """Compare the cracks of a corrected mask with those that the model found.

    A crack of the mask that shares a pixel with cracks of the model is found, where it is one of
    them up to a pixel at its edges, and corrected otherwise; one that shares none is added. A crack
    of the model that shares no pixel with any is rejected. Cracks of which not one pixel changed
    keep the numbers that were measured on the model's probabilities, whose edges are finer than
    those of a mask; and what was too short to be a crack there is none here either.

    Args:
        correction: Where the mask comes from.
        cracks: Cracks measured on the mask, numbered from 1.
        labels: (h, w), their numbers at their pixels; None where the image is too large for that.
        model: What the model found; None where that is not known.
        keep: Whether the model's cracks were measured with the same options.
        min_length: Shorter cracks are left out, unless the model found just them; in pixels.

    Returns:
        The cracks, the longest first and numbered so, and the correction with statuses.
    """
    if model is None or model.runs is None or labels is None:
        kept = [crack for crack in cracks if crack.length >= min_length]
        return kept, replace(correction, statuses=[GIVEN] * len(kept), model_cracks=[])
    before = _labels_of(model.runs, labels.shape)
    shared = shared_pixels(labels, before)
    of_new, of_old = _partners(shared, 0), _partners(shared, 1)
    specks = _labels_of([] if model.specks is None else [model.specks], labels.shape)
    known: dict[int, Crack] = {}
    statuses: dict[int, str] = {}
    for crack, own in zip(cracks, crack_runs(labels, len(cracks)), strict=True):
        status, partners = ADDED, of_new.get(crack.number, [])
        if partners:
            status = CORRECTED
            old = model.cracks[partners[0] - 1]
            alone = len(partners) == len(of_old[old.number]) == 1
            if alone and keep and np.array_equal(own, model.runs[old.number - 1]):
                statuses[crack.number] = FOUND
                known[crack.number] = replace(old, mm_per_pixel=crack.mm_per_pixel)
                continue
            if alone and _alike(crack, old, labels, before):
                status = FOUND
        elif keep and _within(own, specks):
            continue
        if crack.length >= min_length:
            statuses[crack.number], known[crack.number] = status, crack
    order = sorted(known, key=lambda number: (-known[number].length, known[number].anchors))
    renumbered = {number: index for index, number in enumerate(order, start=1)}
    became: dict[int, tuple[int, int]] = {}
    for (new, old), pixels in shared.items():
        became[old] = max(became.get(old, (0, 0)), (pixels, renumbered.get(new, 0)))
    return (
        [replace(known[number], number=renumbered[number]) for number in order],
        replace(
            correction,
            statuses=[statuses[number] for number in order],
            model_cracks=[
                ModelCrack(old.number, old.length, old.width_max, old.box, now)
                for old in model.cracks
                for _, now in [became.get(old.number, (0, 0))]
            ],
        ),
    )


def _partners(shared: Iterable[tuple[int, int]], side: int) -> dict[int, list[int]]:
    """Return for each crack of one side those of the other that share a pixel with it."""
    partners: dict[int, list[int]] = {}
    for pair in shared:
        partners.setdefault(pair[side], []).append(pair[1 - side])
    return partners


def _within(runs: NDArray[np.int64], specks: NDArray[np.int32]) -> bool:
    """Whether all pixels of a crack are among those that were too short to be one."""
    flat = specks.T.reshape(-1)
    return all(flat[first:last].all() for first, last in runs.tolist())


def _labels_of(runs: Sequence[NDArray[np.int64]], shape: tuple[int, ...]) -> NDArray[np.int32]:
    """Return the numbers of cracks at their pixels (h, w), 0 elsewhere."""
    height, width = shape
    flat = np.zeros(height * width, np.int32)
    for number, own in enumerate(runs, start=1):
        for first, last in own.tolist():
            flat[first:last] = number
    return flat.reshape(width, height).T


def shared_pixels(
    labels: NDArray[np.int32], before: NDArray[np.int32]
) -> dict[tuple[int, int], int]:
    """Return the number of pixels that a new and an old crack share, by their numbers."""
    both = np.flatnonzero((labels > 0) & (before > 0))
    most = int(before.max(initial=0)) + 1
    keys = labels.ravel()[both].astype(np.int64) * most + before.ravel()[both]
    found, counts = np.unique(keys, return_counts=True)
    return {divmod(key, most): n for key, n in zip(found.tolist(), counts.tolist(), strict=True)}


def _alike(crack: Crack, old: Crack, labels: NDArray[np.int32], before: NDArray[np.int32]) -> bool:
    """Whether two cracks are each other's, up to one pixel at their edges."""
    top, left = (max(min(a, b) - 1, 0) for a, b in zip(crack.box[:2], old.box[:2], strict=True))
    bottom, right = (max(a, b) + 1 for a, b in zip(crack.box[2:], old.box[2:], strict=True))
    new = (labels[top:bottom, left:right] == crack.number).astype(np.uint8)
    was = (before[top:bottom, left:right] == old.number).astype(np.uint8)
    square = np.ones((3, 3), np.uint8)
    return not ((new > cv2.dilate(was, square)).any() or (was > cv2.dilate(new, square)).any())
