"""Markdown of model cards as HTML that does no harm."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from markdown_it.token import Token


def markdown(text: str, level: int = 3) -> str:
    """Return the HTML of Markdown (CommonMark with tables).

    HTML in the text is escaped. A link becomes its text with the address behind it, and so does an
    image: a page that is filed away refers to nothing outside. Metadata in front, between lines of
    ---, is left out.

    Args:
        text: The Markdown.
        level: Level of the outermost heading, 1 to 6.

    >>> markdown("# Data\\n\\nSee **all** of `a<b`.")
    '<h3>Data</h3>\\n<p>See <strong>all</strong> of <code>a&lt;b</code>.</p>\\n'
    """
    from markdown_it import MarkdownIt

    text = re.sub(r"\A---\n.*?\n---\n", "", text.replace("\r\n", "\n"), flags=re.DOTALL)
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = parser.parse(text)
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(6, int(token.tag[1]) + level - 1)}"
        if token.children:
            token.children = list(_without_links(token.children))
    return parser.renderer.render(tokens, parser.options, {})


def _without_links(tokens: list[Token]) -> Iterator[Token]:
    """Yield the tokens of a line, links and images replaced by their text and address."""
    from markdown_it.token import Token

    addresses: list[str] = []
    for token in tokens:
        if token.type == "link_open":
            addresses.append(str(token.attrGet("href")))
        elif token.type == "link_close":
            yield Token("text", "", 0, content=f" ({addresses.pop()})")
        elif token.type == "image":
            yield Token("text", "", 0, content=f"{token.content} ({token.attrGet('src')})")
        else:
            yield token
