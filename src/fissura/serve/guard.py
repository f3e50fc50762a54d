"""What a request may cost: bytes and time of its body, time of its answer; and errors as sentences.

The server itself (`protocol`) bounds the time of the headers and the number of connections.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import time

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fissura.serve.errors import HttpError
from fissura.serve.metrics import Metrics
from fissura.serve.options import ServeOptions
from fissura.serve.security import answer

UPLOAD = "multipart/form-data"
SMALL_BODY = 4 * 2**20  # bytes of a request that uploads nothing
IDLE_SECONDS = 20.0  # between two pieces of a body
# A client that is refused while it sends would not hear why: so much of it is taken, and no more.
DRAINED_BYTES, DRAIN_SECONDS = 2**21, 1.0
RETRY = {"Retry-After": "60"}
LOG = logging.getLogger("fissura.serve")


class Guard:
    """Bound the bodies of requests, and tell what went wrong in a sentence.

    Args:
        app: What is guarded.
        options: Limits of bytes and seconds.
        metrics: Counts requests and refusals.
    """

    def __init__(self, app: ASGIApp, options: ServeOptions, metrics: Metrics) -> None:
        self.app, self.options, self.metrics = app, options, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request within its limits."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        body = Body(scope, receive, self.options)
        sent = Sent(send, self.options.body_seconds, body)
        began = time.perf_counter()
        try:
            body.check_declared()
            await self.app(scope, body.receive, sent.send)
        except HttpError as error:
            body.refusal = None
            if not sent.status:
                await body.drain()
                await answer(sent.send, error.status, error.body, {**error.headers, **body.close})
        except (ClientDisconnect, ConnectionError):
            pass  # the client is gone, or too slow to take the answer
        except Exception as failed:
            if isinstance(failed, OSError) and failed.errno == errno.ENOSPC and not sent.status:
                full = HttpError(429, "The disk of the server is full; try again later.", RETRY)
                await answer(sent.send, full.status, full.body, {**full.headers, **body.close})
                return
            LOG.exception("%s %s failed", scope["method"], scope["path"])
            if sent.status:
                raise
            error = HttpError(500, "Something went wrong on the server; its log says what.")
            await answer(sent.send, error.status, error.body)
        finally:
            route = getattr(scope.get("route"), "path", "other")
            seconds = time.perf_counter() - began
            self.metrics.answered(scope["method"], route, sent.status, seconds)


class Body:
    """The body of a request, as far as it is within its limits.

    Args:
        scope: The request.
        receive: From the server.
        options: Limits of bytes and seconds.

    Attributes:
        refusal: Why the body was not taken to its end, which is the answer whatever the app says.
    """

    def __init__(self, scope: Scope, receive: Receive, options: ServeOptions) -> None:
        self._receive, self._options = receive, options
        headers = Headers(scope=scope)
        uploads = headers.get("content-type", "").lower().startswith(UPLOAD)
        # What surrounds the files of an upload is small.
        self.most = int(options.max_megabytes * 1e6) + 2**16 if uploads else SMALL_BODY
        self.most = max(self.most, 1)
        self._declared = headers.get("content-length", "0")
        self._until = time.monotonic() + options.body_seconds
        self._taken, self._complete = 0, False
        self.refusal: HttpError | None = None

    @property
    def close(self) -> dict[str, str]:
        """The header that ends the connection where the body was not taken to its end."""
        return {} if self._complete else {"Connection": "close"}

    def check_declared(self) -> None:
        """Raise where the headers say that the body is too large."""
        if not self._declared.isdecimal():
            raise HttpError(400, "The Content-Length is no number.")
        if int(self._declared) > self.most:
            raise self._too_large()

    async def receive(self) -> Message:
        """Take the next piece of the body, or raise where it is too late or too much."""
        try:
            return await self._next()
        except HttpError as error:
            self.refusal = error
            raise

    async def _next(self) -> Message:
        """Take the next piece."""
        if self._complete:
            return await self._receive()  # waits until the client is gone
        wait = min(IDLE_SECONDS, self._until - time.monotonic(), self._options.body_seconds)
        try:
            message = await asyncio.wait_for(self._receive(), max(wait, 0.001))
        except TimeoutError:
            raise HttpError(
                408,
                "The request came too slowly: a body must be sent within "
                f"{self._options.body_seconds:g} seconds, without long pauses.",
            ) from None
        if message["type"] == "http.request":
            self._taken += len(message.get("body", b""))
            self._complete = not message.get("more_body", False)
            if self._taken > self.most:
                raise self._too_large()
        return message

    async def drain(self) -> None:
        """Take a little more of the body, so that a client that sends hears the answer."""
        until, taken = time.monotonic() + DRAIN_SECONDS, 0
        while not self._complete and taken < DRAINED_BYTES:
            try:
                message = await asyncio.wait_for(
                    self._receive(), max(until - time.monotonic(), 0.001)
                )
            except TimeoutError:
                return
            if message["type"] != "http.request":
                return
            taken += len(message.get("body", b""))
            self._complete = not message.get("more_body", False)

    def _too_large(self) -> HttpError:
        """The refusal of too large a body."""
        return HttpError(
            413,
            f"The request is larger than {self.most / 1e6:.0f} MB, which is the most that is taken "
            "here (fissura serve --max-megabytes). Send fewer or smaller photos at once.",
        )


class Sent:
    """The answer, whose pieces the client has to take in time.

    Args:
        send: From the server.
        seconds: Longest time for a piece.
        body: Of the request.

    Attributes:
        status: Of HTTP; 0 until the answer has begun.
    """

    def __init__(self, send: Send, seconds: float, body: Body) -> None:
        self._send, self._seconds, self._body = send, seconds, body
        self.status = 0

    async def send(self, message: Message) -> None:
        """Send a piece, or raise `ConnectionError` where the client does not take it."""
        if self._body.refusal is not None and not self.status:
            raise self._body.refusal
        if message["type"] == "http.response.start":
            self.status = message["status"]
        try:
            await asyncio.wait_for(self._send(message), self._seconds)
        except TimeoutError:
            raise ConnectionError("The client takes the answer too slowly.") from None
