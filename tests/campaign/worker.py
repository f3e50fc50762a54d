"""One process of the campaign: it spoils a file, has it read, and tells what came of it.

    python -m tests.campaign.worker ROOT SEED FIRST STEP

It tells a line of JSON on descriptor 3 before and after each input, so that whoever started it
knows the input at which a process died or hangs.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import random
import resource
import shutil
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .launch import opens_to_write
from .mutations import mutate
from .targets.all_of_them import TARGETS
from .targets.target import Target

SECONDS, MEGABYTES = 10, 1024  # that an input may take
BLOCK = 20  # inputs in turn that are of one target, whose right files take their time
WARM = 50  # share of a target from which on it is a reader, and reads all of its files first
# What no input may make the program do.
FORBIDDEN = (
    "os.system", "os.exec", "os.posix_spawn", "os.spawn", "subprocess.Popen", "pickle.find_class",
    "socket.connect", "socket.getaddrinfo", "urllib.Request", "webbrowser.open",
)  # fmt: skip
CHANGING = {
    "os.remove": 1, "os.rename": 2, "os.mkdir": 1, "os.rmdir": 1, "shutil.rmtree": 1, "os.link": 2,
    "os.symlink": 2, "os.truncate": 1, "os.chmod": 1, "os.chown": 1,
}  # fmt: skip
SECRETS = ("secret.jpg", "/etc/passwd", "/etc/shadow")


OWN = ("case", "cache", "tmp", "samples")  # folders of this process


class Hang(BaseException):
    """An input took too long."""


class Guard:
    """Watches what the program does with files, processes and memory while it reads an input.

    Args:
        box: Folder that holds the folder of the input, and files that nobody may touch.
    """

    def __init__(self, box: Path) -> None:
        self.box, self.case = box, box / "case"
        self.allowed: tuple[str, ...] = ()
        self.seen: list[str] = []
        self.on = False
        sys.addaudithook(self._look)
        threading.excepthook = self._thread

    @contextmanager
    def watching(self, target: Target) -> Iterator[None]:
        """Watch a call of a target."""
        self.seen = []
        own = [str(self.case / name) for name in target.writes]
        self.allowed = (*own, str(self.box / "cache"), str(self.box / "tmp"), "/dev/")
        # Of computing; on a busy machine, and for what waits, six times as many of the clock.
        for late in (signal.SIGPROF, signal.SIGALRM):
            signal.signal(late, self._late)
        signal.setitimer(signal.ITIMER_PROF, SECONDS)
        signal.alarm(6 * SECONDS)
        self.on = True
        try:
            yield
        finally:
            self.on = False
            signal.setitimer(signal.ITIMER_PROF, 0)
            signal.alarm(0)

    def _late(self, *_: object) -> None:
        raise Hang

    def _thread(self, failed: threading.ExceptHookArgs) -> None:
        if not isinstance(failed.exc_value, OSError | Hang | None):
            self.seen.append(f"traceback: a thread raised {failed.exc_type.__name__}")

    def _look(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Note an event of the interpreter that no input may cause."""
        if not self.on:
            return
        if event == "open":
            path, mode, flags = arguments
            if isinstance(path, int) or path is None:
                return
            if opens_to_write(mode, flags):
                self._changed(path, event)
            elif os.fsdecode(path).endswith(SECRETS):
                self.seen.append(f"outside: it reads {os.fsdecode(path)}")
        elif event in CHANGING:
            for path in arguments[: CHANGING[event]]:
                self._changed(path, event)
        elif event in FORBIDDEN:
            self.seen.append(f"unsafe: {event} {str(arguments)[:80]}")

    def _changed(self, path: Any, event: str) -> None:
        if isinstance(path, int):
            return
        full = os.path.abspath(os.fsdecode(path))  # noqa: PTH100
        if not full.startswith(self.allowed):
            self.seen.append(f"outside: {event} of {full}")


def main() -> None:
    """Spoil and read, until the process is ended."""
    root, seed, first, step = sys.argv[1:]
    index, step = int(first), int(step)
    # Files that are right hold their own place, so each process makes its own, in one place.
    box = Path(root) / f"box-{index % step}"
    for folder in OWN:
        (box / folder).mkdir(parents=True, exist_ok=True)
    shutil.copy(Path(root, "secret.jpg"), box)
    os.environ |= {"FISSURA_CACHE": str(box / "cache"), "TMPDIR": str(box / "tmp")}
    _limit()
    guard = Guard(box)
    tell = os.fdopen(3, "w", encoding="utf-8")
    shares = [target.share for target in TARGETS]
    warm: set[str] = set()
    while True:
        (target,) = random.Random(f"{seed}/{index // BLOCK}/target").choices(TARGETS, shares)
        sample = box / "samples" / _plain(target.name)
        if target.name not in warm:
            print(json.dumps({"making": target.name}), file=tell, flush=True)
            try:
                if not sample.is_dir():
                    _make(sample, target, guard)
                _warm(guard, sample, target)
            except Exception as error:
                print(
                    json.dumps({"broken": f"{target.name}: {_where(error)}"}), file=tell, flush=True
                )
                raise
            warm.add(target.name)
        print(json.dumps({"begun": index, "target": target.name}), file=tell, flush=True)
        found = one_input(guard, sample, target, seed, index)
        print(json.dumps({"index": index, "target": target.name} | found), file=tell, flush=True)
        index += step
        if index // step % 100 == 0:
            gc.collect()
            ctypes.CDLL(None).malloc_trim(0)
            gc.freeze()  # what is left are modules, which need no second look


def _make(sample: Path, target: Target, guard: Guard) -> None:
    """Write the files of a target that are right, in the place where they will be read."""
    _emptied(guard.case)
    os.chdir(guard.case)
    target.make()
    os.chdir(guard.box)
    guard.case.rename(sample)


def _warm(guard: Guard, sample: Path, target: Target) -> None:
    """Have right files read: a result, or the target is wrong; and what is imported is imported."""
    _emptied(guard.case)
    shutil.copytree(sample, guard.case, dirs_exist_ok=True)
    os.chdir(guard.case)
    for file in target.spoilable() if target.share >= WARM else target.spoilable()[:1]:
        status = target.call(file)
        assert status in (None, 0, 1, 3), f"{target.name}: exit status {status} of right files"
    os.chdir(guard.box)


def one_input(guard: Guard, sample: Path, target: Target, seed: str, index: int) -> dict[str, Any]:
    """Spoil a file of a target's, have it read, and return what came of it."""
    _emptied(guard.case)
    shutil.copytree(sample, guard.case, dirs_exist_ok=True)
    os.chdir(guard.case)
    chance = random.Random(f"{seed}/{index}")
    file = chance.choice(target.spoilable())
    file.write_bytes(mutate(file.read_bytes(), file.name, chance))
    before, memory = _tree(guard, target), peak(reset=True)
    began = time.perf_counter()
    with guard.watching(target):
        outcome, told = _called(target, file)
    seconds = time.perf_counter() - began
    os.chdir(guard.box)
    grown = peak() - memory
    if guard.seen and outcome in ("result", "sentence"):
        kind, _, told = guard.seen[0].partition(": ")
        outcome = kind
    elif _tree(guard, target) != before:
        outcome, told = "outside", "a file outside of the output is another one"
    elif outcome in ("result", "sentence") and grown > MEGABYTES:
        outcome, told = "memory", f"{grown} MB"
    return {"file": str(file), "outcome": outcome, "told": told, "seconds": round(seconds, 3)}


def _called(target: Target, file: Path) -> tuple[str, str]:
    """Call a target; what came of it, and what was said or raised."""
    from fissura.errors import InputError

    try:
        status = target.call(file)
    except (InputError, OSError) as error:
        return "sentence", str(error)[:200]
    except Hang:
        return "hang", f"more than {SECONDS} s"
    except AssertionError as error:
        return "wrong", _where(error)
    except Exception as error:
        return "traceback", _where(error)
    except SystemExit as error:
        return "traceback", f"the process was ended with {error.code}"
    return ("sentence" if status == 2 else "result"), ""


def _where(error: BaseException) -> str:
    """Return an exception with the last place in Fissura that it passed."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if "/src/fissura/" in frame.filename] or frames
    place = f"{own[-1].filename.partition('/src/')[2] or own[-1].filename}:{own[-1].lineno}"
    return f"{type(error).__name__} in {place}: {str(error)[:160]}"


def _limit() -> None:
    """Keep a bomb from taking the machine's memory, and a crash from leaving a core."""
    most = 6 * 2**30
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def peak(*, reset: bool = False) -> int:
    """Return the megabytes of memory that the process had at most since the latest reset."""
    if reset:
        Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")
    text = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(text.partition("VmHWM:")[2].split()[0]) // 1024


def _tree(guard: Guard, target: Target) -> dict[str, tuple[int, int]]:
    """Return size and time of every file that the target may not write."""
    found = {}
    for folder, folders, files in os.walk(guard.box):
        if folder == str(guard.box):
            folders[:] = ["case", *(name for name in folders if name not in OWN)]
        elif folder == str(guard.case):
            folders[:] = [name for name in folders if not name.startswith(target.writes)]
            files = [name for name in files if not name.startswith(target.writes)]
        for name in files:
            stat = os.stat(os.path.join(folder, name))  # noqa: PTH116, PTH118
            found[f"{folder}/{name}"] = (stat.st_size, stat.st_mtime_ns)
    return found


def _emptied(folder: Path) -> None:
    """Empty a folder, whatever an input made of its permissions."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(exist_ok=True)


def _plain(name: str) -> str:
    """Return a name of a target as that of a folder."""
    return name.replace(" ", "_")


if __name__ == "__main__":
    main()
