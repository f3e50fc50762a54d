"""Edits of a photo: what each kind does to mask, cracks, note and scale; undo and redo."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fissura.errors import InputError
from fissura.inspection.records.corrections import REJECTED
from fissura.measurement.skeleton import label_components
from fissura.serve.desk.edits.remeasure import remeasure
from fissura.serve.desk.photos.open_photos import OpenPhoto
from fissura.serve.desk.photos.pixels import (
    Box,
    Pixels,
    joined,
    pack_pixels,
    stroke,
    trimmed,
    union,
    unpack_pixels,
)
from fissura.serve.desk.photos.scale import scale_of
from fissura.serve.desk.storage.entry import ACCEPTED, Entry, pack, unpack
from fissura.serve.desk.storage.store import EditRow, PhotoRow

LONGEST_NOTE, LONGEST_CLASS = 10_000, 100
KINDS = ("paint", "erase", "line", "status", "note", "class", "scale")


@dataclass(frozen=True, eq=False)
class Done:
    """What an edit does; nothing is stored yet, but the open photo's mask is edited already.

    Attributes:
        turned: Pixels of the mask that it turned over; None where it changed none.
        before: The cracks that it changed or took away.
        after: What they are now, and new ones.
        fields: Columns of the photo that it changes: name to value before and after.
    """

    turned: Pixels | None = None
    before: list[Entry] = field(default_factory=list)
    after: list[Entry] = field(default_factory=list)
    fields: dict[str, tuple[Any, Any]] = field(default_factory=dict)

    @property
    def removed(self) -> list[str]:
        """Ids of the cracks that are no more."""
        now = {entry.id for entry in self.after}
        return [entry.id for entry in self.before if entry.id not in now]

    @property
    def dirty(self) -> Box | None:
        """The box of all that looks different now."""
        boxes = [] if self.turned is None else [self.turned.box]
        boxes += [entry.crack.box for entry in [*self.before, *self.after]]
        return union(boxes) if boxes else None

    @property
    def delta(self) -> bytes | None:
        """The pixels that were turned over, packed."""
        return None if self.turned is None else pack_pixels(self.turned)

    def packed(self) -> tuple[bytes, bytes]:
        """Return the state before and after, packed."""
        sides = []
        for at, entries in enumerate((self.before, self.after)):
            sides.append(pack(entries, {name: both[at] for name, both in self.fields.items()}))
        return sides[0], sides[1]


def apply(photo: OpenPhoto, row: PhotoRow, kind: str, body: Mapping[str, Any]) -> Done:
    """Do an edit on an open photo, whose mask alone changes; the store does not know of it yet.

    Args:
        photo: The open photo.
        row: What is stored of it.
        kind: One of `KINDS`.
        body: What the kind needs.

    Raises:
        InputError: The kind is not known, or something in the body is missing or out of range.
    """
    if kind in ("paint", "erase", "line"):
        return _drawn(photo, row, _brushed(photo, kind, body))
    if kind == "status":
        return _status(photo, row, body)
    if kind == "scale":
        scale = scale_of(body, photo.file, photo.size_hw)
        return Done(fields={"scale": (row.scale, scale or None)})
    if kind == "class":
        text = _text(body.get("class"), "class", LONGEST_CLASS)
        entry = _entry(photo, body.get("crack"))
        return Done(before=[entry], after=[replace(entry, label=text)])
    if kind == "note":
        text = _text(body.get("text"), "text", LONGEST_NOTE)
        if body.get("crack") is None:
            return Done(fields={"note": (row.note, text)})
        entry = _entry(photo, body["crack"])
        return Done(before=[entry], after=[replace(entry, note=text)])
    raise InputError(f"An edit of kind {kind!r} is not known; there are {', '.join(KINDS)}.")


def undone(edit: EditRow) -> Done:
    """Return what takes an edit back."""
    before, were = unpack(edit.after)
    after, are = unpack(edit.before)
    return _stored(edit, before, after, were, are)


def redone(edit: EditRow) -> Done:
    """Return what does an edit again."""
    before, were = unpack(edit.before)
    after, are = unpack(edit.after)
    return _stored(edit, before, after, were, are)


def _stored(
    edit: EditRow,
    before: list[Entry],
    after: list[Entry],
    were: dict[str, Any],
    are: dict[str, Any],
) -> Done:
    """Return a stored edit as what it does."""
    turned = None if edit.delta is None else unpack_pixels(edit.delta)
    fields = {
        name: (value, are[name])
        for name, value in were.items()
        if name != "next_label"  # numbers that were given are not given again
    }
    return Done(turned, before, after, fields)


def _brushed(photo: OpenPhoto, kind: str, body: Mapping[str, Any]) -> Pixels | None:
    """Return the pixels that a stroke turns over."""
    given = body.get("width" if kind == "line" else "radius")
    if not isinstance(given, int | float) or isinstance(given, bool):
        raise InputError(f"A stroke needs its {'width' if kind == 'line' else 'radius'}.")
    radius = given / 2 if kind == "line" else given
    found = stroke(body.get("points") or [], radius, photo.size_hw)
    if found is None:
        return None
    there = photo.mask[found.window]
    return trimmed(replace(found, inside=found.inside & (there if kind == "erase" else ~there)))


def _drawn(
    photo: OpenPhoto, row: PhotoRow, turned: Pixels | None, revived: Sequence[Entry] = ()
) -> Done:
    """Turn pixels over and measure again; rejected cracks that come back by it keep their ids."""
    if turned is None:
        return Done()
    turned.turn(photo.mask)
    try:
        change = remeasure(
            photo.mask, turned, photo.entries, photo.model, row.next_label, revived=revived
        )
    except BaseException:
        turned.turn(photo.mask)
        raise
    labels = (row.next_label, change.next_label)
    return Done(turned, change.before, change.after, {"next_label": labels})


def _status(photo: OpenPhoto, row: PhotoRow, body: Mapping[str, Any]) -> Done:
    """Accept cracks, reject them (their pixels are erased), or take either back."""
    status = body.get("status")
    if status not in (ACCEPTED, REJECTED, "found"):
        raise InputError(f"A status is accepted, rejected or found, not {status!r}.")
    listed = body.get("cracks")
    names = listed if isinstance(listed, list) else [body.get("crack")]
    entries = [_entry(photo, name) for name in dict.fromkeys(map(str, names))]
    if status == REJECTED:
        return _rejected(photo, row, [entry for entry in entries if entry.is_live])
    back = [entry for entry in entries if not entry.is_live]
    done = _restored(photo, row, back)
    decision = ACCEPTED if status == ACCEPTED else ""
    named = {entry.id for entry in entries}
    before = {entry.id: entry for entry in done.before}
    after = {
        entry.id: replace(entry, decision=decision)
        if entry.id in named and entry.is_live
        else entry
        for entry in done.after
    }
    for entry in entries:
        if entry.is_live and entry.id not in before:
            before[entry.id] = entry
            after[entry.id] = replace(entry, decision=decision)
    return Done(done.turned, list(before.values()), list(after.values()), done.fields)


def _rejected(photo: OpenPhoto, row: PhotoRow, entries: list[Entry]) -> Done:
    """Erase the pixels of cracks, and keep what they were."""
    own = {entry.id: _pixels_of(photo.mask, entry) for entry in entries}
    done = _drawn(photo, row, joined(list(own.values())))
    after = {entry.id: entry for entry in done.after}
    for entry in entries:
        after[entry.id] = replace(entry, decision=REJECTED, pixels=pack_pixels(own[entry.id]))
    return Done(done.turned, done.before, list(after.values()), done.fields)


def _restored(photo: OpenPhoto, row: PhotoRow, entries: list[Entry]) -> Done:
    """Bring back the pixels of rejected cracks."""
    several = []
    for entry in entries:
        kept = entry.pixels
        several.append(
            photo.model.pixels(entry.partners[0]) if kept is None else unpack_pixels(kept)
        )
    whole = joined(several)
    if whole is None:
        return Done()
    turned = trimmed(replace(whole, inside=whole.inside & ~photo.mask[whole.window]))
    if turned is None:  # all of it was painted again meanwhile: it is part of other cracks
        return Done(before=entries)
    return _drawn(photo, row, turned, revived=entries)


def _pixels_of(mask: NDArray[np.bool_], entry: Entry) -> Pixels:
    """Return the pixels of a crack."""
    top, left, bottom, right = box = entry.crack.box
    labels = label_components(mask[top:bottom, left:right])[0]
    own = {int(labels[row - top, column - left]) for row, column in entry.crack.anchors}
    return Pixels(box, np.isin(labels, sorted(own - {0})))


def _entry(photo: OpenPhoto, name: Any) -> Entry:
    """Return a crack, or say that there is none."""
    entry = photo.entries.get(str(name))
    if entry is None:
        raise InputError(f"There is no crack {name} on {Path(photo.file).name}.")
    return entry


def _text(value: Any, name: str, longest: int) -> str:
    """Return a text, or say what is wrong with it."""
    if not isinstance(value, str):
        raise InputError(f"{name} must be a text.")
    if len(value) > longest:
        raise InputError(f"{name} has {len(value)} letters; at most {longest} are kept.")
    return value.strip()
