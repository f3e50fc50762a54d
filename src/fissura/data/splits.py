"""Split a set of photos so that images of one thing never fall into two splits."""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Callable, Sequence

from fissura.errors import InputError

# Endings of a name that tell a tile or a variant of one photo from another.
VARIANTS = re.compile(
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
# The fraction that training sets aside unless told otherwise, and the fewest photos of which it is.
VALIDATION, FEWEST = 0.2, 5
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
    your own function as `group_of` to `split_groups` or `fissura.data.preparation.load.load_split`.

    Args:
        name: An image's path below its folder, without suffix.

    Returns:
        The name of the group.

    >>> group_of("images/11215-7"), group_of("20160222_081011_1_361"), group_of("IMG_0001")
    ('images/11215', '20160222_081011', 'IMG_0001')
    """
    folder, slash, stem = name.rpartition("/")
    if match := MAGNETIC_TILE.fullmatch(stem):
        return f"{folder}{slash}num_{int(match[1]) // 10_000}"
    if match := CRACK500_CROP.fullmatch(stem):
        return f"{folder}{slash}{match[1]}"
    while (shorter := VARIANTS.sub("", stem)) not in (stem, ""):
        stem = shorter
    return f"{folder}{slash}{stem}"


def split_groups(
    names: Sequence[str],
    fractions: dict[str, float],
    seed: int,
    *,
    group_of: Callable[[str], str] = group_of,
) -> dict[str, list[int]]:
    """Split images by given fractions without tearing groups apart.

    Groups are taken in an order drawn from `seed`; each goes to the split that lacks the most
    images. The outcome depends on the names, the fractions and the seed alone: not on the order of
    the names, the machine or the versions of libraries. Every split gets at least one group.

    Args:
        names: Unique names of the images.
        fractions: The fraction of the images that goes into each split, in any unit (0.8 and 0.2,
            or 4 and 1); all above 0.
        seed: Of the order in which groups are taken.
        group_of: Gives names that show one thing the same group.

    Returns:
        For each split ascending indices into `names`.

    Raises:
        InputError: There are fewer groups than splits.

    >>> split_groups(["1", "2", "3", "4", "5"], {"train": 0.8, "val": 0.2}, seed=0)
    {'train': [1, 2, 3, 4], 'val': [0]}
    """
    if not fractions or min(fractions.values()) <= 0:
        raise ValueError(f"fractions must be positive, got {fractions}")
    groups: dict[str, list[int]] = defaultdict(list)
    for index, name in enumerate(names):
        groups[group_of(name)].append(index)
    if len(groups) < len(fractions):
        images = "1 image" if len(names) == 1 else f"{len(names)} images"
        photos = "1 photo" if len(groups) == 1 else f"{len(groups)} different photos"
        raise InputError(
            f"{images} cannot be split into {' and '.join(fractions)}: by their names they show "
            f"only {photos} ({', '.join(sorted(groups)) or 'none'}), and tiles of one photo must "
            "stay together. Put them into folders train and test yourself, or name the photos "
            "differently."
        )
    total = sum(fractions.values())
    lack = {split: len(names) * fraction / total for split, fraction in fractions.items()}
    splits: dict[str, list[int]] = {split: [] for split in fractions}
    order = sorted(groups, key=lambda group: hashlib.sha256(f"{seed}:{group}".encode()).digest())
    for position, group in enumerate(order):
        empty = [split for split in splits if not splits[split]]
        candidates = empty if len(order) - position <= len(empty) else list(splits)
        split = max(candidates, key=lambda candidate: lack[candidate])
        splits[split] += groups[group]
        lack[split] -= len(groups[group])
    return {split: sorted(indices) for split, indices in splits.items()}
