"""What an inspection ends with: its outcome, the date of its report, the report on paper."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console

from fissura.errors import InputError
from fissura.files.failures import Failure, say
from fissura.inspection.export import Exported
from fissura.inspection.report.pdf import print_pdf


@dataclass(frozen=True)
class Inspection:
    """The outcome of an inspection.

    Attributes:
        out: Folder of the results.
        report: The page to read, or None where none was asked for.
        model: Name and terms of the model, where it found the cracks on photos of this run.
        photos: Number of photos measured, those of an earlier run with `resume` among them.
        cracks: Number of cracks found on them.
        failing: Names of the photos that exceed the limits.
        failures: Files that were left out, and why.
        edited: Sentences on masks that are missing now: the measurements are those of before.
        statuses: On photos with a corrected mask, the number of cracks that were found, corrected,
            added, rejected or given.
        shard: The shard that was inspected, such as 2/4; None for all photos. Tables, vectors and
            report of a shard are written when it is merged with the others.
    """

    out: Path
    report: Path | None
    model: str | None
    photos: int
    cracks: int
    failing: list[str]
    failures: list[Failure]
    edited: list[str]
    statuses: dict[str, int] = field(default_factory=dict)
    shard: str | None = None

    @classmethod
    def of(cls, exported: Exported, **others: Any) -> Inspection:
        """Return the outcome of what was exported, with all that is not told by that."""
        return cls(
            photos=exported.photos,
            cracks=exported.cracks,
            failing=exported.failing,
            statuses=dict(exported.statuses),
            **others,
        )


def print_report(out: Path, console: Console) -> None:
    """Print the report as PDF, or say why that cannot be."""
    try:
        print_pdf(out / "report.html", out / "report.pdf")
    except InputError as error:
        say(console, str(error), style="yellow")


def now() -> str:
    """Return the local date and time in words.

    The clock of the machine is that of the inspector; the zone is named, for reports travel. Where
    `SOURCE_DATE_EPOCH` is set (https://reproducible-builds.org/specs/source-date-epoch), it is that
    moment, so that the same work gives the same bytes.
    """
    fixed = os.environ.get("SOURCE_DATE_EPOCH", "")
    moment = datetime.fromtimestamp(int(fixed), UTC) if fixed.isdecimal() else datetime.now()
    moment = moment.astimezone(UTC if fixed.isdecimal() else None)
    return f"{moment.day} {moment:%B %Y, %H:%M %Z}"
