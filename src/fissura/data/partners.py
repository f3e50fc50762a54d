"""Find the partners of images: their masks, a mask per class, masks of unlabeled pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from fissura.data.layouts import Placed, match

GOOD = "good"  # MVTec's name of the folder of things without defects
Layers = tuple[tuple[str, Path], ...]


@dataclass(frozen=True)
class Partners:
    """The files that belong to an image.

    Attributes:
        mask: Its mask; None where it needs none, or where it has layers.
        layers: Names of classes and their masks, where classes overlap.
        ignored: The mask of its pixels without a label, or None.
        empty: Why it needs no mask, in words, or "".
    """

    mask: Path | None = None
    layers: Layers = ()
    ignored: Path | None = None
    empty: str = ""


def find_partners(
    images: list[Placed], masks: list[Placed], classes: Sequence[str], *, empty_if_missing: bool
) -> tuple[list[tuple[Placed, Partners]], list[Placed], list[Placed]]:
    """Give each image its mask, or, of overlapping classes, its mask of each class.

    Args:
        images: The images.
        masks: The masks.
        classes: Names of overlapping classes, whose masks lie in folders of these names; () for one
            mask per image.
        empty_if_missing: Images without a mask show nothing. Those below a folder `good` never do.

    Returns:
        The images with their partners, the images left over and the masks left over.
    """
    if classes:
        found, masks = _layers(images, masks, classes, partial=empty_if_missing)
    else:
        pairs, _, masks = match(images, masks)
        found = [(image, Partners(mask)) for image, mask in pairs]
    done = {image.path for image, _ in found}
    lone = []
    for image in images:
        if image.path in done:
            continue
        if any(name.casefold() == GOOD for name in image.place):
            found.append((image, Partners(empty=f"in a folder '{GOOD}'")))
        elif empty_if_missing:
            found.append((image, Partners(empty="by --empty-if-missing")))
        else:
            lone.append(image)
    return found, lone, masks


def add_ignored(
    found: list[tuple[Placed, Partners]], ignored: list[Placed]
) -> tuple[list[tuple[Placed, Partners]], list[Placed]]:
    """Give images their masks of unlabeled pixels; return with them the masks left over."""
    pairs, _, rest = match([image for image, _ in found], ignored)
    by_image = {image.path: mask for image, mask in pairs}
    return [
        (image, replace(partners, ignored=by_image.get(image.path))) for image, partners in found
    ], rest


def _layers(
    images: list[Placed], masks: list[Placed], classes: Sequence[str], *, partial: bool
) -> tuple[list[tuple[Placed, Partners]], list[Placed]]:
    """Match the masks of each class with the images; return with them the masks left over."""
    layers: dict[Path, Layers] = {image.path: () for image in images}
    rest = []
    of_class: dict[str, list[Placed]] = {name.casefold(): [] for name in classes}
    for mask in masks:
        named = next((part for part in mask.place if part.casefold() in of_class), None)
        if named is None:
            rest.append(mask)
            continue
        place = list(mask.place)
        place.remove(named)
        of_class[named.casefold()].append(replace(mask, place=tuple(place)))
    for name in classes:
        pairs, _, lone = match(images, of_class[name.casefold()])
        rest += lone
        for image, mask in pairs:
            layers[image.path] += ((name, mask),)
    needed = 1 if partial else len(classes)
    return [
        (image, Partners(layers=layers[image.path]))
        for image in images
        if len(layers[image.path]) >= needed
    ], rest
