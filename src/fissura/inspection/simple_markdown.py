"""Turn the Markdown of model cards into HTML: what they use, and nothing that could do harm."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import escape

BLOCK = re.compile(r"#{1,6} |```|\||[-*+] |\d+[.)] ")
RULER = re.compile(r"\|?[\s:|-]+\|?")


def to_html(text: str, level: int = 3) -> str:
    """Return the HTML of headings, paragraphs, lists of one depth, tables, code, bold and links.

    level: of the outermost heading, 1 to 6.

    Everything is escaped, HTML in the text as well. A link becomes its text with the address
    behind it: a page that is filed away refers to nothing outside. Metadata in front, between
    lines of ---, is left out.

    >>> to_html("# Data\\n\\nSee **all** of `a<b`.")
    '<h3>Data</h3>\\n<p>See <b>all</b> of <code>a&lt;b</code>.</p>'
    """
    text = re.sub(r"\A---\n.*?\n---\n", "", text.replace("\r\n", "\n"), flags=re.DOTALL)
    return "\n".join(_blocks(text.split("\n"), level))


def _blocks(lines: list[str], level: int) -> Iterator[str]:
    lines, at = [line.rstrip() for line in lines], 0
    while at < len(lines):
        line, start = lines[at], at
        at += 1
        if heading := re.match(r"(#{1,6}) +(.*)", line):
            depth = min(6, len(heading[1]) + level - 1)
            yield f"<h{depth}>{_inline(heading[2])}</h{depth}>"
        elif line.startswith("```"):
            while at < len(lines) and not lines[at].startswith("```"):
                at += 1
            yield f"<pre>{escape(chr(10).join(lines[start + 1 : at]))}</pre>"
            at += 1
        elif line.startswith("|"):
            while at < len(lines) and lines[at].startswith("|"):
                at += 1
            yield _table(lines[start:at])
        elif item := re.match(r"([-*+]|\d+[.)]) +", line):
            while at < len(lines) and lines[at] and not re.match(r"#{1,6} |```|\|", lines[at]):
                at += 1
            yield _list(lines[start:at], "ul" if item[1] in "-*+" else "ol")
        elif line:
            while at < len(lines) and lines[at] and not BLOCK.match(lines[at]):
                at += 1
            yield f"<p>{_inline(' '.join(lines[start:at]))}</p>"


def _list(lines: list[str], tag: str) -> str:
    text = "\n".join(line.strip() for line in lines)
    items = re.split(r"(?m)^(?:[-*+]|\d+[.)]) +", text)[1:]
    entries = "".join(f"<li>{_inline(' '.join(item.split()))}</li>" for item in items)
    return f"<{tag}>{entries}</{tag}>"


def _table(lines: list[str]) -> str:
    rows = [line.strip("|").split("|") for line in lines if not RULER.fullmatch(line)]
    has_head = len(lines) > 1 and RULER.fullmatch(lines[1])
    html = []
    for index, row in enumerate(rows):
        cell = "th" if index == 0 and has_head else "td"
        html.append("".join(f"<{cell}>{_inline(text.strip())}</{cell}>" for text in row))
    return "<table>" + "".join(f"<tr>{row}</tr>" for row in html) + "</table>"


def _inline(text: str) -> str:
    """Escape, then mark up; what stands in `code` is left as it is."""
    parts = re.split(r"`([^`]+)`", text)
    for index, part in enumerate(parts):
        part = escape(part)
        if index % 2:
            parts[index] = f"<code>{part}</code>"
            continue
        part = re.sub(r"!?\[([^\]]+)\]\(([^)\s]+)[^)]*\)", r"\1 (\2)", part)
        part = re.sub(r"\*\*(.+?)\*\*", r"<b>\1</b>", part)
        parts[index] = re.sub(r"(?<![\w*])[*_](\S(?:.*?\S)?)[*_](?![\w*])", r"<i>\1</i>", part)
    return "".join(parts)
