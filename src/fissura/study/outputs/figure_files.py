"""Colors of the figures, and their files in two formats, with the same bytes each time."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from fissura.files import replacing
from fissura.overlay import Color

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Of the PNG: a figure of the width of a printed page fills a screen.
DPI = 200


def rgb(color: Color, strength: float = 1.0) -> tuple[float, float, float]:
    """Return a color as Matplotlib takes it, mixed with white where `strength` is below 1.

    Args:
        color: Red, green and blue, 0 to 255.
        strength: From 0, white, to 1, the color itself.

    >>> rgb((255, 0, 102)), rgb((255, 0, 102), 0.5)
    ((1.0, 0.0, 0.4), (1.0, 0.5, 0.7))
    """
    red, green, blue = (1 - strength * (1 - channel / 255) for channel in color)
    return red, green, blue


def save_figure(figure: Figure, folder: Path, name: str) -> list[Path]:
    """Write a figure as PNG and as SVG, each whole or not at all, with the same bytes each time.

    Args:
        figure: The figure.
        folder: Where to write.
        name: Of the files, without their endings.

    Returns:
        `folder`/NAME.png and `folder`/NAME.svg.
    """
    from matplotlib import rc_context

    files = []
    # A fixed salt and no date: the same figure gives the same file. Text stays text, to be
    # searched and read aloud.
    with rc_context({"svg.hashsalt": "fissura", "svg.fonttype": "none"}):
        for suffix, metadata in (("png", {"Software": None}), ("svg", {"Date": None})):
            file = folder / f"{name}.{suffix}"
            with replacing(file) as temporary:
                figure.savefig(temporary, format=suffix, dpi=DPI, metadata=metadata)
            files.append(file)
    return files
