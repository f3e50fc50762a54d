"""`Pair`: an image and its masks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Pair:
    """An image and its mask.

    Attributes:
        name: The image's path below the folder, without suffix.
        image: The image.
        mask: Its mask; None where the image shows no crack and has none, or where it has layers.
        ignored: The mask of its pixels without a label (bright where there is none), or None.
        layers: Names of classes and their masks, where classes overlap.
    """

    name: str
    image: Path
    mask: Path | None
    ignored: Path | None = None
    layers: tuple[tuple[str, Path], ...] = ()

    @property
    def masks(self) -> list[Path]:
        """The masks that tell crack, or classes: one, one per class, or none."""
        return [path for _, path in self.layers] + ([] if self.mask is None else [self.mask])
