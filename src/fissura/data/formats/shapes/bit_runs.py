"""Label Studio's brush masks: the four channels of an image as run lengths of bits.

The first 32 bits hold the number of values, 4 for each pixel; 5 bits the bits of a value, less 1;
and four times 4 bits the widths that a length may have, less 1. Then come packets: a bit that is 1
for a run of one value, 2 bits that choose the width of its length, the length less 1, and the
value; or that many values where it is no run. The pixel is marked where its last channel is.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fissura.errors import InputError

CHANNELS = 4
WIDTHS = (3, 4, 8, 16)  # of the lengths that we write
DAMAGED = "its brush mask is damaged"


def decode_brush(data: bytes, size_hw: tuple[int, int]) -> NDArray[np.bool_]:
    """Return the pixels of a brush mask.

    Args:
        data: The bytes.
        size_hw: Height and width of the photo.

    Raises:
        InputError: They end too early, or are of another number of pixels.
    """
    height, width = size_hw
    bits = _Bits(data)
    total = bits.take(32)
    if total != CHANNELS * height * width:
        raise InputError(
            f"its brush mask holds {total} values, and the photo {CHANNELS * height * width}"
        )
    size = bits.take(5) + 1
    widths = [bits.take(4) + 1 for _ in range(4)]
    marked = np.zeros(height * width, np.bool_)
    at = 0
    while at < total:
        run = bits.take(1)
        length = bits.take(widths[bits.take(2)]) + 1
        if at + length > total:
            raise InputError(DAMAGED)
        if run:
            if bits.take(size):
                # The last channels of pixels between `at` and `at + length`.
                marked[at // CHANNELS : (at + length) // CHANNELS] = True
        else:
            for place in range(at, at + length):
                if bits.take(size) and place % CHANNELS == CHANNELS - 1:
                    marked[place // CHANNELS] = True
        at += length
    return marked.reshape(height, width)


def encode_brush(pixels: NDArray[np.bool_]) -> list[int]:
    """Return the bytes of a brush mask.

    Args:
        pixels: bool (h, w).

    >>> decode_brush(bytes(encode_brush(np.eye(3, dtype=bool))), (3, 3)).astype(int).tolist()
    [[1, 0, 0], [0, 1, 0], [0, 0, 1]]
    """
    flat = pixels.ravel()
    words = [f"{CHANNELS * flat.size:032b}", f"{7:05b}", *(f"{width - 1:04b}" for width in WIDTHS)]
    edges = np.flatnonzero(np.diff(flat)) + 1
    starts = np.concatenate([[0], edges]) if flat.size else np.empty(0, np.int64)
    lengths = np.diff(starts, append=flat.size) * CHANNELS
    for start, length in zip(starts.tolist(), lengths.tolist(), strict=True):
        value = "11111111" if flat[start] else "00000000"
        while length:
            part = min(length, 1 << WIDTHS[-1])
            choice = next(i for i, width in enumerate(WIDTHS) if part <= 1 << width)
            words.append(f"1{choice:02b}{part - 1:0{WIDTHS[choice]}b}{value}")
            length -= part
    text = "".join(words)
    bits = np.frombuffer(text.encode(), np.uint8) - ord("0")
    return np.packbits(bits).tolist()


class _Bits:
    """Bits, taken from the front of bytes."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def take(self, count: int) -> int:
        """Return the next bits as a number."""
        end = self.at + count
        if end > 8 * len(self.data):
            raise InputError(DAMAGED)
        first, last = self.at // 8, -(-end // 8)
        number = int.from_bytes(self.data[first:last], "big")
        self.at = end
        return (number >> (8 * last - end)) & ((1 << count) - 1)
