"""`Finding`: something about a set of photos and masks that its owner should know."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Finding:
    """Something about a set of photos and masks that its owner should know.

    Attributes:
        kind: One word or two for programs, such as "leak".
        weight: From 0, a remark that changes nothing, over 1, worth a look, to 3, which makes
            training or its metrics wrong.
        text: What was found, in a sentence or two.
        advice: What to do about it, in a sentence.
        files: The photos that it is about, the clearest first; pairs have " ~ " between them.
    """

    kind: str
    weight: float
    text: str
    advice: str = ""
    files: tuple[str, ...] = ()

    @property
    def counts(self) -> bool:
        """Whether it counts for the exit status; a remark does not."""
        return self.weight > 0

    def record(self) -> dict[str, Any]:
        """Return it as JSON holds it."""
        return asdict(self) | {"files": list(self.files)}


def shown(files: tuple[str, ...] | list[str], most: int = 3) -> str:
    """Return the first files in a sentence, and how many more there are.

    >>> shown(["a", "b", "c", "d"], 2), shown(["a"])
    ('a, b and 2 more', 'a')
    """
    if len(files) <= most:
        return ", ".join(files)
    return f"{', '.join(files[:most])} and {len(files) - most} more"
