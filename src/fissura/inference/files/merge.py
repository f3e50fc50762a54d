"""Shards of predictions: what each writes down, and their results joined to those of one run."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

from rich.console import Console

from fissura.errors import InputError
from fissura.files import OutputOptions, claim, replacing
from fissura.files.failures import Failure
from fissura.inference.files.results import PARTIAL_TABLE, SETTINGS, TABLE, table_order
from fissura.spread.manifest import (
    Manifest,
    check_told,
    join_files,
    own_photos,
    versions_of_all,
    write_manifest,
)
from fissura.spread.parts import Part

OF_PLACE = ("model", "inputs")  # settings that differ from machine to machine


@dataclass(frozen=True)
class Merged:
    """The outcome of joining predictions.

    Attributes:
        table: The path of predictions.csv.
        failures: Files that were left out.
    """

    table: Path
    failures: list[Failure]


def finish_predictions(
    out: Path,
    part: Part,
    model: str | Path,
    settings: Mapping[str, Any],
    notes: Mapping[str, Any],
    failures: Sequence[Failure],
) -> None:
    """Write down that a shard is finished, with everything that merging it takes.

    Args:
        out: Folder of its results.
        part: Its photos.
        model: The model.
        settings: Choices that the results depend on.
        notes: What else stands beside them in prediction.json.
        failures: Photos that were left out.
    """
    write_manifest(
        out,
        part,
        command="predict",
        model=model,
        options={name: value for name, value in settings.items() if name not in OF_PLACE},
        failures=failures,
        notes={"settings": dict(settings), "notes": dict(notes)},
    )


class _Options(TypedDict):
    """Options of predictions; none of them plays a part in merging."""


class _Notes(TypedDict):
    """What `finish_predictions` notes."""

    settings: dict[str, Any]
    notes: dict[str, Any]


def merge_predictions(out: Path, shards: list[Manifest], output: OutputOptions) -> Merged:
    """Join the shards of predictions; see `fissura.merge`.

    Args:
        out: Folder for the results.
        shards: All shards, in their order.
        output: Whether to go on with an earlier merge or to overwrite it.

    Returns:
        The table of all photos, and those that were left out.

    Raises:
        InputError: The table of a shard is missing or damaged, or `out` may not be written to.
    """
    first = shards[0]
    check_told(shards, _Options, _Notes)
    versions = versions_of_all(shards, Console(stderr=True))
    notes = first.notes["notes"] | {"versions": versions}
    rows = _rows(shards)
    tables = [out / table for table in (TABLE, PARTIAL_TABLE)]
    claim(out / SETTINGS, first.notes["settings"], output, notes=notes, stale=tables)
    join_files(shards, out, output)
    with (
        replacing(out / TABLE) as temporary,
        temporary.open("w", newline="", encoding="utf-8") as file,
    ):
        csv.writer(file).writerows(rows)
    left_out = [
        Failure(Path(photo.file), photo.reason)
        for photo, _ in own_photos(shards)
        if photo.reason is not None
    ]
    return Merged(out / TABLE, left_out)


def _rows(shards: Sequence[Manifest]) -> list[list[str]]:
    """Return the heads and rows of all tables, in the order of one run: rasters go first."""
    number_of = {photo.name: photo.number for photo, _ in own_photos(shards)}
    heads: list[str] = []
    keyed: list[tuple[tuple[bool, int], list[str]]] = []
    for shard in shards:
        path = shard.folder / TABLE
        try:
            with path.open(newline="", encoding="utf-8") as file:
                heads, *rows = csv.reader(file)
            masks = [row[heads.index("mask")] for row in rows]
            keys = [table_order(mask, number_of) for mask in masks]
        except (OSError, ValueError, KeyError, IndexError, csv.Error) as error:
            raise InputError(
                f"{path} cannot be read ({error}). Run the command of shard {shard.text} again "
                "with --resume."
            ) from error
        expected = sum(photo.reason is None for photo in shard.own)
        if len(rows) != expected:
            raise InputError(
                f"{path} has {len(rows)} rows, but shard {shard.text} has {expected} photos. Run "
                "its command again with --resume."
            )
        keyed += zip(keys, rows, strict=True)
    return [heads, *(row for _, row in sorted(keyed, key=lambda entry: entry[0]))]
