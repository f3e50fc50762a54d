"""Work shared out to cores: by torch's threads in each operation, or by our own item for item.

Torch's are the faster where all cores are free. But they wait for each other after each operation,
hundreds of times; beside another program at work, one of them always comes late. Threads of our own
do an item from its first operation to its last and wait at the end alone; but they contend for
Python's lock. So both ways are timed, and the faster one of the last time is taken.
"""

from __future__ import annotations

import os
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import contextmanager
from functools import cache, partial
from typing import Any, TypeVar

import torch

T = TypeVar("T")
MOST_THREADS = 16  # with more, Python's lock lets none of them get on
SMALLEST = 2**16  # elements; torch gives fewer to one thread, or nearly
FEW = 2**20  # elements; below, one thread of our own is faster than several
PATIENCE = 16  # turns of the faster way, at least, until the slower one is tried again
LOOKS = 3  # turns by which a way is judged


class Pace:
    """Which of two ways is the faster for work of one size, as far as it is known.

    The time of a way is the least of its last `LOOKS` turns, so that one late thread decides
    nothing. The other way is tried again from time to time, for as many turns after one that wakes
    threads that sleep, and so seldom that it costs about two hundredths.
    """

    def __init__(self) -> None:
        self.times: dict[bool, tuple[float, ...]] = {False: (), True: ()}
        self.last: bool | None = None
        self.turns_left = PATIENCE

    def choose(self) -> bool:
        """Whether threads of our own are to be taken."""
        of_torch, of_own = self.times[False], self.times[True]  # other threads may change them
        if len(of_torch) < LOOKS:
            return False
        if len(of_own) < LOOKS:
            return True
        own = min(of_own) < min(of_torch)
        self.turns_left -= 1
        if self.turns_left > 0:
            return own
        ratio = min(of_torch) / min(of_own)
        self.turns_left = min(max(PATIENCE, int(200 * (max(ratio, 1 / ratio) - 1))), 1000)
        self.times[not own] = ()
        return not own

    def took(self, own: bool, seconds: float) -> None:
        """Note the time of a turn."""
        if own == self.last:
            self.times[own] = (*self.times[own], seconds)[-LOOKS:]
        self.last = own


paces: dict[int, Pace] = defaultdict(Pace)


@contextmanager
def sharing(elements: int) -> Generator[Callable[[Callable[[Any], None], Sequence[Any]], None]]:
    """Give the function that does work on every item, in about their order, and time it.

    Args:
        elements: the size of all the work.
    """
    threads = min(torch.get_num_threads(), MOST_THREADS)
    if elements < SMALLEST or threads == 1:
        yield one_by_one
        return
    pace = paces[elements.bit_length()]
    own = pace.choose()
    began = time.perf_counter()
    yield partial(share_out, 1 if elements < FEW else threads) if own else one_by_one
    pace.took(own, (time.perf_counter() - began) / elements)


def one_by_one(work: Callable[[T], None], items: Sequence[T]) -> None:
    """Do the work on every item in this thread; torch's operations may have several."""
    with torch.inference_mode():
        for item in items:
            work(item)


def share_out(threads: int, work: Callable[[T], None], items: Sequence[T]) -> None:
    """Do the work on every item, in about their order, on so many threads of our own.

    A thread takes the next item when it has done one. So a core that is busy with something else
    does fewer of them, and nobody waits for it but at the end.
    """
    todo = deque(items)

    def run() -> None:
        with torch.inference_mode():
            while True:
                try:
                    item = todo.popleft()
                except IndexError:  # nothing is left
                    return
                work(item)

    helpers = single_threads(threads, os.getpid())
    runs = [helpers.submit(run) for _ in range(min(threads, len(items)))]
    try:
        wait(runs, return_when=FIRST_COMPLETED)
    finally:  # all is taken, or one has failed
        todo.clear()
        begun = [run for run in runs if not run.cancel()]
        wait(begun)
    for run_ in begun:
        run_.result()


@cache
def single_threads(count: int, process: int) -> ThreadPoolExecutor:
    """So many threads of this process, in which torch's operations have one thread each.

    (A fork has none of its parent's threads, hence one pool per process.)
    """
    started = threading.Barrier(count + 1)
    mine = torch.get_num_threads()
    pool = ThreadPoolExecutor(count, f"fissura-losses-{process}", become_single)
    waiting = [pool.submit(started.wait) for _ in range(count)]
    started.wait()
    wait(waiting)
    # It holds for the thread that calls it, and for those that will begin later: they get mine.
    torch.set_num_threads(mine)
    return pool


def become_single() -> None:
    """Give this thread's operations one thread."""
    torch.get_num_threads()  # a thread first takes the number of the process, and only then its own
    torch.set_num_threads(1)
