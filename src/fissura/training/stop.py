"""Ctrl-C and SIGTERM as a request that the training loop answers between two steps."""

from __future__ import annotations

import math
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

ECHO = 1.0  # seconds


class StopRequest:
    """A request to stop, which the training loop reads between two steps.

    Attributes:
        signal: Number of the signal that asked for a stop, or None.
        came: `time.monotonic()` of it, where torchrun may send it again.
    """

    signal: int | None = None
    came: float = -math.inf


@contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """Note SIGINT and SIGTERM while the block runs; a second signal takes effect at once.

    Only a program's main thread may receive signals; in other threads no stop is ever requested.

    Yields:
        The request, whose `signal` is set when a signal comes.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def note(number: int, frame: FrameType | None) -> None:
        # torchrun passes on what all processes of a terminal get anyway: twice at once is once.
        if request.signal is None and "TORCHELASTIC_RUN_ID" in os.environ:
            request.signal, request.came = number, time.monotonic()
            return
        if time.monotonic() - request.came < ECHO:
            return
        again, request.signal = request.came > -math.inf, number
        for each, handler in before.items():
            signal.signal(each, handler)
        if again:
            signal.raise_signal(number)

    for number in before:
        signal.signal(number, note)
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
