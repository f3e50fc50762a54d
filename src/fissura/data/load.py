"""Read and prepare the images of a split, once: later runs take them from the cache."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fissura.bit_depth import Depth, common_depth
from fissura.data import cache
from fissura.data.cache import THREADS
from fissura.data.folder import Folder, Pair, Skipped, refuse_bad
from fissura.data.images import read_size
from fissura.data.masks import MaskLook, MaskRule, choose_rule, is_jpeg, read_mask, read_pair
from fissura.data.protocols import Protocol, prepare_all, windows
from fissura.data.splits import group_of, split_groups
from fissura.errors import InputError

TEST_FRACTION = 0.2


@dataclass(frozen=True, eq=False)
class PreparedSet:
    """Images and masks in memory, ready for training or evaluation.

    Attributes:
        images: uint8 RGB, each of shape (h, w, 3).
        masks: True where there is crack, each of shape (h, w).
        names: Unique; the photo's name, with `_r0_c1` where several windows were cut from it.
        groups: The photo or thing that each image shows, by `fissura.data.splits.group_of`.
        protocol: How photos were made into images.
        scale: Size of these images over that of the photos (the median over the set).
        mask_rule: How mask values were decoded, in words.
        split_rule: Where the split comes from, in words.
        skipped: Files that were left out because they are bad.
        depth: The brightness that is white, in words, where photos have more than 8 bits; or "".
    """

    images: list[NDArray[np.uint8]]
    masks: list[NDArray[np.bool_]]
    names: list[str]
    groups: list[str]
    protocol: Protocol
    scale: float
    mask_rule: str
    split_rule: str
    skipped: list[Skipped]
    depth: str = ""

    def __len__(self) -> int:
        return len(self.images)

    @cached_property
    def crack_fraction(self) -> float:
        """Crack pixels over all pixels of the set."""
        pixels = sum(mask.size for mask in self.masks)
        return sum(int(np.count_nonzero(mask)) for mask in self.masks) / max(pixels, 1)

    @property
    def uniform(self) -> bool:
        """Whether all images have one size, so that they can be stacked."""
        return len({mask.shape for mask in self.masks}) <= 1

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of names, images and masks: equal sets, on any machine, have equal ones."""
        digest = hashlib.sha256()
        for name, image, mask in zip(self.names, self.images, self.masks, strict=True):
            digest.update(f"{name}\0{mask.shape}\0".encode())
            digest.update(image.tobytes())
            digest.update(mask.tobytes())
        return digest.hexdigest()

    def subset(self, indices: Sequence[int]) -> PreparedSet:
        """Return the images at `indices`, in that order."""
        return replace(
            self,
            images=[self.images[index] for index in indices],
            masks=[self.masks[index] for index in indices],
            names=[self.names[index] for index in indices],
            groups=[self.groups[index] for index in indices],
        )


def load_split(
    folder: Folder,
    split: str,
    protocol: Protocol,
    *,
    cache_dir: Path | None = None,
    skip_bad: bool = False,
    split_seed: int = 0,
    group_of: Callable[[str], str] = group_of,
) -> PreparedSet:
    """Read, decode and prepare the images of one split.

    The rule that decodes the masks is chosen from all masks of the folder, so that it is the same
    in every split. The result is stored in `cache_dir`, under the content of the files and all
    options; a change in either makes a new entry.

    Args:
        folder: The pairs, from `fissura.data.folder.find_pairs`.
        split: "train", "val" or "test". A folder that has no splits is divided into "train" and
            "test", 80 to 20, whole groups, drawn from `split_seed`. "all" is everything.
        protocol: How photos become images.
        cache_dir: Where prepared images are kept; None is `default_cache_dir()`.
        skip_bad: Go on without files that cannot be used; they are in the result's `skipped`.
        split_seed: Of the split that is drawn where the folder has none.
        group_of: Gives names that show one thing the same group.

    Returns:
        The images and masks, with how they were read.

    Raises:
        InputError: The folder does not have the split, a file is damaged or too small for the
            protocol, or the masks cannot be decoded (see `fissura.data.masks.choose_rule`).
    """
    pairs, split_rule = _choose_pairs(folder, split, split_seed, group_of)
    everything = [pair for listed in folder.splits.values() for pair in listed]
    depth = common_depth(pair.image for pair in everything)
    key = cache.key(
        [(pair.name, pair.image, pair.mask) for pair in pairs],
        [pair.mask for pair in everything],
        {
            "protocol": asdict(protocol),
            "skip_bad": skip_bad,
            "white": depth.white if depth else None,
        },
    )
    entry = (cache_dir or default_cache_dir()) / f"{key}.npz"
    stored = cache.read(entry)
    if stored is None:
        rule, bad = _decode_rule(everything, folder.root, skip_bad)
        broken = {problem.file for problem in bad}
        usable = [pair for pair in pairs if pair.mask not in broken]
        if protocol.size_hw is None:
            _check_memory(usable, folder.root)
        stored, more = _prepare_pairs(usable, rule, protocol, depth)
        problems = bad + more
        refuse_bad(problems, folder.root, go_on=skip_bad and bool(stored.names))
        skipped = [
            (problem.file.relative_to(folder.root).as_posix(), problem.reason)
            for problem in problems
        ]
        stored = replace(stored, skipped=skipped)
        cache.write(entry, stored)
    if not stored.names:
        raise InputError(
            f"No image in the split '{split}' of {folder.root} shows a crack, and "
            f"the protocol {protocol.name} leaves out images without."
        )
    return PreparedSet(
        images=stored.images,
        masks=stored.masks,
        names=stored.names,
        groups=[group_of(name) for name in stored.names],
        protocol=protocol,
        scale=stored.scale,
        mask_rule=stored.mask_rule,
        split_rule=split_rule,
        skipped=folder.skipped + [Skipped(folder.root / file, why) for file, why in stored.skipped],
        depth=str(depth) if depth else "",
    )


def default_cache_dir() -> Path:
    """Return `$FISSURA_CACHE`, or `fissura/` in `$XDG_CACHE_HOME` (by default `~/.cache`)."""
    return cache.default_dir()


def _choose_pairs(
    folder: Folder, split: str, seed: int, group_of: Callable[[str], str]
) -> tuple[list[Pair], str]:
    """Choose the pairs of a split, and say in words where the split comes from."""
    if split == "all":
        return [pair for listed in folder.splits.values() for pair in listed], "the whole folder"
    if split in folder.splits:
        return folder.splits[split], f"the folder's own split '{split}'"
    if "all" in folder.splits and split in ("train", "test"):
        pairs = folder.splits["all"]
        fractions = {"train": 1 - TEST_FRACTION, "test": TEST_FRACTION}
        chosen = split_groups([p.name for p in pairs], fractions, seed, group_of=group_of)[split]
        return [pairs[index] for index in chosen], (
            f"'{split}' of a split made by Fissura: {TEST_FRACTION:.0%} of the images for "
            f"testing, tiles of one photo together, seed {seed}"
        )
    known = ", ".join("train, test" if name == "all" else name for name in folder.splits)
    raise InputError(f"{folder.root} has no split '{split}'; it has {known}.")


def _decode_rule(pairs: list[Pair], root: Path, skip_bad: bool) -> tuple[MaskRule, list[Skipped]]:
    """Choose the rule that decodes all masks; return it with the files that cannot be read."""

    def look_at(pair: Pair) -> MaskLook | Skipped:
        try:
            return MaskLook.of(read_mask(pair.mask), lossy=is_jpeg(pair.mask))
        except InputError as error:
            return _skipped(pair, error)

    looks: list[tuple[Path, MaskLook]] = []
    bad: list[Skipped] = []
    with ThreadPoolExecutor(THREADS) as pool:
        for pair, outcome in zip(pairs, pool.map(look_at, pairs), strict=True):
            if isinstance(outcome, Skipped):
                bad.append(outcome)
            else:
                looks.append((pair.mask, outcome))
    refuse_bad(bad, root, go_on=skip_bad and len(bad) < len(pairs))
    return choose_rule(looks, root), bad


def _prepare_pairs(
    pairs: list[Pair], rule: MaskRule, protocol: Protocol, depth: Depth | None
) -> tuple[cache.Stored, list[Skipped]]:
    """Cut and shrink the photos; return the images, and the files that cannot be used."""

    def work(pair: Pair) -> list[tuple[str, NDArray[np.uint8], NDArray[np.bool_], float]] | Skipped:
        try:
            photo, values = read_pair(pair.image, pair.mask, depth=depth)
            cut = windows(photo.shape[:2], protocol)
            images = prepare_all(photo, rule.apply(values), protocol)
        except InputError as error:
            return _skipped(pair, error)
        return [
            (
                pair.name if len(cut) == 1 else f"{pair.name}_r{window.row}_c{window.column}",
                image,
                mask,
                mask.shape[0] / window.height,
            )
            for window, (image, mask) in zip(cut, images, strict=True)
            if mask.any() or not protocol.cracks_only
        ]

    with ThreadPoolExecutor(THREADS) as pool:
        outcomes = list(pool.map(work, pairs))
    bad = [outcome for outcome in outcomes if isinstance(outcome, Skipped)]
    images = [one for outcome in outcomes if not isinstance(outcome, Skipped) for one in outcome]
    return cache.Stored(
        images=[image for _, image, _, _ in images],
        masks=[mask for _, _, mask, _ in images],
        names=[name for name, _, _, _ in images],
        scale=float(np.median([scale for _, _, _, scale in images])) if images else 1.0,
        mask_rule=str(rule),
        skipped=[],
    ), bad


def _skipped(pair: Pair, error: InputError) -> Skipped:
    """Tell which file of a pair cannot be used: it begins the message where it is not the image."""
    message = str(error).rstrip(".")
    file = pair.mask if message.startswith(f"{pair.mask}: ") else pair.image
    return Skipped(file, message.removeprefix(f"{file}: "))


def _check_memory(pairs: list[Pair], root: Path) -> None:
    """Images of their own size are held in memory whole, and once more while they are cached."""
    needed = sum(8 * height * width for height, width in (read_size(p.image)[0] for p in pairs))
    if needed > (available := _memory()):
        raise InputError(
            f"The images in {root} ({len(pairs)}) need about {needed / 2**30:.0f} GiB of memory at "
            f"their own size, and this machine has {available / 2**30:.0f} GiB. Take a --protocol "
            "that makes them smaller (crack500 cuts large photos into tiles), or fewer images."
        )


def _memory() -> float:
    """Bytes of the machine's memory, where it tells."""
    try:
        return float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    except (AttributeError, OSError, ValueError):
        return float("inf")
