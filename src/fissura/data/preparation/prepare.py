"""Decode the masks of a folder by one rule, and cut and shrink photos and masks to images."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fissura.bit_depth import Depth
from fissura.data import cache
from fissura.data.cache import THREADS
from fissura.data.folder import Pair, Skipped, refuse_bad
from fissura.data.labels import Labels
from fissura.data.masks import (
    ClassRule,
    MaskLook,
    MaskRule,
    choose_rule,
    class_rule,
    is_jpeg,
    read_mask,
    read_with_masks,
)
from fissura.data.preparation.protocols import Protocol, prepare_labeled, windows
from fissura.data.walk import below
from fissura.errors import InputError

Rule = MaskRule | ClassRule


def decode_rule(
    pairs: list[Pair], root: Path, labels: Labels, *, skip_bad: bool
) -> tuple[Rule, list[Skipped]]:
    """Choose the rule that decodes all masks; return it with the files that cannot be read.

    Args:
        pairs: All pairs of a folder.
        root: The folder.
        labels: What the values of the masks stand for.
        skip_bad: Go on without files that cannot be read.

    Raises:
        InputError: A file cannot be read, or it is unclear which values are crack or a class.
    """
    indices = bool(labels.classes) and not labels.overlapping
    masks = [(pair, mask) for pair in pairs for mask in pair.masks]

    def look_at(each: tuple[Pair, Path]) -> MaskLook | Skipped:
        pair, mask = each
        try:
            return MaskLook.of(read_mask(mask, indices=indices), lossy=is_jpeg(mask))
        except InputError as error:
            return _skipped(pair, error)

    looks: list[tuple[Path, MaskLook]] = []
    bad: list[Skipped] = []
    with ThreadPoolExecutor(THREADS) as pool:
        for (_, mask), outcome in zip(masks, pool.map(look_at, masks), strict=True):
            if isinstance(outcome, Skipped):
                bad.append(outcome)
            else:
                looks.append((mask, outcome))
    refuse_bad(bad, root, go_on=skip_bad and len(bad) < len(masks))
    if indices:
        return class_rule(looks, labels, root), bad
    return choose_rule(looks, root, ignore=labels.ignore), bad


@dataclass(frozen=True)
class _Prepared:
    """One image of a photo: name, pixels, mask, valid mask, and its size over the photo's."""

    name: str
    image: NDArray[np.uint8]
    mask: NDArray[Any]
    valid: NDArray[np.bool_] | None
    scale: float


def prepare_pairs(
    pairs: Sequence[Pair],
    rule: Rule,
    labels: Labels,
    protocol: Protocol,
    depth: Depth | None,
    root: Path,
) -> tuple[cache.Stored, list[Skipped]]:
    """Cut and shrink photos and masks.

    Windows without a valid pixel are left out; photos of which nothing is left for that reason are
    named in the result's `skipped`.

    Args:
        pairs: The photos with their masks.
        rule: How the masks are decoded.
        labels: What their values stand for.
        protocol: How photos are cut and shrunk.
        depth: The depth of the set of photos, see `fissura.data.images.read_image`.
        root: The folder of the photos.

    Returns:
        The images, and the files that cannot be used.
    """

    def work(pair: Pair) -> list[_Prepared] | Skipped:
        try:
            photo, mask, valid = read_labeled(pair, rule, labels, depth)
            cut = windows(photo.shape[:2], protocol)
            images = prepare_labeled(photo, mask, valid, protocol, overlapping=labels.overlapping)
        except InputError as error:
            return _skipped(pair, error)
        return [
            _Prepared(
                pair.name if len(cut) == 1 else f"{pair.name}_r{window.row}_c{window.column}",
                *image,
                image[1].shape[0] / window.height,
            )
            for window, image in zip(cut, images, strict=True)
        ]

    with ThreadPoolExecutor(THREADS) as pool:
        outcomes = list(pool.map(work, pairs))
    bad = [outcome for outcome in outcomes if isinstance(outcome, Skipped)]
    images, empty = [], []
    for pair, outcome in zip(pairs, outcomes, strict=True):
        if isinstance(outcome, Skipped):
            continue
        known = [one for one in outcome if one.valid is None or one.valid.any()]
        if not known:
            file = below(pair.image, root)
            empty.append((file, "has no pixel with a label, or they are too few for the protocol"))
        images += [one for one in known if one.mask.any() or not protocol.cracks_only]
    ignores = any(one.valid is not None for one in images)
    return cache.Stored(
        images=[one.image for one in images],
        masks=[one.mask for one in images],
        names=[one.name for one in images],
        scale=float(np.median([one.scale for one in images])) if images else 1.0,
        mask_rule=str(rule),
        skipped=empty,
        valid=[_all_valid(one) for one in images] if ignores else None,
    ), bad


def read_labeled(
    pair: Pair, rule: Rule, labels: Labels, depth: Depth | None
) -> tuple[NDArray[np.uint8], NDArray[Any], NDArray[np.bool_] | None]:
    """Read a photo, its mask and its valid mask.

    Args:
        pair: The photo with its masks.
        rule: How the masks are decoded.
        labels: What their values stand for.
        depth: The depth of the set of photos, see `fissura.data.images.read_image`.

    Returns:
        RGB (h, w, 3); the mask, as `PreparedSet.masks` holds it; and the pixels that have a label,
        or None where all have.

    Raises:
        InputError: A file cannot be read.
    """
    files = pair.masks + ([] if pair.ignored is None else [pair.ignored])
    indices = isinstance(rule, ClassRule)
    photo, values = read_with_masks(pair.image, files, depth=depth, indices=indices)
    size_hw = photo.shape[:2]
    unlabeled = [] if pair.ignored is None else [_bright(values.pop())]
    mask = np.zeros(size_hw, np.uint8 if labels.classes else np.bool_)
    for of_file in values:
        known = rule.valid(of_file)
        if known is not None:
            unlabeled.append(~known)
    if pair.layers:
        for (name, _), of_file in zip(pair.layers, values, strict=True):
            mask[rule.apply(of_file)] |= 1 << labels.classes.index(name)
    elif values:
        mask = rule.apply(values[0])
    if not unlabeled:
        return photo, mask, None
    valid = ~np.logical_or.reduce(unlabeled)
    if valid.all():
        return photo, mask, None
    mask[~valid] = 0
    return photo, mask, valid


def _bright(values: NDArray[Any]) -> NDArray[np.bool_]:
    """The pixels that are nearer to the highest value than to 0."""
    values = values.max(axis=2) if values.ndim == 3 else values
    return 2 * values.astype(np.int64) > max(int(values.max(initial=0)), 1)


def _all_valid(one: _Prepared) -> NDArray[np.bool_]:
    """The valid mask, also where all pixels are valid."""
    return np.ones(one.mask.shape, np.bool_) if one.valid is None else one.valid


def _skipped(pair: Pair, error: InputError) -> Skipped:
    """Tell which file of a pair cannot be used: it begins the message where it is not the image."""
    message = str(error).rstrip(".")
    others = pair.masks + ([] if pair.ignored is None else [pair.ignored])
    file = next((other for other in others if message.startswith(f"{other}: ")), pair.image)
    return Skipped(file, message.removeprefix(f"{file}: "))
