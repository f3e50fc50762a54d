"""`survey`: read every photo and mask of a folder once, and keep what the checks need."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fissura.bit_depth import Depth, common_depth
from fissura.checks.alike import Alike, find_alike
from fissura.checks.classes import crack_mask, look_at_classes, masks_of
from fissura.checks.options import CheckOptions
from fissura.checks.photo import PhotoLook, look_at
from fissura.data.cache import THREADS
from fissura.data.folder import Folder, Pair, Skipped, find_pairs, natural_order
from fissura.data.labels import Labels
from fissura.data.preparation.load import choose_pairs
from fissura.data.preparation.prepare import Rule, decode_rule, read_labeled
from fissura.data.splits import FEWEST, VALIDATION, group_of, split_groups
from fissura.data.walk import walk
from fissura.errors import InputError
from fissura.pillow import opened_image

# Files that belong to a data set without being photos or masks, by their endings.
KNOWN = {
    ".txt",
    ".md",
    ".csv",
    ".json",
    ".jsonl",
    ".xml",
    ".yaml",
    ".yml",
    ".html",
    ".pdf",
    ".log",
    ".py",
    ".zip",
    ".gz",
    ".tar",
    ".npz",
    ".parquet",
    ".db",
    "",
}


@dataclass(frozen=True)
class Survey:
    """What one look at a folder told.

    Attributes:
        folder: The pairs of photos and masks.
        looks: What is kept of each, in the folder's order.
        alike: Pairs of photos that look alike, by their indices in `looks`.
        planned: The part that training would give each photo: "train", "val" or "test".
        plan: Where these parts come from, in words.
        mask_rule: How mask values are decoded, in words.
        skipped: Files that cannot be used.
        unread: Endings of files that nothing reads, and how many there are.
        modes: How photos and masks are stored, such as "RGB photos", and how many there are.
        labels: What the values of the masks stand for.
    """

    folder: Folder
    looks: list[PhotoLook]
    alike: list[Alike]
    planned: list[str]
    plan: str
    mask_rule: str
    skipped: list[Skipped]
    unread: dict[str, int]
    modes: dict[str, int]
    labels: Labels

    def reader(self, options: CheckOptions) -> Reader:
        """Return a reader of the same photos and masks.

        Args:
            options: The same options again.
        """
        return Reader.of(self.folder, options.meaning())


@dataclass(frozen=True)
class Reader:
    """Reads photos and masks of a folder as training would.

    Attributes:
        pairs: All pairs, by the name of the photo.
        rule: How mask values are decoded.
        labels: What these stand for.
        depth: Depth of photos of more than 8 bits, or None.
        bad: Masks that cannot be read.
    """

    pairs: dict[str, tuple[str, Pair]]
    rule: Rule
    labels: Labels
    depth: Depth | None
    bad: list[Skipped]

    @classmethod
    def of(cls, folder: Folder, labels: Labels) -> Reader:
        """Choose the rule that decodes a folder's masks.

        Args:
            folder: The pairs.
            labels: What the values of masks stand for.

        Raises:
            InputError: It is unclear which pixels are crack.
        """
        pairs = {
            pair.name: (split, pair) for split, listed in folder.splits.items() for pair in listed
        }
        everything = [pair for _, pair in pairs.values()]
        rule, bad = decode_rule(everything, folder.root, labels, skip_bad=True)
        depth = common_depth(pair.image for pair in everything)
        return cls(pairs, rule, labels, depth, bad)

    def read(
        self, name: str
    ) -> tuple[NDArray[np.uint8], NDArray[np.bool_], NDArray[np.bool_] | None]:
        """Read a photo: RGB, where any class is marked, and the pixels with a label or None.

        Args:
            name: Name of the photo.

        Raises:
            InputError: A file cannot be read.
        """
        image, mask, valid = self.labeled(name)
        return image, np.asarray(mask > 0), valid

    def labeled(
        self, name: str
    ) -> tuple[NDArray[np.uint8], NDArray[Any], NDArray[np.bool_] | None]:
        """Read a photo as `read` does, with its mask as training has it.

        Args:
            name: Name of the photo.

        Raises:
            InputError: A file cannot be read.
        """
        return read_labeled(self.pairs[name][1], self.rule, self.labels, self.depth)


def survey(data: Path, options: CheckOptions) -> Survey:
    """Read every photo and mask of a folder once, and keep what the checks need.

    Args:
        data: Folder in any layout that training takes.
        options: How masks are read and how training would split.

    Raises:
        InputError: There are no pairs, or it is unclear which pixels are crack.
    """
    folder = find_pairs(
        data,
        skip_bad=True,
        labels=options.meaning(),
        empty_if_missing=options.empty_if_missing,
        annotations=options.annotations(),
    )
    reader = Reader.of(folder, options.meaning())
    bad = {problem.file for problem in reader.bad}
    listed = [(split, pair) for split, pair in reader.pairs.values() if not bad & set(pair.masks)]

    def work(each: tuple[str, Pair]) -> PhotoLook | Skipped:
        split, pair = each
        try:
            return _looked_at(split, pair.name, reader)
        except InputError as error:
            return Skipped(pair.image, str(error).removeprefix(f"{pair.image}: ").rstrip("."))

    with ThreadPoolExecutor(THREADS) as pool:
        outcomes = list(pool.map(work, listed))
    looks = [outcome for outcome in outcomes if isinstance(outcome, PhotoLook)]
    skipped = [outcome for outcome in outcomes if isinstance(outcome, Skipped)]
    if not looks:
        raise InputError(f"{data}: no photo and its mask can be read.")
    order = sorted(range(len(looks)), key=lambda index: natural_order(_last(looks[index].name)))
    planned, plan = _plan(folder, [look.name for look in looks], options)
    return Survey(
        folder=folder,
        looks=looks,
        alike=find_alike([look.view for look in looks], order),
        planned=planned,
        plan=plan,
        mask_rule=str(reader.rule),
        skipped=folder.skipped + reader.bad + skipped,
        unread=_unread(folder),
        modes=dict(Counter(_modes(listed)).most_common()),
        labels=reader.labels,
    )


def _looked_at(split: str, name: str, reader: Reader) -> PhotoLook:
    """Look at a photo with all its classes together, and at each of them."""
    image, values, valid = reader.labeled(name)
    if not reader.labels.classes:
        return look_at(name, split, image, np.asarray(values > 0), valid)
    masks = masks_of(values, reader.labels)
    cracks = crack_mask(masks, reader.labels)
    classes, shared = look_at_classes(masks)
    look = look_at(name, split, image, np.asarray(values > 0), valid, cracks)
    return replace(look, classes=classes, shared=shared)


def _plan(folder: Folder, names: list[str], options: CheckOptions) -> tuple[list[str], str]:
    """The part that training would give each photo, and where these come from."""
    parts: dict[str, str] = {}
    told = []
    for split in ("train", "val", "test"):
        try:
            pairs, rule = choose_pairs(folder, split, 0, group_of)
        except InputError:
            continue
        parts |= {pair.name: split for pair in pairs}
        told.append(rule)
    train = [name for name in names if parts.get(name) == "train"]
    fraction = options.validation
    if fraction is None:
        fraction = VALIDATION if len({group_of(name) for name in train}) >= FEWEST else 0.0
    if "val" not in folder.splits and fraction > 0 and train:
        drawn = split_groups(train, {"train": 1 - fraction, "val": fraction}, options.seed)
        parts |= {train[index]: "val" for index in drawn["val"]}
        told.append(
            f"{fraction:.0%} of the training photos to choose epoch and threshold, drawn with seed "
            f"{options.seed}"
        )
    return [parts.get(name, "train") for name in names], "; ".join(told)


def _unread(folder: Folder) -> dict[str, int]:
    """Endings of files below the folder that nothing reads, and how many there are."""
    if not folder.root.is_dir():
        return {}
    told = {
        file
        for pairs in folder.splits.values()
        for pair in pairs
        for file in (pair.image, *pair.masks)
    }
    told |= {pair.ignored for pairs in folder.splits.values() for pair in pairs if pair.ignored}
    told |= {bad.file for bad in folder.skipped}
    others = [file for file in walk(folder.root) if file not in told]
    return dict(Counter(file.suffix.lower() for file in others if file.suffix.lower() not in KNOWN))


def _modes(listed: list[tuple[str, Pair]]) -> Iterator[str]:
    """Say of each photo and each mask how it is stored."""
    for _, pair in listed:
        for kind, files in (("photo", [pair.image]), ("mask", pair.masks)):
            for file in files:
                try:
                    with opened_image(file) as image:
                        yield f"{kind}: {image.format} {image.mode}"
                except InputError:  # of a format that another library reads
                    yield f"{kind}: {file.suffix[1:].upper()}"


def _last(name: str) -> str:
    """The name without its folders, so that files of several splits lie side by side."""
    return name.rpartition("/")[2]
