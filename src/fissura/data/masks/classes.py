"""`ClassRule`: how the values of index masks become classes, and pixels without a label."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fissura.data.labels import Labels
from fissura.data.masks.looks import MaskLook
from fissura.data.masks.sentences import listed, named
from fissura.data.masks.values import is_jpeg
from fissura.errors import InputError


@dataclass(frozen=True)
class ClassRule:
    """How the values of index masks become classes.

    Attributes:
        labels: Names and values of the classes, and the value of pixels without a label.
        ignored: Fraction of the pixels of the set that have no label, 0 to 1.
    """

    labels: Labels
    ignored: float = 0.0

    def __str__(self) -> str:
        classes = zip(self.labels.classes, self.labels.values, strict=True)
        told = ", ".join(f"{name} is {value}" for name, value in classes) + ", background 0"
        if self.ignored:
            told += f"; {self.labels.unlabeled} is ignored ({self.ignored:.1%} of the pixels)"
        return told

    def apply(self, values: NDArray[Any]) -> NDArray[np.uint8]:
        """Return the class of each pixel: 0 background, 1 the first class, and so on.

        >>> rule = ClassRule(Labels.parse("crack,rust=7"))
        >>> rule.apply(np.array([[0, 1, 7, 255]], np.uint8))
        array([[0, 1, 2, 0]], dtype=uint8)
        """
        table = np.zeros(65536, np.uint8)
        table[list(self.labels.values)] = np.arange(1, len(self.labels.classes) + 1)
        return table[values]

    def valid(self, values: NDArray[Any]) -> NDArray[np.bool_] | None:
        """Return the pixels (h, w) of a mask that have a label; None where all of them have."""
        valid = values != self.labels.unlabeled
        return None if valid.all() else valid


def class_rule(looks: Sequence[tuple[Path, MaskLook]], labels: Labels, where: Path) -> ClassRule:
    """Check that the values of index masks are those of the classes.

    Args:
        looks: The files, and what a look at each told; of palette images their indices.
        labels: The classes.
        where: The folder that error messages begin with.

    Raises:
        InputError: Masks are colored, hold values that are no class, or a class is nowhere.
    """
    colored = [(path, look) for path, look in looks if len(look.colors)]
    if colored:
        raise InputError(
            f"{where}: {named(colored, where)} {'has' if len(colored) == 1 else 'have'} colors, "
            "but --classes needs index masks: gray or palette images whose values are 0 for "
            "background and those of the classes."
        )
    known = {0, *labels.values, labels.unlabeled}
    odd = [(path, look) for path, look in looks if not set(look.values.tolist()) <= known]
    if odd:
        values = sorted({int(v) for _, look in odd for v in look.values} - known)
        reason = (
            " JPEG changes values, so that index masks must be PNGs."
            if any(is_jpeg(path) for path, _ in odd)
            else " Name them (--classes NAME=VALUE,…), make them background, or have one of them "
            "ignored (--ignore VALUE)."
        )
        raise InputError(
            f"{where}: the masks {named(odd, where)} hold {listed(values)}, which "
            f"{'is' if len(values) == 1 else 'are'} no class.{reason}"
        )
    seen = {int(value) for _, look in looks for value in look.values}
    missing = [
        name for name, value in zip(labels.classes, labels.values, strict=True) if value not in seen
    ]
    if missing:
        raise InputError(
            f"{where}: no mask marks any {' or '.join(missing)}. The values in the masks are "
            f"{listed(sorted(seen))}; the classes are "
            + ", ".join(f"{n}={v}" for n, v in zip(labels.classes, labels.values, strict=True))
            + "."
        )
    pixels = sum(int(look.counts.sum()) for _, look in looks)
    ignored = sum(int(look.counts[look.values == labels.unlabeled].sum()) for _, look in looks)
    return ClassRule(labels, ignored / max(pixels, 1))
