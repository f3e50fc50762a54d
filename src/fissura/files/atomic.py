"""Write files so that a crash never leaves half of one under its final name."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # on Windows
    fcntl = None

LONGEST_NAME = 255  # bytes, of nearly every file system
# Packages that write by GDAL, which has no word for a full disk, and bytes of one that is full.
BY_GDAL, FULL = ("pyogrio", "rasterio"), 2**20
# How `replacing` calls its temporary files: .NAME.THREAD.tmp.SUFFIX
UNFINISHED = re.compile(r"\..+\.\d+\.tmp(\.[\w-]+)?")


@contextmanager
def replacing(path: Path, *, flush: bool = True) -> Iterator[Path]:
    """Give a temporary path beside `path`; on success it becomes `path`, on error it goes away.

    The file is flushed to disk before it is renamed, so that after a power cut `path` holds
    either the old content or the new one, whole.

    Args:
        path: The file to write. Its folder is made where it does not exist.
        flush: Whether it is on the disk before it has its name. Without that it is whole after a
            crash of the program, but maybe not after one of the machine: for the many small files
            that are made again from others at any time.

    Yields:
        The path of the temporary file, with the same suffix as `path`.

    Raises:
        OSError: The file cannot be written, or not by GDAL on a disk that is full; the error names
            `path`.

    >>> import tempfile
    >>> target = Path(tempfile.mkdtemp()) / "note.txt"
    >>> with replacing(target) as temporary:
    ...     _ = temporary.write_text("whole")
    >>> target.read_text()
    'whole'
    """
    # The suffix stays last: image writers choose the format by it.
    temporary = path.with_name(_temporary_name(path.stem, path.suffix))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        if flush:
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
        temporary.replace(path)
    except Exception as error:
        if type(error).__module__.partition(".")[0] in BY_GDAL and _is_full(path.parent):
            full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
            raise full from error
        if isinstance(error, OSError):
            raise _naming(error, path, temporary) from error
        raise
    finally:
        with suppress(OSError):  # where not even the folder could be made
            temporary.unlink(missing_ok=True)


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Give a temporary folder beside `path`; on success it becomes `path`, on error it goes away.

    Args:
        path: The folder to make. It must not exist or be empty: a folder that holds anything is
            never replaced.

    Yields:
        The path of the temporary folder.

    Raises:
        OSError: `path` is not empty, or nothing can be written there.

    >>> import tempfile
    >>> target = Path(tempfile.mkdtemp()) / "set"
    >>> with new_folder(target) as temporary:
    ...     _ = (temporary / "note.txt").write_text("whole")
    >>> [file.name for file in target.iterdir()]
    ['note.txt']
    """
    path = path.absolute()
    temporary = path.with_name(_temporary_name(path.name, ""))
    for left in filter(Path.is_dir, _unfinished(path, path.name, "")):
        if (handle := _lock(left)) is not None:  # the process that made it was killed
            shutil.rmtree(left, ignore_errors=True)
            os.close(handle)
    handle = None
    try:
        temporary.mkdir(parents=True)
        handle = _lock(temporary)
        yield temporary
        if path.exists():
            path.rmdir()  # empty, or this fails and nothing is lost
        temporary.rename(path)
    except OSError as error:
        raise _naming(error, path, temporary) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        if handle is not None:
            os.close(handle)


def _lock(folder: Path) -> int | None:
    """Return an open handle that locks a folder, so long as this process lives at most.

    None where another process has locked it, and on Windows, which has no such locks.
    """
    if fcntl is None:
        return None
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:  # it went meanwhile, or is another user's
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        return None
    return handle


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Give errors of the system that name no file, such as of a full disk, the name of `path`.

    Args:
        path: The file or folder that is being written.

    Raises:
        OSError: The error, with a file's name.
    """
    try:
        yield
    except OSError as error:
        if error.filename is None and error.errno is not None:
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise


def remove_unfinished(folder: Path) -> None:
    """Delete the temporary files of `replacing` that killed processes left in `folder` and below.

    Args:
        folder: The folder to search to any depth.
    """
    for path in list(folder.rglob(".*")):
        if UNFINISHED.fullmatch(path.name) and path.is_file():
            path.unlink(missing_ok=True)


def remove_unfinished_of(path: Path) -> None:
    """Delete the temporary files of `replacing(path)` that killed processes left.

    Args:
        path: The file that was to be written.
    """
    for other in filter(Path.is_file, _unfinished(path, path.stem, path.suffix)):
        other.unlink(missing_ok=True)


def _unfinished(path: Path, stem: str, suffix: str) -> list[Path]:
    """The temporary files and folders that become `path`, those of this thread as well."""
    own = f"{threading.get_native_id()}.tmp"
    begins = re.escape(_temporary_name(stem, suffix).rpartition(own)[0])
    name = re.compile(rf"{begins}\d+\.tmp{re.escape(suffix)}")
    return [other for other in path.parent.glob(".*") if name.fullmatch(other.name)]


def shortened(stem: str, most: int) -> str:
    """Cut a name to `most` bytes; a cut name ends in a hash of the whole, so that it stays unique.

    Args:
        stem: The name.
        most: Bytes that its encoding may have, more than 9.

    Returns:
        The name itself where it is short enough.

    >>> shortened("crack", 20), shortened("crack" * 5, 20)
    ('crack', 'crackcrackc-c535616e')
    """
    encoded = os.fsencode(stem)
    if len(encoded) <= most:
        return stem
    end = f"-{hashlib.sha256(encoded).hexdigest()[:8]}"
    while len(os.fsencode(stem + end)) > most:
        stem = stem[:-1]
    return stem + end


def _is_full(folder: Path) -> bool:
    """Whether a file's folder is on a disk with hardly any space left."""
    try:
        return shutil.disk_usage(folder).free < FULL
    except OSError:
        return False


def _temporary_name(stem: str, suffix: str) -> str:
    """A hidden name of this thread, cut to the length that file systems can hold.

    (Two threads may write the same file: each has a number that no other process or thread has.)
    """
    # The number of any thread has at most 10 digits, so that all of them cut alike.
    room = LONGEST_NAME - len(os.fsencode(f"..{10 * '0'}.tmp{suffix}"))
    return f".{shortened(stem, room)}.{threading.get_native_id()}.tmp{suffix}"


def _naming(error: OSError, path: Path, temporary: Path) -> OSError:
    """The error with the name of the file that was to be written, where it names none."""
    full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
    named = error.filename and os.fsdecode(error.filename)
    if named == str(temporary) or (named is None and full):
        return OSError(error.errno, error.strerror, str(path))
    return error
