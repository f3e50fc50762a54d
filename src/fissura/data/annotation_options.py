"""`AnnotationOptions`: how annotations become masks, importable without numpy."""

from __future__ import annotations

from dataclasses import dataclass

from fissura.errors import InputError


@dataclass(frozen=True, kw_only=True)
class AnnotationOptions:
    """How the annotations of a labeling tool become masks."""

    labels: str | None = None
    """Labels of the annotations that count as crack, with commas between them. Unless given: the
    only label, or those with a word for crack in their names."""

    line_width: float | None = None
    """Width in pixels of lines that were drawn along cracks. Unless given, it is measured in the
    photo beneath them."""

    def __post_init__(self) -> None:
        check_line_width(self.line_width)


def check_line_width(width: float | None) -> None:
    """Raise `InputError` where a width cannot be one of lines."""
    if width is not None and not 0 < width < 1000:
        raise InputError(f"--line-width is {width}; it is a width in pixels, above 0.")
