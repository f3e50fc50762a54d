"""Server-sent events: what happens on the desk, told to every page that listens."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator
from typing import Any

ALIVE = 15.0  # seconds after which a comment keeps a connection open
WAITING = 1000  # events that a page may be behind


class Events:
    """Hands each event to all listeners; any thread may tell one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._listeners: set[tuple[asyncio.AbstractEventLoop, asyncio.Queue[str | None]]] = set()

    def tell(self, name: str, values: dict[str, Any]) -> None:
        """Tell an event to all that listen."""
        text = f"event: {name}\ndata: {json.dumps(values)}\n\n"
        with self._lock:
            listeners = list(self._listeners)
        for loop, queue in listeners:
            self._put(loop, queue, text)

    def close(self) -> None:
        """End all that listen."""
        with self._lock:
            listeners = list(self._listeners)
        for loop, queue in listeners:
            self._put(loop, queue, None)

    async def listen(self) -> AsyncIterator[str]:
        """Yield the events from now on, as text."""
        queue: asyncio.Queue[str | None] = asyncio.Queue(WAITING)
        listener = (asyncio.get_running_loop(), queue)
        with self._lock:
            self._listeners.add(listener)
        try:
            yield ": here\n\n"
            while True:
                try:
                    text = await asyncio.wait_for(queue.get(), ALIVE)
                except TimeoutError:
                    yield ": alive\n\n"
                    continue
                if text is None:
                    return
                yield text
        finally:
            with self._lock:
                self._listeners.discard(listener)

    @staticmethod
    def _put(
        loop: asyncio.AbstractEventLoop, queue: asyncio.Queue[str | None], text: str | None
    ) -> None:
        """Put a text into a listener's queue; one that is far behind misses it."""

        def put() -> None:
            if not queue.full():
                queue.put_nowait(text)

        try:
            loop.call_soon_threadsafe(put)
        except RuntimeError:
            return  # the listener's loop is closed
