"""Part one: thousands of spoiled inputs, in processes that may die of them."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .targets.all_of_them import TARGETS
from .worker import SECONDS

MAKING = 300  # seconds that files which are right may take to be made
ROOT = Path(__file__).parents[2]
MEMORY = Path("/dev/shm")  # a disk in memory, where there is one
HELD = ("result", "sentence")


@dataclass
class Tally:
    """What came of all inputs.

    Attributes:
        counts: Inputs by row of the table and outcome.
        finds: What is no result and no sentence, each kind of it once.
        slowest: Seconds of the slowest input.
    """

    counts: dict[str, Counter[str]] = field(default_factory=dict)
    finds: dict[str, dict[str, Any]] = field(default_factory=dict)
    slowest: float = 0.0

    @property
    def tried(self) -> int:
        """Number of inputs."""
        return sum(counts.total() for counts in self.counts.values())

    def add(self, one: dict[str, Any]) -> None:
        """Count an input."""
        row = next(target.row for target in TARGETS if target.name == one["target"])
        self.counts.setdefault(row, Counter())[one["outcome"]] += 1
        self.slowest = max(self.slowest, one.get("seconds", 0.0))
        if one["outcome"] in HELD:
            return
        kind = re.sub(r"[\d.]+|'[^']*'|/\S*", "", f"{one['outcome']} {one['told']}"[:90])
        find = self.finds.setdefault(kind, {"row": row, **one, "times": 0})
        if not find["times"]:
            print(f"  {one['index']} {one['target']}, {one.get('file')}: "
                  f"{one['outcome']}, {one['told']}", flush=True)  # fmt: skip
        find["times"] += 1

    def rows(self) -> list[dict[str, Any]]:
        """Return a row of the table for each kind of file."""
        rows = []
        for row in dict.fromkeys(target.row for target in TARGETS):
            counts = self.counts.get(row, Counter())
            if counts.total():
                held = sum(counts[outcome] for outcome in HELD)
                rows.append({"fault": row, "tried": counts.total(), "held": held, **counts})
        return rows


class Worker:
    """A process that tries inputs, and the one that it is at.

    Args:
        root: Folder for its files.
        seed: Of all inputs.
        first: Number of its first input.
        step: From one of its inputs to the next.
    """

    def __init__(self, root: Path, seed: int, first: int, step: int) -> None:
        self.root, self.seed, self.step = root, seed, step
        self._start(first)

    def _start(self, first: int) -> None:
        reading, writing = os.pipe()
        words = [str(self.root), str(self.seed), str(first), str(self.step)]
        environment = os.environ | {
            "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1", "HOME": str(self.root / "home"),
            "MPLCONFIGDIR": str(self.root / "matplotlib"),
        }  # fmt: skip
        with (self.root / "log.txt").open("ab") as log:
            # The worker tells on descriptor 3, and prints whatever the program prints to nowhere.
            self.process = subprocess.Popen(
                ["bash", "-c", f'exec "$@" 3>&{writing}', "-", sys.executable, "-m",
                 "tests.campaign.worker", *words],
                cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=log,
                pass_fds=(writing,),
            )  # fmt: skip
        os.close(writing)
        self.told = os.fdopen(reading, "rb", buffering=0)
        self.rest, self.at, self.began = b"", {"begun": first}, time.monotonic()

    def lines(self) -> list[dict[str, Any]]:
        """Return what the process has told of; a death or a hang is told in its place."""
        content = os.read(self.told.fileno(), 65536)
        if not content:
            status = self.process.wait()
            word = signal.Signals(-status).name if status < 0 else f"status {status}"
            log = (self.root / "log.txt").read_text(encoding="utf-8", errors="replace")
            raised = re.findall(r"^[\w.]+(?:Error|Exception).*", log, re.MULTILINE)
            last = raised[-1][:160] if raised and status > 0 else ""
            return [self.ended("crash", f"the interpreter ended ({word}) {last}")]
        *lines, self.rest = (self.rest + content).split(b"\n")
        found = [json.loads(line) for line in lines]
        if broken := [line["broken"] for line in found if "broken" in line]:
            raise RuntimeError(f"right files are not read: {broken[0]}")
        if found:
            self.at, self.began = found[-1], time.monotonic()
        return [line for line in found if "outcome" in line]

    def ended(self, outcome: str, told: str) -> dict[str, Any]:
        """Go on after the input that ended the process; return that input."""
        self.stop()
        index = self.at.get("begun", self.at.get("index", 0))
        at = {"index": index, "target": self.at.get("target", TARGETS[0].name), "file": "?"}
        self._start(index + self.step)
        return at | {"outcome": outcome, "told": told}

    def late(self) -> bool:
        """Whether the process hangs in a place where no signal reaches it."""
        allowed = MAKING if "making" in self.at else 8 * SECONDS + 40 * ("begun" not in self.at)
        return time.monotonic() - self.began > allowed

    def stop(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.wait()
        self.told.close()


def try_inputs(
    seed: int,
    minutes: float,
    *,
    workers: int = 1,
    first: int = 0,
    most: int = 10**9,
) -> dict[str, Any]:
    """Try spoiled inputs for some minutes; what came of them, as the page's JSON holds it."""
    last: dict[str, Any] = {}
    tally = Tally()
    fast = MEMORY if MEMORY.is_dir() else None
    with tempfile.TemporaryDirectory("", "campaign-", fast, True) as folder:
        root = Path(folder)
        (root / "home").mkdir()
        (root / "secret.jpg").write_bytes(b"nobody may read this")
        running = [Worker(root, seed, first + n, workers) for n in range(workers)]
        end = time.monotonic() + 60 * minutes
        try:
            while time.monotonic() < end and tally.tried < most:
                ready, _, _ = select.select([one.told for one in running], [], [], 1)
                for one in running:
                    if one.told in ready:
                        for line in one.lines():
                            tally.add(line)
                            last = line
                    elif one.late():
                        tally.add(one.ended("hang", "no signal reached the interpreter"))
        finally:
            for one in running:
                one.stop()
    return {
        "seed": seed, "minutes": minutes, "workers": workers, "rows": tally.rows(),
        "finds": list(tally.finds.values()), "slowest_seconds": tally.slowest, "last": last,
    }  # fmt: skip
