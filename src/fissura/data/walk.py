"""Walk through a folder's files in natural order, each once; and files that are left out of it."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from fissura.errors import InputError

DESK = "fissura-desk"  # what `fissura serve` keeps beside the photos


@dataclass(frozen=True)
class Skipped:
    """A file that cannot be used, and why."""

    file: Path
    reason: str


def natural_order(text: str) -> list[tuple[int, int, str]]:
    """Key that sorts numbers in names by value.

    >>> sorted(["img10", "img2"], key=natural_order)
    ['img2', 'img10']
    """
    return [
        (0, int(part), part) if part.isdecimal() else (1, 0, part)
        for part in re.split(r"(\d+)", text)
        if part
    ]


def walk(root: Path) -> list[Path]:
    """All files below a folder that are not hidden, and folders below it that may not be opened.

    What the desk keeps beside photos counts as hidden, but not where `root` lies in it.

    Links to folders are followed, each folder once.

    Args:
        root: The folder.

    Returns:
        The files in natural order.
    """
    found: list[Path] = []
    visited: set[str] = set()

    def closed(error: OSError) -> None:
        found.append(Path(error.filename))

    for folder, below, names in os.walk(root, followlinks=True, onerror=closed):
        real = os.path.realpath(folder)
        below[:] = [] if real in visited else sorted(n for n in below if not _hidden(n))
        if real not in visited:
            found += [Path(folder, name) for name in names if not _hidden(name)]
        visited.add(real)
    return sorted(found, key=lambda path: natural_order(path.relative_to(root).as_posix()))


def below(file: Path, root: Path) -> str:
    """Return a file's path below a folder; as it is where it lies elsewhere."""
    return (file.relative_to(root) if file.is_relative_to(root) else file).as_posix()


def refuse_bad(skipped: list[Skipped], root: Path, *, go_on: bool) -> None:
    """Raise an `InputError` that names the bad files and says how to go on.

    Args:
        skipped: The bad files.
        root: The folder that they lie in.
        go_on: Don't raise.
    """
    if not skipped or go_on:
        return
    shown = "".join(f"\n    {below(bad.file, root)}: {bad.reason}" for bad in skipped[:5])
    more = f"\n    and {len(skipped) - 5} more" if len(skipped) > 5 else ""
    files = "1 file" if len(skipped) == 1 else f"{len(skipped)} files"
    raise InputError(
        f"{files} in {root} cannot be used:{shown}{more}\n"
        f"{_way_on(skipped)}Or go on without them by adding --skip-bad."
    )


def _hidden(name: str) -> bool:
    return name.startswith(".") or name in ("__MACOSX", DESK)


def _way_on(skipped: list[Skipped]) -> str:
    """How bad files can be made usable, in a sentence."""
    if any("has no mask" in bad.reason for bad in skipped):
        return (
            "A photo without crack needs a mask too, all black, of the same size and name, unless "
            "--empty-if-missing says that photos without a mask show no crack. Add masks where "
            "they are missing, and mend or remove the other files. "
        )
    return "Mend or remove them. "
