"""Show the doctests of docstrings as code in the documentation; `mkdocs.yml` names this file."""

import re
from typing import Any

import griffe

DOCTEST = re.compile(r"^( *)>>> .*(?:\n(?! *$).*)*", re.MULTILINE)


def fenced(match: re.Match[str]) -> str:
    indent = match[1]
    return f"{indent}```pycon\n{match[0]}\n{indent}```"


class Doctests(griffe.Extension):
    """Put each doctest into a fence; as plain text, Markdown takes >>> for a quotation."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        if obj.docstring and "```" not in obj.docstring.value:
            obj.docstring.value = DOCTEST.sub(fenced, obj.docstring.value)
