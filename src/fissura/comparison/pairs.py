"""Photos of two inspections in pairs: by their names, or by their look."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from fissura.comparison.features import Features, alike
from fissura.comparison.registration import Registration, register

GLANCE = 700  # of the strongest features, by which photos are compared with all others
CANDIDATES = 3  # photos that look most alike, which are tried
SIMILAR = 8  # features that two photos share at a glance, at least

Size = tuple[int, int]
Look = Callable[[], tuple[Features, Size]]


@dataclass(frozen=True)
class Paired:
    """Two photos of one element.

    Attributes:
        old: Name of the old photo.
        new: Name of the new photo.
        by: "name" or "look".
        registration: Position of the new one in the old one; a sentence where there is none.
    """

    old: str
    new: str
    by: str
    registration: Registration | str


def pair_photos(
    old: Mapping[str, Look], new: Mapping[str, Look]
) -> tuple[list[Paired], list[str], list[str]]:
    """Pair the photos of two inspections and register them.

    Photos of the same name are a pair where they can be registered. Each other new photo is tried
    with the three old ones that look most alike, of those that have no partner.

    Args:
        old: For each name of an old photo, a function that returns its features and its size.
        new: The same for the new ones.

    Returns:
        The pairs, in the order of the new photos; the names of old photos without a partner; and
        those of new ones. A pair of one name that cannot be registered, nor by look with others,
        is among the pairs, with the reason.
    """
    pairs: dict[str, Paired] = {}
    taken: set[str] = set()
    for name in new:
        if name in old:
            pairs[name] = _paired(old, new, name, name, "name")
            if isinstance(pairs[name].registration, Registration):
                taken.add(name)
    waiting = [
        name
        for name in new
        if name not in pairs or not isinstance(pairs[name].registration, Registration)
    ]
    left = [name for name in old if name not in taken]
    glances = {name: old[name]()[0] for name in left} if waiting else {}
    tried: list[Paired] = []
    for name in waiting:
        features = new[name]()[0]
        shared = {one: len(alike(features, glances[one], GLANCE)) for one in left if one != name}
        for other in sorted(shared, key=lambda one: -shared[one])[:CANDIDATES]:
            if shared[other] >= SIMILAR:
                tried.append(_paired(old, new, other, name, "look"))
    found = [pair for pair in tried if isinstance(pair.registration, Registration)]
    found.sort(key=lambda pair: -_inliers(pair))
    chosen: set[str] = set()
    for pair in found:
        if pair.old not in taken and pair.new not in chosen:
            pairs[pair.new] = pair
            taken.add(pair.old)
            chosen.add(pair.new)
    kept = [
        pairs[name]
        for name in new
        if name in pairs
        and (isinstance(pairs[name].registration, Registration) or pairs[name].old not in taken)
    ]
    named_old, named_new = {pair.old for pair in kept}, {pair.new for pair in kept}
    return (
        kept,
        [name for name in old if name not in named_old],
        [name for name in new if name not in named_new],
    )


def _paired(
    old: Mapping[str, Look], new: Mapping[str, Look], one: str, other: str, by: str
) -> Paired:
    """Try two photos."""
    theirs, their_size = old[one]()
    ours, our_size = new[other]()
    return Paired(one, other, by, register(theirs, ours, their_size, our_size))


def _inliers(pair: Paired) -> int:
    """Return the number of features that agree."""
    return pair.registration.inliers if isinstance(pair.registration, Registration) else 0
