"""Run the stages of a computation side by side, in threads of one core each, without a barrier."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any, Generic, TypeVar

import torch

Item = TypeVar("Item")
Value = TypeVar("Value")

WAITING = 2  # items that a stage may be ahead of the next one


class _StoppedError(Exception):
    """The computation has ended; nobody wants more items."""


class _Between(Generic[Item]):
    """The items between a stage and the next one, and how the stage has ended.

    Each pair of stages waits for a condition of its own: with one for all, every item would wake
    every stage, and each of them would take Python's lock to find that nothing has come.
    """

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.ready: deque[Item] = deque()
        self.ended: list[BaseException | None] = []

    def tell(self) -> None:
        """Wake the stage that waits at the other end."""
        with self.changed:
            self.changed.notify()


class Stages:
    """Generators that feed each other, each in a thread of its own.

    A layer of a network that is split over all cores waits for the slowest of them, hundreds of
    times in a photo; beside another program that is at work there, one of them is always slow.
    Stages wait for nothing but their own input, so that such a program costs its share of the cores
    and no more. Each stage computes in order and with one thread inside torch, so that the same
    work gives the same bits on any number of cores.

    Use it as a context manager. At its end all threads have ended, whatever was raised.

    Args:
        count: Number of stages that compute at the same time, at least 1; with 1 everything is
            computed in the calling thread.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self._slots = threading.Semaphore(count)
        self._stopped = False
        self._all: list[_Between[Any]] = []
        self._threads: list[threading.Thread] = []
        self._own = threading.local()
        self._threads_before = torch.get_num_threads()

    def __enter__(self) -> Stages:
        """Return the stages themselves."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop all stages and wait for their threads."""
        self._stopped = True
        for between in self._all:
            with between.changed:
                between.changed.notify_all()
        for thread in self._threads:
            thread.join()
        if self.count > 1:  # a thread's choice counts for the threads to come, too
            torch.set_num_threads(self._threads_before)

    def ahead(self, items: Iterator[Item]) -> Iterator[Item]:
        """Compute items before they are asked for, in a thread of their own.

        Args:
            items: Computes the items. It may take its own input from another stage.

        Yields:
            The items in their order. An error of `items` is raised here in its turn.
        """
        if self.count == 1:
            yield from items
            return
        between: _Between[Item] = _Between()
        self._all.append(between)
        thread = threading.Thread(target=self._run, args=(items, between), daemon=True)
        self._threads.append(thread)
        thread.start()
        while True:
            self._wait(between, lambda: between.ready or between.ended)
            if not between.ready:
                break
            item = between.ready.popleft()
            if len(between.ready) == WAITING - 1:
                between.tell()
            yield item
            del item
        error = between.ended[0]
        if error is not None:
            raise error

    def map(self, function: Callable[[Item], Value], items: Iterable[Item]) -> Iterator[Value]:
        """Apply a function to items, several at the same time.

        Args:
            function: What to compute; it may be called in several threads at once.
            items: Taken little by little.

        Yields:
            The values in the order of the items.
        """
        if self.count == 1:
            yield from map(function, items)
            return
        waiting: deque[Future[Value]] = deque()
        pool = ThreadPoolExecutor(self.count, initializer=torch.set_num_threads, initargs=(1,))
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) > self.count:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)

    def _run(self, items: Iterator[Item], between: _Between[Item]) -> None:
        """Compute the items of one stage; the body of its thread."""
        error = None
        torch.set_num_threads(1)
        self._own.computes = True
        self._slots.acquire()
        try:
            with torch.inference_mode():
                for item in items:
                    self._wait(between, lambda: len(between.ready) < WAITING)
                    between.ready.append(item)
                    del item
                    between.tell()
        except BaseException as raised:
            error = raised
        finally:
            self._slots.release()
            between.ended.append(error)
            between.tell()

    def _wait(self, between: _Between[Any], until: Callable[[], object]) -> None:
        """Wait for a condition; a stage that waits lets another one compute."""
        if not until() and not self._stopped:
            computes = getattr(self._own, "computes", False)
            if computes:
                self._slots.release()
            with between.changed:
                between.changed.wait_for(lambda: self._stopped or until())
            if computes:
                self._slots.acquire()
        if self._stopped:
            raise _StoppedError
