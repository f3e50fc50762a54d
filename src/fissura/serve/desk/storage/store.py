"""The desk's store: photos, their cracks, and every edit with its history, in one SQLite file.

What a call has returned from is on disk: the journal is written ahead and synchronized with each
transaction, so that a kill or a power cut loses nothing that was answered.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fissura.errors import InputError
from fissura.serve.desk.storage.rows import EditRow, PhotoRow, edit_of, photo_of

# In what SQLite says of damage as an error of a statement.
DAMAGE = ("no such", "decode to UTF-8", "malformed")
FORMAT = 1  # of the tables; raise it where an older file can no longer be read
TABLES = """
CREATE TABLE IF NOT EXISTS about (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS photos (
    id TEXT PRIMARY KEY, file TEXT NOT NULL UNIQUE, name TEXT NOT NULL UNIQUE,
    state TEXT NOT NULL, message TEXT NOT NULL DEFAULT '', height INTEGER, width INTEGER,
    facts TEXT NOT NULL DEFAULT '{}', note TEXT NOT NULL DEFAULT '', scale TEXT,
    revision INTEGER NOT NULL DEFAULT 0, head INTEGER, next_label INTEGER NOT NULL DEFAULT 1,
    summary TEXT NOT NULL DEFAULT '{}'
);
CREATE TABLE IF NOT EXISTS edits (
    number INTEGER PRIMARY KEY AUTOINCREMENT, photo TEXT NOT NULL REFERENCES photos (id),
    previous INTEGER, kind TEXT NOT NULL, body TEXT NOT NULL, at TEXT NOT NULL,
    delta BLOB, before BLOB NOT NULL, after BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS edits_after ON edits (photo, previous);
CREATE TABLE IF NOT EXISTS history (
    photo TEXT NOT NULL, revision INTEGER NOT NULL, at TEXT NOT NULL, action TEXT NOT NULL,
    edit INTEGER NOT NULL, PRIMARY KEY (photo, revision)
);
CREATE TABLE IF NOT EXISTS cracks (
    photo TEXT NOT NULL REFERENCES photos (id), id TEXT NOT NULL, entry BLOB NOT NULL,
    PRIMARY KEY (photo, id)
);
"""


class NoPhotoError(InputError):
    """The store has no photo of an id: nobody added it, or the file is damaged."""


class Store:
    """One SQLite file; any thread may call.

    Args:
        path: The file; it is made where it is missing.

    Raises:
        InputError: It is no store of a desk, or one of another version.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock, self._path = threading.RLock(), path
        try:
            self._base = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
            self._base.execute("PRAGMA journal_mode = WAL")
            self._base.execute("PRAGMA synchronous = FULL")
            self._base.executescript(TABLES)
        except sqlite3.DatabaseError as error:
            raise InputError(
                f"{path} cannot be opened as the store of a desk ({error}). Move it away to begin "
                "anew; the photos stay as they are."
            ) from error
        found = self.about("format")
        if found is None:
            self.tell("format", FORMAT)
        elif found != FORMAT:
            raise InputError(
                f"{path} was written by another version of Fissura, and this one cannot go on "
                "from it. Open the folder with that version, or move the file away."
            )

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._base.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing; on disk when it ends."""
        with self._lock, self._telling_damage():
            self._base.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._base.execute("ROLLBACK")
                raise
            self._base.execute("COMMIT")

    def about(self, key: str) -> Any:
        """Return what is stored of the desk itself under a key; None where nothing is."""
        row = self._one("SELECT value FROM about WHERE key = ?", key)
        with self.unpacking():
            return None if row is None else json.loads(row[0])

    def tell(self, key: str, value: Any) -> None:
        """Store something of the desk itself."""
        self._run("INSERT OR REPLACE INTO about VALUES (?, ?)", key, json.dumps(value))

    def add_photo(self, file: str, name: str) -> PhotoRow:
        """Add a photo that waits for the model."""
        with self.transaction():
            count = self._one("SELECT count(*) FROM photos")
            assert count is not None
            known = f"p{count[0] + 1}"
            self._run(
                "INSERT INTO photos (id, file, name, state) VALUES (?, ?, ?, 'queued')",
                known,
                file,
                name,
            )
        return self.photo(known)

    def photos(self) -> list[PhotoRow]:
        """Return all photos in the order in which they came."""
        rows = self._all("SELECT * FROM photos ORDER BY rowid")
        with self.unpacking():
            return [photo_of(row) for row in rows]

    def photo(self, photo: str) -> PhotoRow:
        """Return a photo.

        Raises:
            NoPhotoError: There is none of this id.
        """
        row = self._one("SELECT * FROM photos WHERE id = ?", photo)
        if row is None:
            raise self._missing(photo)
        with self.unpacking():
            return photo_of(row)

    def change_photo(self, photo: str, **columns: Any) -> None:
        """Change columns of a photo, by the names of `PhotoRow`.

        Raises:
            NoPhotoError: There is none of this id.
        """
        values = [
            json.dumps(value) if name in ("facts", "scale", "summary") and value is not None
            else value
            for name, value in columns.items()
        ]  # fmt: skip
        settings = ", ".join(f"{name} = ?" for name in columns)
        if not self._run(f"UPDATE photos SET {settings} WHERE id = ?", *values, photo).rowcount:
            raise self._missing(photo)

    def cracks(self, photo: str) -> dict[str, bytes]:
        """Return the packed cracks of a photo by id."""
        rows = self._all("SELECT id, entry FROM cracks WHERE photo = ?", photo)
        return {row["id"]: row["entry"] for row in rows}

    def put_cracks(self, photo: str, entries: Mapping[str, bytes | None]) -> None:
        """Store packed cracks by id; None takes one away."""
        for known, entry in entries.items():
            if entry is None:
                self._run("DELETE FROM cracks WHERE photo = ? AND id = ?", photo, known)
            else:
                self._run("INSERT OR REPLACE INTO cracks VALUES (?, ?, ?)", photo, known, entry)

    def add_edit(
        self,
        photo: PhotoRow,
        kind: str,
        body: Mapping[str, Any],
        delta: bytes | None,
        before: bytes,
        after: bytes,
    ) -> int:
        """Store an edit, which is in force from now on; return its number."""
        row = self._run(
            "INSERT INTO edits (photo, previous, kind, body, at, delta, before, after) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            *(photo.id, photo.head, kind, json.dumps(body), _now(), delta, before, after),
        )
        number = row.lastrowid
        assert number is not None
        self.log(photo, "edit", number, head=number)
        return number

    def log(self, photo: PhotoRow, action: str, edit: int, *, head: int | None) -> None:
        """Note an edit, an undo or a redo, and which edit is in force after it."""
        revision = photo.revision + 1
        self._run(
            "INSERT INTO history VALUES (?, ?, ?, ?, ?)", photo.id, revision, _now(), action, edit
        )
        self.change_photo(photo.id, revision=revision, head=head)

    def edit(self, number: int) -> EditRow:
        """Return an edit."""
        row = self._one("SELECT * FROM edits WHERE number = ?", number)
        with self.unpacking():
            return edit_of(row)

    def next_edit(self, photo: PhotoRow) -> EditRow | None:
        """Return the edit that would be done again, or None."""
        row = self._one(
            "SELECT * FROM edits WHERE photo = ? AND previous IS ? ORDER BY number DESC LIMIT 1",
            photo.id,
            photo.head,
        )
        with self.unpacking():
            return None if row is None else edit_of(row)

    def deltas(self, photo: PhotoRow) -> Iterable[bytes]:
        """Return the packed pixels of all edits in force; their order does not matter."""
        rows = self._all(
            "WITH RECURSIVE force (number) AS (SELECT ? UNION ALL SELECT edits.previous "
            "FROM edits JOIN force ON edits.number = force.number WHERE edits.previous NOT NULL) "
            "SELECT delta FROM edits JOIN force USING (number) WHERE delta NOT NULL",
            photo.head,
        )
        return [row["delta"] for row in rows]

    def history(self, photo: str) -> list[dict[str, Any]]:
        """Return all that was done on a photo, the latest last."""
        rows = self._all(
            "SELECT history.revision, history.at, history.action, edits.kind, edits.body "
            "FROM history JOIN edits ON history.edit = edits.number WHERE history.photo = ? "
            "ORDER BY history.revision",
            photo,
        )
        with self.unpacking():
            return [dict(row) | {"body": json.loads(row["body"])} for row in rows]

    def _run(self, statement: str, *values: Any) -> sqlite3.Cursor:
        with self._lock, self._telling_damage():
            return self._base.execute(statement, values)

    def _one(self, statement: str, *values: Any) -> sqlite3.Row | None:
        rows = self._all(statement, *values)
        return rows[0] if rows else None

    def _all(self, statement: str, *values: Any) -> list[sqlite3.Row]:
        with self._lock, self._telling_damage():
            cursor = self._base.cursor()
            cursor.row_factory = sqlite3.Row
            return cursor.execute(statement, values).fetchall()

    @contextmanager
    def _telling_damage(self) -> Iterator[None]:
        """Say of a damaged file what can be done."""
        try:
            yield
        except sqlite3.DatabaseError as error:
            # Others are kinds of their own, such as a full disk.
            if type(error) is sqlite3.DatabaseError or any(word in str(error) for word in DAMAGE):
                raise self._damage(error) from error
            raise

    @contextmanager
    def unpacking(self) -> Iterator[None]:
        """Within this context stored values are unpacked; any that cannot be is told as damage.

        Raises:
            InputError: One cannot be unpacked.
        """
        try:
            yield
        except InputError:
            raise
        except Exception as error:  # of zlib, struct, JSON, or of values that are missing
            raise self._damage(error) from error

    def _missing(self, photo: str) -> NoPhotoError:
        return NoPhotoError(
            f"{self._path} has no photo {photo}. If one of this id was on the desk before, the "
            "file is damaged: move it away to begin anew, or copy it back from a backup; the "
            "photos stay as they are."
        )

    def _damage(self, error: Exception) -> InputError:
        return InputError(
            f"{self._path} is damaged ({error}). Move it away to begin anew, or copy it back from "
            "a backup; the photos stay as they are."
        )


def _now() -> str:
    """The time in UTC."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")
