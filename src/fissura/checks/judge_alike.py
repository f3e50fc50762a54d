"""`alike_findings`: photos that look alike, across the parts of the split and within them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fissura.checks.alike import Alike
from fissura.checks.finding import Finding, shown
from fissura.checks.photo import PhotoLook
from fissura.html.pages import counted

ALIKE_MASKS = 0.5  # overlap of the masks of two copies from which they agree
ORIENTED = {"": "", "transposed the other way": "transposed"}

# Weight, text and advice of each finding; {pairs} are counted, {apart} is where they are torn.
ALIKE = {
    "leak": (
        3.0,
        "{pairs} of nearly the same picture {apart}",
        "Keep one of each, or put both into one split: metrics on pictures that were trained on "
        "are too good.",
    ),
    "same place": (
        2.0,
        "{pairs} of photos that show one place, or overlap, {apart}",
        "Divide the photos into folders train and test yourself, by place or by date, or let names "
        "tell it (wall7_tile1, wall7_tile2).",
    ),
    "copies": (
        1.0,
        "{pairs} of nearly the same picture",
        "Keep one of each; training sees them twice as often as others.",
    ),
    "together": (
        0.2,
        "{pairs} of photos that show one place, or overlap, are on one side of the split, as they "
        "should be",
        "",
    ),
    "contradiction": (
        2.0,
        "{pairs} of nearly the same picture with different masks",
        "Look at both: where the cracks are the same, keep the better mask.",
    ),
}


def alike_findings(
    alike: Sequence[Alike], looks: Sequence[PhotoLook], parts: Sequence[str]
) -> list[Finding]:
    """Photos that look alike: across the parts of the split, and within them.

    Args:
        alike: The pairs.
        looks: All photos.
        parts: The part of each, "train", "val" or "test".
    """
    found: dict[str, list[Alike]] = {kind: [] for kind in ALIKE}
    for pair in alike:
        together = parts[pair.first] == parts[pair.second]
        if pair.kind == "copy":
            found["copies" if together else "leak"].append(pair)
            if not pair.how and _masks_differ(looks[pair.first], looks[pair.second]):
                found["contradiction"].append(pair)
        else:
            found["together" if together else "same place"].append(pair)
    return [_finding(kind, pairs, looks, parts) for kind, pairs in found.items() if pairs]


def _finding(
    kind: str, pairs: Sequence[Alike], looks: Sequence[PhotoLook], parts: Sequence[str]
) -> Finding:
    """Return the finding on all pairs of a kind."""
    weight, text, advice = ALIKE[kind]
    files = tuple(_named(pair, looks) for pair in pairs)
    told = text.format(pairs=counted(len(pairs), "pair"), apart=_apart(pairs, parts))
    return Finding(kind, weight, f"{told}: {shown(files)}.", advice, files)


def _named(pair: Alike, looks: Sequence[PhotoLook]) -> str:
    """Return both names, and how one is turned."""
    how = ORIENTED.get(pair.how, pair.how)
    return f"{looks[pair.first].name} ~ {looks[pair.second].name}{f' ({how})' if how else ''}"


def _apart(pairs: Sequence[Alike], parts: Sequence[str]) -> str:
    """Say between which parts of the split pairs are torn."""
    names = {"train": "training", "val": "validation", "test": "testing"}
    seen = {parts[index] for pair in pairs for index in (pair.first, pair.second)}
    between = " and ".join(names[part] for part in names if part in seen)
    return f"{'is' if len(pairs) == 1 else 'are'} torn apart between {between}"


def _masks_differ(one: PhotoLook, other: PhotoLook) -> bool:
    """Whether the masks of two copies mark different things."""
    first, second = one.small_mask.astype(np.float32), other.small_mask.astype(np.float32)
    union = float(np.maximum(first, second).sum())
    return union > 0 and float(np.minimum(first, second).sum()) < ALIKE_MASKS * union
