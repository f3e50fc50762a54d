"""One bad photo among many: why it was left out, in a sentence, while the others go on."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fissura.errors import InputError

if TYPE_CHECKING:
    from rich.console import Console

# Errors that all photos to come would meet as well: a full disk, one that cannot be written to.
OF_THE_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


@dataclass(frozen=True)
class Failure:
    """A file that was left out.

    Attributes:
        file: The file.
        reason: What is wrong with it, in sentences that name it.
    """

    file: Path
    reason: str


def failure(file: Path, error: Exception) -> Failure:
    """Say why a photo is left out, or raise `error` where it concerns all photos.

    Args:
        file: The photo.
        error: What was raised while it was read, predicted, measured or written.

    Returns:
        The photo and the reason, in a text that every console can show.

    Raises:
        OSError: The disk is full or cannot be written to; that is `error` itself.

    >>> failure(Path("deck.jpg"), MemoryError()).reason
    'deck.jpg: is too large for the memory of this machine.'
    """
    if isinstance(error, OSError) and error.errno in OF_THE_DISK:
        raise error
    return Failure(file, printable(_reason(file, error)))


def printable(text: str | Path) -> str:
    r"""Return a path or text without what no file or console can hold.

    File names of Linux are bytes. Where these are not UTF-8, Python keeps them as lone surrogates,
    which cannot be written or printed. Here they become an escape sequence.

    Args:
        text: A path, or a text with paths in it.

    Returns:
        Text that UTF-8 can hold; the same text where it could be held before.

    >>> print(printable(os.fsdecode(b"Ri\xdf.png")))
    Ri\xdf.png
    """
    encoded = str(text).encode("utf-8", "surrogateescape" if os.name == "posix" else "replace")
    return encoded.decode("utf-8", "backslashreplace")


def say(console: Console, sentence: str, style: str | None = None) -> None:
    """Print a sentence as it is, without breaking it.

    Args:
        console: The console.
        sentence: May hold names of files.
        style: Of rich, such as "yellow".
    """
    console.print(printable(sentence), style=style, highlight=False, markup=False, soft_wrap=True)


def _reason(file: Path, error: Exception) -> str:
    """What is wrong with a file, in a sentence."""
    if isinstance(error, InputError):
        text = str(error)
        return text if str(file) in text else f"{file}: {text}"
    if _is_of_memory(error):
        return f"{file}: is too large for the memory of this machine."
    if isinstance(error, OSError) and error.strerror:
        where = f" ({error.filename})" if error.filename not in (None, str(file)) else ""
        return f"{file}: {error.strerror}{where}."
    line = next(iter(str(error).splitlines()), "").rstrip(".")
    return f"{file}: cannot be processed ({type(error).__name__}{': ' if line else ''}{line})."


def _is_of_memory(error: Exception) -> bool:
    """Whether Python, NumPy, OpenCV or torch did not get the memory that they asked for."""
    words = ("can't allocate memory", "Insufficient memory", "not enough memory")
    return isinstance(error, MemoryError) or any(word in str(error) for word in words)
