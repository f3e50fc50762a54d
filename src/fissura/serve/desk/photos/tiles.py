"""Tiles: a photo as squares of 256 pixels at every size, written once; and those of a mask."""

from __future__ import annotations

import json
import struct
import threading
from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from fissura.files import replacing
from fissura.files.documents import parse_json
from fissura.overlay import VERMILION

TILE = 256
QUALITY = 90
ALPHA = 150  # of a mask's pixels, of 255
MAGIC = b"FISTILE1"
THUMBNAIL = 256  # pixels of its longer side


def level_sizes(size_hw: tuple[int, int]) -> list[tuple[int, int]]:
    """Return height and width of each level: full size first, each half the one before.

    The last is the first that fits into one tile.

    >>> level_sizes((300, 700))
    [(300, 700), (150, 350), (75, 175)]
    """
    sizes = [size_hw]
    while max(sizes[-1]) > TILE:
        height, width = sizes[-1]
        sizes.append(((height + 1) // 2, (width + 1) // 2))
    return sizes


def tile_count(size: int) -> int:
    """Return how many tiles lie along a side."""
    return -(-size // TILE)


class _Level:
    """Takes the rows of one level, writes its tiles, and hands on rows of half the size."""

    def __init__(self, writer: _Writer, sizes: list[tuple[int, int]]) -> None:
        self.writer = writer
        self.level = len(writer.sizes) - len(sizes)
        self.size_hw = sizes[0]
        self.next = _Level(writer, sizes[1:]) if len(sizes) > 1 else None
        self.held = np.empty((TILE, self.size_hw[1], 3), np.uint8)
        self.count, self.row = 0, 0

    def add(self, rows: NDArray[np.uint8]) -> None:
        """Take further rows (n, w, 3)."""
        while len(rows):
            taken = min(TILE - self.count, len(rows))
            self.held[self.count : self.count + taken] = rows[:taken]
            self.count += taken
            rows = rows[taken:]
            if self.count == TILE:
                self.flush()

    def flush(self) -> None:
        """Write the tiles of the rows that are held."""
        if not self.count:
            return
        rows = self.held[: self.count]
        for column in range(tile_count(self.size_hw[1])):
            tile = rows[:, column * TILE : (column + 1) * TILE]
            self.writer.write(self.level, column, self.row, tile)
        if self.next is not None:
            odd = [(0, rows.shape[0] % 2), (0, rows.shape[1] % 2), (0, 0)]
            even = np.pad(rows, odd, mode="edge")
            size = (even.shape[1] // 2, even.shape[0] // 2)
            half = cv2.resize(even, size, interpolation=cv2.INTER_AREA)
            self.next.add(np.asarray(half, np.uint8).reshape(size[1], size[0], 3))
        self.count = 0
        self.row += 1

    def finish(self) -> None:
        """Write what is left, of all levels."""
        self.flush()
        if self.next is not None:
            self.next.finish()


class _Writer:
    """Appends JPEGs to a file and remembers where each begins."""

    def __init__(self, file: Path, sizes: list[tuple[int, int]]) -> None:
        self.sizes = sizes
        self.file = file.open("wb")
        self.file.write(MAGIC + struct.pack("<q", 0))
        self.at = self.file.tell()
        self.places: list[dict[str, tuple[int, int]]] = [{} for _ in sizes]

    def write(self, level: int, column: int, row: int, tile: NDArray[np.uint8]) -> None:
        """Write a tile."""
        quality = [cv2.IMWRITE_JPEG_QUALITY, QUALITY]
        _, encoded = cv2.imencode(".jpg", np.ascontiguousarray(tile[..., ::-1]), quality)
        self.file.write(encoded.data)
        self.places[level][f"{column}/{row}"] = (self.at, len(encoded))
        self.at += len(encoded)

    def close(self) -> None:
        """Write where each tile is."""
        self.file.write(json.dumps({"sizes": self.sizes, "places": self.places}).encode())
        self.file.seek(len(MAGIC))
        self.file.write(struct.pack("<q", self.at))
        self.file.close()


def write_tiles(path: Path, size_hw: tuple[int, int], bands: Iterable[NDArray[np.uint8]]) -> None:
    """Write the tiles of a photo at every size into one file, whole or not at all.

    Memory is needed for 256 rows of each level.

    Args:
        path: The file.
        size_hw: Height and width of the photo.
        bands: Its rows from top to bottom, RGB (n, w, 3) each.
    """
    sizes = level_sizes(size_hw)
    with replacing(path) as temporary:
        writer = _Writer(temporary, sizes)
        try:
            level = _Level(writer, sizes)
            for band in bands:
                level.add(band)
            level.finish()
            writer.close()
        finally:
            writer.file.close()


class Tiles:
    """The tiles that `write_tiles` wrote; any thread may read.

    Args:
        path: The file.

    Raises:
        ValueError: It holds no tiles, or is damaged.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb")
        self._lock = threading.Lock()
        try:
            self.sizes, self._places = self._index()
        except (OSError, ValueError, TypeError, KeyError, IndexError, AttributeError, struct.error):
            self._file.close()
            raise ValueError(f"{path} holds no tiles, or damaged ones.") from None

    def _index(self) -> tuple[list[tuple[int, int]], list[dict[str, list[int]]]]:
        """Return the sizes of the levels, and where the tiles of each are in the file."""
        start = self._file.read(len(MAGIC) + 8)
        if start[: len(MAGIC)] != MAGIC:
            raise ValueError
        self._file.seek(struct.unpack("<q", start[len(MAGIC) :])[0])
        index = parse_json(self._file.read())
        sizes = [(int(size[0]), int(size[1])) for size in index["sizes"]]
        places = [
            {str(name): [int(begin), int(size)] for name, (begin, size) in level.items()}
            for level in index["places"]
        ]
        if len(sizes) != len(places):
            raise ValueError
        return sizes, places

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def tile(self, level: int, column: int, row: int) -> bytes | None:
        """Return a tile as JPEG; None where there is none."""
        if not 0 <= level < len(self._places):
            return None
        place = self._places[level].get(f"{column}/{row}")
        if place is None:
            return None
        with self._lock:
            self._file.seek(place[0])
            return self._file.read(place[1])

    def window(self, top: int, left: int, bottom: int, right: int) -> NDArray[np.uint8]:
        """Return a window of the full size as RGB (h, w, 3)."""
        rgb = np.zeros((bottom - top, right - left, 3), np.uint8)
        for row in range(top // TILE, tile_count(bottom)):
            for column in range(left // TILE, tile_count(right)):
                encoded = self.tile(0, column, row)
                if encoded is None:
                    continue
                tile = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR)
                assert tile is not None
                y, x = row * TILE, column * TILE
                t, w = max(top, y), max(left, x)
                b, r = min(bottom, y + tile.shape[0]), min(right, x + tile.shape[1])
                rgb[t - top : b - top, w - left : r - left] = tile[t - y : b - y, w - x : r - x][
                    ..., ::-1
                ]
        return rgb

    def thumbnail(self) -> bytes:
        """Return the whole photo in one tile, as JPEG."""
        encoded = self.tile(len(self.sizes) - 1, 0, 0)
        assert encoded is not None
        return encoded


class MaskLevels:
    """A mask at every size; a pixel is crack where any pixel below it is.

    Args:
        mask: Bool (h, w) of full size; it is the first level, and not copied.
    """

    def __init__(self, mask: NDArray[np.bool_]) -> None:
        self.levels = [mask]
        for _ in level_sizes((mask.shape[0], mask.shape[1]))[1:]:
            self.levels.append(_halved(self.levels[-1]))

    def update(self, box: tuple[int, int, int, int]) -> None:
        """Bring the levels up to date where the mask changed."""
        top, left, bottom, right = box
        for below, level in zip(self.levels, self.levels[1:], strict=False):
            top, left = top // 2, left // 2
            bottom, right = (bottom + 1) // 2, (right + 1) // 2
            level[top:bottom, left:right] = _halved(
                below[2 * top : 2 * bottom, 2 * left : 2 * right]
            )

    def tile(self, level: int, column: int, row: int) -> bytes | None:
        """Return a tile as a transparent PNG; None where there is none."""
        if not 0 <= level < len(self.levels) or column < 0 or row < 0:
            return None
        part = self.levels[level][row * TILE :, column * TILE :][:TILE, :TILE]
        if not part.size:
            return None
        pixels = np.zeros((*part.shape, 4), np.uint8)
        pixels[part] = (*VERMILION[::-1], ALPHA)
        _, encoded = cv2.imencode(".png", pixels, [cv2.IMWRITE_PNG_COMPRESSION, 1])
        return encoded.tobytes()


def _halved(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return a mask of half the size, rounded up."""
    height, width = mask.shape
    rows = mask[::2].copy()
    rows[: height // 2] |= mask[1::2]
    halved = rows[:, ::2].copy()
    halved[:, : width // 2] |= rows[:, 1::2]
    return halved
