"""Several processes of one training end together: a failure of one is told once, by the first.

A process that fails leaves its sentence in the store through which the processes met, and ends. Its
connections break, which ends the collective operations of the others in an error; the first process
then tells the sentence, and the others end in silence. Where the error does not come, as on GPUs
whose operations only wait, a thread that watches the store ends the process.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from torch import distributed as dist

from fissura.errors import InputError

if TYPE_CHECKING:
    from lightning_fabric import Fabric

FAILED = "fissura/failed"  # the key of the sentence
LOOK_EVERY = 0.5  # seconds
PATIENCE = 20.0  # seconds from a failure until a process that still waits is ended
LOST = (
    "Another process of this training has ended, for instance by a kill or for want of memory, and "
    "so did the training. What its last state holds is kept: go on with `fissura train --resume`."
)


@contextmanager
def ending_together(fabric: Fabric) -> Iterator[None]:
    """Run the block in every process of a training; where it fails in one, end all.

    Args:
        fabric: The training's processes; alone, a process does just what the block does.

    Yields:
        Nothing.

    Raises:
        InputError: In the first process: the sentence of the process that failed.
        SystemExit: In the others, which have nothing to say.
    """
    if fabric.world_size == 1:
        yield
        return
    watch = Watch(fabric.is_global_zero)
    watch.start()
    try:
        yield
    except BaseException as error:
        _end(fabric, watch, error)
        raise
    else:
        # Else its threads may still run when the process ends, which aborts it.
        dist.destroy_process_group()
    finally:
        watch.done.set()


def _end(fabric: Fabric, watch: Watch, error: BaseException) -> None:
    """Tell the others of a failure, or find that it is theirs; end all but the first process."""
    lost = isinstance(error, dist.DistError) or "gloo" in str(error)
    if lost and watch.sentence is None:
        watch.wait()
    told = watch.sentence
    if told is None and not isinstance(error, (SystemExit, KeyboardInterrupt)):
        told = LOST if lost else sentence_of(error, fabric)
        watch.tell(told)
    if not fabric.is_global_zero:
        raise SystemExit(2) from None
    if lost:
        raise InputError(told or LOST) from None


def sentence_of(error: BaseException, fabric: Fabric) -> str:
    """Return what the first process says of an error; one that is not the user's is shown here.

    Args:
        error: The error.
        fabric: The training's processes.
    """
    if isinstance(error, InputError):
        return str(error)
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}."
    if not fabric.is_global_zero:
        traceback.print_exception(error)
    process = f"process {fabric.global_rank + 1} of {fabric.world_size}"
    return f"The training ended with an error of {process}: {type(error).__name__}: {error}"


def taken_over() -> list[subprocess.Popen[Any]]:
    """Return the processes that Lightning has launched, and have its observer leave them to us.

    It kills this process without a word where one of them ends with an error.
    """
    for thread in threading.enumerate():
        if thread.name == "child-process-observer":
            children = vars(thread).get("_child_processes", [])
            vars(thread)["_child_processes"] = []
            return children
    return []


class Watch(threading.Thread):
    """A thread that sees in the processes' store whether another one has failed.

    Attributes:
        store: The store, on a connection of its own.
        first: Whether this is the first process, which tells.
        children: Processes that Lightning has launched from this one.
        sentence: What a process that failed says, or None.
        done: Set where the block has ended.
    """

    def __init__(self, first: bool) -> None:
        super().__init__(daemon=True, name="fissura-together")
        self.store: Any = dist.distributed_c10d._get_default_store().clone()  # pyright: ignore
        self.first = first
        self.children = taken_over()
        self.sentence: str | None = None
        self.done = threading.Event()

    def look(self) -> bool:
        """Look for a failure; the loss of the first process, which keeps the store, is one."""
        if self.sentence is None:
            try:
                if self.store.check([FAILED]):
                    self.sentence = self.store.get(FAILED).decode("utf-8")
                elif any(child.poll() for child in self.children):
                    self.sentence = LOST
            except Exception:  # of the network: any kind
                self.sentence = LOST
        return self.sentence is not None

    def wait(self) -> None:
        """Look until there is a failure, at most for four turns."""
        for _ in range(4):
            if self.look():
                return
            time.sleep(LOOK_EVERY)

    def tell(self, sentence: str) -> None:
        """Leave the sentence of a failure for the others."""
        self.sentence = sentence
        with suppress(Exception):  # the store is gone, and with it those to be told
            self.store.set(FAILED, sentence.encode("utf-8"))

    def run(self) -> None:
        """Look now and then; end the process where it goes on waiting after a failure."""
        while not self.done.wait(LOOK_EVERY):
            if self.look() and not self.done.wait(PATIENCE):
                if self.first:
                    # The display has hidden the cursor of a terminal.
                    show = "\x1b[?25h" if sys.stderr.isatty() else ""
                    print(f"{show}fissura: {self.sentence}", file=sys.stderr, flush=True)
                os._exit(2)
