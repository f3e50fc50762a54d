"""Choose by which rule masks are decoded: each file by where its values lie, then the set."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fissura.data.labels import UNLABELED
from fissura.data.masks.colors import choose_colors
from fissura.data.masks.looks import FLAT_PIXELS, MaskLook, well_known
from fissura.data.masks.rule import MaskRule, Scale
from fissura.data.masks.sentences import CLASSES, CONVERT, differing, inverted, listed, named
from fissura.data.masks.values import is_jpeg, read_mask
from fissura.errors import InputError

# From this fraction of crack on, a single file of a set is taken for inverted.
FULL = 0.9


def read_mask_alone(path: Path, *, ignore: int | None = None) -> tuple[NDArray[np.bool_], str]:
    """Read the crack pixels of one mask file, whatever its format.

    Args:
        path: The file.
        ignore: A value that marks areas without labels; there is no crack there.

    Returns:
        The crack pixels, bool (h, w), upright; and in words how the values were understood.

    Raises:
        InputError: Where the file cannot be read, or where it is unclear which pixels are crack:
            several classes or instance ids, more than half of it crack, a photo.
    """
    values = read_mask(path)
    words = ""
    if ignore is not None and values.ndim == 2 and (ignored := values == ignore).any():
        words = f"; {ignored.mean():.1%} of the pixels are {ignore} and ignored"
        others = values[~ignored]
        values = np.where(ignored, others.min() if others.size else 0, values).astype(values.dtype)
    if values.ndim == 2 and not values.any():
        return np.zeros(values.shape, np.bool_), f"no crack is marked, all values are 0{words}"
    if values.ndim == 2 and values.min() == values.max():
        raise InputError(
            f"{path}: has the one value {values.max()}, so it is unclear where crack is. {CONVERT}"
        )
    rule = choose_rule([(path, MaskLook.of(values, lossy=is_jpeg(path)))], path)
    return rule.apply(values), f"{rule}{words}"


def choose_rule(
    looks: Sequence[tuple[Path, MaskLook]], where: Path, *, ignore: int | None = None
) -> MaskRule:
    """Choose the rule that decodes a set of masks.

    Each file is judged by itself first: of two values the greater one is crack; of many, as soft
    and noisy edges bring, crack is from the middle of the set's values on. Files from 0 to 1, 0
    to 255 and 0 to 65535 may be mixed, each is read on its own scale. Of colors the rarer one is
    crack. Where a set has the values 0, 1 and 255 alone, all of them flat, 255 marks pixels without
    a label beside crack, 1.

    Args:
        looks: The files, and what a look at each told.
        where: The folder or file that error messages begin with.
        ignore: The value of pixels without a label; None where that is to be told by the values.

    Raises:
        InputError: Where no crack is marked in the whole set, where it is unclear which values
            are crack (classes, ids, unlabeled areas, files whose values differ), where more than
            half of the set or nearly all of a file is crack (inverted masks), or for photos.
    """
    if any(len(look.colors) for _, look in looks):
        if ignore is not None:
            raise InputError(
                f"{where}: --ignore {ignore} is a gray value, but the masks are colored. Mark the "
                "pixels without labels in masks of their own, in a folder 'ignored' beside masks."
            )
        return choose_colors(looks, where)
    if ignore is None and _marks_unlabeled(looks):
        ignore = UNLABELED
    if ignore is not None:
        looks = [(path, look.without(ignore)) for path, look in looks]
    looks = [(path, look) for path, look in looks if len(look.values)]
    used = [(path, look) for path, look in looks if len(look.values) > 1]
    if not used:
        seen = sorted({int(look.values[0]) for _, look in looks})
        told = f"all have the value {listed(seen)}" if seen else "they have no pixels"
        raise InputError(
            f"{where}: no mask marks any crack, {told}. At least one must hold a crack."
        )
    _refuse(where, used, MaskLook.has_classes, "values that mean several things")
    _refuse(where, used, MaskLook.is_photo, "most values between background and crack, as photos")
    rule = MaskRule(_scales(used, where), ignore=ignore)
    _refuse_inverted(rule, looks, where)
    return rule


def _marks_unlabeled(looks: Sequence[tuple[Path, MaskLook]]) -> bool:
    """Whether 255 marks pixels without a label: beside flat 1, and nowhere it may be crack.

    A file of 0 and 255 alone may hold crack as well, so that the user has to say.
    """
    both = [look for _, look in looks if {1, UNLABELED} <= set(look.values.tolist())]
    return (
        bool(both)
        and all(set(look.values.tolist()) <= {0, 1, UNLABELED} for _, look in looks)
        and all(look.has_classes() or 0 not in look.values for look in both)
        and not any(look.values[-1:] == UNLABELED and 1 not in look.values for _, look in looks)
    )


def _scales(used: list[tuple[Path, MaskLook]], where: Path) -> tuple[Scale, ...]:
    """Sort files by what is crack in them, and give each sort its threshold."""
    sorts: dict[int, list[tuple[Path, MaskLook]]] = defaultdict(list)
    odd: dict[int, list[tuple[Path, MaskLook]]] = defaultdict(list)
    for path, look in used:
        highest = int(look.values[-1])
        if look.has_soft_edges():
            sorts[255 if highest <= 255 else 65535].append((path, look))
        elif (known := well_known(highest)) is not None:
            sorts[known].append((path, look))
        else:
            odd[highest].append((path, look))
    if odd and not sorts and len(odd) == 1:
        sorts = odd
    elif odd:
        _join_soft(sorts, odd, where)
    scales = []
    for sort in sorted(sorts):
        looks = [look for _, look in sorts[sort]]
        lowest = min(int(look.values[0]) for look in looks)
        highest = max(int(look.values[-1]) for look in looks)
        pairs = {(int(look.values[0]), int(look.values[-1])) for look in looks}
        two = len(pairs) == 1 and not any(look.has_soft_edges() for look in looks)
        # Noise of JPEG changes an end by a little; another value at an end is another meaning.
        apart = max(int(look.values[0]) for look in looks) - lowest > max((highest - lowest) / 8, 0)
        if apart or (len(sorts) > 1 and lowest > (highest - lowest) / 8):
            raise differing(used, where)
        threshold = highest if two else (lowest + highest + 1) // 2
        scales.append(Scale(lowest, highest, threshold, len(looks)))
    _refuse_unlabeled(sorts, used, where)
    return tuple(scales)


def _join_soft(
    sorts: dict[int, list[tuple[Path, MaskLook]]],
    odd: dict[int, list[tuple[Path, MaskLook]]],
    where: Path,
) -> None:
    """Count files of an odd value to those with soft edges, where that loses no crack."""
    everything = [file for files in (*sorts.values(), *odd.values()) for file in files]
    for highest, files in odd.items():
        sort = 255 if highest <= 255 else 65535
        soft = [look for _, look in sorts.get(sort, ()) if look.has_soft_edges()]
        top = max((int(look.values[-1]) for look in soft), default=0)
        lost = 2 * highest < top and any(look.flat[-1] >= FLAT_PIXELS for _, look in files)
        if not soft or lost:
            raise differing(everything, where)
        sorts[sort] += files


def _refuse_unlabeled(
    sorts: dict[int, list[tuple[Path, MaskLook]]], used: list[tuple[Path, MaskLook]], where: Path
) -> None:
    """Raise where large areas of 255 beside thin cracks of 1 look like areas without labels."""
    if not {1, 255} <= sorts.keys():
        return
    fractions = {
        sort: float(np.mean([look.counts[-1] / look.counts.sum() for _, look in sorts[sort]]))
        for sort in (1, 255)
    }
    if fractions[255] > max(0.2, 3 * fractions[1]):
        raise InputError(
            f"{differing(used, where)} If 255 marks pixels without a label, say --ignore 255."
        )


def _refuse(
    where: Path,
    used: list[tuple[Path, MaskLook]],
    is_bad: Callable[[MaskLook], bool],
    what: str,
) -> None:
    """Raise an `InputError` that lists the values and the files for which `is_bad` holds."""
    bad = [(path, look) for path, look in used if is_bad(look)]
    if not bad:
        return
    values = sorted({int(value) for _, look in bad for value in look.values})
    top = bad[0][1]
    ignored = ""
    if top.values[-1] in (255, 65535) and len(top.values) > 2 and top.has_classes():
        gap = top.values[-1] - top.values[-2]
        if gap > 0.5 * top.values[-1]:
            ignored = f" If {top.values[-1]} marks areas without labels: --ignore {top.values[-1]}."
    classes = f"{CLASSES} " if is_bad is MaskLook.has_classes else ""
    raise InputError(
        f"{where}: it is unclear which pixels are crack, since {named(bad, where)} "
        f"{'has' if len(bad) == 1 else 'have'} {what}: {listed(values)}.{ignored} "
        f"{classes}{CONVERT}"
    )


def _refuse_inverted(rule: MaskRule, looks: Sequence[tuple[Path, MaskLook]], where: Path) -> None:
    """Raise where more than half of a set, or nearly all of one of its files, would be crack."""
    crack = {path: _crack_pixels(rule, look) for path, look in looks}
    pixels = {path: int(look.counts.sum()) for path, look in looks}
    fraction = sum(crack.values()) / max(sum(pixels.values()), 1)
    if fraction > 0.5:
        raise inverted(where, fraction)
    full = [(path, look) for path, look in looks if crack[path] > FULL * pixels[path]]
    if full:
        raise InputError(
            f"{where}: {named(full, where)} would be crack nearly all over, and may be inverted. "
            "Make crack the brighter value, or leave these files out."
        )


def _crack_pixels(rule: MaskRule, look: MaskLook) -> int:
    """Pixels that are crack by a rule for gray masks."""
    return int(look.counts[rule.apply(look.values[None])[0]].sum())
