"""`CheckOptions`: the choices of a check, importable without numpy and torch."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, fields

from fissura.data.annotation_options import AnnotationOptions, check_line_width
from fissura.data.labels import Labels
from fissura.errors import InputError


@dataclass(frozen=True, kw_only=True)
class CheckOptions:
    """The options of `fissura check` and `fissura.check`; training has those of the same name."""

    validation: float | None = None
    """Fraction of the training images that training shall set aside."""

    seed: int = 0
    """Seed by which training draws these."""

    ignore: int | None = None
    """Value of mask pixels without a label, which count nowhere."""

    empty_if_missing: bool = False
    """Photos without a mask show no crack. Those in a folder named good never need one."""

    classes: str | None = None
    """Classes of the masks, with their values where these are not 1, 2, 3 and so on: crack,joint=4.
    All of them are checked together."""

    overlapping: bool = False
    """A pixel may belong to several classes, each of which has masks of its own."""

    labels: str | None = None
    """Labels of a labeling tool's annotations that count as crack, with commas between them."""

    line_width: float | None = None
    """Width in pixels of lines that were drawn along cracks."""

    def __post_init__(self) -> None:
        check_line_width(self.line_width)
        if self.validation is not None and not 0 <= self.validation < 1:
            raise InputError(
                f"--validation is {self.validation}; it is a fraction of the images, below 1."
            )
        if self.seed < 0:
            raise InputError(f"--seed is {self.seed}; it must be 0 or more.")

    def as_typed(self) -> list[str]:
        """Return the options that were given, as they are typed for training."""
        words = []
        for entry in fields(self):
            value = getattr(self, entry.name)
            if value != entry.default:
                words.append("--" + entry.name.replace("_", "-"))
                words += [] if value is True else [shlex.quote(str(value))]
        return words

    def meaning(self) -> Labels:
        """Return what the values of masks stand for."""
        return Labels.parse(self.classes, overlapping=self.overlapping, ignore=self.ignore)

    def annotations(self) -> AnnotationOptions:
        """Return how annotations become masks."""
        return AnnotationOptions(labels=self.labels, line_width=self.line_width)
