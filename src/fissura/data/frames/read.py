"""Read the frames of a video, or the images of a folder, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fissura.data.folder import find_images
from fissura.data.images import read_image
from fissura.errors import InputError, extra

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

VIDEOS = (
    *(".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".mts", ".m2ts"),
    *(".wmv", ".3gp", ".insv"),
)
LEAST_READ = 0.95  # of the duration that the file tells, or the video is cut off
GRAY_SIDE = 320  # of the longer side of the small gray copies, in pixels


@dataclass(frozen=True)
class Frame:
    """One frame, whose pixels are made when they are asked for.

    Attributes:
        number: Of the frame, from 0.
        seconds: Since the first frame.
        gray: Makes a gray copy, uint8 (h, w), its longer side at most so many pixels.
        image: Makes the frame upright, RGB, uint8 (h, w, 3).
        file: The file of an image sequence, None in a video.
    """

    number: int
    seconds: float
    gray: Callable[[int], NDArray[np.uint8]]
    image: Callable[[], NDArray[np.uint8]]
    file: Path | None = None


def is_video(path: Path) -> bool:
    """Return whether a path has the ending of a video and is no folder.

    >>> is_video(Path("deck.MP4")), is_video(Path("deck.jpg"))
    (True, False)
    """
    return path.suffix.lower() in VIDEOS and not path.is_dir()


def read_frames(source: Path, rate: float = 1.0) -> Iterator[Frame]:
    """Read a video, or the images of a folder in natural order, as frames.

    Args:
        source: A video, or a folder of images.
        rate: Images per second of a folder.

    Yields:
        The frames. A frame's pixels can be asked for until the next frame is.

    Raises:
        InputError: There is no such file, it is no video or is damaged (frames before the damage
            are yielded), or PyAV is not installed.
    """
    if source.is_dir():
        yield from _of_folder(source, rate)
        return
    if not source.is_file():
        raise InputError(f"{source} does not exist. Give a video, or a folder of images.")
    if not is_video(source):
        raise InputError(
            f"{source} is no video (a file ending in {', '.join(VIDEOS)}), nor a folder of images."
        )
    yield from _of_video(source)


def _of_folder(folder: Path, rate: float) -> Iterator[Frame]:
    for number, file in enumerate(find_images([folder])):
        image = read_image(file)

        def gray(side: int, image: NDArray[np.uint8] = image) -> NDArray[np.uint8]:
            return _small(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), side)

        yield Frame(number, number / rate, gray, lambda image=image: image, file)


def _of_video(file: Path) -> Iterator[Frame]:
    with extra("video", "Reading a video"):
        import av
    number, seconds, first = -1, 0.0, None
    try:
        # What is written of a video is not needed, and may be of any coding.
        with av.open(file, metadata_errors="replace") as container:
            if not container.streams.video:
                raise InputError(f"{file}: holds no video, only sound or data.")
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            step = 1 / (stream.average_rate or Fraction(25))
            for number, frame in enumerate(container.decode(stream)):
                time = frame.time if frame.time is not None else float(number * step)
                first = time if first is None else first
                seconds = time - first
                yield _frame(file, frame, number, seconds)
            promised = float((container.duration or 0) / av.time_base)
    except InputError:
        raise
    except Exception as error:  # of FFmpeg, and what PyAV raises of values that are damaged
        told = str(getattr(error, "strerror", None) or error)
        if number < 0:
            raise InputError(f"{file}: cannot be read as a video ({told}).") from error
        raise InputError(
            f"{file}: is damaged ({told}); it was read for {seconds:.1f} s, {number + 1} frames."
        ) from error
    if number < 0:
        raise InputError(f"{file}: has no frames.")
    if seconds < LEAST_READ * promised - 1:  # FFmpeg does not complain of what is missing
        raise InputError(
            f"{file}: ends after {seconds:.1f} of {promised:.1f} s; the rest is missing."
        )


def _frame(file: Path, frame: VideoFrame, number: int, seconds: float) -> Frame:
    """A frame of PyAV, turned upright as phones say that it is to be shown."""
    turns = round(frame.rotation / 90) % 4  # counterclockwise

    def gray(side: int) -> NDArray[np.uint8]:
        width, height = _fitting(frame.width, frame.height, side)
        with _telling_damage(file, number):
            small: Any = frame.reformat(width=width, height=height, format="gray").to_ndarray()
        return np.ascontiguousarray(np.rot90(small, turns))

    def image() -> NDArray[np.uint8]:
        with _telling_damage(file, number):
            pixels: Any = frame.to_ndarray(format="rgb24")
        return np.ascontiguousarray(np.rot90(pixels, turns))

    return Frame(number, seconds, gray, image)


@contextmanager
def _telling_damage(file: Path, number: int) -> Iterator[None]:
    """Say of a frame that cannot be converted where it is."""
    try:
        yield
    except Exception as error:
        raise InputError(f"{file}: frame {number} is damaged ({error}).") from error


def _small(gray: NDArray[Any], side: int) -> NDArray[np.uint8]:
    height, width = gray.shape
    size = _fitting(width, height, side)
    small: Any = cv2.resize(gray, size, interpolation=cv2.INTER_AREA)
    return small


def _fitting(width: int, height: int, side: int) -> tuple[int, int]:
    """Width and height with the longer one at most `side`."""
    scale = min(side / max(width, height), 1)
    return max(round(width * scale), 1), max(round(height * scale), 1)
