"""Templates of HTML pages, filled in and written."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fissura.html.markdown import markdown

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

FOLDER = Path(__file__).parent
# Names of files need not be text in Unicode.
ENCODING, ERRORS = "utf-8", "backslashreplace"


@cache
def environment(folder: Path) -> Environment:
    """Return the environment of templates in a folder, which may extend base.html.

    They may import `metric` and `swatch` from macros.html. Beside Jinja's own, they have the
    filters `markdown`, `counted` ("1 photo") and `written`, the function `section`, and `style`
    and `script`.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    pages = Environment(
        loader=FileSystemLoader([folder, FOLDER]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    pages.filters |= {
        "markdown": lambda text: Markup(markdown(text)),
        "counted": counted,
        "written": written,
    }
    pages.globals["section"] = section
    for name, file in (("style", "style.css"), ("script", "script.js")):
        pages.globals[name] = Markup((FOLDER / file).read_text(encoding="utf-8"))
    return pages


def section(key: str, title: str) -> Markup:
    """Return the beginning of a section with its heading; the template ends it."""
    from markupsafe import Markup

    text = '<section id="{0}" aria-labelledby="{0}-title"><h2 id="{0}-title">{1}</h2>'
    return Markup(text).format(key, title)


def data_address(kind: str, content: bytes) -> str:
    """Return a file as an address that holds it.

    >>> data_address("image/png", b"abc")
    'data:image/png;base64,YWJj'
    """
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def counted(number: int, noun: str) -> str:
    """Return a number with its noun, in the plural where there is not exactly one.

    >>> counted(1, "photo"), counted(2000, "photo")
    ('1 photo', '2,000 photos')
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def written(value: Any) -> str:
    """Return a value of a setting as a reader would write it.

    >>> written(True), written(0.123456789), written({"a": [1, False]})
    ('yes', '0.123457', 'a: 1, no')
    """
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {written(entry)}" for key, entry in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(written, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float) and math.isfinite(value):
        return f"{value:.6g}"
    return str(value)
