"""HTTP/1.1 by uvicorn, with limits of its own: time for the headers, number of connections."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

from fissura.serve.errors import HttpError

MOST_CONNECTIONS = 1000
HEADER_SECONDS = 15.0


class BoundedProtocol(H11Protocol):
    """A connection that has to say what it wants in time.

    uvicorn waits for the first request of a connection for as long as the client likes, and for a
    request that has begun as well; clients that send a letter a minute (slowloris) would take all
    of its connections.
    """

    header_seconds = HEADER_SECONDS
    most_connections = MOST_CONNECTIONS
    _clock: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Begin; beyond the most connections, refuse."""
        super().connection_made(transport)
        if len(self.connections) > self.most_connections:
            self._refuse(
                HttpError(429, "There are too many connections to this server; try again later.")
            )
            return
        self._wind()

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        self._stop()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what the client has sent; the clock runs until the headers are complete."""
        if self.transport.is_closing():
            return
        before = self.cycle
        super().data_received(data)
        if self.cycle is not before:
            self._stop()
        elif self._clock is None and (before is None or before.response_complete):
            self._wind()  # the next request of the connection has begun

    def timeout_keep_alive_handler(self) -> None:
        """Close a connection that waits for nothing."""
        self._stop()
        super().timeout_keep_alive_handler()

    def _wind(self) -> None:
        """Let the clock run."""
        self._clock = self.loop.call_later(self.header_seconds, self._too_late)

    def _stop(self) -> None:
        """Stop the clock."""
        if self._clock is not None:
            self._clock.cancel()
            self._clock = None

    def _too_late(self) -> None:
        """Refuse a request whose headers did not come in time."""
        self._clock = None
        if not self.transport.is_closing():
            self._refuse(
                HttpError(
                    408,
                    "The request came too slowly: its headers must be sent within "
                    f"{self.header_seconds:g} seconds.",
                )
            )

    def _refuse(self, error: HttpError) -> None:
        """Write an answer past everything else, and close."""
        phrase = {408: "Request Timeout", 429: "Too Many Requests"}[error.status]
        retry = "retry-after: 5\r\n" if error.status == 429 else ""
        self.transport.write(
            f"HTTP/1.1 {error.status} {phrase}\r\ncontent-type: application/json\r\n{retry}"
            f"content-length: {len(error.body)}\r\nconnection: close\r\n\r\n".encode()
            + error.body
        )
        self.transport.close()


def bounded(header_seconds: float, most_connections: int) -> type[BoundedProtocol]:
    """Return the protocol with other limits.

    Args:
        header_seconds: Time for the headers of a request.
        most_connections: Connections at once.
    """
    limits = {"header_seconds": header_seconds, "most_connections": most_connections}
    return type("BoundedProtocol", (BoundedProtocol,), limits)
