"""The situations of a machine that ways are timed in: alone, and beside others' work."""

from __future__ import annotations

import gc
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import torch
from side_by_side import timed

BUSY = "print(flush=True)\nwhile True: pass"
MATMUL = """
import torch
torch.set_num_threads(2)
x = torch.rand(1024, 1024)
print(flush=True)
while True: x @ x
"""
# What runs beside the ways: programs, a process each.
SITUATIONS: dict[str, tuple[str, ...]] = {
    "alone": (),
    "beside 2 busy loops": (BUSY, BUSY),
    "beside torch with 2 threads": (MATMUL,),
}

Ways = dict[str, Callable[[], object]]


def in_situations(
    ways: Ways,
    *,
    seconds: float,
    most: int = 9,
    device: torch.device | None = None,
    least_seconds: float = 0.0,
) -> dict[str, dict[str, list[float]]]:
    """Time ways in all situations, in turn: each round goes through situations and ways.

    A round is timed first, without being counted, and tells how many rounds the time allows.

    Args:
        ways: What to time, by name.
        seconds: About how long all of it may take; at least two rounds are done.
        most: The largest number of rounds.
        device: Where the ways compute; the CPU if None.
        least_seconds: A repetition calls a way as often as this needs.

    Returns:
        By situation and way, the seconds of one call in each round.
    """
    found = {situation: {name: [] for name in ways} for situation in SITUATIONS}
    calls = {
        name: max(1, round(least_seconds / max(timed(way, 1, device), 1e-9)))
        for name, way in ways.items()
    }
    began, rounds = time.perf_counter(), 0
    with prepared() as resumed:
        for number in range(1 + most):
            for situation, of_ways in found.items():
                with resumed(situation):
                    for name, way in ways.items():
                        of_ways[name].append(timed(way, calls[name], device))
                times = ", ".join(f"{name} {1e3 * v[-1]:.3g} ms" for name, v in of_ways.items())
                print(f"  round {number}, {situation}: {times}", flush=True)
            gc.collect()
            if number == 0:
                one = time.perf_counter() - began
                rounds = max(min(int(seconds / one) - 1, most), 2)
            if number == rounds:
                break
    return {s: {name: values[1:] for name, values in v.items()} for s, v in found.items()}


@contextmanager
def prepared() -> Iterator[Callable[[str], AbstractContextManager[None]]]:
    """Start the programs of all situations, paused; gives the context in which those of one run."""
    running = {
        situation: [
            subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
            for program in programs
        ]
        for situation, programs in SITUATIONS.items()
    }
    everyone = [process for processes in running.values() for process in processes]

    @contextmanager
    def resumed(situation: str) -> Iterator[None]:
        for process in running[situation]:
            process.send_signal(signal.SIGCONT)
        time.sleep(0.2)
        try:
            yield
        finally:
            for process in running[situation]:
                process.send_signal(signal.SIGSTOP)

    try:
        for process in everyone:
            assert process.stdout is not None
            process.stdout.readline()  # it works from now on
            process.send_signal(signal.SIGSTOP)
        yield resumed
    finally:
        for process in everyone:
            process.kill()
            process.communicate()
