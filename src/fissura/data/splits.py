"""Split a set of photos so that images of one thing never fall on both sides."""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Callable, Sequence

from fissura.errors import InputError

# Endings of a name that tell a piece or a variant of one photo from another.
PIECES = re.compile(
    r"""(?:
        \.rf\.[0-9a-f]+                                            # Roboflow's augmented copies
      | [_-](?:aug|copy|rot|rotated|flip|flipped|hflip|vflip|mirror|noise|blur|bright)[_-]?\d*
      | [_-](?:tile|patch|crop|piece|part)[_-]?\d+(?:[_-]\d+)?
      | [_-](?:r|row|y)[_-]?\d+[_-](?:c|col|x)[_-]?\d+
      | [_-](?:c|col|x)[_-]?\d+[_-](?:r|row|y)[_-]?\d+
      | (?<=\d)(?<!\d{4}-\d\d)-\d{1,3}                             # DeepCrack: 11215-7, IMG_6472-3
    )$""",
    re.VERBOSE | re.IGNORECASE,
)
CRACK500_CROP = re.compile(r"(\d{8}_\d{6})(?:_\d+)+")
MAGNETIC_TILE = re.compile(r"exp\d+_num_(\d+)")


def group_of(name: str) -> str:
    """Name the photo, or the thing, that an image shows, as far as its file name tells.

    Images of one group must not be split between training and testing. The rules:

    - tiles, crops and augmented copies go with their photo: `wall_r2_c1`, `wall_tile3`,
      `wall_aug2`, `wall_flip`; DeepCrack's `11215-7`; CRACK500's `20160222_081011_1_361`;
    - Magnetic Tile's `exp1_num_249594` to `exp6_num_249821` are one tile under six exposures,
      numbered in one run, so numbers within the same ten thousand go together;
    - everything else is its own group, numbered photos (`1`, `IMG_0001`, `DSC-2`) too.

    Folders in the name stay: `a/1` and `b/1` are two groups. Where these rules don't suit, give
    your own function as `group_of` to what splits.

    >>> group_of("images/11215-7"), group_of("20160222_081011_1_361"), group_of("IMG_0001")
    ('images/11215', '20160222_081011', 'IMG_0001')
    """
    folder, slash, stem = name.rpartition("/")
    if match := MAGNETIC_TILE.fullmatch(stem):
        return f"{folder}{slash}num_{int(match[1]) // 10_000}"
    if match := CRACK500_CROP.fullmatch(stem):
        return f"{folder}{slash}{match[1]}"
    while (shorter := PIECES.sub("", stem)) not in (stem, ""):
        stem = shorter
    return f"{folder}{slash}{stem}"


def split_groups(
    names: Sequence[str],
    shares: dict[str, float],
    seed: int,
    *,
    group_of: Callable[[str], str] = group_of,
) -> dict[str, list[int]]:
    """Split images into parts of given fractions without tearing groups apart.

    Groups are taken in an order drawn from `seed`; each goes to the part that lacks the most
    images. The outcome depends on the names, the shares and the seed alone: not on the order of
    the names, the machine or the versions of libraries. Every part gets at least one group.

    Args:
        names: Unique names of the images.
        shares: The fraction of the images that goes into each part, in any unit (0.8 and 0.2, or
            4 and 1); all above 0.
        seed: Of the order in which groups are taken.
        group_of: Gives names that show one thing the same group.

    Returns:
        For each part ascending indices into `names`.

    Raises:
        InputError: Where there are fewer groups than parts.

    >>> split_groups(["1", "2", "3", "4", "5"], {"train": 0.8, "val": 0.2}, seed=0)
    {'train': [1, 2, 3, 4], 'val': [0]}
    """
    if not shares or min(shares.values()) <= 0:
        raise ValueError(f"shares must be positive, got {shares}")
    groups: dict[str, list[int]] = defaultdict(list)
    for index, name in enumerate(names):
        groups[group_of(name)].append(index)
    if len(groups) < len(shares):
        raise InputError(
            f"{len(names)} images cannot be split into {' and '.join(shares)}: by their names "
            f"they show only {len(groups)} different photo{'s' * (len(groups) != 1)} "
            f"({', '.join(sorted(groups)) or 'none'}), and pieces of one photo must stay together. "
            "Put them into folders train and test yourself, or name the photos differently."
        )
    total = sum(shares.values())
    lack = {part: len(names) * share / total for part, share in shares.items()}
    parts: dict[str, list[int]] = {part: [] for part in shares}
    order = sorted(groups, key=lambda group: hashlib.sha256(f"{seed}:{group}".encode()).digest())
    for place, group in enumerate(order):
        empty = [part for part in parts if not parts[part]]
        candidates = empty if len(order) - place <= len(empty) else list(parts)
        part = max(candidates, key=lambda candidate: lack[candidate])
        parts[part] += groups[group]
        lack[part] -= len(groups[group])
    return {part: sorted(indices) for part, indices in parts.items()}
