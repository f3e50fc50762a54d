"""`config.yaml`: the options of a training, written into its run folder and read again.

The same reader serves `fissura train --config FILE` and `fissura train --resume RUN`.
"""

from __future__ import annotations

from dataclasses import asdict, fields
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import yaml

from fissura.errors import InputError
from fissura.files import replacing
from fissura.files.documents import read_yaml
from fissura.training.options import TrainOptions


def write_config(path: Path, data: Path, options: TrainOptions) -> None:
    """Write a complete, replayable `config.yaml`."""
    with replacing(path) as temporary:
        temporary.write_text(
            "# fissura train --config THIS_FILE --out NEW_RUN repeats this training.\n"
            + yaml.safe_dump({"data": str(data)} | asdict(options), sort_keys=False),
            encoding="utf-8",
        )


def read_config(path: Path) -> tuple[Path, TrainOptions]:
    """Read what `write_config` wrote.

    Args:
        path: The `config.yaml` of a run folder.

    Returns:
        The data folder and the options.

    Raises:
        InputError: The file is missing or not such a configuration, or an option in it is
            unknown, of another type or out of range.
    """
    if not path.is_file():
        raise InputError(
            f"{path.parent} is no run folder: it has no {path.name}. Give the run folder that "
            "`fissura train --out` made."
        )
    values = read_values(path)
    data = values.pop("data", None)
    if data is None:
        raise InputError(
            f"{path} is not a configuration that `fissura train` wrote: it names no data. Give the "
            "run folder that `fissura train --out` made."
        )
    try:
        return Path(data), TrainOptions(**values)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def read_values(path: Path) -> dict[str, Any]:
    """Read the options in a YAML file that a person may have written, `data` among them.

    Names may be written with `-` or `_`. YAML takes `1e-4` for text, since its numbers have a
    decimal point; it is understood as a number where the option is one.

    Raises:
        InputError: The file cannot be read as options, or one is unknown or of another type.
    """
    if not path.is_file():
        raise InputError(f"There is no configuration file {path}.")
    try:
        read = read_yaml(path)
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{path} cannot be read as YAML: {reason}.") from error
    if not isinstance(read, dict):
        raise InputError(
            f"{path} is not a configuration: it must have a line for each option, such as "
            "`epochs: 50`."
        )
    return typed(path, read)


def typed(path: Path, read: dict[Any, Any]) -> dict[str, Any]:
    """Return options of a training, as YAML has them, by their names and in their types.

    Args:
        path: File that they are from, for the message.
        read: The options; their names may be written with `-` or `_`.

    Raises:
        InputError: One of them is unknown or of another type.
    """
    values = {str(name).replace("-", "_"): value for name, value in read.items()}
    hints = get_type_hints(TrainOptions) | {"data": str}
    known = {entry.name for entry in fields(TrainOptions)} | {"data"}
    if unknown := sorted(values.keys() - known):
        raise InputError(
            f"{path} has options that this Fissura does not know: {', '.join(unknown)}. "
            "`fissura train --help` lists those it knows."
        )
    return {name: _understood(path, name, value, hints[name]) for name, value in values.items()}


def _understood(path: Path, name: str, value: Any, hint: Any) -> Any:
    """Return a value in the type of its option, or raise `InputError`."""
    choices = list(_choices(hint))
    if float in choices and isinstance(value, (int, str)) and not isinstance(value, bool):
        try:
            return float(value)
        except ValueError:
            pass
    for choice in choices:
        if isinstance(choice, type):
            if isinstance(value, choice) and not (choice is int and isinstance(value, bool)):
                return value
        elif choice == value:
            return value
    words = {float: "a number", int: "a whole number", bool: "true or false", str: "text"}
    allowed = [
        words.get(choice, "empty") if isinstance(choice, type) else str(choice)
        for choice in choices
    ]
    raise InputError(f"{path}: {name} is {value!r}, but must be {' or '.join(allowed)}.")


def _choices(hint: Any) -> list[Any]:
    """Return the types and the literal values that a type hint allows."""
    if get_origin(hint) in (Union, UnionType):
        return [choice for part in get_args(hint) for choice in _choices(part)]
    return list(get_args(hint)) if get_origin(hint) is Literal else [hint]
