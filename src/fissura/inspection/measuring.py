"""Photos measured one after the other, each with a record in the end, or left out with a reason."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.progress import track

from fissura.files.failures import Failure, failure, say
from fissura.inspection.photo_table import Known
from fissura.inspection.photos.photo import Inspector
from fissura.inspection.records.facts import read_exif
from fissura.inspection.records.store import save_record
from fissura.inspection.steps import Earlier, Step, photo_digest, record_file


def measure_all(
    inspector: Inspector, steps: list[Step], earlier: Earlier, console: Console
) -> list[Failure]:
    """Inspect the photos that have no record, or an old one; return those that could not be."""
    failures: list[Failure] = []
    # An image that is read by windows shows its rows in a second bar below.
    shown = console.is_terminal and len(steps) > 1
    for step in track(steps, description="Inspecting", console=console, disable=not shown):
        failed = measure_photo(inspector, step, earlier)
        if failed is not None:
            failures.append(failed)
            say(console, f"Left out: {failed.reason}", style="red")
    return failures


def measure_photo(
    inspector: Inspector, step: Step, earlier: Earlier, *, fetched: Path | None = None
) -> Failure | None:
    """Inspect a photo and write its record.

    Args:
        inspector: The inspector.
        step: The photo.
        earlier: What the model found on photos before.
        fetched: File that the photo was fetched into, where it lies in a store.

    Returns:
        Why the photo is left out; None where it has its record.
    """
    file = fetched or step.file
    try:
        if step.mask is None:
            record = inspector(file, step.name)
        else:
            found = earlier.found(step.file, step.name)
            record = inspector.corrected(file, step.name, step.mask, found)
        known = inspector.options.known.get(step.file, Known())
        record = replace(
            record,
            file=step.file,
            photo_digest=photo_digest(file),
            resolution_asked=known.asked,
            facts=read_exif(file),
        )
        save_record(record_file(inspector.out, step.name), record)
    except Exception as error:
        return failure(file, error)
    return None
