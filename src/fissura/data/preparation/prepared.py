"""`PreparedSet`: images and masks in memory, ready for training or evaluation."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fissura.data.folder import Skipped
from fissura.data.preparation.protocols import Protocol


@dataclass(frozen=True, eq=False)
class PreparedSet:
    """Images and masks in memory, ready for training or evaluation.

    Attributes:
        images: uint8 RGB, each of shape (h, w, 3).
        masks: Each of shape (h, w). Without `classes` bool, True where there is crack. With
            classes uint8, 0 for background and c for the c-th class; where they overlap, bit c − 1
            is set where there is the c-th class.
        names: Unique; the photo's name, with `_r0_c1` where several windows were cut from it.
        groups: The photo or thing that each image shows, by `fissura.data.splits.group_of`.
        protocol: How photos were made into images.
        scale: Size of these images over that of the photos (the median over the set).
        mask_rule: How mask values were decoded, in words.
        split_rule: Where the split comes from, in words.
        skipped: Files that were left out because they are bad.
        depth: The brightness that is white, in words, where photos have more than 8 bits; or "".
        valid: The valid masks, bool (h, w), False where a pixel has no label (its mask is then
            background); None where all pixels have one.
        classes: Names of the classes, without the background; () for crack or not.
        overlapping: Whether a pixel may belong to several classes.
    """

    images: list[NDArray[np.uint8]]
    masks: list[NDArray[Any]]
    names: list[str]
    groups: list[str]
    protocol: Protocol
    scale: float
    mask_rule: str
    split_rule: str
    skipped: list[Skipped]
    depth: str = ""
    valid: list[NDArray[np.bool_]] | None = None
    classes: tuple[str, ...] = ()
    overlapping: bool = False

    def __len__(self) -> int:
        return len(self.images)

    @cached_property
    def crack_fraction(self) -> float:
        """Crack pixels, or pixels of any class, over all valid pixels of the set."""
        return sum(int(np.count_nonzero(mask)) for mask in self.masks) / max(self._pixels, 1)

    @cached_property
    def class_fractions(self) -> dict[str, float]:
        """Of each class its pixels over all valid pixels of the set; none without classes."""
        return {
            name: sum(int(np.count_nonzero(self.is_class(mask, name))) for mask in self.masks)
            / max(self._pixels, 1)
            for name in self.classes
        }

    @property
    def _pixels(self) -> int:
        """Number of valid pixels."""
        if self.valid is None:
            return sum(mask.size for mask in self.masks)
        return sum(int(np.count_nonzero(valid)) for valid in self.valid)

    @property
    def ignored_fraction(self) -> float:
        """Pixels without a label over all pixels of the set."""
        return 1 - self._pixels / max(sum(mask.size for mask in self.masks), 1)

    @property
    def uniform(self) -> bool:
        """Whether all images have one size, so that they can be stacked."""
        return len({mask.shape for mask in self.masks}) <= 1

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of names, images and masks: equal sets, on any machine, have equal ones.

        Classes and valid masks count where there are any.
        """
        digest = hashlib.sha256()
        for index, (name, image, mask) in enumerate(
            zip(self.names, self.images, self.masks, strict=True)
        ):
            digest.update(f"{name}\0{mask.shape}\0".encode())
            digest.update(image.tobytes())
            digest.update(mask.tobytes())
            if self.valid is not None:
                digest.update(self.valid[index].tobytes())
        if self.classes:
            digest.update("\0".join([*self.classes, str(self.overlapping)]).encode())
        return digest.hexdigest()

    def is_class(self, mask: NDArray[Any], name: str) -> NDArray[np.bool_]:
        """Return the pixels of a class, bool (h, w), in one of the masks."""
        number = self.classes.index(name) + 1
        return ((mask >> (number - 1)) & 1) > 0 if self.overlapping else mask == number

    def of_class(self, name: str) -> PreparedSet:
        """Return the same images with the masks of one class: that class or not."""
        return replace(
            self,
            masks=[self.is_class(mask, name) for mask in self.masks],
            classes=(),
            overlapping=False,
        )

    def subset(self, indices: Sequence[int]) -> PreparedSet:
        """Return the images at `indices`, in that order."""
        return replace(
            self,
            images=[self.images[index] for index in indices],
            masks=[self.masks[index] for index in indices],
            names=[self.names[index] for index in indices],
            groups=[self.groups[index] for index in indices],
            valid=None if self.valid is None else [self.valid[index] for index in indices],
        )
