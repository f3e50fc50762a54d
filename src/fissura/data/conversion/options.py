"""`ConvertOptions`: what `fissura convert` writes, importable without numpy."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class ConvertOptions:
    """What `fissura convert` writes."""

    polygons: bool = False
    """Write outlines where the format has bitmaps, too: they are easier to edit, and a hole is
    joined with its outline by a line."""

    copy_photos: bool = True
    """Copy the photos to where the format wants them; otherwise annotations are written alone."""

    photos: Path | None = None
    """Where the photos of results lie now, if not where they were found."""

    classes: str | None = None
    """Classes of a source of photos and masks: names with commas between them, in the order of
    their values in the masks, which are 1, 2, 3 … or given as in crack,spalling=4."""

    skip_bad: bool = False
    """Go on without files that cannot be used; they are named."""
