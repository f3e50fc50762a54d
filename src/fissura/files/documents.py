"""Read YAML and JSON that somebody wrote or a crash cut off; all that is wrong is one error."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

MOST_VALUES = 1_000_000  # of a YAML file, where it is written out without its aliases


class DocumentError(ValueError):
    """A file is no whole YAML or JSON; the message says why, in a few words."""


def read_yaml(path: Path) -> Any:
    """Read a YAML file.

    Args:
        path: The file, in UTF-8, with or without a byte order mark.

    Raises:
        OSError: It cannot be read.
        DocumentError: It is no YAML, holds a value that is none of its type (such as a date that
            there is not) or text that is none in Unicode, is nested too deeply, or its aliases make
            it endless or huge.
    """
    value, _ = read_yaml_nodes(path)
    return value


def read_yaml_nodes(path: Path) -> tuple[Any, yaml.Node | None]:
    """Read a YAML file, and as nodes, too, which tell of names that are there twice.

    Args:
        path: As of `read_yaml`.

    Raises:
        OSError: As of `read_yaml`.
        DocumentError: As of `read_yaml`.
    """
    content = path.read_bytes()
    try:
        loader = yaml.SafeLoader(content.decode("utf-8-sig"))
        node = loader.get_single_node()
        if node is None:
            return None, None
        if _count(node, {}) > MOST_VALUES:
            raise DocumentError("its aliases make it too large")
        return loader.construct_document(node), node
    except DocumentError:
        raise
    except RecursionError as error:
        raise DocumentError("it is nested too deeply") from error
    except UnicodeDecodeError as error:
        raise DocumentError("it is not in UTF-8") from error
    except Exception as error:  # PyYAML lets errors of every kind through where a value is none
        raise DocumentError(" ".join(str(error).split())[:300] or type(error).__name__) from error


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Args:
        path: The file, in UTF-8, with or without a byte order mark.

    Raises:
        OSError: It cannot be read.
        DocumentError: It is no JSON, or nested too deeply.
    """
    return parse_json(path.read_bytes())


def parse_json(content: str | bytes) -> Any:
    """Return what JSON holds.

    Args:
        content: Text, or its bytes in UTF-8.

    Raises:
        DocumentError: It is no JSON, or nested too deeply.

    >>> parse_json("[" * 100_000)
    Traceback (most recent call last):
        ...
    fissura.files.documents.DocumentError: it is nested too deeply
    """
    try:
        return json.loads(content.decode("utf-8-sig") if isinstance(content, bytes) else content)
    except RecursionError as error:
        raise DocumentError("it is nested too deeply") from error
    except UnicodeDecodeError as error:
        raise DocumentError("it is not in UTF-8") from error
    except ValueError as error:
        raise DocumentError(str(error)) from error


def is_text(value: str) -> bool:
    """Return whether a text can be written again, be it as the name of a file that is not UTF-8.

    >>> is_text("Risse"), is_text(chr(0xD800))
    (True, False)
    """
    if value.isascii():
        return True
    try:
        value.encode("utf-8", "surrogateescape")  # which Python reads other bytes of names as
    except UnicodeEncodeError:
        return False
    return True


def _count(node: yaml.Node, known: dict[int, int]) -> int:
    """Count the values of a YAML document as if its aliases were written out.

    Raises:
        DocumentError: An escape such as "\\ud800" makes text that cannot be written again.
    """
    key = id(node)
    if key in known:
        return known[key]
    if not isinstance(node, yaml.CollectionNode):
        if not is_text(node.value):
            raise DocumentError(f"{node.value!r} is no text in Unicode")
        return known.setdefault(key, 1)
    known[key] = MOST_VALUES + 1  # until it is counted: within itself it is endless
    parts = [part for one in node.value for part in (one if isinstance(one, tuple) else (one,))]
    known[key] = 1 + sum(_count(part, known) for part in parts)
    return known[key]
