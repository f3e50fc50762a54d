"""Plain photos side by side: a place for each in one plane of pixels, and world files to say so.

Photos without coordinates would lie on top of each other in a GIS. The first keeps its place, x to
the right and y upwards from its upper left corner; the others follow in rows, with a gap between.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from PIL import Image

from fissura.files import replacing
from fissura.georeference import Transform
from fissura.inspection.exporters import Add
from fissura.inspection.records.record import PIXEL_SYSTEM, Record

GAP = 0.05  # of the widest, or highest, photo


def side_by_side(sizes_hw: Mapping[Path, tuple[int, int]]) -> dict[Path, Transform]:
    """Give each photo its place.

    Args:
        sizes_hw: Height and width of the photos, in their order.

    Returns:
        The coefficients that turn a photo's pixels into coordinates of the common plane.

    >>> places = side_by_side({Path("a"): (100, 200), Path("b"): (100, 200)})
    >>> [(place[2], place[5]) for place in places.values()]
    [(0.0, 0.0), (210.0, 0.0)]
    """
    if not sizes_hw:
        return {}
    columns = math.ceil(math.sqrt(len(sizes_hw)))
    high = math.ceil((1 + GAP) * max(height for height, _ in sizes_hw.values()))
    wide = math.ceil((1 + GAP) * max(width for _, width in sizes_hw.values()))
    places = [divmod(index, columns) for index in range(len(sizes_hw))]
    return {
        photo: (1.0, 0.0, float(x * wide), 0.0, -1.0, float(-y * high))
        for photo, (y, x) in zip(sizes_hw, places, strict=True)
    }


@contextmanager
def world_files(out: Path) -> Iterator[Add]:
    """Write a world file (.jgw) beside the overlay of each plain photo, for a GIS to place it.

    Args:
        out: Folder of the results.
    """

    def add(record: Record) -> None:
        overlay = out / record.files.get("overlay", "")
        if record.outline.key != PIXEL_SYSTEM or not overlay.is_file():
            return
        with Image.open(overlay) as image:
            side = record.size_hw[1] / image.width  # an overlay may be enlarged
        left, top = record.transform[2], record.transform[5]
        lines = (side, 0.0, 0.0, -side, left + side / 2, top - side / 2)
        with replacing(overlay.with_suffix(".jgw"), flush=False) as temporary:
            temporary.write_text("".join(f"{value:.10g}\n" for value in lines), encoding="utf-8")

    yield add
