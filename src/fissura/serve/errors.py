"""The answer to a request that cannot be met: a status and a sentence."""

from __future__ import annotations

import json
from collections.abc import Mapping


class HttpError(Exception):
    """A request cannot be met; the client gets `{"error": sentence}`.

    Args:
        status: 400 to 499.
        sentence: What is wrong and what to do, for the person who meets it.
        headers: Further headers, such as Retry-After.
    """

    def __init__(
        self, status: int, sentence: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(sentence)
        self.status, self.sentence, self.headers = status, sentence, dict(headers or {})

    @property
    def body(self) -> bytes:
        """The answer as JSON."""
        return json.dumps({"error": self.sentence}, ensure_ascii=False).encode()
