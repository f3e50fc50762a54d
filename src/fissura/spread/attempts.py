"""Work that may die: each row is tried anew a few times, and what is done is not done again."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from fissura.errors import InputError
from fissura.files import replacing
from fissura.files.failures import OF_THE_DISK

MOST = 4  # processes that may die over a row, before it is given up
LEDGER = ".workers"

Work = Callable[[dict[str, Any]], dict[str, Any]]


class Attempts:
    """Does each row once, whatever becomes of the processes that do it.

    A file for each row counts its attempts, and holds the outcome in the end. Where a process dies,
    another does the row anew; a row that killed `MOST` processes is given up.

    Args:
        make: Makes what does a row, in the process that does it, when the first row comes.
        ledger: Folder of these files, which all processes share.
        folder: Folder to work in, that of relative paths.
    """

    def __init__(self, make: Callable[[], Work], ledger: Path, folder: Path) -> None:
        self._make, self._ledger, self._folder = make, ledger, folder
        self._work: Work | None = None

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """Return the outcome of a row: number and JSON, both as Ray's tables hold them."""
        number = int(row["number"])
        done = self._ledger / f"{number}.json"
        if done.is_file():
            return {"number": number, "outcome": done.read_text(encoding="utf-8")}
        outcome = self._try(number, json.loads(row["row"]))
        text = json.dumps(outcome)
        if "stop" not in outcome:
            with replacing(done) as temporary:
                temporary.write_text(text, encoding="utf-8")
        return {"number": number, "outcome": text}

    def _try(self, number: int, row: dict[str, Any]) -> dict[str, Any]:
        """Do a row, or give it up; an error that concerns all rows becomes a reason to stop."""
        try:
            if self._count(number) > MOST:
                return {"died": MOST}
            if self._work is None:
                os.chdir(self._folder)
                self._work = self._make()
            return self._work(row)
        except InputError as error:
            return {"stop": str(error)}
        except OSError as error:
            if error.errno in OF_THE_DISK or self._work is None:
                return {"stop": f"{error.filename or self._folder}: {error.strerror}."}
            raise

    def _count(self, number: int) -> int:
        """Count an attempt in a file, so that it is known even if the process dies in it."""
        self._ledger.mkdir(parents=True, exist_ok=True)
        with (self._ledger / f"{number}.attempts").open("ab") as file:
            file.write(b".")
            return file.tell()


def died(row: str, outcome: Mapping[str, Any]) -> str | None:
    """Return the sentence on a row that killed its workers; None where it did not.

    Args:
        row: The file that was worked on.
        outcome: Of the row.
    """
    if "died" not in outcome:
        return None
    return (
        f"{row}: {outcome['died']} workers died over it. It may be too large for the memory of a "
        "worker, or damaged in a way that ends the program that reads it."
    )


def clear(ledger: Path) -> None:
    """Forget attempts and outcomes, before and after a run."""
    with suppress(FileNotFoundError):
        shutil.rmtree(ledger)
