"""What the benchmarks share: ways to do one thing timed in turn, and their results as JSON.

A benchmark answers one question. It has cases (a size, a dtype), each case has ways to do the same
thing (ours, the peers', a bound), and goals say which ratio of two ways we want. All ways of a
case run in turn within one process, so that a machine that slows down slows all of them.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from fissura.device import choose_device, describe_machine
from fissura.files import replacing

RESULTS = Path(__file__).parent / "results"
PACKAGES = (
    "fissura", "torch", "triton", "segmentation-models-pytorch", "monai", "kornia",
    "albumentations", "openvino", "onnxruntime",
)  # fmt: skip


@dataclass(frozen=True)
class Goal:
    """A ratio that we want between two ways of one case.

    at_least:  how many times as fast as the peer.
    at_most:   how many times the time of the peer, a bound. Both None: only reported.
    """

    case: str
    ours: str
    peer: str
    at_least: float | None = None
    at_most: float | None = None


@dataclass
class Result:
    """What one run of a benchmark found on one kind of device.

    question:  the one that the benchmark answers.
    unit:      of work, for example "images" or "megapixels"; `work` says how much of it a case is.
    seconds:   per case and way, a value for each repetition.
    checked:   what was found equal before timing, and how nearly, in sentences.
    notes:     what a reader must know beside the table, in sentences: where the time goes.
    situations:  per case, from `situations.in_situations`; goals of such a case are shown as
               ratios in every situation, without a verdict.
    """

    question: str
    unit: str = "calls"
    work: dict[str, float] = field(default_factory=dict)
    seconds: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    goals: list[Goal] = field(default_factory=list)
    checked: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    situations: dict[str, dict[str, dict[str, list[float]]]] = field(default_factory=dict)

    def pairs(self, case: str) -> list[tuple[str, str]]:
        """The ways of a case that are to be compared."""
        return [(goal.ours, goal.peer) for goal in self.goals if goal.case == case]

    def judged(self) -> list[Goal]:
        """The goals of the cases that were timed on the machine alone."""
        return [goal for goal in self.goals if goal.case in self.seconds]

    def ratio(self, goal: Goal) -> float:
        """The time of the peer by ours, medians."""
        ways = self.seconds[goal.case]
        return statistics.median(ways[goal.peer]) / statistics.median(ways[goal.ours])


def in_turn(
    ways: dict[str, Callable[[], object]],
    *,
    repeats: int,
    warmup: int = 1,
    device: torch.device | None = None,
    least_seconds: float = 0.0,
    most_seconds: float = float("inf"),
) -> dict[str, list[float]]:
    """Time each way `repeats` times, one after the other in turn; seconds of one call.

    least_seconds:  a repetition calls a way as often as this needs, for calls that are short
                    beside the clock and the queue of a GPU.
    most_seconds:   when these are over, three repetitions are enough.
    """
    calls = {}
    for name, way in ways.items():
        for _ in range(warmup):
            way()
        calls[name] = max(1, round(least_seconds / max(timed(way, 1, device), 1e-9)))
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    gc.collect()
    gc.disable()
    try:
        began = time.perf_counter()
        for repeat in range(repeats):
            if repeat >= 3 and time.perf_counter() - began > most_seconds:
                break
            for name, way in ways.items():
                seconds[name].append(timed(way, calls[name], device))
    finally:
        gc.enable()
    return seconds


def timed(way: Callable[[], object], calls: int, device: torch.device | None) -> float:
    """Return the seconds of one call, of so many in a row."""
    _wait(device)
    began = time.perf_counter()
    for _ in range(calls):
        way()
    _wait(device)
    return (time.perf_counter() - began) / calls


def _wait(device: torch.device | None) -> None:
    if device is not None and device.type == "cuda":
        torch.cuda.synchronize(device)


def arguments(question: str) -> argparse.ArgumentParser:
    """The options that every benchmark has."""
    parser = argparse.ArgumentParser(description=question)
    parser.add_argument("--repeats", type=int, help="of each way; by default as fits the budget")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument(
        "--no-record", action="store_true", help="print only; leave the committed JSON alone"
    )
    return parser


def finish(script: str, result: Result, asked: argparse.Namespace) -> None:
    """Print a result, and record it in results/SCRIPT.json under the kind of its device."""
    show(result)
    if asked.no_record:
        return
    device = choose_device(asked.device)
    entry = asdict(result) | {
        "threads": torch.get_num_threads(),
        "load_after": round(os.getloadavg()[0], 2),
        "machine": describe_machine(device),
        "versions": versions(),
        "date": datetime.now(UTC).date().isoformat(),
    }
    path = RESULTS / f"{script}.json"
    known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    with replacing(path) as temporary:
        temporary.write_text(
            json.dumps(known | {device.type: entry}, indent=1) + "\n", encoding="utf-8"
        )


def show(result: Result) -> None:
    """Print medians with their spread, then every ratio beside its target."""
    print(f"\n{result.question}")
    for case, ways in result.seconds.items():
        print(f"  {case}")
        for way, values in ways.items():
            print(f"    {way:42} {milliseconds(values)}{rate(result, case, values)}")
    for case, found in result.situations.items():
        print("\n".join(situations_table(case, found, result.pairs(case))))
    for goal in result.judged():
        print(f"  {goal.case}: {goal.ours} against {goal.peer}: {verdict(result, goal)}")
    for sentence in (*result.checked, *result.notes):
        print(f"  {sentence}")


def situations_table(
    case: str,
    situations: dict[str, dict[str, list[float]]],
    pairs: list[tuple[str, str]],
) -> list[str]:
    """Return the situations of one case side by side, as the lines of a Markdown table.

    Args:
        case: What was timed.
        situations: From `situations.in_situations`.
        pairs: Ways of which the first's gain over the second is told: the ratio of their times.
    """
    lines = [f"| {case} | {' | '.join(situations)} |", "|---|" + "--:|" * len(situations)]
    for way in next(iter(situations.values())):
        times = " | ".join(milliseconds(ways[way]) for ways in situations.values())
        lines.append(f"| {way} | {times} |")
    for ours, peer in pairs:
        ratios = " | ".join(
            f"{statistics.median(ways[peer]) / statistics.median(ways[ours]):.2f}×"
            for ways in situations.values()
        )
        lines.append(f"| **{ours}** against {peer} | {ratios} |")
    return lines


def milliseconds(seconds: list[float]) -> str:
    """Median and range of times, in milliseconds.

    >>> milliseconds([0.0102, 0.01, 0.0119])
    '10.2 ms (10.0 to 11.9)'
    """
    low, middle, high = (1e3 * f(seconds) for f in (min, statistics.median, max))
    digits = 3 if middle < 1 else 1 if middle < 1000 else 0
    return f"{middle:.{digits}f} ms ({low:.{digits}f} to {high:.{digits}f})"


def rate(result: Result, case: str, seconds: list[float]) -> str:
    """Work per second, where the case has a size."""
    if case not in result.work:
        return ""
    return f"  {result.work[case] / statistics.median(seconds):.3g} {result.unit}/s"


def verdict(result: Result, goal: Goal) -> str:
    """A ratio beside its target, and whether it is met."""
    ratio = result.ratio(goal)
    if goal.at_least is not None:
        return f"{ratio:.2f}× (at least {goal.at_least:g}: {_met(ratio >= goal.at_least)})"
    if goal.at_most is not None:  # the time of ours by the bound's
        share = 1 / ratio
        return f"{share:.2f} times it (at most {goal.at_most:g}: {_met(share <= goal.at_most)})"
    return f"{ratio:.2f}×"


def _met(met: bool) -> str:
    return "met" if met else "missed"


def versions(packages: Sequence[str] = PACKAGES) -> dict[str, str]:
    """Versions of those packages that are installed."""
    found = {}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
