"""Choose frames: cut a video into places by time or motion, and take the sharpest of each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from fissura.data.frames.options import FrameOptions
from fissura.data.frames.read import GRAY_SIDE, Frame

SHARP_SIDE = 1280  # pixels: a finer copy would rate the noise of cameras
# Below this peak, phase correlation has found no common picture: another scene, or too fast.
LEAST_PEAK = 0.03


@dataclass(frozen=True)
class Chosen:
    """The sharpest frame of a place.

    Attributes:
        image: RGB, uint8 (h, w, 3), upright.
        file: Its file in an image sequence, None in a video.
        number: Of the frame in the video, from 0.
        seconds: Since the first frame.
        place: Number of the place, from 1.
        frames: How many frames the place has.
        sharpness: See `sharpness`.
    """

    image: NDArray[np.uint8]
    file: Path | None
    number: int
    seconds: float
    place: int
    frames: int
    sharpness: float


def choose_frames(frames: Iterable[Frame], options: FrameOptions) -> Iterator[Chosen]:
    """Yield the sharpest frame of each place.

    A new place begins after `options.seconds`, and where the picture has moved by `options.motion`
    of its width or height since the place began, or has changed altogether. Motion is the sum of
    the shifts from frame to frame, by phase correlation; turning and coming nearer are not seen.

    Args:
        frames: From `fissura.data.frames.read.read_frames`.
        options: When a place ends.

    Yields:
        A frame for each place. Where reading fails, the place that was begun is yielded before the
        error is raised.
    """
    place: _Place | None = None
    before: NDArray[np.float32] | None = None
    count = 0
    iterator = iter(frames)
    while True:
        try:
            frame = next(iterator, None)
        except Exception:
            if place is not None:
                yield place.chosen(count)
            raise
        if frame is None:
            break
        moved = np.zeros(2)
        changed = False
        if options.motion is not None:
            now = frame.gray(GRAY_SIDE).astype(np.float32)
            if before is not None:
                moved, changed = _moved(before, now)
            before = now
        if place is None or changed or place.ends(frame, moved, options):
            if place is not None:
                yield place.chosen(count)
            place, count = _Place(frame.seconds), count + 1
        place.add(frame)
    if place is not None:
        yield place.chosen(count)


def sharpness(gray: NDArray[np.uint8]) -> float:
    """Return how sharp a picture is: the variance of its Laplacian, in squared 8-bit units.

    It compares pictures of the same thing; a plain wall is less 'sharp' than a lawn.

    Source: Pech-Pacheco et al., Diatom autofocusing in brightfield microscopy, ICPR 2000.

    Args:
        gray: uint8 (h, w).
    """
    return float(cv2.Laplacian(gray, cv2.CV_64F).var())


class _Place:
    """The frames of a place, of which the sharpest is kept."""

    def __init__(self, began: float) -> None:
        self.began, self.frames, self.moved = began, 0, np.zeros(2)
        self.best: tuple[float, Frame, NDArray[np.uint8]] | None = None

    def ends(self, frame: Frame, moved: NDArray[np.float64], options: FrameOptions) -> bool:
        """Whether the place ends before this frame."""
        self.moved += moved
        late = options.seconds is not None and frame.seconds - self.began >= options.seconds - 1e-6
        far = options.motion is not None and np.abs(self.moved).max() >= options.motion
        return late or bool(far)

    def add(self, frame: Frame) -> None:
        """Count a frame, and keep it where it is the sharpest."""
        self.frames += 1
        sharp = sharpness(frame.gray(SHARP_SIDE))
        if self.best is None or sharp > self.best[0]:
            self.best = (sharp, frame, frame.image())

    def chosen(self, number: int) -> Chosen:
        """The sharpest frame."""
        assert self.best is not None
        sharp, frame, image = self.best
        return Chosen(image, frame.file, frame.number, frame.seconds, number, self.frames, sharp)


def _moved(
    before: NDArray[np.float32], now: NDArray[np.float32]
) -> tuple[NDArray[np.float64], bool]:
    """By what fraction of width and height a picture has moved, and whether it is another one."""
    if before.shape != now.shape:
        return np.zeros(2), True
    height, width = now.shape
    window = cv2.createHanningWindow((width, height), cv2.CV_32F)
    shift, peak = cv2.phaseCorrelate(before, now, window)
    return np.array(shift) / (width, height), peak < LEAST_PEAK
