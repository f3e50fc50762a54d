"""A command with a fault at the N-th change of a file below a folder, in a process that was forked.

The process that forks has imported everything, so that a command starts at once. By itself,

    python -m tests.campaign.launch FAULT N FOLDER WORD…

runs a command so in a fresh interpreter, which Ray needs. FAULT is `none`; `kill`; `full`, an error
of a full disk at this change and all later ones; `closed`, which takes the permission to write from
the folder at this change; or `clock`, a clock that jumps back and forth from then on.
"""

from __future__ import annotations

import ctypes
import errno
import importlib
import os
import pkgutil
import signal
import struct
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
CHANGING = {"os.remove": 0, "os.rename": 1, "os.mkdir": 0, "os.link": 1, "shutil.rmtree": 0}
DAY = 86_400.0
CAPABILITIES, DAC_OVERRIDE, DAC_READ_SEARCH = 0x20080522, 1, 2


def opens_to_write(mode: object, flags: object) -> bool:
    """Whether an event `open` of the interpreter opens a file to change it.

    Args:
        mode: As of the function `open`, or None.
        flags: As of `os.open`.
    """
    by_flags = isinstance(flags, int) and bool(flags & WRITING)
    return by_flags or (isinstance(mode, str) and bool(set(mode) & set("wax+")))


class Fault:
    """Counts the changes of files below a folder, and does what is asked at one of them."""

    def __init__(self, kind: str, number: int, folder: Path) -> None:
        self.kind, self.number, self.folder = kind, number, f"{folder.absolute()}"
        self.count = 0

    def look(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Look at an event of the interpreter; the argument of `sys.addaudithook`."""
        if event == "open":
            path, mode, flags = arguments
            if not opens_to_write(mode, flags):
                return
        elif event in CHANGING:
            path = arguments[CHANGING[event]]
        else:
            return
        if isinstance(path, str | bytes | os.PathLike):
            full = os.path.abspath(os.fsdecode(path))  # noqa: PTH100
            if full.startswith(self.folder):
                self.count += 1
                if self.count >= self.number > 0:
                    self._happen(event, full)

    def _happen(self, event: str, path: str) -> None:
        if self.kind == "kill":
            os.killpg(0, signal.SIGKILL)
        elif self.kind == "full" and event != "os.remove":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
        elif self.kind == "closed" and self.count == self.number:
            for folder, _, _ in os.walk(self.folder):
                os.chmod(folder, 0o555)  # noqa: PTH101
        elif self.kind == "clock" and self.count == self.number:
            _spoil_clock()


def _spoil_clock() -> None:
    """Make the clock jump by days with every look at it, and give files dates of other times."""
    real, looks = time.time, iter(range(10**9))
    time.time = lambda: real() + DAY * (1000, -9000, 0, 3)[next(looks) % 4]


def obey_permissions() -> None:
    """Let this process be refused like everybody else, where it is root's."""
    library, header = ctypes.CDLL(None), struct.pack("IIi", CAPABILITIES, 0, 0)[:8]
    sets = ctypes.create_string_buffer(24)
    library.capget(header, sets)
    values = list(struct.unpack("6I", sets.raw))
    for which in range(3):  # effective, permitted, inheritable
        values[which] &= ~(1 << DAC_OVERRIDE | 1 << DAC_READ_SEARCH)
    library.capset(header, struct.pack("6I", *values))


def run_command(fault: str, number: int, folder: Path, words: Sequence[str]) -> int:
    """Run a command with a fault; its exit status. The number of changes is in changes.txt then."""
    if fault == "closed":
        obey_permissions()
    looking = Fault(fault, number, folder)
    sys.addaudithook(looking.look)
    from fissura.cli import run

    try:
        status = run([*words])
    except BaseException:
        traceback.print_exc()
        status = 1
    looking.number = 0
    Path("changes.txt").write_text(f"{looking.count}", encoding="utf-8")
    return status


def import_everything() -> None:
    """Import all that commands import, before the first fork."""
    import fissura

    for module in pkgutil.walk_packages(fissura.__path__, "fissura."):
        if "cuda" not in module.name and "__main__" not in module.name:
            importlib.import_module(module.name)
    for name in ("rasterio", "pyogrio.raw", "skimage.morphology", "matplotlib.pyplot", "av"):
        with suppress(ModuleNotFoundError):
            importlib.import_module(name)


class Forked:
    """A process that runs a function in a folder, with a session of its own.

    Args:
        folder: Its current folder; what it prints is in printed.txt there.
        call: Gives its exit status.
        environment: Variables of its own.
    """

    def __init__(
        self, folder: Path, call: Callable[[], int], environment: Mapping[str, str]
    ) -> None:
        self.returncode: int | None = None
        sys.stdout.flush()
        self.pid = os.fork()
        if self.pid:
            return
        status = 1
        try:
            os.setsid()
            os.chdir(folder)
            os.environ |= environment
            with Path("printed.txt").open("wb") as printed:
                for number in (1, 2):
                    os.dup2(printed.fileno(), number)
            status = call()
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(status)

    def wait(self, seconds: float = 3600) -> int:
        """Return the exit status, of a signal its negative number; kill what takes too long."""
        end = time.monotonic() + seconds
        while self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
            elif time.monotonic() > end:
                self.kill()
            else:
                time.sleep(0.01)
        return self.returncode

    def kill(self) -> None:
        """Kill the process and all that it started."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self.returncode = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


if __name__ == "__main__":
    kind, count, below, *given = sys.argv[1:]
    sys.exit(run_command(kind, int(count), Path(below), given))
