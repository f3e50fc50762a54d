"""What the campaign has found and what was mended since, each as a small input that stays right."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Mended:
    """An input that once gave something else than a result or a sentence.

    Attributes:
        target: Name of the target.
        file: The file that is spoiled, in the folder of the target.
        change: From the right content to the spoiled one.
        was: What came of it, in words.
    """

    target: str
    file: str
    change: Callable[[bytes], bytes]
    was: str


def replaced(old: str, new: str) -> Callable[[bytes], bytes]:
    """Replace a text that must be there."""

    def change(content: bytes) -> bytes:
        assert old.encode() in content, old
        return content.replace(old.encode(), new.encode(), 1)

    return change


def added(text: str) -> Callable[[bytes], bytes]:
    """Add a text at the end."""
    return lambda content: content + text.encode()


def instead(text: str | bytes) -> Callable[[bytes], bytes]:
    """Write a text instead of everything."""
    return lambda _: text.encode() if isinstance(text, str) else text


INPUTS: tuple[Mended, ...] = ()
# What was mended after a disturbance: its row of the table, and what came of it.
DISTURBED: tuple[tuple[str, str], ...] = ()
