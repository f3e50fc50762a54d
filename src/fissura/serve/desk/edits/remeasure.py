"""Measuring again after an edit: only the cracks that changed, as the whole photo would have them.

The components of the corrected mask that a changed pixel belongs to, or lies beside, are measured
within a window around them; what became of the model's cracks is judged for these components and
for all others that share pixels with the same cracks of the model. All else stays as it was.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from fissura.inspection.records.corrections import REJECTED, Correction, review, shared_pixels
from fissura.measurement import Crack, measure
from fissura.measurement.cracks import MASK_THRESHOLD, measure_part
from fissura.measurement.options import MeasureOptions
from fissura.measurement.skeleton import grown, label_components
from fissura.serve.desk.photos.found import ModelFound, shifted
from fissura.serve.desk.photos.pixels import Box, Pixels, meets, union
from fissura.serve.desk.storage.entry import Entry

GROWTH = 256  # pixels by which a window grows in which a component does not fit
SQUARE = np.ones((3, 3), np.uint8)


@dataclass(frozen=True, eq=False)
class Change:
    """What an edit did to the cracks of a photo.

    Attributes:
        before: The cracks that it changed or took away.
        after: What they are now, and new ones.
        next_label: Number of the next crack that is drawn.
    """

    before: list[Entry]
    after: list[Entry]
    next_label: int


@dataclass(frozen=True, eq=False)
class _View:
    """A window of the corrected mask, with its components and what lies in it.

    Attributes:
        box: The window.
        labels: (h, w) its components.
        changed: Labels of those that are measured.
        removed: The cracks whose components they were before.
        kept: Further cracks that are judged anew, by label.
        numbers: Numbers of the model's cracks in the window.
        touched: Those of them whose cracks are judged anew.
    """

    box: Box
    labels: NDArray[np.int32]
    changed: list[int]
    removed: list[Entry]
    kept: dict[int, Entry]
    numbers: list[int]
    touched: set[int]


def remeasure(
    mask: NDArray[np.bool_],
    turned: Pixels,
    entries: Mapping[str, Entry],
    model: ModelFound,
    next_label: int,
    *,
    revived: Sequence[Entry] = (),
) -> Change:
    """Measure the cracks that changed.

    Args:
        mask: The corrected mask (h, w), already edited.
        turned: The pixels that were turned over.
        entries: The cracks before, by id.
        model: What the model found.
        next_label: Number of the next crack that is drawn.
        revived: Rejected cracks whose pixels came back, which keep their ids.
    """
    view = _look(mask, turned, entries, model)
    measured = _measured(mask, view, model.measuring)
    judged = _judged(view, measured, model)
    erased = [
        entry
        for entry in entries.values()
        if not entry.is_live and not entry.decision and set(entry.partners) & view.touched
    ]
    candidates = [*view.removed, *erased, *revived]
    named, next_label = _named(view, judged, candidates, next_label)
    after = _with_rejected(named, view, entries, model)
    before = {entry.id: entry for entry in [*view.removed, *view.kept.values(), *erased, *revived]}
    now = {entry.id: entry for entry in after}
    for entry in view.kept.values():
        if now[entry.id].status == entry.status and now[entry.id].crack is entry.crack:
            del before[entry.id], now[entry.id]
    return Change(list(before.values()), list(now.values()), next_label)


def first_entries(cracks: Sequence[Crack]) -> list[Entry]:
    """Return the cracks that the model found as the desk's first ones."""
    return [Entry(str(crack.number), crack, "found", (crack.number,)) for crack in cracks]


def _look(
    mask: NDArray[np.bool_], turned: Pixels, entries: Mapping[str, Entry], model: ModelFound
) -> _View:
    """Find the window that holds all that has to be measured and judged."""
    size_hw = (mask.shape[0], mask.shape[1])
    live = [entry for entry in entries.values() if entry.is_live]
    everything = model.measuring.bridge > 0  # a bridge may join any two components
    near = _box(grown(turned.box, 1, size_hw))
    inside = [entry.crack.box for entry in live if meets(entry.crack.box, near)]
    box = (0, 0, *size_hw) if everything else _box(grown(union([near, *inside]), 1, size_hw))
    while True:
        window = slice(box[0], box[2]), slice(box[1], box[3])
        labels = label_components(mask[window])[0]
        beside = cv2.dilate(turned.within(box).view(np.uint8), SQUARE).view(bool)
        changed = _numbers(labels[beside])
        if everything:
            changed = _numbers(labels)
        larger = _box_of(labels, changed, box, size_hw)
        if larger != box:
            box = larger
            continue
        removed = live if everything else _touched(mask, turned, live, box, beside)
        numbers = model.meeting(box)
        before = model.labels(box, numbers)
        touched = {numbers[index - 1] for index in _numbers(before[_any_of(labels, changed)])}
        touched |= {number for entry in removed for number in entry.partners}
        gone = {entry.id for entry in removed}
        others = [entry for entry in live if entry.id not in gone and touched & set(entry.partners)]
        boxes = [entry.crack.box for entry in others]
        boxes += [model.cracks[number - 1].box for number in touched]
        larger = _box(grown(union([box, *boxes]), 1, size_hw)) if boxes else box
        if not all(_holds(box, one) for one in boxes):
            box = larger
            continue
        kept = {_label_at(labels, box, entry): entry for entry in others}
        return _View(box, labels, changed, removed, kept, numbers, touched)


def _box_of(
    labels: NDArray[np.int32], changed: list[int], box: Box, size_hw: tuple[int, int]
) -> Box:
    """Return the window, or a larger one where a component goes on outside."""
    sides = (labels[0], labels[:, 0], labels[-1], labels[:, -1])
    ends = (0, 0, *size_hw)
    cut = [
        box[at] != ends[at] and not set(changed).isdisjoint(_numbers(side))
        for at, side in enumerate(sides)
    ]
    growth = [GROWTH if one else 0 for one in cut]
    return (
        max(box[0] - growth[0], 0),
        max(box[1] - growth[1], 0),
        min(box[2] + growth[2], size_hw[0]),
        min(box[3] + growth[3], size_hw[1]),
    )


def _touched(
    mask: NDArray[np.bool_],
    turned: Pixels,
    live: Sequence[Entry],
    box: Box,
    beside: NDArray[np.bool_],
) -> list[Entry]:
    """Return the cracks whose component before the edit had pixels that changed or lie beside."""
    candidates = [entry for entry in live if _holds(box, entry.crack.box)]
    if not candidates:
        return []
    before = mask[box[0] : box[2], box[1] : box[3]] ^ turned.within(box)
    labels = label_components(before)[0]
    touched = set(_numbers(labels[beside]))
    return [entry for entry in candidates if _label_at(labels, box, entry) in touched]


def _measured(mask: NDArray[np.bool_], view: _View, measuring: MeasureOptions) -> list[Crack]:
    """Measure the components that changed."""
    if not view.changed:
        return []
    options = replace(measuring, min_length=0.0)  # `review` leaves out short ones
    if measuring.bridge:
        return measure(mask, options=options)

    def read(top: int, left: int, bottom: int, right: int) -> NDArray[np.float32]:
        return mask[top:bottom, left:right].astype(np.float32)

    size_hw = (mask.shape[0], mask.shape[1])
    return measure_part(
        read,
        size_hw,
        view.box,
        _any_of(view.labels, view.changed),
        threshold=MASK_THRESHOLD,
        options=options,
    )


def _judged(view: _View, measured: list[Crack], model: ModelFound) -> list[Entry]:
    """Say what became of the model's cracks; the entries have no ids yet."""
    cracks = [*measured, *(entry.crack for entry in view.kept.values())]
    numbered = np.zeros(int(view.labels.max(initial=0)) + 1, np.int32)
    for number, crack in enumerate(cracks, start=1):
        for row, column in crack.anchors:
            numbered[view.labels[row - view.box[0], column - view.box[1]]] = number
    labels = numbered[view.labels]
    found, before = model.found(view.box, view.numbers)
    local = [
        shifted(replace(crack, number=number), view.box)
        for number, crack in enumerate(cracks, start=1)
    ]
    reviewed, correction = review(Correction(mask=""), local, labels, found, keep=True)
    own = {crack.anchors: crack for crack in cracks}
    numbers = {crack.anchors: number for number, crack in enumerate(cracks, start=1)}
    partners: dict[int, list[int]] = {}
    for new, old in shared_pixels(labels, before):
        partners.setdefault(new, []).append(view.numbers[old - 1])
    judged = []
    for crack, status in zip(reviewed, correction.statuses, strict=True):
        shares = tuple(partners.get(numbers[crack.anchors], ()))
        mine = own[crack.anchors]
        # Of a crack of which no pixel changed, `review` gives what the model's probabilities told.
        known = mine if crack.lines is mine.lines else model.cracks[shares[0] - 1]
        judged.append(Entry("", known, status, shares))
    return judged


def _named(
    view: _View, judged: list[Entry], candidates: list[Entry], next_label: int
) -> tuple[list[Entry], int]:
    """Give cracks the ids of those that they were, by the most points of their centerlines."""
    kept = {entry.crack.anchors: entry for entry in view.kept.values()}
    label_of = {
        _label_at(view.labels, view.box, entry): index
        for index, entry in enumerate(judged)
        if entry.crack.anchors not in kept
    }
    votes: list[tuple[int, int, int]] = []
    for at, entry in enumerate(candidates):
        found, counts = np.unique(_labels_along(view, entry.crack), return_counts=True)
        votes += [
            (-count, at, label_of[label])
            for label, count in zip(found.tolist(), counts.tolist(), strict=True)
            if label in label_of
        ]
    given: dict[int, Entry] = {}
    taken: set[str] = {entry.id for entry in kept.values()}
    for _, at, index in sorted(votes):
        if index not in given and candidates[at].id not in taken:
            given[index] = candidates[at]
            taken.add(candidates[at].id)
    named = []
    for index, entry in enumerate(judged):
        before = kept.get(entry.crack.anchors) or given.get(index)
        if before is None:
            before = Entry(str(next_label), entry.crack, entry.status)
            next_label += 1
        same = entry.crack.anchors in kept
        number = int(before.id)
        crack = entry.crack
        if same and before.crack.lines is crack.lines:
            crack = before.crack
        elif crack.number != number:
            crack = replace(crack, number=number)
        named.append(
            replace(
                entry,
                id=before.id,
                crack=crack,
                decision=before.decision if same else "",
                label=before.label,
                note=before.note,
            )
        )
    return named, next_label


def _with_rejected(
    named: list[Entry], view: _View, entries: Mapping[str, Entry], model: ModelFound
) -> list[Entry]:
    """Add the model's cracks of which nothing is left."""
    alive = {number for entry in named for number in entry.partners}
    # Those that a person rejected are among the entries already, and stay as they are.
    known = {entry.id for entry in named}
    known |= {entry.id for entry in entries.values() if entry.decision == REJECTED}
    rejected = []
    for number in sorted(view.touched - alive):
        if str(number) not in known:
            before = entries.get(str(number))
            rejected.append(
                Entry(
                    str(number),
                    model.cracks[number - 1],
                    REJECTED,
                    (number,),
                    label=before.label if before else "",
                    note=before.note if before else "",
                )
            )
    return [*named, *rejected]


def _labels_along(view: _View, crack: Crack) -> NDArray[np.int32]:
    """Return the labels of a window's pixels that a centerline passes."""
    points = np.rint(np.concatenate([*crack.lines, np.array(crack.anchors)])).astype(int)
    points -= np.array(view.box[:2])
    inside = ((points >= 0) & (points < np.array(view.labels.shape))).all(1)
    return view.labels[tuple(points[inside].T)]


def _label_at(labels: NDArray[np.int32], box: Box, entry: Entry) -> int:
    """Return the label of a crack's component in a window."""
    row, column = entry.crack.anchors[0]
    return int(labels[row - box[0], column - box[1]])


def _any_of(labels: NDArray[np.int32], wanted: list[int]) -> NDArray[np.bool_]:
    """Whether each label is one of some."""
    chosen = np.zeros(int(labels.max(initial=0)) + 1, bool)
    chosen[wanted] = True
    return chosen[labels]


def _numbers(labels: NDArray[np.int32]) -> list[int]:
    """Return the labels that occur, without 0."""
    return np.flatnonzero(np.bincount(labels.ravel()))[int((labels == 0).any()) :].tolist()


def _holds(box: Box, other: Box) -> bool:
    """Whether a box lies within a window."""
    return union([box, other]) == box


def _box(values: tuple[int, ...]) -> Box:
    """Return four numbers as a box."""
    top, left, bottom, right = values
    return top, left, bottom, right
