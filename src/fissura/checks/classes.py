"""Several classes in a check: how much of each there is, where one lacks, and what overlaps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fissura.checks.finding import Finding
from fissura.checks.photo import ClassLook, PhotoLook
from fissura.checks.strokes import thickness
from fissura.data.formats.labels import CRACK, NOT
from fissura.data.labels import Labels
from fissura.html.pages import counted

FEW = 5  # training photos with a class, below which it is hardly learned
TWINS = 0.95  # IoU of two overlapping classes from which they are the same
PARTS = {"train": "training", "val": "validation", "test": "test"}


@dataclass(frozen=True)
class ClassAmount:
    """A class in a whole set.

    Attributes:
        name: Its name.
        fraction: Its pixels over all pixels with a label, 0 to 1.
        photos: Photos that show it, by the part of the split: "train", "val", "test".
        thickness: Median over these of its median thickness in pixels; None without any.
    """

    name: str
    fraction: float
    photos: dict[str, int]
    thickness: float | None


def masks_of(values: NDArray[Any], labels: Labels) -> list[NDArray[np.bool_]]:
    """Return the mask of each class, bool (h, w), in their order.

    Args:
        values: Mask as `fissura.data.prepare.read_labeled` gives it.
        labels: The classes.
    """
    if labels.overlapping:
        return [(values >> number) & 1 > 0 for number in range(len(labels.classes))]
    return [values == number for number in range(1, len(labels.classes) + 1)]


def crack_mask(masks: Sequence[NDArray[np.bool_]], labels: Labels) -> NDArray[np.bool_] | None:
    """Return the mask of the classes with a word for crack in their names; None without any.

    Args:
        masks: From `masks_of`.
        labels: The classes.
    """
    named = [
        mask
        for name, mask in zip(labels.classes, masks, strict=True)
        if CRACK.search(name) and not NOT.search(name)
    ]
    return np.logical_or.reduce(named) if named else None


def look_at_classes(
    masks: Sequence[NDArray[np.bool_]],
) -> tuple[tuple[ClassLook, ...], NDArray[np.int64]]:
    """Return a look at each class of a photo, and the pixels (k, k) that each two share."""
    looks = []
    for mask in masks:
        strokes = thickness(mask)
        middle = float(np.median(strokes)) if strokes.size else None
        looks.append(ClassLook(int(np.count_nonzero(mask)), middle))
    shared = np.diag([look.pixels for look in looks]).astype(np.int64)
    for one, other in combinations(range(len(masks)), 2):
        shared[one, other] = shared[other, one] = np.count_nonzero(masks[one] & masks[other])
    return tuple(looks), shared


def amounts(
    looks: Sequence[PhotoLook], planned: Sequence[str], labels: Labels
) -> list[ClassAmount]:
    """Return how much of each class a set holds; nothing where masks are of crack or not.

    Args:
        looks: All photos.
        planned: The part of the split of each.
        labels: The classes.
    """
    pixels = max(sum(look.valid for look in looks), 1)
    told = []
    for number, name in enumerate(labels.classes):
        of_class = [look.classes[number] for look in looks]
        thick = [one.thickness for one in of_class if one.thickness is not None]
        photos = dict.fromkeys(PARTS, 0)
        for part, one in zip(planned, of_class, strict=True):
            photos[part] += bool(one.pixels)
        fraction = sum(one.pixels for one in of_class) / pixels
        told.append(ClassAmount(name, fraction, photos, float(np.median(thick)) if thick else None))
    return told


def overlaps(looks: Sequence[PhotoLook], labels: Labels) -> dict[tuple[str, str], float]:
    """Return the IoU of each two classes that share pixels, 0 to 1.

    Args:
        looks: All photos.
        labels: The classes.
    """
    if not labels.overlapping:
        return {}
    shared = np.zeros((len(labels.classes),) * 2, np.int64)
    for look in looks:
        if look.shared is not None:
            shared += look.shared
    found = {}
    for one, other in combinations(range(len(labels.classes)), 2):
        both = int(shared[one, other])
        if both:
            union = int(shared[one, one]) + int(shared[other, other]) - both
            found[labels.classes[one], labels.classes[other]] = both / union
    return found


def class_findings(
    told: Sequence[ClassAmount], shared: dict[tuple[str, str], float], planned: Sequence[str]
) -> list[Finding]:
    """Return findings on classes that lack, are few, or are the same as another.

    Args:
        told: From `amounts`.
        shared: From `overlaps`.
        planned: The part of the split of each photo.
    """
    findings = []
    for one in told:
        train = one.photos["train"]
        if not train:
            findings.append(
                Finding(
                    "class missing",
                    2.0,
                    f"No training photo shows {one.name}, so that nothing is learned of it.",
                    f"Add photos of it, divide them anew, or leave {one.name} out of --classes.",
                )
            )
        elif train < FEW:
            findings.append(
                Finding(
                    "class rare",
                    0.5,
                    f"Only {counted(train, 'training photo')} "
                    f"{'shows' if train == 1 else 'show'} {one.name}.",
                    "Mark more of it; it will hardly be learned.",
                )
            )
        lacking = [
            PARTS[part] for part in ("val", "test") if part in planned and not one.photos[part]
        ]
        if train and lacking:
            findings.append(
                Finding(
                    "class unjudged",
                    1.0,
                    f"No {' and no '.join(f'{part} photo' for part in lacking)} shows {one.name}, "
                    "so that no metric tells how well it is found.",
                    "Divide the photos anew, or try another --seed.",
                )
            )
    findings += [
        Finding(
            "same class",
            1.5,
            f"{one} and {other} mark nearly the same pixels (IoU {iou:.2f}).",
            "Look whether a folder of masks was copied under another name.",
        )
        for (one, other), iou in shared.items()
        if iou >= TWINS
    ]
    return findings
