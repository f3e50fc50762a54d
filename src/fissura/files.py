"""Write files so that a crash never leaves half of one under its final name."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

LONGEST_NAME = 255  # bytes, of nearly every file system
# How `replacing` calls its temporary files: .NAME.PROCESS.tmp.SUFFIX
UNFINISHED = re.compile(r"\..+\.\d+\.tmp(\.\w+)?")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; on success it becomes `path`, on error it goes away.

    The file is flushed to disk before it is renamed, so that after a power cut `path` holds
    either the old content or the new one, whole.

    >>> import tempfile
    >>> target = Path(tempfile.mkdtemp()) / "note.txt"
    >>> with replacing(target) as temporary:
    ...     _ = temporary.write_text("whole")
    >>> target.read_text()
    'whole'
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # The suffix stays last: image writers choose the format by it.
    temporary = path.with_name(_temporary_name(path.stem, path.suffix))
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Give a temporary folder beside `path`; on success it becomes `path`, on error it goes away.

    `path` must not exist or be empty: a folder that holds anything is never replaced.

    >>> import tempfile
    >>> target = Path(tempfile.mkdtemp()) / "set"
    >>> with new_folder(target) as temporary:
    ...     _ = (temporary / "note.txt").write_text("whole")
    >>> [file.name for file in target.iterdir()]
    ['note.txt']
    """
    path = path.absolute()
    temporary = path.with_name(_temporary_name(path.name, ""))
    temporary.mkdir(parents=True)
    try:
        yield temporary
        if path.exists():
            path.rmdir()  # empty, or this fails and nothing is lost
        temporary.rename(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _temporary_name(stem: str, suffix: str) -> str:
    """Return a hidden name of this process, cut to the length that file systems can hold."""
    end = f".{os.getpid()}.tmp{suffix}"
    while len(os.fsencode(stem + end)) >= LONGEST_NAME:
        stem = stem[:-1]
    return f".{stem}{end}"


def remove_unfinished(folder: Path) -> None:
    """Delete what killed processes left in `folder` and below: temporary files of `replacing`."""
    for path in list(folder.rglob(".*")):
        if UNFINISHED.fullmatch(path.name) and path.is_file():
            path.unlink(missing_ok=True)


@dataclass(frozen=True, kw_only=True)
class OutputOptions:
    """How a command treats a folder for results that is not empty."""

    resume: bool = False
    """Go on where an earlier run with the same settings was stopped."""

    overwrite: bool = False
    """Write into a folder that is not empty."""


def free_folder(stem: str) -> Path:
    """Return a folder that does not exist yet: `stem`, or `stem-2`, `stem-3` and so on."""
    names = (stem, *(f"{stem}-{number}" for number in range(2, 10_000)))
    return next(path for path in map(Path, names) if not path.exists())
