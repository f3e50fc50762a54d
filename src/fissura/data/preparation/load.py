"""Read and prepare the images of a split, once: later runs take them from the cache."""

from __future__ import annotations

import typing
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from fissura.bit_depth import Depth, common_depth
from fissura.data import cache
from fissura.data.annotation_options import AnnotationOptions
from fissura.data.folder import CRACK_OR_NOT, Folder, Pair, Skipped, find_pairs, refuse_bad
from fissura.data.images import read_size
from fissura.data.labels import Labels
from fissura.data.preparation.prepare import decode_rule, prepare_pairs
from fissura.data.preparation.prepared import PreparedSet
from fissura.data.preparation.protocols import Protocol
from fissura.data.splits import group_of, split_groups
from fissura.data.walk import below
from fissura.errors import InputError
from fissura.memory import memory_of_machine

__all__ = ["LabeledFolder", "PreparedSet", "default_cache_dir", "load_split"]

TEST_FRACTION = 0.2


def load_split(
    folder: Folder,
    split: str,
    protocol: Protocol,
    *,
    cache_dir: Path | None = None,
    skip_bad: bool = False,
    split_seed: int = 0,
    group_of: Callable[[str], str] = group_of,
    labels: Labels = CRACK_OR_NOT,
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
        labels: What the values of the masks stand for, as it was given to `find_pairs`.

    Returns:
        The images and masks, with how they were read.

    Raises:
        InputError: The folder does not have the split, a file is damaged or too small for the
            protocol, or the masks cannot be decoded (see `fissura.data.masks.choose_rule`).
    """
    pairs, split_rule = choose_pairs(folder, split, split_seed, group_of)
    everything = [pair for listed in folder.splits.values() for pair in listed]
    depth = common_depth(pair.image for pair in everything)
    key = cache.key(
        pairs,
        [mask for pair in everything for mask in pair.masks],
        {
            "protocol": asdict(protocol),
            "skip_bad": skip_bad,
            "white": depth.white if depth else None,
        }
        | ({} if labels.default else {"labels": asdict(labels)}),
    )
    entry = (cache_dir or default_cache_dir()) / f"{key}.npz"
    stored = cache.read(entry)
    if stored is None:
        stored = _prepare(folder, pairs, labels, protocol, depth, skip_bad=skip_bad)
        cache.write(entry, stored)
    if not stored.names:
        raise InputError(
            f"No image in the split '{split}' of {folder.root} is left: "
            + (
                f"none shows a crack, and the protocol {protocol.name} leaves out images without."
                if protocol.cracks_only
                else "none has a pixel with a label."
            )
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
        valid=stored.valid,
        classes=labels.classes,
        overlapping=labels.overlapping,
    )


def _prepare(
    folder: Folder,
    pairs: list[Pair],
    labels: Labels,
    protocol: Protocol,
    depth: Depth | None,
    *,
    skip_bad: bool,
) -> cache.Stored:
    """Decode and prepare pairs by the rule of all masks of their folder."""
    everything = [pair for listed in folder.splits.values() for pair in listed]
    rule, bad = decode_rule(everything, folder.root, labels, skip_bad=skip_bad)
    broken = {problem.file for problem in bad}
    usable = [pair for pair in pairs if not broken & set(pair.masks)]
    if protocol.size_hw is None:
        _check_memory(usable, folder.root)
    stored, more = prepare_pairs(usable, rule, labels, protocol, depth, folder.root)
    problems = bad + more
    refuse_bad(problems, folder.root, go_on=skip_bad and bool(stored.names))
    skipped = [(below(problem.file, folder.root), problem.reason) for problem in problems]
    return replace(stored, skipped=stored.skipped + skipped)


@typing.runtime_checkable  # for the checks of types in the tests
class Reading(typing.Protocol):
    """Options by which a folder of labeled photos is read, of a training or an evaluation."""

    @property
    def skip_bad(self) -> bool:
        """Go on without files that cannot be used."""
        ...

    @property
    def empty_if_missing(self) -> bool:
        """Photos without a mask show no crack."""
        ...

    def annotations(self) -> AnnotationOptions:
        """Return how annotations become masks."""
        ...


@dataclass(frozen=True)
class LabeledFolder:
    """A folder of labeled photos, and how its splits are read.

    Attributes:
        folder: Its pairs.
        labels: What the values of masks stand for.
        skip_bad: Go on without files that cannot be used.
    """

    folder: Folder
    labels: Labels
    skip_bad: bool

    @classmethod
    def find(cls, data: Path, labels: Labels, options: Reading) -> LabeledFolder:
        """Find the pairs of a folder, as `fissura.data.folder.find_pairs` does.

        Args:
            data: The folder, or a file with annotations.
            labels: What the values of masks stand for.
            options: How the folder is read.

        Raises:
            InputError: As `find_pairs` does.
        """
        folder = find_pairs(
            data,
            skip_bad=options.skip_bad,
            labels=labels,
            empty_if_missing=options.empty_if_missing,
            annotations=options.annotations(),
        )
        return cls(folder, labels, options.skip_bad)

    def load(self, split: str, protocol: Protocol, cache_dir: Path | None = None) -> PreparedSet:
        """Read and prepare the images of a split, as `load_split` does.

        Args:
            split: "train", "val", "test" or "all".
            protocol: How photos become images.
            cache_dir: Where prepared images are kept; None is `default_cache_dir()`.

        Raises:
            InputError: As `load_split` does.
        """
        return load_split(
            self.folder,
            split,
            protocol,
            cache_dir=cache_dir,
            skip_bad=self.skip_bad,
            labels=self.labels,
        )


def default_cache_dir() -> Path:
    """Return `$FISSURA_CACHE`, or `fissura/` in `$XDG_CACHE_HOME` (by default `~/.cache`)."""
    return cache.default_dir()


def choose_pairs(
    folder: Folder, split: str, seed: int, group_of: Callable[[str], str]
) -> tuple[list[Pair], str]:
    """Choose the pairs of a split, and say in words where the split comes from.

    Args:
        folder: The pairs.
        split: As in `load_split`.
        seed: Of the split that is drawn where the folder has none.
        group_of: Gives names that show one thing the same group.

    Raises:
        InputError: The folder does not have the split.
    """
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


def _check_memory(pairs: list[Pair], root: Path) -> None:
    """Images of their own size are held in memory whole, and once more while they are cached."""
    needed = sum(8 * height * width for height, width in (read_size(p.image)[0] for p in pairs))
    if needed > (available := memory_of_machine()):
        raise InputError(
            f"The images in {root} ({len(pairs)}) need about {needed / 2**30:.0f} GiB of memory at "
            f"their own size, and this machine has {available / 2**30:.0f} GiB. Take a --protocol "
            "that makes them smaller (crack500 cuts large photos into tiles), or fewer images."
        )
