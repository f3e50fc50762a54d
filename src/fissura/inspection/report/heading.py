"""The heading of a filed report: whose structure, who inspected it, for whom, and when."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any

from fissura.errors import InputError
from fissura.files.documents import read_yaml

LINES = ("object", "inspector", "client", "date")
KEYS = ("title", *LINES, "notes", "signatures", "date_form")
# How a date is written, by the value of date_form.
DATE_FORMS = {
    "long": "{d.day} {d:%B %Y}",
    "us": "{d:%B} {d.day}, {d.year}",
    "de": "{d:%d.%m.%Y}",
    "iso": "{d:%Y-%m-%d}",
}


@dataclass(frozen=True, kw_only=True)
class Heading:
    """The heading of a report.

    Attributes:
        title: Title of the page; empty for that of every report.
        lines: Object, inspector, client, date and whatever else was written, by name.
        notes: Paragraphs below.
        signatures: Who signs, a line for each.
    """

    title: str = ""
    lines: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    signatures: tuple[str, ...] = ()


def read_heading(path: Path) -> Heading:
    """Read a `report.yaml`; every line of it may be missing.

    Args:
        path: YAML with title, object, inspector, client, date (written by `date_form`: long, us,
            de or iso), notes, signatures, and any other line with a text.

    Raises:
        InputError: The file cannot be read, or a value is no text, or no list of texts.
    """
    try:
        values = read_yaml(path)
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read as the heading of a report ({error}).") from error
    if not isinstance(values, dict) or not values:
        raise InputError(
            f"{path} holds no lines such as 'object: Bridge 12'. The usual ones are "
            f"{', '.join(KEYS)}."
        )
    form = values.get("date_form", "long")
    if not isinstance(form, str) or form not in DATE_FORMS:
        raise InputError(f"{path}: date_form is {form}; it must be one of {', '.join(DATE_FORMS)}.")
    named = [*LINES, *(str(name) for name in values if name not in KEYS)]
    lines = {name: _text(path, name, values.get(name), form) for name in named}
    return Heading(
        title=_text(path, "title", values.get("title"), form),
        lines={name.replace("_", " "): text for name, text in lines.items() if text},
        notes=_texts(path, "notes", values.get("notes"), form),
        signatures=_texts(path, "signatures", values.get("signatures"), form),
    )


def _texts(path: Path, name: str, value: Any, form: str) -> tuple[str, ...]:
    """Return one or several texts."""
    listed = value if isinstance(value, list) else [value]
    return tuple(text for text in (_text(path, name, one, form) for one in listed) if text)


def _text(path: Path, name: str, value: Any, form: str) -> str:
    """Return a text, a number or a date as it is written."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        value = value.date()
    if isinstance(value, date):
        return DATE_FORMS[form].format(d=value)
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        return str(value).strip()
    raise InputError(f"{path}: {name} is {value!r}; it must be a text. Write it in quotes.")
