"""Recipes in YAML: losses, networks, data sets and seeds, each crossed with each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from fissura.errors import InputError
from fissura.files import documents
from fissura.files.shapes import check_shape
from fissura.study.data import OWN_DATA, DataSet, panels
from fissura.study.recipe import Recipe, Row, cross
from fissura.training.config_file import typed

KEYS = ("title", "losses", "networks", "data", "seeds", "options", "baseline")
OF_PANELS = ("panels", "count", "training_images", "validation_images")


def read_yaml(file: Path) -> Recipe:
    """Read a recipe from a YAML file.

    Its entries, of which `losses` or `networks` must be there:

        title: head of the table
        losses: a list of losses, or options of `fissura train` by the row's name
        networks: a list of networks, or options by the network's name; crossed with the losses
        data: a list of data sets, or their properties (`DataSet`, or panels and count) by name
        seeds: number of trainings per row
        options: options of `fissura train` for all rows
        baseline: name of the row that the others are compared with

    Args:
        file: The file.

    Raises:
        InputError: It cannot be read, or an entry is unknown or of another type.
    """
    try:
        read = documents.read_yaml(file)
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{file} cannot be read as YAML: {reason}.") from error
    if not isinstance(read, dict):
        raise InputError(f"{file} is no recipe: it must have entries such as `losses:`.")
    if unknown := [str(key) for key in read if key not in KEYS]:
        raise InputError(
            f"{file} has entries that a recipe does not have: {', '.join(unknown)}. It has: "
            f"{', '.join(KEYS)}. Options of all trainings stand below `options:`."
        )
    losses = _named(file, read, "losses", "loss")
    networks = _named(file, read, "networks", "model")
    every = _options(file, _mapping(file, "options", read.get("options") or {}))
    if not losses and not networks:
        raise InputError(f"{file} names neither `losses:` nor `networks:` to compare.")
    options = {
        " ".join(filter(None, (network, loss))): {**of_network, **of_loss}
        for network, of_network in (networks or {"": {}}).items()
        for loss, of_loss in (losses or {"": {}}).items()
    }
    return Recipe(
        title=str(read.get("title") or f"Comparison by {file.name}"),
        rows=_rows(file, options, _data(file, read.get("data")), every),
        baseline=None if read.get("baseline") is None else str(read["baseline"]),
        runs=_seeds(file, read.get("seeds", 10)),
    )


def _rows(
    file: Path, options: dict[str, dict[str, Any]], data: list[DataSet], every: dict[str, Any]
) -> list[Row]:
    """Return the rows; errors of a training's options name the file."""
    try:
        return cross(options, data, **every)
    except InputError as error:
        raise InputError(f"{file}: {error}") from error


def _named(file: Path, read: Mapping[Any, Any], key: str, option: str) -> dict[str, dict[str, Any]]:
    """Return the options of each loss or network by its name, from a list or a mapping."""
    entries = read.get(key) or {}
    if isinstance(entries, str):
        entries = [entries]
    if isinstance(entries, list):
        doubled = sorted({str(name) for name in entries if entries.count(name) > 1})
        if doubled:
            raise InputError(f"{file}: {key} names {', '.join(doubled)} twice.")
        if not all(isinstance(name, str) for name in entries):
            raise InputError(f"{file}: {key} must be a list of names, such as `[bce-dice, focal]`.")
        entries = {name: {option: name} for name in entries}
    return {
        str(name): _options(file, _mapping(file, f"{key}: {name}", own))
        for name, own in _mapping(file, key, entries).items()
    }


def _options(file: Path, read: dict[Any, Any]) -> dict[str, Any]:
    """Return options of trainings in their types; which data they are of is said once for all."""
    if "data" in read:
        raise InputError(
            f"{file}: `data` is no option of a single training. Name the data sets below `data:` "
            "at the top of the file; each row is trained on each."
        )
    return typed(file, read)


def _data(file: Path, entries: Any) -> list[DataSet]:
    """Return the data sets; the folder behind --data where none is named."""
    if not entries:
        return [OWN_DATA]
    if isinstance(entries, list):
        entries = {str(name): {} for name in entries}
    return [
        _data_set(file, str(name), _mapping(file, f"data: {name}", own or {}))
        for name, own in _mapping(file, "data", entries).items()
    ]


def _data_set(file: Path, name: str, own: dict[Any, Any]) -> DataSet:
    """Return a data set with the properties that a file gives it."""
    drawn = "panels" in own
    known = [entry.name for entry in fields(DataSet) if entry.name not in ("name", "panels")]
    known = list(OF_PANELS) if drawn else [*known, "panels"]
    if unknown := [str(key) for key in own if key not in known]:
        raise InputError(
            f"{file}: the data set {name} has entries that it cannot have: {', '.join(unknown)}. "
            f"It may have: {', '.join(known)}."
        )
    try:
        check_shape(
            {"name": name} | {key: own[key] for key in own if key not in ("panels", "count")},
            DataSet,
            f"data: {name}",
        )
    except ValueError as error:
        raise InputError(f"{file}: {error}. Correct that entry.") from error
    if not drawn:
        return DataSet(name, **own)
    values = [own.get("panels"), own.get("count", 2051)]
    if not all(isinstance(value, int | float) and abs(value) < 1e9 for value in values):
        raise InputError(
            f"{file}: the data set {name} needs numbers: panels, the fraction of crack pixels, "
            "such as 0.03, and count, how many to draw."
        )
    subset = {key: own[key] for key in OF_PANELS[2:] if key in own}
    return panels(float(own["panels"]), int(own.get("count", 2051)), **subset)


def _seeds(file: Path, value: Any) -> int:
    """Return the number of trainings per row."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise InputError(
            f"{file}: seeds is {value!r}, but must be the number of trainings per row, such as 5."
        )
    return value


def _mapping(file: Path, key: str, value: Any) -> dict[Any, Any]:
    """Return a value that must be a mapping."""
    if not isinstance(value, dict):
        raise InputError(f"{file}: {key} must have entries, such as `{{loss: bce-dice}}`.")
    return value
