"""Write CVAT for images 1.1: one XML file, which CVAT takes for a task with these photos."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from xml.sax.saxutils import quoteattr

from fissura.data.formats.exporters import Ready
from fissura.data.formats.shapes.runs import runs_of_pixels
from fissura.files import replacing


def write_cvat(folder: Path, labels: tuple[str, ...], images: Iterator[Ready]) -> list[str]:
    """Write annotations.xml and images/NAME.

    Args:
        folder: The folder to write into.
        labels: Names of the labels, which the task must have.
        images: The images.

    Returns:
        What was lost: nothing.
    """
    with (
        replacing(folder / "annotations.xml") as temporary,
        temporary.open("w", encoding="utf-8") as file,
    ):
        file.write('<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n')
        file.write("  <version>1.1</version>\n  <meta>\n    <task>\n      <labels>\n")
        for label in labels:
            name = quoteattr(label)[1:-1]
            file.write(
                f"        <label>\n          <name>{name}</name>\n          <type>any</type>\n"
                "          <attributes></attributes>\n        </label>\n"
            )
        file.write("      </labels>\n    </task>\n  </meta>\n")
        for number, ready in enumerate(images):
            height, width = ready.image.size_hw
            subset = f" subset={quoteattr(ready.image.split)}" if ready.image.split else ""
            file.write(
                f'  <image id="{number}" name={quoteattr(ready.file)}{subset} width="{width}" '
                f'height="{height}">\n'
            )
            for line in _shapes(ready):
                file.write(f"    {line}\n")
            file.write("  </image>\n")
            ready.photo_in(folder / "images")
        file.write("</annotations>\n")
    return []


def _shapes(ready: Ready) -> Iterator[str]:
    """Yield the elements of an image's shapes."""
    if ready.polygons:
        for label, ring in ready.rings():
            points = ";".join(f"{x:.2f},{y:.2f}" for x, y in ring)
            yield (
                f'<polygon label={quoteattr(label)} source="auto" occluded="0" points="{points}" '
                'z_order="0"></polygon>'
            )
        return
    for label, pixels, top, left in ready.objects():
        height, width = pixels.shape
        runs = ", ".join(map(str, runs_of_pixels(pixels, by_columns=False)))
        yield (
            f'<mask label={quoteattr(label)} source="auto" occluded="0" rle="{runs}" '
            f'left="{left}" top="{top}" width="{width}" height="{height}" z_order="0"></mask>'
        )
