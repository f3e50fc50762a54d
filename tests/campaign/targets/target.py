"""What a target of mutated inputs is: files that are right, and what reads them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Target:
    """Files that are right, and what reads them. Both functions run in the folder of the files.

    Attributes:
        name: Of the target.
        row: Of the table that it counts in.
        make: Writes files that are right.
        call: Reads them, given the one that is spoiled. It may raise `InputError` or `OSError`,
            return an exit status of the command line, or assert that the result is well formed.
        files: Patterns of the files to spoil.
        writes: Beginnings of paths that it may write to.
        share: Of its row's inputs, relative to the other targets; a command is a hundred times as
            slow as a reader.
    """

    name: str
    row: str
    make: Callable[[], Any]
    call: Callable[[Path], int | None]
    files: tuple[str, ...] = ("*",)
    writes: tuple[str, ...] = ("out",)
    share: float = 1.0

    def spoilable(self) -> list[Path]:
        """Return the files to spoil, in the current folder."""
        found = {path for pattern in self.files for path in Path().rglob(pattern)}
        return sorted(path for path in found if path.is_file())


def fissura(*words: str | Path) -> int:
    """Run a command in this process and return its exit status."""
    from fissura.cli import run

    return run([str(word) for word in words])


def done(*words: str | Path) -> None:
    """Run a command that must succeed, to make files that are right."""
    status = fissura(*words)
    assert status in (0, 3), f"{' '.join(map(str, words))}: exit status {status}"
