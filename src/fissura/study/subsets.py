"""`write_subset`: a folder with some of the training images of another, and all its test images."""

from __future__ import annotations

import os
import shutil
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np

from fissura.data.folder import Folder, Pair, find_pairs
from fissura.data.preparation.load import TEST_FRACTION
from fissura.data.splits import group_of, split_groups
from fissura.errors import InputError
from fissura.files import new_folder

SEED = 0  # of the order in which images are taken


def write_subset(source: Path, out: Path, *, train: int | None, validation: int = 0) -> None:
    """Write a folder with train, val and test from a folder of photos and masks.

    Photos of one thing (`fissura.data.splits.group_of`) are never parted between the validation
    images and the others. All comes in one random order: first the validation images, then those to
    train on. So validation and test images are the same for any number of training images, and a
    smaller number is a part of a larger one. Files are hard links where the file system has them,
    copies elsewhere.

    Args:
        source: Folder in a layout that `fissura train` takes, whose photos have one mask each.
        out: Folder to write, which must not exist.
        train: Number of training images; None takes all that are left.
        validation: Number of validation images.

    Raises:
        InputError: There are too few training images, or a photo has no mask or several.
    """
    folder = find_pairs(source)
    pairs = _splits(folder)
    chosen = {"test": pairs["test"], "train": [], "val": []}
    ordered = _in_random_order(pairs["train"])
    for group in ordered:
        part = "val" if len(chosen["val"]) < validation else "train"
        chosen[part] += group
    # What the last group of photos has beyond the number is left out of both.
    chosen["val"] = chosen["val"][:validation]
    found = len(chosen["train"])
    if found < (1 if train is None else train) or len(chosen["val"]) < validation:
        raise InputError(
            f"{source} has {len(pairs['train'])} training images. That is too few to set "
            f"{validation} aside for validation and to train on {train or 'others'}, photos of one "
            "thing together."
        )
    chosen["train"] = chosen["train"][:train]
    with new_folder(out) as temporary:
        for part, listed in chosen.items():
            taken: Counter[str] = Counter()
            for pair in listed:
                stem = pair.name.rpartition("/")[2]
                # a/1 and b/1 are two photos, and 1 and 1/1 here.
                below = f"{taken[stem]}/{stem}" if taken[stem] else stem
                taken[stem] += 1
                _put(pair, temporary / part, below)


def _splits(folder: Folder) -> dict[str, list[Pair]]:
    """Return the pairs to train on and to test on, parted as in training where they are one."""
    if "all" not in folder.splits:
        if missing := [split for split in ("train", "test") if not folder.splits.get(split)]:
            raise InputError(f"{folder.root} has no images in its split {missing[0]!r}.")
        return {split: folder.splits[split] for split in ("train", "test")}
    pairs = folder.splits["all"]
    fractions = {"train": 1 - TEST_FRACTION, "test": TEST_FRACTION}
    parted = split_groups([pair.name for pair in pairs], fractions, 0)
    return {split: [pairs[index] for index in parted[split]] for split in fractions}


def _in_random_order(pairs: list[Pair]) -> list[list[Pair]]:
    """Return groups of photos that show one thing, in a random order that never changes."""
    groups: dict[str, list[Pair]] = defaultdict(list)
    for pair in sorted(pairs, key=lambda pair: pair.name):
        groups[group_of(pair.name)].append(pair)
    listed = list(groups.values())
    return [listed[index] for index in np.random.default_rng(SEED).permutation(len(listed))]


def _put(pair: Pair, folder: Path, name: str) -> None:
    """Put a photo and its mask into images and masks below a folder, under a name."""
    if pair.mask is None or pair.ignored is not None or pair.layers:
        raise InputError(
            f"{pair.image} has not exactly one mask, so that it cannot be part of a subset. Take "
            "the whole data set, or photos with a mask each."
        )
    for part, file in (("images", pair.image), ("masks", pair.mask)):
        put = folder / part / (name + file.suffix)
        put.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(file.resolve(), put)
        except OSError:
            shutil.copyfile(file, put)
