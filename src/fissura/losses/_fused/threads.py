"""Work shared out to threads, each of which does an item from its first operation to its last."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from functools import cache
from typing import TypeVar

import torch

T = TypeVar("T")
MOST_THREADS = 16  # with more, Python's lock lets none of them get on


def share_out(work: Callable[[T], None], items: Sequence[T]) -> None:
    """Do the work on every item, in about their order, on as many threads as torch has.

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

    threads = min(torch.get_num_threads(), MOST_THREADS)
    if threads == 1 or len(items) == 1:
        run()
        return
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
