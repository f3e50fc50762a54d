"""Sentences that tell which masks are unclear, and how to convert them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from fissura.data.masks.looks import MaskLook
from fissura.data.masks.rule import Color
from fissura.errors import InputError

CONVERT = (
    "Save masks with two values, 255 for crack and 0 for everything else. Where every value but 0 "
    'is crack, as with instance ids, this does it for one file: python -c "from PIL import Image; '
    "Image.open('IN.png').point(lambda v: 255 * (v > 0), 'L').save('OUT.png')\""
)
CLASSES = (
    "Where they are classes, name them: `fissura train --classes crack,rust` (1 crack, 2 rust); "
    "`fissura measure --of-class rust=2` measures one of them."
)


def differing(used: list[tuple[Path, MaskLook]], where: Path) -> InputError:
    """Return the error for files whose values don't fit together, with an example of each kind."""
    kinds: dict[tuple[int, int], list[tuple[Path, MaskLook]]] = defaultdict(list)
    for path, look in used:
        kinds[int(look.values[0]), int(look.values[-1])].append((path, look))
    told = "; ".join(
        f"{low} and {high} in {named(files, where)}"
        for (low, high), files in sorted(kinds.items(), key=lambda kind: -len(kind[1]))[:6]
    )
    return InputError(
        f"{where}: it is unclear which values are crack, since they differ between files: {told}. "
        f"{CONVERT}"
    )


def inverted(where: Path, fraction: float) -> InputError:
    """Return the error for masks in which crack and background are swapped."""
    return InputError(
        f"{where}: looks inverted, {fraction:.0%} of the pixels would be crack. "
        "Invert masks so that crack is the brighter value."
    )


def listed(values: Sequence[int] | Sequence[Color]) -> str:
    """Return the values in a sentence, the first ten of them."""
    if len(values) > 10:
        return f"{', '.join(map(str, values[:10]))} and {len(values) - 10} more"
    return " and ".join([", ".join(map(str, values[:-1])), str(values[-1])][len(values) < 2 :])


def named(files: list[tuple[Path, MaskLook]], where: Path) -> str:
    """Return files in a sentence: the first three, and how many more."""
    names = [
        path.relative_to(where).as_posix() if where in path.parents else path.name
        for path, _ in files
    ]
    shown = ", ".join(names[:3])
    return f"{shown} and {len(names) - 3} more" if len(names) > 3 else shown
