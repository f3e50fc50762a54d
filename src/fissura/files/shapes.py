"""Whether what a JSON or YAML file holds has the types that it must have, however deep."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints, is_typeddict

from fissura.files.documents import DocumentError, is_text

WORDS = {
    str: "a text", int: "a whole number", float: "a number", bool: "true or false",
    NoneType: "empty",
}  # fmt: skip


def check_shape(value: Any, hint: Any, name: str = "") -> None:
    """Raise an error where a value read from a file is of another type than it must be.

    Args:
        value: What was read: texts, numbers, lists and mappings.
        hint: The type: a plain one, a list, tuple or mapping of others, a union or a literal; or
            a dataclass, whose fields without a default must be there and no others may, or a
            `TypedDict`, beside whose entries there may be others.
        name: What the value is, for the message.

    Raises:
        DocumentError: It is of another type, a number that no float holds, or a text that is none
            in Unicode and no file's name either.

    >>> check_shape({"sizes": [3, "4"]}, dict[str, list[int]], "it")
    Traceback (most recent call last):
        ...
    fissura.files.documents.DocumentError: it: sizes: 2: '4' is not a whole number
    """
    if hint is Any:
        if isinstance(value, dict | list):
            check_shape(value, dict[str, Any] if isinstance(value, dict) else list[Any], name)
        else:
            _check_plain(value, type(value), name)
        return
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        _check_union(value, inner, name)
    elif origin is Literal:
        if value not in inner:
            _refuse(value, f"one of {', '.join(map(str, inner))}", name)
    elif is_typeddict(hint) or is_dataclass(hint):
        _check_entries(value, hint, name)
    elif hint is dict or origin in (dict, Mapping):
        of = inner[1] if inner else Any
        for key, one in _of_type(value, dict, "a mapping", name).items():
            _check_plain(key, str, name)
            check_shape(one, of, _below(name, key))
    elif origin is tuple and Ellipsis not in inner:
        parts = _of_type(value, (list, tuple), f"a list of {len(inner)}", name)
        if len(parts) != len(inner):
            _refuse(value, f"a list of {len(inner)}", name)
        for place, (one, of) in enumerate(zip(parts, inner, strict=True), start=1):
            check_shape(one, of, _below(name, place))
    elif origin in (list, tuple, Sequence):
        for place, one in enumerate(_of_type(value, (list, tuple), "a list", name), start=1):
            check_shape(one, inner[0], _below(name, place))
    else:
        _check_plain(value, hint, name)


def _check_plain(value: Any, hint: type, name: str) -> None:
    """Check a text, a number or another value without parts."""
    if hint is float and type(value) is int:
        if abs(value) > sys.float_info.max:
            _refuse("a number of many digits", "one that is known", name)
        return
    if type(value) is not hint:
        _refuse(value, WORDS.get(hint, hint.__name__), name)
    if isinstance(value, str) and not is_text(value):
        _refuse(value, "text in Unicode", name)
    elif isinstance(value, int) and abs(value) > sys.float_info.max:
        _refuse("a number of many digits", "one that is known", name)


def _check_union(value: Any, choices: Sequence[Any], name: str) -> None:
    """Check a value that may be of several types."""
    reasons = []
    for choice in choices:
        try:
            return check_shape(value, choice, name)
        except DocumentError as error:
            reasons.append(error)
    raise reasons[0]


def _check_entries(value: Any, hint: Any, name: str) -> None:
    """Check a mapping that has certain entries."""
    _of_type(value, dict, "a mapping", name)
    hints, needed = _entries(hint)
    if missing := [entry for entry in needed if entry not in value]:
        raise DocumentError(f"{_below(name, missing[0])} is missing")
    if is_dataclass(hint) and (unknown := [str(one) for one in value if one not in hints]):
        raise DocumentError(f"{_below(name, unknown[0])!r} is not known")
    for entry, of in hints.items():
        if entry in value:
            check_shape(value[entry], of, _below(name, entry))


@cache
def _entries(hint: Any) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return the types of entries by name, and the names of those that must be there."""
    hints = get_type_hints(hint)
    if not is_dataclass(hint):
        return hints, tuple(hint.__required_keys__)
    own = {entry.name: hints[entry.name] for entry in fields(hint)}
    needed = [
        entry.name
        for entry in fields(hint)
        if entry.default is MISSING and entry.default_factory is MISSING
    ]
    return own, tuple(needed)


def _of_type(value: Any, kinds: type | tuple[type, ...], words: str, name: str) -> Any:
    """Return a value that must be of one of some types."""
    if not isinstance(value, kinds):
        _refuse(value, words, name)
    return value


def _refuse(value: Any, words: str, name: str) -> None:
    """Say what a value must be."""
    told = repr(value)
    told = told if len(told) <= 60 else f"{told[:57]}…"
    raise DocumentError(f"{name + ': ' if name else ''}{told} is not {words}")


def _below(name: str, entry: Any) -> str:
    """Return what an entry is called, within what it is in."""
    return f"{name}: {entry}" if name else str(entry)
