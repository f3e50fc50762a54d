"""Read JSON, YAML and XML that somebody else wrote; what is no such file is told in a sentence."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

from fissura.errors import InputError
from fissura.files import documents

LONGEST_YAML = 2**20
DIGITS = 9  # of a value of a mask at most


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        InputError: It is no JSON, or nested too deeply.
    """
    try:
        return documents.read_json(path)
    except ValueError as error:
        raise InputError(f"{path}: is damaged, it is no whole JSON ({error}).") from error


def read_yaml(path: Path) -> Any:
    """Read a small YAML file.

    Raises:
        InputError: It is no YAML, or larger than a description of a data set is.
    """
    if path.stat().st_size > LONGEST_YAML:
        raise InputError(f"{path}: is too large for the description of a data set.")
    try:
        return documents.read_yaml(path)
    except ValueError as error:
        raise InputError(f"{path}: is damaged, it is no YAML ({str(error)[:120]}).") from error


def is_value(text: str) -> bool:
    """Return whether a text is the value of a pixel of a mask.

    >>> is_value("255"), is_value("1e3"), is_value("1" * 5000)  # Python refuses to parse the last
    (True, False, False)
    """
    return text.isdecimal() and len(text) <= DIGITS


def entries(value: Any, what: str) -> list[Any]:
    """Return a list of a document; an empty one where nothing is there.

    Raises:
        InputError: Something else is there.
    """
    if not value:
        return []
    if not isinstance(value, list):
        raise InputError(f"{what} are no list, but {str(value)[:40]!r}")
    return value


class _Plain(ET.TreeBuilder):
    """A tree of elements; a document type, which could declare entities, is refused."""

    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:
        """Refuse."""
        raise InputError("declares a document type (DOCTYPE), which no annotation file has")


def read_xml(path: Path) -> ET.Element:
    """Read an XML file without entities of its own and without looking at any other file.

    Raises:
        InputError: It is no XML, or declares a document type.
    """
    try:
        return ET.fromstring(path.read_bytes(), parser=ET.XMLParser(target=_Plain()))
    except InputError as error:
        raise InputError(f"{path}: {error}. Export it anew.") from error
    except (ET.ParseError, ValueError, LookupError, RecursionError) as error:
        raise InputError(f"{path}: is damaged, it is no whole XML ({error}).") from error
