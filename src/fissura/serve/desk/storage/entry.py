"""Cracks as the desk keeps them: what was measured, what became of it, and what a person said."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fissura.files.documents import parse_json
from fissura.inspection.records.corrections import REJECTED
from fissura.measurement.crack import Crack

ACCEPTED = "accepted"
ARRAYS = ("samples", "widths", "width_errors")  # of a crack, besides its lines
LEVEL = 1  # of zlib: digits of coordinates hardly shrink


@dataclass(frozen=True, eq=False)
class Entry:
    """A crack of the desk.

    Attributes:
        id: Lasting number as text: those of the model's cracks as the model found them, further
            ones as they were drawn.
        crack: As it was measured, in pixels of the photo, with the number of its id.
        status: A key of `fissura.inspection.records.corrections.STATUSES`.
        partners: Numbers of the model's cracks that it shares pixels with.
        decision: "accepted" or "rejected" by hand, or empty.
        label: Class that a person gave it.
        note: Note of a person.
        pixels: Of a crack rejected by hand what was erased, as `edits.pack_pixels` has it.
    """

    id: str
    crack: Crack
    status: str
    partners: tuple[int, ...] = ()
    decision: str = ""
    label: str = ""
    note: str = ""
    pixels: bytes | None = None

    @property
    def is_live(self) -> bool:
        """Whether its pixels are in the mask."""
        return REJECTED not in (self.status, self.decision)

    @property
    def shown_status(self) -> str:
        """What became of it, in a word for people: accepted counts before found or corrected."""
        if not self.is_live:
            return REJECTED
        return self.decision or self.status


def pack(entries: Sequence[Entry], about: dict[str, Any] | None = None) -> bytes:
    """Return cracks, and further values, as compressed bytes; no pickle.

    Args:
        entries: The cracks.
        about: Anything that JSON can hold.
    """
    heads, arrays = [], []
    for entry in entries:
        crack = entry.crack
        plain = {
            each.name: getattr(crack, each.name)
            for each in fields(crack)
            if each.name not in (*ARRAYS, "lines")
        }
        pixels = entry.pixels or b""
        heads.append(
            {each.name: getattr(entry, each.name) for each in fields(entry)}
            | {"crack": plain, "pixels": len(pixels)}
            | {"points": [len(line) for line in crack.lines], "measured": len(crack.widths)}
        )
        arrays += [line.astype(np.float64).tobytes() for line in crack.lines]
        arrays += [getattr(crack, name).astype(np.float64).tobytes() for name in ARRAYS]
        arrays.append(pixels)
    head = json.dumps([heads, about or {}]).encode()
    return zlib.compress(struct.pack("<I", len(head)) + head + b"".join(arrays), LEVEL)


def unpack(packed: bytes) -> tuple[list[Entry], dict[str, Any]]:
    """Return what `pack` was given."""
    content = zlib.decompress(packed)
    (size,) = struct.unpack_from("<I", content)
    at = 4 + size
    heads, about = parse_json(content[4:at])

    def take(*shape: int) -> NDArray[np.float64]:
        nonlocal at
        count = int(np.prod(shape))
        values = np.frombuffer(content, np.float64, count, at).reshape(shape).copy()
        at += 8 * count
        return values

    entries = []
    for head in heads:
        points, measured, pixels = (head.pop(name) for name in ("points", "measured", "pixels"))
        crack = head["crack"] | {
            "lines": [take(count, 2) for count in points],
            "samples": take(measured, 2),
            "widths": take(measured),
            "width_errors": take(measured),
        }
        for name in ("widest_at", "box"):
            crack[name] = tuple(crack[name])
        crack["anchors"] = tuple(tuple(anchor) for anchor in crack["anchors"])
        erased = content[at : at + pixels] or None
        at += pixels
        head |= {"crack": Crack(**crack), "pixels": erased, "partners": tuple(head["partners"])}
        entries.append(Entry(**head))
    return entries, about
