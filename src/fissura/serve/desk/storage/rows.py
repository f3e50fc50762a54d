"""Rows of the desk's store: what is stored of a photo, and of an edit."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass
from types import NoneType
from typing import Any


@dataclass(frozen=True)
class PhotoRow:
    """What is stored of a photo.

    Attributes:
        id: Short and lasting.
        file: Its path below the desk's folder.
        name: Name of its results.
        state: queued, running, done or failed.
        message: Why it failed, or what is done with it at the moment.
        height: In pixels; None until it is known.
        width: Likewise.
        facts: What was found with it: resolution, threshold, hash.
        note: The inspector's.
        scale: The scale that was set by hand, or None.
        revision: Number of changes so far, undone ones and undoing counted.
        head: The last edit that is in force, or None.
        next_label: Number of the next crack that is drawn.
        summary: What the list of photos shows of its cracks.
    """

    id: str
    file: str
    name: str
    state: str
    message: str
    height: int | None
    width: int | None
    facts: dict[str, Any]
    note: str
    scale: dict[str, Any] | None
    revision: int
    head: int | None
    next_label: int
    summary: dict[str, Any]


@dataclass(frozen=True)
class EditRow:
    """A stored edit; undone ones stay.

    Attributes:
        number: Rises with time.
        previous: The edit that was in force before it, or None.
        kind: What was done.
        body: All that was asked for.
        at: When, in UTC.
        delta: The pixels that it turned over, packed; None where it changed none.
        before: State of all that it changed, packed, before.
        after: Likewise afterwards.
    """

    number: int
    previous: int | None
    kind: str
    body: dict[str, Any]
    at: str
    delta: bytes | None
    before: bytes
    after: bytes


KINDS: dict[str, type | tuple[type, ...]] = {
    "id": str, "file": str, "name": str, "state": str, "message": str, "note": str,
    "height": (int, NoneType), "width": (int, NoneType), "head": (int, NoneType),
    "revision": int, "next_label": int, "facts": dict, "summary": dict, "scale": (dict, NoneType),
}  # fmt: skip


def photo_of(row: sqlite3.Row) -> PhotoRow:
    """Return a row of the table of photos.

    Raises:
        ValueError: A value is damaged.
    """
    values = dict(row)
    for name in ("facts", "scale", "summary"):
        values[name] = None if values[name] is None else json.loads(values[name])
    for name, kinds in KINDS.items():
        if not isinstance(values[name], kinds):
            raise ValueError(f"the {name} of a photo is {str(values[name])[:40]!r}")
    return PhotoRow(**values)


def edit_of(row: sqlite3.Row | None) -> EditRow:
    """Return a row of the table of edits.

    Raises:
        ValueError: It is missing, or a value is damaged.
    """
    if row is None:
        raise ValueError("an edit is missing")
    values = {name: row[name] for name in row.keys() if name != "photo"}  # noqa: SIM118
    return EditRow(**values | {"body": json.loads(row["body"])})
