"""The progress of a study: how much of its work is done, and how long the rest will take."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from fissura.study.runs.cost import Cost, written_time
from fissura.study.runs.one_run import Advanced, Ended


def progress_bar(console: Console) -> Progress:
    """Return a progress bar of a study's work, shown on a terminal alone."""
    return Progress(
        BarColumn(),
        TextColumn("{task.fields[left]}"),
        console=console,
        disable=not console.is_terminal,
    )


def tell(progress: Progress, ended: Ended, left: str) -> None:
    """Print a line about a run that ended: its IoU, or why it failed; and what is left."""
    if ended.error is not None:
        progress.console.print(f"{ended.run.key} failed: {ended.error}", soft_wrap=True)
    elif ended.result is not None:
        result = ended.result
        progress.console.print(
            f"{result.key}  IoU {result.iou:.4f}  ({result.seconds['train']:.0f} s)  {left}",
            soft_wrap=True,
        )


class Clock:
    """Tells how much of a study's work is done, and how long the rest will take.

    The work of a run is what it was reckoned to cost. How fast work is done is measured as it is
    done, so that other programs on the machine are taken into account.
    """

    def __init__(self, costs: Sequence[Cost], workers: int) -> None:
        known = [cost.seconds for cost in costs if not math.isnan(cost.seconds)]
        usual = sum(known) / len(known) if known else 1.0
        self._work = {
            cost.job.run.key: usual if math.isnan(cost.seconds) else cost.seconds for cost in costs
        }
        self._epochs = {cost.job.run.key: cost.job.run.config.epochs for cost in costs}
        self._before = {cost.job.run.key: cost.done for cost in costs}
        self._done = dict.fromkeys(self._work, 0.0)
        self._at_once = max(1, min(workers, len(costs)))
        self._ended = 0
        self._began = time.monotonic()

    def advance(self, news: Advanced) -> None:
        """Note the epochs that a run has done."""
        before, epochs = self._before[news.key], self._epochs[news.key]
        fraction = (news.epochs - before) / max(1, epochs - before)
        self._done[news.key] = self._work[news.key] * min(1.0, max(0.0, fraction))

    def end(self, key: str) -> None:
        """Note that a run has ended."""
        self._done[key] = self._work[key]
        self._ended += 1

    def fraction(self) -> float:
        """Return the fraction of the work that is done, 0 to 1."""
        return sum(self._done.values()) / max(sum(self._work.values()), 1e-9)

    def left(self) -> str:
        """Say how many runs have ended, and how long the others will take."""
        total, done = sum(self._work.values()), sum(self._done.values())
        ended = f"{self._ended} of {len(self._work)} run" + "s" * (len(self._work) > 1)
        if self._ended == len(self._work):
            return ended
        # Early on, the few seconds in which workers start would be taken for slow work.
        pace = (time.monotonic() - self._began) / done if done > 0.02 * total else 1 / self._at_once
        return f"{ended}, about {written_time(pace * (total - done))} left"
