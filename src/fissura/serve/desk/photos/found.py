"""What the model found on a photo, looked at through windows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fissura.data.formats.shapes.runs import crack_runs
from fissura.inspection.records.corrections import Found
from fissura.inspection.records.store import load_record
from fissura.measurement import Crack
from fissura.measurement.options import MeasureOptions
from fissura.serve.desk.photos.pixels import Box, Pixels

NO_RUNS = np.empty((0, 2), np.int64)


@dataclass(frozen=True, eq=False)
class ModelFound:
    """The cracks that the model found on a photo, without resolution, and its specks.

    Attributes:
        cracks: The cracks, numbered from 1.
        runs: The runs of each one's pixels, down the columns.
        specks: The runs of pixels that were too short to be cracks.
        size_hw: Height and width of the photo.
        measuring: How they were measured.
    """

    cracks: list[Crack]
    runs: list[NDArray[np.int64]]
    specks: NDArray[np.int64]
    size_hw: tuple[int, int]
    measuring: MeasureOptions

    @classmethod
    def load(cls, record: Path, measuring: MeasureOptions) -> ModelFound:
        """Read what the record of a photo holds."""
        stored = load_record(record)
        cracks = [replace(crack, mm_per_pixel=None) for crack in stored.cracks]
        runs = stored.runs or [NO_RUNS] * len(cracks)
        specks = NO_RUNS if stored.specks is None else stored.specks
        return cls(cracks, runs, specks, stored.size_hw, measuring)

    @cached_property
    def boxes(self) -> NDArray[np.int64]:
        """The boxes of the cracks (n, 4)."""
        return np.array([crack.box for crack in self.cracks], np.int64).reshape(-1, 4)

    def meeting(self, box: Box) -> list[int]:
        """Return the numbers of the cracks whose box shares a pixel with a window."""
        top, left, bottom, right = box
        t, w, b, r = self.boxes.T
        met = (t < bottom) & (top < b) & (w < right) & (left < r)
        return (np.flatnonzero(met) + 1).tolist()

    def labels(self, box: Box, numbers: list[int]) -> NDArray[np.int32]:
        """Number the pixels of a window by cracks: 1 for the first of the numbers, and so on."""
        labels = np.zeros((box[2] - box[0], box[3] - box[1]), np.int32)
        for index, number in enumerate(numbers, start=1):
            self._paint(labels, self.runs[number - 1], box, index)
        return labels

    def pixels(self, number: int) -> Pixels:
        """Return the pixels of a crack."""
        box = self.cracks[number - 1].box
        return Pixels(box, self.labels(box, [number]) > 0)

    def found(self, box: Box, numbers: list[int]) -> tuple[Found, NDArray[np.int32]]:
        """Return some cracks, and the specks, as they are in a window, and the cracks' labels.

        Numbers and coordinates are those of the window.
        """
        labels = self.labels(box, numbers)
        cracks = [
            shifted(replace(self.cracks[number - 1], number=index), box)
            for index, number in enumerate(numbers, start=1)
        ]
        specks = np.zeros(labels.shape, np.int32)
        self._paint(specks, self.specks, box, 1)
        found = Found(
            cracks,
            crack_runs(labels, len(cracks)),
            self.measuring.settings(),
            crack_runs(specks, 1)[0],
        )
        return found, labels

    def _paint(
        self, canvas: NDArray[np.int32], runs: NDArray[np.int64], box: Box, value: int
    ) -> None:
        """Give the pixels of runs a value in a window."""
        height = self.size_hw[0]
        top, left, bottom, right = box
        near = runs[np.searchsorted(runs[:, 1], left * height, "right") :]
        near = near[: np.searchsorted(near[:, 0], right * height)]
        if not len(near):
            return
        first, last = np.clip(near, left * height, right * height).T
        lengths = last - first
        starts = np.cumsum(lengths) - lengths
        positions = np.arange(int(lengths.sum())) + np.repeat(first - starts, lengths)
        columns, rows = np.divmod(positions, height)
        inside = (rows >= top) & (rows < bottom)
        canvas[rows[inside] - top, columns[inside] - left] = value


def shifted(crack: Crack, box: Box) -> Crack:
    """Return a crack whose box is counted from a window's first pixel."""
    top, left, bottom, right = crack.box
    return replace(crack, box=(top - box[0], left - box[1], bottom - box[0], right - box[1]))
